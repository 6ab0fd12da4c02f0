"""A picture that is a slice of a volume is found as that slice, whatever it was saved as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import scipy.ndimage

from leakscan.run.models import Models
from support import dicom_maker
from support.makers import Leakscan, rows_of, save

SHAPE = (72, 84, 60)


def volume(seed: int) -> np.ndarray:
    """Soft blobs that differ from slice to slice, 0 to 1, darker towards the faces."""
    noise = np.random.default_rng([3, seed]).normal(size=SHAPE)
    soft = sum(scipy.ndimage.gaussian_filter(noise, s, mode="wrap") * s**1.5 for s in (1.6, 3.2))
    ranks = (soft - soft.min()) / np.ptp(soft)
    edge = np.minimum.reduce(np.meshgrid(*(np.hanning(n) for n in SHAPE), indexing="ij"))
    return np.asarray(ranks * (0.25 + 0.75 * edge), np.float32)


def seen(voxels: np.ndarray, axis: int, number: int) -> np.ndarray:
    """A slice as a viewer shows it, 8 bits; numbers count from 1."""
    plane = np.rot90(voxels.take(number - 1, axis))
    return np.clip(np.rint(plane * 255), 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))


def leaks(run: Path) -> dict[str, dict[str, Any]]:
    return {Path(row["path_b"]).stem: row for row in rows_of(run, "pairs")}


def test_slices_across_every_axis_are_found_with_their_numbers(tmp_path: Path, leakscan: Leakscan) -> None:
    (tmp_path / "A").mkdir()
    for name, seed in (("own", 1), ("other", 2)):
        nib.save(
            nib.Nifti1Image(np.rint(volume(seed) * 1000).astype(np.int16), np.eye(4)),
            tmp_path / "A" / f"{name}.nii",
        )
    own = volume(1)
    for axis, number in ((0, 30), (1, 50), (2, 21)):
        save(tmp_path / "B" / f"{'xyz'[axis]}{number}.png", seen(own, axis, number))
    save(tmp_path / "B" / "mirrored.png", seen(own, 2, 33)[:, ::-1].copy())
    save(tmp_path / "B" / "cropped.png", seen(own, 2, 40)[6:80, 4:70].copy())
    save(tmp_path / "B" / "lossy.jpg", seen(own, 1, 44), quality=85)
    save(tmp_path / "B" / "stranger.png", seen(volume(5), 2, 30))
    ran = leakscan("compare", "A", "B", "-o", "run", "--json")
    found = leaks(tmp_path / "run")
    assert {name: row["transform"].split("+")[0] for name, row in found.items()} == {
        "x30": "slice-x-30",
        "y50": "slice-y-50",
        "z21": "slice-z-21",
        "mirrored": "slice-z-33",
        "cropped": "slice-z-40",
        "lossy": "slice-y-44",
    }
    assert {(row["path_a"], row["relation"], row["decision"]) for row in found.values()} == {
        ("own.nii", "same_image", "leak")
    }
    assert "is slice 21 of the volume, counted from the feet" in found["z21"]["evidence"][0]
    assert ran.code == 1
    assert ran.json["comparisons"][0]["slices"] == {"pictures": 7, "volumes": 2, "compared_volumes": 2}


def test_a_window_of_a_ct_in_a_series_of_files_is_found(tmp_path: Path, leakscan: Leakscan) -> None:
    hounsfield = volume(7) * 1800 - 1000
    for k in range(20, 32):
        pixels = np.rint(hounsfield[:, ::-1, k].T + 1024).astype(np.int16)
        ds = dicom_maker.dataset(pixels, dicom_maker.CT, "CT", RescaleSlope="1", RescaleIntercept="-1024")
        dicom_maker.change(
            ds, ImageOrientationPatient=[1, 0, 0, 0, 1, 0], ImagePositionPatient=[0, 0, 2.0 * k]
        )
        dicom_maker.change(ds, PixelSpacing=[1, 1], InstanceNumber=k + 1)
        dicom_maker.write(tmp_path / "B" / "scan" / f"{k}.dcm", ds)
    lungs = np.clip((hounsfield[:, ::-1, 26].T + 1350) / 1500, 0, 1)
    save(tmp_path / "A" / "lungs.png", np.rint(lungs * 255).astype(np.uint8))
    leakscan("compare", "A", "B", "-o", "run")
    (row,) = rows_of(tmp_path / "run", "pairs")
    assert (row["path_a"], row["path_b"], row["relation"]) == ("lungs.png", "scan", "same_image")
    assert row["transform"].startswith("slice-z-7")


def test_who_wants_no_slices_is_told_what_was_not_searched(tmp_path: Path, leakscan: Leakscan) -> None:
    (tmp_path / "A").mkdir()
    nib.save(nib.Nifti1Image(volume(1), np.eye(4)), tmp_path / "A" / "v.nii")
    save(tmp_path / "B" / "slice.png", seen(volume(1), 2, 20))
    ran = leakscan("compare", "A", "B", "--no-slices", "--json")
    assert ran.json["decisions"].get("same_image", {}).get("leak", 0) == 0
    (said,) = [w for w in ran.json["warnings"] if "slices" in w]
    assert said.startswith("1 of 1 volume in A and B was not searched")


def test_a_second_run_searches_and_checks_no_slice_again(
    tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "A").mkdir()
    for seed in (1, 2):
        nib.save(nib.Nifti1Image(volume(seed), np.eye(4)), tmp_path / "A" / f"{seed}.nii")
    save(tmp_path / "B" / "slice.png", seen(volume(1), 2, 20))
    save(tmp_path / "B" / "stranger.png", seen(volume(5), 2, 30))
    leakscan("compare", "A", "B", "-o", "first")

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a volume was opened again")

    with monkeypatch.context() as patched:
        patched.setattr("leakscan.decide.copies.slices.load_pixels", opened)
        again = leakscan("compare", "A", "B", "-o", "second", "--workers", "0", "--json")
    assert again.json["comparisons"][0]["slices"]["compared_volumes"] == 2
    assert leaks(tmp_path / "second") == leaks(tmp_path / "first") != {}
    save(tmp_path / "B" / "another.png", seen(volume(2), 1, 40))
    leakscan("compare", "A", "B", "-o", "third")
    assert set(leaks(tmp_path / "third")) == {"slice", "another"}

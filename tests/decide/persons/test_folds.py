"""What the comparison of folds promises: evidence for pairs under review, either way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest

from leakscan.decide.comparison import Comparison
from leakscan.fingerprint.pipeline import Dataset
from leakscan.settings import DecodeOptions
from leakscan.sources.open import open_source
from leakscan.types import Silent
from support.made_up_brain import lump
from support.made_up_encoder import MadeUpModels, calibration, decided, made_up_context, rows_of
from support.makers import store_rows, unit_vectors


class Correlating:
    """An encoder to whom volumes agree as their voxels correlate; remembers what it was shown."""

    runs_in_workers = False

    def __init__(self) -> None:
        self.placed_volumes = 0

    def placed(self, canonical: npt.NDArray[np.uint8]) -> Any:
        self.placed_volumes += 1
        flat = canonical.astype(np.float32).ravel()
        return (flat - flat.mean()) / np.linalg.norm(flat - flat.mean())

    def agreement(self, one: Any, other: Any) -> float:
        return float(one @ other) + float(one[0]) * 1e-3  # not the same both ways round


def dataset(folder: Path, scans: Sequence[str], day: int, pixels: bool = True) -> Dataset:
    """Volumes of people whose fingerprints are alike from day to day; each scan looks a bit otherwise.

    Args:
        folder: to write.
        scans: the digit of a person, and a letter for a further scan of one.
        day: of the scans.
        pixels: whether the volumes are at hand.
    """
    folder.mkdir()
    rows = []
    for scan in scans:
        person, again = int(scan[0]), len(scan) > 1
        own, other = (lump(seed, (32, 36, 30)).astype(float) for seed in (person, person + 50 + 20 * again))
        voxels = np.rint(own + (day + again) * 0.5 * (other - own)).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([5.0, 5, 5, 1])), folder / f"{scan}.nii.gz")
        near = unit_vectors(1, 20)[person] + 0.25 * unit_vectors(20 + day + 5 * again, 20)[person]
        rows.append(
            {"fingerprint": near / np.linalg.norm(near), "path": f"{scan}.nii.gz", "kind": "brain_mri"}
        )
    refs = {ref.path: ref for ref in open_source(str(folder), DecodeOptions()).scan(Silent())}
    rows = [{**row, "image_id": refs[str(row["path"])].image_id} for row in rows]
    known = {ref.image_id: ref for ref in refs.values()} if pixels else {}
    return Dataset(folder.name, store_rows(rows), known, {}, "k1")


def compared(a: Dataset, b: Dataset, encoder: Correlating, **options: Any) -> Comparison:
    few = replace(calibration(60), decides=False)
    return decided([a, b], made_up_context(MadeUpModels(few, folds=encoder), **options))


def evidence(found: Comparison) -> dict[frozenset[str], str]:
    return {
        frozenset((row["path_a"], row["path_b"])): sentence
        for row in rows_of(found)
        for sentence in row["evidence"]
        if sentence.startswith("folds agree by ")
    }


@pytest.mark.slow
def test_a_pair_under_review_says_how_its_folds_agree_and_how_those_of_strangers_do(tmp_path: Path) -> None:
    a = dataset(tmp_path / "A", "1234", 0)
    b = dataset(tmp_path / "B", "3456", 1)
    encoder = Correlating()
    found = compared(a, b, encoder)
    said = evidence(found)
    assert {frozenset({"3.nii.gz"}), frozenset({"4.nii.gz"})} == set(said)
    for sentence in said.values():
        own, others, strangers = (float(w.strip(";")) for w in sentence.split() if w.strip(";")[-1].isdigit())
        assert own > strangers
        assert others == 6  # each meets the three others of the other dataset
    assert {row["decision"] for row in rows_of(found)} == {"review"}
    assert encoder.placed_volumes == 8  # each volume once
    # The other way round nothing changes.
    assert evidence(compared(b, a, Correlating())) == said


def test_nobody_under_suspicion_is_taken_for_a_stranger(tmp_path: Path) -> None:
    """A person with two scans in B: the one must not show what is usual among strangers for the other."""
    a, b = dataset(tmp_path / "A", "1", 0), dataset(tmp_path / "B", ["1", "1b", "2"], 1)
    said = evidence(compared(a, b, Correlating()))
    assert len(said) == 2
    assert all("with 1 others" in sentence for sentence in said.values())


@pytest.mark.parametrize("how", ["no pixels", "no time"])
def test_without_pixels_or_time_a_pair_stays_under_review_without_that_evidence(
    tmp_path: Path, how: str
) -> None:
    a = dataset(tmp_path / "A", "12", 0)
    b = dataset(tmp_path / "B", "23", 1, pixels=how != "no pixels")
    found = compared(a, b, Correlating(), check_seconds=0.0 if how == "no time" else 600.0)
    assert [(row["path_a"], row["decision"]) for row in rows_of(found)] == [("2.nii.gz", "review")]
    assert evidence(found) == {}


@pytest.mark.parametrize("in_workers", [False, True])
def test_what_an_earlier_run_found_is_remembered(tmp_path: Path, in_workers: bool) -> None:
    a, b = dataset(tmp_path / "A", "123", 0), dataset(tmp_path / "B", "345", 1)
    encoder = Correlating()
    encoder.runs_in_workers = in_workers
    few = replace(calibration(60), decides=False)
    context = made_up_context(MadeUpModels(few, folds=encoder))
    first = evidence(decided([a, b], context))
    assert first and encoder.placed_volumes == 6
    again = evidence(decided([a, b], context))
    assert again == first and encoder.placed_volumes == 6
    assert evidence(decided([b, a], context)) == first and encoder.placed_volumes == 6

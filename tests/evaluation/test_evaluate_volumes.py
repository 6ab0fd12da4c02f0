"""``leakscan evaluate`` for volumes: systems, protocols, and what is left out."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from leakscan import tables
from leakscan.evaluation.evaluation_report import EVALUATION
from leakscan.fingerprint.encoders import registry
from support.made_up_brain import lump, make_model
from support.makers import Leakscan, save

COLUMNS = ("path", "subject_id", "contrast")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in two contrasts, one the other with its greys turned round; label map and picture."""
    root = tmp_path_factory.mktemp("scans")
    rows: list[tuple[str, str, str]] = []
    for person in range(2):
        volume = lump(person, (40, 48, 40))
        for contrast, values in (("T1", volume), ("T2", 255 - volume)):
            name = f"{person}_{contrast}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(values, np.diag([5.0, 5.0, 5.0, 1.0])), root / name)
            rows.append((name, f"person-{person}", contrast))
    nibabel.save(nibabel.Nifti1Image(lump(9, (40, 48, 40)), np.eye(4)), root / "labels.nii.gz")
    save(root / "film.png", lump(1)[:, :, 40])
    rows += [("labels.nii.gz", "person-0", "labels"), ("film.png", "person-0", "T1")]
    with (root / "scans.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return root / "scans.csv"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one made-up model, shipped as volumes lie."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("leakscan.fingerprint.encoders.brain.brain_net._FLIPS", ())
        return make_model(tmp_path_factory.mktemp("own") / "brain-lumps").parent


@pytest.fixture
def model(models: Path, monkeypatch: pytest.MonkeyPatch, as_volumes_lie: None) -> None:
    monkeypatch.setenv("LEAKSCAN_MODELS", str(models))


@pytest.mark.slow
def test_volumes_are_measured_by_contrast_beside_their_baselines(
    leakscan: Leakscan, scans: Path, model: None
) -> None:
    own = ("--encoder", "brain-lumps")
    ran = leakscan("evaluate", scans, "--kind", "brain_mri", "-o", "out", *own, "--workers", 0, "--json")
    assert ran.code == 0, ran.err
    assert sorted(ran.json["systems"].values()) == ["encoder", "greys", "maps", "silhouette", "untrained"]
    assert (ran.json["images"], ran.json["subjects"]) == (4, 2)
    assert (ran.json["of_other_views"], ran.json["of_other_shape"]) == (1, 1)
    assert "Left out for their shape: 1 (pictures among volumes)" in Path("out/evaluation.html").read_text()
    assert set(ran.json["protocols"]) == {"all", "contrast=different", "contrast=same"}
    rows = tables.read(Path("out/evaluation.parquet"), EVALUATION).to_pylist()
    counts = {(r["protocol"], r["n_genuine"], r["n_impostor"]) for r in rows if r["metric"] == "auc"}
    # Nobody has two scans of one contrast, so there is nothing to say of them.
    assert counts == {("all", 2, 4), ("contrast=different", 2, 2)}
    assert "contrast=same: no genuine pair" in ran.json["not_measured"]


def test_a_baseline_without_its_package_names_the_extra(
    leakscan: Leakscan, scans: Path, model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    own = ("--encoder", "brain-lumps")
    ran = leakscan("evaluate", scans, "--kind", "brain_mri", "-o", "out", *own, "--workers", 0)
    assert ran.code == 2
    assert "needs SimpleITK, which is not installed" in ran.error
    assert "leakscan[train]" in ran.error and "--no-baselines" in ran.error
    assert not Path("out").exists()


def test_without_an_encoder_of_volumes_a_sentence_says_so(
    leakscan: Leakscan, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_PACKAGE", tmp_path / "nothing" / "shipped")
    ran = leakscan("evaluate", scans, "--kind", "brain_mri", "-o", "out")
    assert ran.code == 2
    assert "There is no encoder for brain_mri" in ran.error


def test_a_kind_that_cannot_be_evaluated_is_named(leakscan: Leakscan, scans: Path) -> None:
    ran = leakscan("evaluate", scans, "--kind", "other_3d", "-o", "out")
    assert ran.code == 2
    assert "There is no evaluation for other_3d" in ran.error

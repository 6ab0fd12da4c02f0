"""``leakscan train --preset fingerprint-3d``: tissues, average brain, metric; stopped, gone on, refused."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from leakscan import tables
from leakscan.fingerprint.encoders.brain.brain_encoder import brain_net
from leakscan.fingerprint.preprocess.volume import SHAPE
from leakscan.training.brains import average_brain, job
from leakscan.training.brains.tissue_lesson import TISSUE_METRICS, TissueConfig
from support.makers import Leakscan

QUICK = ("--preset", "fingerprint-3d", "--steps", 1, "--set", "views=2", "--set", "anatomies=1")


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Label maps of three people, made of boxes."""
    root = tmp_path_factory.mktemp("heads")
    rows = [("path", "subject_id", "contrast", "split")]
    for i in range(3):
        labels = np.zeros((40, 48, 40), np.uint8)
        labels[8:32, 8:40, 8:32] = 3
        labels[14:26, 12 + i : 34, 14 : 26 - i] = 2
        nibabel.save(nibabel.Nifti1Image(labels, np.diag([5.0, 5, 5, 1])), root / f"{i}.nii.gz")
        rows.append((f"{i}.nii.gz", f"person{i}", "labels", "train" if i < 2 else "val"))
    with (root / "heads.csv").open("w", newline="") as f:
        csv.writer(f).writerows(rows)
    return root / "heads.csv"


@pytest.fixture
def in_few_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step learns from two views, and the average edges are settled once."""
    monkeypatch.setattr(job, "TissueConfig", partial(TissueConfig, views=2))
    monkeypatch.setattr(average_brain, "_ROUNDS", 1)


@pytest.mark.slow
def test_a_run_leaves_a_network_that_makes_fingerprints_and_is_not_made_twice(
    leakscan: Leakscan, heads: Path, tmp_path: Path, in_few_views: None, as_volumes_lie: None
) -> None:
    ran = leakscan("train", heads, "-o", "run", *QUICK, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["heads"], ran.json["people"]) == (2, 2)
    run = tmp_path / "run"
    (row,) = tables.read(run / "metrics.parquet", TISSUE_METRICS).to_pylist()
    assert row["step"] == 1
    assert (run / "curves.png").stat().st_size > 1000
    net = brain_net(load_file(run / "brain.safetensors"))
    with torch.inference_mode():
        prints = net(torch.rand(1, 1, *SHAPE))
    assert float(prints.norm()) == pytest.approx(1, abs=1e-4)
    seen = {file: file.stat().st_mtime_ns for file in run.glob("view-*.npy")}
    assert len(seen) == 2
    (run / "brain.safetensors").unlink()
    assert leakscan("train", heads, "-o", "run", *QUICK).code == 0
    assert {file: file.stat().st_mtime_ns for file in run.glob("view-*.npy")} == seen
    assert (run / "brain.safetensors").is_file()
    other = leakscan("train", heads, "-o", "run", *QUICK, "--set", "shrinkage=0.5")
    assert other.code == 2
    assert "shrinkage was 0.1 and is now 0.5" in other.error


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--set", "softmax=1"), "no setting 'softmax'"),
        (("--set", "views=many"), "views is 'many'; it must be a whole number"),
        (("--set", "views=1"), "two views"),
        (("--start", "imagenet"), "--start does not apply"),
        (("--backbone", "resnet50"), "no setting 'architecture'"),
        (("--ship", "mine"), "val and calibration have 0 people with a T1"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_read(
    leakscan: Leakscan, heads: Path, tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    ran = leakscan("train", heads, "-o", "run", *QUICK, *more)
    assert ran.code == 2
    assert message in ran.error
    assert not (tmp_path / "run").exists()


def test_heads_without_label_maps_are_refused(leakscan: Leakscan, heads: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "t1.csv"
    rows = ["path,subject_id,contrast,split"]
    rows += [f"{heads.parent}/{i}.nii.gz,p{i},T1,{'train' if i < 2 else 'val'}" for i in range(3)]
    manifest.write_text("\n".join(rows) + "\n")
    ran = leakscan("train", manifest, "-o", "run", *QUICK)
    assert ran.code == 2
    assert "label maps" in ran.error

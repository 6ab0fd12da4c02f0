"""Made-up scans written as files that training can read."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from leakscan.fingerprint.preprocess.volume import SHAPE
from leakscan.research.command import run_command
from leakscan.research.write_made_up_scans import write_made_up_scans


def test_every_person_is_scanned_in_each_contrast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((40, 48, 40), np.uint8)
    labels[8:32, 8:40, 8:32], labels[14:26, 14:34, 14:26] = 3, 2
    rows = [("path", "subject_id", "contrast", "split")]
    for i in range(2):
        nibabel.save(nibabel.Nifti1Image(labels, np.diag([5.0, 5, 5, 1])), tmp_path / f"{i}.nii.gz")
        rows.append((f"{i}.nii.gz", f"set:person{i}", "labels", "train"))
    with (tmp_path / "heads.csv").open("w", newline="") as f:
        csv.writer(f).writerows(rows)
    out = tmp_path / "views"
    given = [str(tmp_path / "heads.csv"), "-o", str(out), "--views", "2", "--others", "1"]
    monkeypatch.setattr(sys, "argv", ["scans", *given])
    with pytest.raises(SystemExit) as left:
        run_command(write_made_up_scans)
    assert not left.value.code
    with (out / "manifest.csv").open(newline="") as f:
        made = list(csv.DictReader(f))
    assert Image.open(out / "sheet.png").size == (2 * (SHAPE[0] + SHAPE[1]), 4 * max(SHAPE[1:]))
    people = {row["subject_id"] for row in made}
    assert people == {f"set:person{i}#{other}" for i in range(2) for other in range(2)}
    assert len(made) == 8
    assert {row["contrast"] for row in made} == {"view0", "view1"}
    voxels = [np.asarray(nibabel.load(out / row["path"]).dataobj) for row in made]
    assert all(v.shape == SHAPE and v.max() > v.min() for v in voxels)
    assert (voxels[0] != voxels[1]).any()

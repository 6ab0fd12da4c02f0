"""What `leakscan bench volumes` prints: two runs on volumes of different people, and the encoder alone."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from support.made_up_brain import lump
from support.makers import Leakscan


@pytest.fixture
def scans(tmp_path: Path) -> None:
    """Three people, one of them scanned twice."""
    rows = ["path,subject_id"]
    (tmp_path / "scans").mkdir()
    for number, person in enumerate((1, 1, 2, 3)):
        volume = nibabel.Nifti1Image(lump(number, (40, 48, 40)), np.diag([5.0, 5.0, 5.0, 1.0]))
        nibabel.save(volume, tmp_path / "scans" / f"{number}.nii.gz")
        rows.append(f"scans/{number}.nii.gz,p{person}")
    (tmp_path / "scans.csv").write_text("\n".join(rows) + "\n")


def test_too_few_people_are_said_in_a_sentence(scans: None, leakscan: Leakscan) -> None:
    ran = leakscan("bench", "volumes", "scans.csv", "-o", "work", "--volumes", "2")
    assert ran.code == 2
    assert "4 volumes of different people, in files of their own, are needed; 3 are there." in ran.error
    assert "--volumes" in ran.error


@pytest.mark.slow
def test_both_runs_stand_beside_the_encoder_alone(
    scans: None, leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    ran = leakscan("bench", "volumes", "scans.csv", "-o", "work", "--volumes", "1", "--json")
    assert ran.code == 0, ran.error
    assert ran.json["first"]["seconds"] > ran.json["encoder_alone_s"] >= 0  # lumps are no heads
    assert ran.json["first"]["timings"]["images_read"] == 2
    assert ran.json["second"]["timings"]["images_read"] == 0
    assert len(list((tmp_path / "work" / "volumes").rglob("*.nii.gz"))) == 2

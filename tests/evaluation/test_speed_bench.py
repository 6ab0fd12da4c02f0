"""What `leakscan bench speed` prints: ratios to the encoder alone, and to other tools where they are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

from leakscan.evaluation.measured_run import measure_process
from support.makers import Leakscan, Picture


@pytest.mark.slow
def test_the_encoder_alone_and_tools_that_are_not_installed_stand_beside_the_run(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "films").mkdir()
    for number, film in enumerate(films[:4]):
        Image.fromarray(film).save(tmp_path / "films" / f"{number}.png")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    bare = tmp_path / "bare"  # an interpreter for which nothing is installed
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S -I "$@"\n')
    bare.chmod(0o755)
    ran = leakscan("bench", "speed", "films", "-o", "work", "--images", "2", "--peers-python", bare, "--json")
    assert ran.code == 0, ran.error
    assert ran.json["first"]["seconds"] > ran.json["encoder_alone_s"] > 0
    assert ran.json["first"]["timings"]["worked_s"].keys() >= {"decode", "encode", "keypoints"}
    assert ran.json["second"]["timings"]["images_read"] == 0
    assert ran.json["store_bytes_per_image"] > 1000
    assert ran.json["peers"] == {
        name: {"installed": False} for name in ("fastdup", "imagededup", "cleanvision")
    }


def test_a_process_is_measured_with_its_children() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytes(10**8)']); sys.exit(4)"
    assert measure_process([sys.executable, "-c", code]).code == 4

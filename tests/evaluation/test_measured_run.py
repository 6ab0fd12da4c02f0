"""A measured run is a whole run of the program, its time and memory seen from outside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leakscan.errors import LeakscanError
from leakscan.evaluation.measured_run import run_compare
from support.makers import save


def test_a_run_is_measured_and_says_what_it_found(tmp_path: Path) -> None:
    for i, folder in enumerate("AAB"):
        grey = np.random.default_rng(i // 2 * 2).integers(0, 256, (40, 40)).astype(np.uint8)
        save(tmp_path / folder / f"{i}.png", grey)
    save(tmp_path / "B/copy.png", np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8))
    run = run_compare([tmp_path / "A", tmp_path / "B"], tmp_path / "run", tmp_path / "cache", workers=0)
    assert run.summary["decisions"]["same_file"]["leak"] >= 1
    assert run.seconds > 0.1
    assert run.peak_mb > 50


def test_a_run_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(LeakscanError, match=r"(?s)exit code 2.*nowhere"):
        run_compare([tmp_path / "nowhere", tmp_path], tmp_path / "run", tmp_path / "cache")

"""A limit of memory is kept: by fewer workers, by refusing what does not fit, and by an end in time."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leakscan.engines.memory import MemoryWatch, shared_out
from leakscan.errors import LeakscanError, UsageError
from leakscan.evaluation.measured_run import measure_process
from support.makers import Leakscan, Ran, fill, rows_of


@given(st.integers(600, 200_000), st.integers(0, 256))
def test_shares_never_add_up_to_more_than_the_limit(limit: int, workers: int) -> None:
    shares = shared_out(limit, workers)
    assert 0 <= shares.workers <= workers
    assert shares.main_mb + shares.workers * shares.worker_mb <= limit
    assert shares.main_mb >= 450
    assert shares.max_pixels > 1_000_000


def test_less_than_one_image_needs_is_a_sentence(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", [1])
    fill(tmp_path / "B", [1])
    with pytest.raises(UsageError, match="less than a run needs"):
        shared_out(100, 2)
    ran = leakscan("compare", "A", "B", "--max-memory", "100")
    assert ran.code == 2
    assert "100 MB of memory are less than a run needs" in ran.err
    assert "--max-memory" in ran.err


def test_an_image_that_does_not_fit_is_a_row_and_the_others_are_compared(
    leakscan: Leakscan, tmp_path: Path
) -> None:
    fill(tmp_path / "A", [1, 2])
    fill(tmp_path / "B", [1])
    Image.fromarray(np.zeros((6000, 6000), np.uint8)).save(tmp_path / "B" / "huge.png")
    ran = leakscan("compare", "A", "B", "-o", str(tmp_path / "run"), "--max-memory", "700", "--json")
    assert ran.code == 1  # the copy is found, whatever was left out
    listed = {row["path"]: row for row in rows_of_json(ran)}
    assert listed["huge.png"]["status"] != "ok"
    assert "pixels" in listed["huge.png"]["error"]


def rows_of_json(ran: Ran) -> list[dict[str, object]]:
    """The images of the run folder that a document names."""
    return rows_of(Path(ran.json["report"]), "images")


def test_too_much_memory_ends_the_run_with_a_sentence() -> None:
    watch = MemoryWatch(limit_mb=1)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            time.sleep(0.1)
            try:
                watch.check()
            except LeakscanError as error:
                assert "1 MB are allowed" in str(error)
                return
        pytest.fail("the watch did not notice")
    finally:
        watch.stop()


def test_a_run_stays_below_its_limit(tmp_path: Path) -> None:
    fill(tmp_path / "A", list(range(26)))
    fill(tmp_path / "B", [3])
    command = [sys.executable, "-m", "leakscan", "compare", str(tmp_path / "A"), str(tmp_path / "B"), "-q"]
    command += ["--cache", str(tmp_path / "cache"), "-o", str(tmp_path / "run"), "--workers", "4"]
    done = measure_process([*command, "--max-memory", "1100"])
    assert done.code == 1, done.errors
    assert 0 < done.peak_mb < 1100
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert len(summary["timings"]["busy"]["workers"]) == 1  # there is room for one

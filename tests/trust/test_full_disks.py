"""A disk that is too small costs no table and no verdict, and a sentence says what happened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leakscan.research.full_disks import LISTS, fill_disks
from leakscan.research.killed_jobs import JOBS, Job

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="jobs are forked")


def test_a_full_disk_is_said_and_what_there_was_stays(tmp_path: Path) -> None:
    quick = [job for job in (*JOBS, *LISTS) if job.name in ("fingerprint", "verdicts")]
    told = fill_disks(quick, len(quick), 1, tmp_path)
    assert told.faults == []
    assert any(how == "refused" for _, how in told.ends)


@pytest.mark.slow
def test_every_job_survives_full_disks(tmp_path: Path) -> None:
    told = fill_disks((*JOBS, *LISTS), 33, 5, tmp_path)
    assert told.faults == []


def test_a_job_that_swallows_a_full_disk_is_found_out(tmp_path: Path) -> None:
    def careless() -> int:
        try:
            Path("table.json").write_bytes(b'{"a": "' + bytes(100_000))
        except OSError:
            return 2  # without a word
        Path("table.json").write_text("{}")
        return 0

    told = fill_disks(
        [Job(name="careless", work=careless, made=("table.json",), tables=dict)], 2, 0, tmp_path
    )
    assert any("does not say" in fault for fault in told.faults)
    assert any("is not whole" in fault for fault in told.faults)

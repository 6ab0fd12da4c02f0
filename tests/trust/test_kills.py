"""A job that is killed at random moments comes to the tables of an undisturbed one."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leakscan.research import kills
from leakscan.research.kills import JOBS, Job, half_files, kill_often

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="jobs are forked")


def jobs(*names: str) -> list[Job]:
    return [job for job in JOBS if job.name in names]


def test_a_few_kills_lose_no_verdict_and_no_row(tmp_path: Path) -> None:
    tally = kill_often(jobs("fingerprint", "verdicts"), 6, 0, tmp_path)
    assert tally.faults == []
    assert tally.kills.total() >= 6


def test_a_job_that_leaves_half_a_file_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kills, "draw_inputs", lambda *_: None)

    def careless() -> int:
        file = Path("table.parquet")
        file.write_bytes(b"PAR1")
        import time

        time.sleep(0.3)
        file.unlink()
        pq.write_table(pa.table({"n": [os.getpid()]}), file)
        return 0

    def table() -> dict[str, pa.Table]:
        return {"table": pq.read_table("table.parquet")}

    tally = kill_often(
        [Job(name="careless", work=careless, made=("table.parquet",), tables=table)], 3, 1, tmp_path
    )
    assert any("is not whole" in fault for fault in tally.faults)
    assert any("row 0, n" in fault for fault in tally.faults)  # the number of the process differs


def test_parts_may_be_half(tmp_path: Path) -> None:
    (tmp_path / "run.part").mkdir()
    (tmp_path / "run.part" / "pairs.parquet").write_bytes(b"PAR1")
    (tmp_path / "a.json.part").write_text("{")
    assert half_files(tmp_path) == []
    (tmp_path / "a.json").write_text("{")
    assert len(half_files(tmp_path)) == 1

"""Two runs that write one folder at once lose no file: the second says what happened, or replaces it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from leakscan.report.run_folder import RunFolder
from support.makers import NO_ENCODER, Leakscan, rows_of


def test_a_folder_that_another_run_wrote_meanwhile_is_not_replaced(
    two_folders: object, tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    before = rows_of(tmp_path / "run", "images")

    def was_free(self: RunFolder, overwrite: bool) -> None:
        self._must_be_free = not overwrite

    monkeypatch.setattr(RunFolder, "check_free", was_free)
    late = leakscan("duplicates", "A", "-o", "run", *NO_ENCODER)
    assert late.code == 2 and "was written by another run in the meantime" in late.err
    assert rows_of(tmp_path / "run", "images") == before and not list(tmp_path.glob("run.*part"))
    assert leakscan("duplicates", "A", "-o", "run", "--overwrite", *NO_ENCODER).code != 2
    assert not list(tmp_path.glob("run.*part"))


def test_what_another_run_is_writing_stays_and_what_a_killed_one_left_goes(
    two_folders: object, tmp_path: Path, leakscan: Leakscan
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for process in (os.getppid(), gone.pid):
        (tmp_path / f"run.{process}.part").mkdir()
    (tmp_path / "run.part").mkdir()
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    assert [path.name for path in tmp_path.glob("run.*part")] == [f"run.{os.getppid()}.part"]

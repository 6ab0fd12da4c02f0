"""A benchmark empties the folders that a benchmark made, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakscan.errors import OutputError, UsageError
from leakscan.evaluation.bench import fresh_folder


def test_a_folder_that_a_benchmark_made_is_emptied(tmp_path: Path) -> None:
    work = fresh_folder(tmp_path / "work")
    (work / "A").mkdir()
    (work / "A" / "film.png").write_bytes(b"copied")
    assert [path.name for path in fresh_folder(work).iterdir()] == [".leakscan-bench"]


def test_a_folder_with_files_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(b"real")
    with pytest.raises(UsageError, match="is not empty"):
        fresh_folder(tmp_path)
    assert (tmp_path / "film.png").read_bytes() == b"real"


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="file cannot be written"):
        fresh_folder(tmp_path / "file")

"""Packing films that was killed goes on where it was, and never takes a half picture for a whole one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leakscan.training.films import half_packed
from leakscan.training.films.half_packed import HalfPacked

PATHS = ["a.png", "b.png", "c.png"]


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a packing that was killed after two of three images, one of them unreadable."""
    monkeypatch.setattr(half_packed, "_SECONDS", 0.0)
    half = HalfPacked(tmp_path / "films.npy.part", 4, 3)
    half.begin(PATHS)
    half.add({"path": "a.png", "error": None}, np.full(3, 7, np.uint8))
    half.add({"path": "b.png", "error": "no image"}, None)
    return half.part


def begun(part: Path, paths: list[str]) -> tuple[list[str], int, bytes]:
    half = HalfPacked(part, 4, 3)
    rows = half.begin(paths)
    return [row["path"] for row in rows], half.pictures, part.read_bytes()


def test_what_was_packed_is_kept_and_what_no_row_knows_is_cut_off(part: Path) -> None:
    with part.open("ab") as more:
        more.write(b"\x09\x09")  # half a picture, written before its row
    assert begun(part, PATHS) == (["a.png", "b.png"], 1, bytes(4) + b"\x07\x07\x07")


def test_a_row_without_its_picture_is_made_anew(part: Path) -> None:
    part.write_bytes(bytes(4) + b"\x07\x07")
    assert begun(part, PATHS)[:2] == ([], 0)


def test_another_list_of_images_begins_anew(part: Path) -> None:
    assert begun(part, ["z.png", *PATHS])[:2] == ([], 0)


def test_a_damaged_journal_keeps_what_stands_before(part: Path) -> None:
    journal = part.with_name("films.npy.rows.part")
    journal.write_text(journal.read_text() + '{"path": "c.p')
    assert begun(part, PATHS)[0] == ["a.png", "b.png"]
    journal.write_text("[1]\n")
    assert begun(part, PATHS)[0] == []

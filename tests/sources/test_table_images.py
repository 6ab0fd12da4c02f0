"""Tables of pictures cost what a few of their rows cost, and a cell that is too large is a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leakscan.settings import DecodeOptions
from leakscan.sources import grouped_tables
from leakscan.sources.contents import open_place
from leakscan.sources.directory import DirectorySource
from leakscan.sources.formats import decode
from leakscan.sources.grouped_tables import bytes_of_cell
from leakscan.sources.table_images import row_members
from leakscan.types import ImageRef, Silent
from support.makers import scene
from support.odd_files import png
from support.packed_files import arrow, beside_pictures

MEGABYTE = 1 << 20


def scan(root: Path) -> list[ImageRef]:
    return list(DirectorySource(root, "d", DecodeOptions()).scan(Silent()))


def noise(count: int) -> bytes:
    return np.random.default_rng(0).bytes(count)


def test_rows_that_repeat_one_word_of_a_dictionary_take_no_memory_each(tmp_path: Path) -> None:
    film = png(scene(1)) + noise(100_000)
    pq.write_table(pa.table({"image": [film] * 1_000}), tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < MEGABYTE
    most = before = pa.total_allocated_bytes()
    found = 0
    for member, _ in row_members(str(tmp_path / "t.parquet")):
        if found % 100 == 0:
            with open_place(member.place) as stream:
                assert stream.read() == film
        most, found = max(most, pa.total_allocated_bytes()), found + 1
    assert found == 1_000 and most - before < 40 * MEGABYTE


@pytest.mark.parametrize("kind", ["parquet", "arrow", "packed arrow", "list"])
def test_a_cell_that_is_too_large_is_a_sentence_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(grouped_tables, "_MOST_AT_ONCE", MEGABYTE)
    cells = [png(scene(1)), png(scene(2)) + bytes(6 * MEGABYTE), png(scene(3))]
    if kind in ("parquet", "list"):
        image = pa.array([[cell] for cell in cells] if kind == "list" else cells)
        pq.write_table(pa.table({"i": image}), tmp_path / "t.parquet", row_group_size=1, use_dictionary=False)
    else:
        (tmp_path / "t.arrow").write_bytes(arrow("zstd" if "packed" in kind else None, i=cells))
    rows = scan(tmp_path)
    bad = [row for row in rows if row.status != "ok"]
    assert len(rows) == 3 and all("MB" in row.error and row.left_out for row in bad)
    assert len(bad) == (3 if "packed" in kind else 1), "a packed batch is read as a whole, or not at all"
    for row in rows:
        if row.status == "ok":
            assert decode(row, DecodeOptions()).stored.shape == scene(1).shape


def test_cells_are_measured_without_a_copy() -> None:
    words = pa.array([b"x" * 5000, None, b"y"])
    assert bytes_of_cell(words, 0) >= 5000 > bytes_of_cell(words, 2)
    many = pa.array([b"x" * 5000, b"y", b"y"]).dictionary_encode()
    assert bytes_of_cell(many, 0) >= 5000 > bytes_of_cell(many, 1)
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([b"y", b"x" * 5000]))
    assert bytes_of_cell(runs, 2) >= 5000 > bytes_of_cell(runs, 1)


def test_a_column_that_is_not_read_beside_one_that_is_has_a_row(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(beside_pictures(scene(1)))
    found = {row.path: (row.status, row.error) for row in scan(tmp_path)}
    assert found["t.parquet/image/0"] == ("ok", "")
    assert found["t.parquet/more"][0] == "unsupported" and "in base85" in found["t.parquet/more"][1]


def test_streams_are_read_forwards_and_backwards(tmp_path: Path) -> None:
    schema = pa.schema([("i", pa.binary())])
    with pa.ipc.new_stream(tmp_path / "t.arrow", schema) as writer:
        for first in (0, 3):
            films = [png(scene(first + n)) for n in range(3)]
            writer.write_batch(pa.record_batch([pa.array(films, pa.binary())], schema))
    rows = scan(tmp_path)
    for number in (5, 0, 3, 2):
        np.testing.assert_array_equal(decode(rows[number], DecodeOptions()).stored, scene(number))

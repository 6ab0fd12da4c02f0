"""Archives and tables whose files share their bytes, so that a small one holds very many."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leakscan.settings import DecodeOptions
from leakscan.sources.open import open_source
from leakscan.types import ImageRef, Silent
from support.odd_files import png, texture

MANY = 300
PICTURE = png(texture(1, 20))


def _overlapping_zip(folder: Path) -> None:
    """One file, and a list that names it many times."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("0.png", PICTURE)
    data = stream.getvalue()
    at = data.index(b"PK\1\2")
    entry, listed = data[at : at + 46], b""
    for number in range(MANY):
        name = b"%d" % number
        listed += entry[:28] + struct.pack("<H", len(name)) + entry[30:] + name
    last = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, MANY, MANY, len(listed), at, 0)
    (folder / "films.zip").write_bytes(data[:at] + listed + last)


def _repeating_table(folder: Path) -> None:
    cells = pa.DictionaryArray.from_arrays(pa.array([0] * MANY, pa.int32()), pa.array([PICTURE], pa.binary()))
    pq.write_table(pa.table({"image": cells}), folder / "films.parquet")


def _packed_tar(folder: Path) -> None:
    with tarfile.open(folder / "films.tar.xz", "w:xz") as archive:
        for number in range(MANY):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = len(PICTURE)
            archive.addfile(info, io.BytesIO(PICTURE))


def _found(folder: Path, most: int) -> list[ImageRef]:
    return list(open_source(folder, DecodeOptions(max_frames=most)).scan(Silent()))


@pytest.mark.parametrize("make", [_overlapping_zip, _repeating_table])
def test_an_archive_that_says_how_many_files_it_holds_is_refused_as_a_whole(tmp_path: Path, make) -> None:
    make(tmp_path)
    (row,) = _found(tmp_path, 10)
    assert (row.status, row.left_out) == ("unreadable", "file over the limit of frames")
    assert "more files or rows than the limit of" in row.error and "raise max_frames" in row.error
    assert len(_found(tmp_path, MANY)) == MANY


def test_of_a_tar_file_what_comes_behind_the_limit_is_one_row(tmp_path: Path) -> None:
    _packed_tar(tmp_path)
    *first, last = _found(tmp_path, 10)
    assert {row.status for row in first} == {"ok"} and len(first) < MANY
    assert (last.status, last.left_out) == ("unreadable", "file over the limit of frames")
    assert len(_found(tmp_path, MANY)) == MANY


def test_an_archive_of_too_many_archives_does_not_hide_the_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakscan.sources.packed._MOST_ARCHIVES", 3)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("film.png", PICTURE)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(6):
            archive.writestr(f"{number}.zip", inner.getvalue())
    (tmp_path / "b.zip").write_bytes(inner.getvalue())
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("in.zip", inner.getvalue())
    rows = {row.path: row.status for row in _found(tmp_path, 1000)}
    assert sum(status == "unsupported" for status in rows.values()) == 3
    assert rows["b.zip/film.png"] == rows["c.zip/in.zip/film.png"] == "ok"

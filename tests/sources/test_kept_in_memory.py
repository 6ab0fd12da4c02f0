"""What a scan keeps of archives and tables is bounded, whatever stands beside each other."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leakscan.settings import DecodeOptions
from leakscan.sources import cell_values, unpacking
from leakscan.sources.found_images import FoundImages
from leakscan.sources.open import open_source
from leakscan.types import Silent
from support.makers import scene


def _held() -> int:
    return sum(map(unpacking._held, unpacking._open.values()))


def test_many_large_compressed_files_are_not_all_held(tmp_path: Path) -> None:
    unpacking.close_all()
    for number in range(4):
        (tmp_path / f"{number}.dcm.gz").write_bytes(gzip.compress(bytes([number]) * (90 << 20), 1))
        unpacking.unpacked_head(f"{tmp_path / f'{number}.dcm.gz'}\0\0g", 90 << 20)
        assert _held() <= unpacking._KEPT_BYTES + (100 << 20)
    unpacking.close_all()
    assert not unpacking._open and not unpacking._kept


def test_an_archive_is_held_while_what_lies_in_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacking.close_all()
    monkeypatch.setattr(unpacking, "_KEPT_BYTES", 1000)
    with tarfile.open(tmp_path / "films.tar.gz", "w:gz") as tar:
        for number in range(5):
            packed = gzip.compress(bytes([number]) * 100_000)
            member = tarfile.TarInfo(f"{number}.dcm.gz")
            member.size = len(packed)
            tar.addfile(member, io.BytesIO(packed))
    opened = []
    real = unpacking._opened
    monkeypatch.setattr(unpacking, "_opened", lambda *a: opened.append(a[1]) or real(*a))
    list(open_source(str(tmp_path), DecodeOptions()).scan(Silent()))
    assert opened.count("tar") == 1, "it was inflated again from its beginning"


def test_after_a_scan_nothing_is_held(tmp_path: Path) -> None:
    Image.fromarray(scene(1)).save(stream := io.BytesIO(), "PNG")
    (tmp_path / "film.png.gz").write_bytes(gzip.compress(stream.getvalue()))
    pq.write_table(pa.table({"image": [stream.getvalue()]}), tmp_path / "films.parquet")
    found = FoundImages.of(open_source(str(tmp_path), DecodeOptions()), Silent())
    assert [ref.status for ref in found] == ["ok", "ok"]
    assert not unpacking._open and not unpacking._kept and not cell_values._kept


def test_only_one_table_of_large_cells_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_values, "_KEPT_BYTES", 0)
    for name in ("a.parquet", "b.parquet"):
        pq.write_table(pa.table({"image": [b"pixels" * 100]}), tmp_path / name)
        cell_values.cell_cursor(str(tmp_path / name), 0, "image").value(0)
    assert len(cell_values._kept) == 1
    cell_values.close_cursors()

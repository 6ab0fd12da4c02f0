"""Archives in parts are read where they lie; a part alone, or one that is missing, is said."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from leakscan.settings import DecodeOptions
from leakscan.sources.contents import mark_of
from leakscan.sources.directory import DirectorySource
from leakscan.sources.formats import decode
from leakscan.sources.split_archives import Joined, first_of, is_named_part, joined, parts_of
from leakscan.types import ImageRef, Silent
from support.makers import scene
from support.odd_files import dicom, png, tarred, zipped

OPTIONS = DecodeOptions()
FILMS = {f"ward/{i}.png": png(scene(i)) for i in range(6)}
"""Small films, more than fit into one part."""


def scan(root: Path) -> dict[str, ImageRef]:
    return {ref.path: ref for ref in DirectorySource(root, "d", OPTIONS).scan(Silent())}


def cut(folder: Path, data: bytes, *names: str) -> None:
    size = -(-len(data) // len(names))
    for number, name in enumerate(names):
        (folder / name).write_bytes(data[number * size : (number + 1) * size])


def read(rows: dict[str, ImageRef]) -> list[str]:
    """The names of the films that are read, each of which must have the right pixels."""
    found = sorted(path for path, row in rows.items() if row.status == "ok")
    for path in found:
        number = int(Path(path).stem)
        np.testing.assert_array_equal(decode(rows[path], OPTIONS).stored, scene(number))
    return found


@pytest.mark.parametrize(
    ("names", "mode"),
    [
        (("x.tar.gz.aa", "x.tar.gz.ab", "x.tar.gz.ac"), "w:gz"),
        (("X.TGZ.PARTAA", "X.TGZ.PARTAB"), "w:gz"),
        (("x.tar.xz-00", "x.tar.xz-01"), "w:xz"),
        (("x.tar.000", "x.tar.001", "x.tar.002", "x.tar.003"), "w"),
        (tuple(f"x_tar_{n}" for n in range(1, 12)), "w:bz2"),
    ],
)
def test_a_tar_in_parts_is_read_like_a_whole_one(tmp_path: Path, names: tuple[str, ...], mode: str) -> None:
    cut(tmp_path, tarred(mode, **FILMS), *names)
    rows = scan(tmp_path)
    assert read(rows) == [f"{names[0]}/{name}" for name in FILMS]
    others = {path: row for path, row in rows.items() if row.status != "ok"}
    assert sorted(others) == sorted(names[1:])
    assert {row.status for row in others.values()} == {"ignored"}
    assert {row.error_path for row in others.values()} == {names[0]}


@pytest.mark.skipif(shutil.which("zip") is None, reason="zip is not installed.")
def test_a_zip_that_info_zip_split_is_read_like_a_whole_one(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    target.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (200, 250)).astype(np.uint8)
        (source / f"{number}.png").write_bytes(png(noise))
    subprocess.run(["zip", "-q", "-s", "64k", "-r", str(target / "x.zip"), "."], cwd=source, check=True)
    assert len(list(target.iterdir())) > 2
    rows = scan(target)
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (200, 250)).astype(np.uint8)
        np.testing.assert_array_equal(decode(rows[f"x.zip/{number}.png"], OPTIONS).stored, noise)


def test_files_that_are_counted_and_whole_are_read_each(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"IM.00{number}").write_bytes(gzip.compress(dicom(scene(number))))
        (tmp_path / f"shard.tar.00{number}").write_bytes(
            tarred(**{f"{number}.png": FILMS[f"ward/{number}.png"]})
        )
        (tmp_path / f"shard.zip.00{number}").write_bytes(
            zipped(**{f"{number}.png": FILMS[f"ward/{number}.png"]})
        )
    rows = scan(tmp_path)
    assert len(rows) == 9 and {row.status for row in rows.values()} == {"ok"}
    assert rows["shard.tar.002/2.png"].status == rows["shard.zip.001/1.png"].status == "ok"


def test_what_misses_a_part_is_said(tmp_path: Path) -> None:
    cut(tmp_path, tarred("w:gz", **FILMS), "x.tar.gz.aa", "x.tar.gz.ab", "x.tar.gz.ac", "x.tar.gz.ad")
    (tmp_path / "x.tar.gz.ac").unlink()
    rows = scan(tmp_path)
    assert rows["x.tar.gz.aa"].status == "unreadable"
    assert rows["x.tar.gz.ad"].left_out == "part of a split archive"
    (tmp_path / "x.tar.gz.aa").unlink()
    assert {row.left_out for row in scan(tmp_path).values()} == {"part of a split archive"}


def test_a_changed_later_part_is_noticed(tmp_path: Path) -> None:
    cut(tmp_path, zipped(**FILMS), "x.zip.001", "x.zip.002", "x.zip.003")
    before = mark_of(joined(str(tmp_path / "x.zip.001")))
    last = tmp_path / "x.zip.003"
    last.write_bytes(last.read_bytes()[:-1] + b"!")
    assert mark_of(joined(str(tmp_path / "x.zip.001"))) != before


def test_the_parts_of_split_are_found_in_its_order_when_it_widens_its_counts(tmp_path: Path) -> None:
    for name in ("xyz", "xzaaa", "xzaab", "n89", "n9000"):
        (tmp_path / name).write_bytes(b"a part")
    for first in [f"x{a}{b}" for a in "abcdefghijklmnopqrstuvwxy" for b in "abcdefghijklmnopqrstuvwxyz"]:
        (tmp_path / first).write_bytes(b"")
    for number in range(90):
        (tmp_path / f"n{number:02d}").write_bytes(b"")
    found = parts_of(str(tmp_path / "xaa"))
    assert [Path(part).name for part in found[-3:]] == ["xyz", "xzaaa", "xzaab"] and len(found) == 652
    assert first_of(str(tmp_path / "xzaab")) == str(tmp_path / "xaa")
    assert Path(parts_of(str(tmp_path / "n00"))[-1]).name == "n9000"


def test_parts_are_one_stream_from_any_place(tmp_path: Path) -> None:
    data = os.urandom(1000)
    cut(tmp_path, data, "x.aa", "x.ab", "x.ac")
    stream = Joined(str(tmp_path / "x.aa"))
    assert stream.read() == data
    stream.seek(-10, 2)
    assert (stream.read(100), stream.tell()) == (data[-10:], 1000)
    stream.seek(330)
    assert stream.read(10) == data[330:340]


def test_names_of_whole_files_are_no_names_of_parts() -> None:
    whole = [
        "a.gz",
        "a.tar.gz",
        "a.zip",
        "a.tar.json",
        "a.tar.gz.asc",
        "a.zip.md",
        "film.001",
        "IM0001",
        "a.zip.sha256sum",
    ]
    assert not [name for name in whole if is_named_part(name)]
    named = ["a.tar.gz.aa", "a.zip.001", "a.z01", "a.7z.002", "a.part2.rar", "a.r00", "a.tgz.partab", "A.Z01"]
    assert [name for name in named if is_named_part(name)] == named


def test_a_zip_in_parts_whose_list_is_damaged_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "whole", "w") as archive:
        archive.writestr("0.png", FILMS["ward/0.png"])
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "whole").unlink()
    cut(tmp_path, data[:-40], "x.zip.001", "x.zip.002")
    assert scan(tmp_path)["x.zip.001"].status == "unreadable"

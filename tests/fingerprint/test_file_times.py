"""Images of one file share the time that it may take; images of other files are not concerned."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from leakscan.fingerprint import prepare
from support.makers import NO_ENCODER, Leakscan, rows_of, scene


def _slow(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    real = prepare.decode

    def decode(ref: object, options: object) -> object:
        began = time.process_time()
        while time.process_time() - began < seconds:
            pass
        return real(ref, options)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare, "decode", decode)


def _pages(path: Path, count: int) -> None:
    first, *others = [Image.fromarray(scene(n)) for n in range(count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=others)


def test_frames_behind_the_time_of_a_file_are_named_and_other_files_are_read(
    tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakscan.sources.formats.bounds._BYTES_A_SECOND", 1e9)  # films here are small
    _pages(tmp_path / "A" / "cine.tif", 6)
    for number in (7, 8):
        Image.fromarray(scene(number)).save(tmp_path / "A" / f"{number}.png")
    _slow(monkeypatch, 0.3)
    options = ("--workers", "0", "--max-seconds", "0.8", "--max-unread", "1", "-o", "run", *NO_ENCODER)
    leakscan("duplicates", "A", *options)
    rows = [row for row in rows_of(tmp_path / "run", "images") if row["path"] == "cine.tif"]
    late = [row for row in rows if row["left_out"] == "file over the time limit"]
    assert 2 <= len(late) <= 4 and len(rows) == 6
    assert all(row["error"].startswith("The images in its file take longer to read") for row in late)
    assert {row["status"] for row in rows_of(tmp_path / "run", "images") if row["path"] != "cine.tif"} == {
        "ok"
    }


def test_a_larger_file_may_take_longer(
    tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pages(tmp_path / "A" / "cine.tif", 6)
    assert (tmp_path / "A" / "cine.tif").stat().st_size > 13_000  # and may take longer than 1.3 s
    _slow(monkeypatch, 0.2)
    leakscan("duplicates", "A", "--workers", "0", "--max-seconds", "0.5", "-o", "run", *NO_ENCODER)
    assert {row["status"] for row in rows_of(tmp_path / "run", "images")} == {"ok"}


def test_names_of_the_same_bytes_in_an_archive_share_its_time(
    tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakscan.sources.formats.bounds._BYTES_A_SECOND", 1e9)
    (tmp_path / "A").mkdir()
    with zipfile.ZipFile(tmp_path / "A" / "films.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            Image.fromarray(scene(number)).save(tmp_path / "film.png")
            archive.write(tmp_path / "film.png", f"{number}.png")
    _slow(monkeypatch, 0.3)
    options = ("--workers", "0", "--max-seconds", "0.8", "--max-unread", "1", "-o", "run", *NO_ENCODER)
    leakscan("duplicates", "A", *options)
    late = [
        row for row in rows_of(tmp_path / "run", "images") if row["left_out"] == "file over the time limit"
    ]
    assert 1 <= len(late) <= 3

"""What lies in folders that programs keep is not read, and what looks like an image there is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakscan.settings import DecodeOptions
from leakscan.sources.directory import DirectorySource
from leakscan.sources.left_out import HIDDEN, OF_TOOLS
from leakscan.types import Silent
from support.makers import scene
from support.odd_files import dicom, png, zipped


def left_out(root: Path, **keywords: object) -> dict[str, str]:
    """The rows that are not read, by name."""
    source = DirectorySource(root, "d", DecodeOptions(), **keywords)  # type: ignore[arg-type]
    return {row.path: row.left_out for row in source.scan(Silent()) if row.status != "ok"}


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


FOLDERS = [
    ".cache", ".venv/lib", ".ipynb_checkpoints", "@eaDir", "$RECYCLE.BIN", ".snapshot/hourly",
    ".Trash-1000/files", "__MACOSX", ".git/annex/objects", ".dvc/cache/ab", ".thumbnails",
    ".git/lfs/objects/ab",
]  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_image_in_the_folder_of_a_program_is_counted(tmp_path: Path, folder: str) -> None:
    write(tmp_path / "film.png", png(scene(0)))
    write(tmp_path / folder / "x.png", png(scene(1)))
    write(tmp_path / folder / "IM1", dicom(scene(2)))
    write(tmp_path / folder / "notes.txt", b"two films")
    assert left_out(tmp_path) == {f"{folder}/IM1": OF_TOOLS, f"{folder}/x.png": OF_TOOLS}
    assert not left_out(tmp_path, exclude=[folder.split("/", maxsplit=1)[0] + "/"])


def test_a_copy_of_what_is_read_is_not_counted(tmp_path: Path) -> None:
    write(tmp_path / "film.png", png(scene(0)))
    for folder in (".dvc/cache/ab", ".snapshot", ".git/annex/objects", ".hidden"):
        write(tmp_path / folder / "copy.png", png(scene(0)))
    assert not left_out(tmp_path)
    write(tmp_path / ".snapshot" / "other.png", png(scene(1)))
    assert left_out(tmp_path) == {".snapshot/other.png": OF_TOOLS}


def test_a_picture_that_only_begins_and_ends_like_one_that_is_read_is_counted(tmp_path: Path) -> None:
    def bordered(grey: int) -> bytes:
        return b"P5 300 300 255\n" + bytes(40_000) + bytes([grey] * 10_000) + bytes(40_000)

    write(tmp_path / "film.pgm", bordered(90))
    write(tmp_path / ".cache" / "copy.pgm", bordered(90))
    write(tmp_path / ".cache" / "other.pgm", bordered(160))
    assert left_out(tmp_path) == {".cache/other.pgm": OF_TOOLS}


def test_a_folder_of_a_program_is_read_where_it_is_named(tmp_path: Path) -> None:
    write(tmp_path / ".cache" / "x.png", png(scene(1)))
    assert not left_out(tmp_path / ".cache")


def test_hidden_archives_and_folders_inside_archives_are_counted(tmp_path: Path) -> None:
    inside = {
        ".cache/a.png": png(scene(1)),
        "@eaDir/b.png": png(scene(2)),
        ".c.png": png(scene(3)),
        "__MACOSX/._d.png": b"x",
    }
    write(tmp_path / "films.zip", zipped(**inside, **{"e.png": png(scene(4))}))
    write(tmp_path / ".films.zip", zipped(**{"e.png": png(scene(5))}))
    assert left_out(tmp_path) == {
        "films.zip/.cache/a.png": OF_TOOLS,
        "films.zip/@eaDir/b.png": OF_TOOLS,
        "films.zip/.c.png": HIDDEN,
        ".films.zip": HIDDEN,
    }


def test_the_objects_of_git_are_not_opened(tmp_path: Path) -> None:
    write(tmp_path / "film.png", png(scene(0)))
    write(tmp_path / ".git" / "objects" / "ab" / "cdef", png(scene(1)))
    assert not left_out(tmp_path)


def test_hidden_files_behind_a_url_are_counted() -> None:
    fsspec = pytest.importorskip("fsspec")
    from leakscan.sources.remote import RemoteSource

    system = fsspec.filesystem("memory")
    system.pipe({"/w/film.png": png(scene(0)), "/w/.cache/a.png": png(scene(1)), "/w/.b.png": png(scene(2))})
    rows = RemoteSource("memory://w", "d", DecodeOptions()).scan(Silent())
    assert {row.path: row.left_out for row in rows} == {
        "film.png": "",
        ".cache/a.png": OF_TOOLS,
        ".b.png": HIDDEN,
    }
    system.rm("/w", recursive=True)

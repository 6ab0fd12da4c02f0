"""What a scan found takes little room, and comes back as it was."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

from leakscan.settings import DecodeOptions
from leakscan.sources.directory import DirectorySource
from leakscan.sources.found_images import FoundImages
from leakscan.types import ImageRef, Silent, Tags
from support.makers import save, scene

TEXT = ImageRef(
    image_id="ab" * 32, path="a.txt", format="", files=(), status="ignored", error="It is no image."
)


def test_every_reference_comes_back_as_it_was_and_in_its_place() -> None:
    film = replace(TEXT, image_id="01" * 32, path="f.png", files=("/f.png",), status="ok", error="")
    refs = [
        TEXT,
        film,
        replace(TEXT, image_id="02" * 32, path="wärd/\ud800.txt"),
        replace(TEXT, image_id="03" * 32, status="unreadable", error="{path} is cut.", error_path="b"),
        replace(TEXT, image_id="short"),
        replace(TEXT, image_id="AB" * 32),
        replace(TEXT, image_id="04" * 32, tags=Tags(subject="P1")),
        replace(TEXT, image_id="05" * 32, notes=("Two slices are missing.",), frame=3, signature="7"),
        replace(TEXT, image_id="06" * 32, left_out="video", status="unsupported"),
    ]
    found = FoundImages(refs)
    assert list(found) == refs and found[2:4] == refs[2:4] and found[-1] == refs[-1]
    assert found.usable() == [1]
    left = found.unusable()
    assert [replace(left.sorts[n], image_id="", path="") for n in left.numbers] == [
        replace(ref, image_id="", path="") for ref in refs if ref.status != "ok"
    ]
    assert list(left.paths()) == [ref.path for ref in refs if ref.status != "ok"]


def test_a_file_without_an_image_takes_a_hundred_bytes(tmp_path: Path) -> None:
    names = [f"{i}.{ending}" for i in range(750) for ending in ("png", "dcm", "txt", "")]
    for name in names:
        (tmp_path / name).touch()
    save(tmp_path / "film.png", scene(1))
    source = DirectorySource(tmp_path, "A", DecodeOptions())
    tracemalloc.start()
    try:
        found = FoundImages(source.scan(Silent()))
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(found) == 3001 and len(found.usable()) == 1
    assert kept < 3000 * 150, kept

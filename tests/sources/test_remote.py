"""A URL is a source like a folder, and says what is missing where it cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from leakscan.errors import SourceError
from leakscan.settings import DecodeOptions
from leakscan.sources.open import open_source
from leakscan.types import ImageRef, Silent
from support.makers import NO_ENCODER, Leakscan, save, scene
from support.odd_files import dicom, hugging_face, png, zipped


@pytest.fixture
def bucket() -> Iterator[str]:
    files = {
        "a.png": png(scene(1)),
        "ward/b.dcm": dicom(scene(2), b"II*\0"),
        "z.zip": zipped(**{"in/c.png": png(scene(3))}),
        "t.parquet": hugging_face(scene(4)),
        "notes.txt": b"two films",
        ".hidden.png": b"x",
        "cut.png": b"",
    }
    for name, data in files.items():
        with fsspec.open(f"memory://bucket/{name}", "wb") as stream:
            stream.write(data)
    yield "memory://bucket"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def scan(url: str) -> dict[str, ImageRef]:
    return {r.path: r for r in open_source(url, DecodeOptions()).scan(Silent())}


def test_files_behind_a_url_are_read_and_named(bucket: str) -> None:
    assert {p: r.status for p, r in scan(bucket).items()} == {
        "a.png": "ok",
        "ward/b.dcm": "ok",
        "z.zip/in/c.png": "ok",
        "t.parquet/film.png": "ok",
        "notes.txt": "ignored",
        "cut.png": "unreadable",
        ".hidden.png": "unsupported",
    }


def test_a_url_is_compared_like_a_folder(bucket: str, leakscan: Leakscan, tmp_path: object) -> None:
    for seed in (1, 2, 3, 4, 5):
        save(tmp_path / "B" / f"{seed}.png", scene(seed), compress_level=1)  # type: ignore[operator]
    ran = leakscan("compare", bucket, "B", "--json", *NO_ENCODER)
    assert sum(c["leak"] for c in ran.json["decisions"].values()) == 4
    again = leakscan("compare", bucket, "B", "--json", *NO_ENCODER)
    assert again.json["timings"]["images_read"] == 0, "the cache knows unchanged files"


@pytest.mark.parametrize("url", ["memory://nothing/here", "nosuch://bucket/films"])
def test_a_url_that_cannot_be_read_is_a_sentence(url: str) -> None:
    with pytest.raises(SourceError):
        open_source(url, DecodeOptions())


class NoCredentialsError(Exception):
    """Named as S3's library names it."""


class Answer(Exception):
    """A server's answer, as HTTP clients raise it."""

    status = 403


@pytest.mark.parametrize("refused", [PermissionError("Access Denied"), NoCredentialsError(), Answer()])
def test_a_bucket_without_permission_says_what_is_missing(
    bucket: str, monkeypatch: pytest.MonkeyPatch, refused: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise refused

    with monkeypatch.context() as patched:
        patched.setattr(type(fsspec.filesystem("memory")), "isfile", refuse)
        with pytest.raises(SourceError, match="no permission, or no credentials were found") as said:
            open_source(bucket, DecodeOptions())
    assert "AWS_ACCESS_KEY_ID" in said.value.hint


def test_a_bucket_that_is_not_there_is_no_matter_of_permission() -> None:
    with pytest.raises(SourceError) as said:
        open_source("memory://nothing/at/all", DecodeOptions())
    assert "permission" not in str(said.value)


def test_a_store_behind_a_url_is_compared_like_one_on_the_disk(
    bucket: str, leakscan: Leakscan, tmp_path: Path
) -> None:
    for seed in (1, 2, 3):
        save(tmp_path / "A" / f"{seed}.png", scene(seed))
        save(tmp_path / "B" / f"{seed}.png", scene(seed), compress_level=1)
    assert leakscan("fingerprint", "A", "-o", "a.fps", *NO_ENCODER).code == 0
    fsspec.filesystem("memory").put(str(tmp_path / "a.fps"), "/bucket/stores/a.fps", recursive=True)
    near = leakscan("compare", "a.fps", "B", "--json", *NO_ENCODER).json
    far = leakscan("compare", f"{bucket}/stores/a.fps", "B", "--json", *NO_ENCODER).json
    assert far["decisions"] == near["decisions"]
    assert sum(c["leak"] for c in far["decisions"].values()) == 3


def test_a_damaged_store_behind_a_url_is_named_by_its_url(bucket: str, leakscan: Leakscan) -> None:
    with fsspec.open(f"{bucket}/a.fps/store.json", "wb") as stream:
        stream.write(b"{}")
    ran = leakscan("compare", f"{bucket}/a.fps", bucket, *NO_ENCODER)
    assert ran.code == 2
    assert f"{bucket}/a.fps" in " ".join(ran.err.split())
    assert "leakscan-store-" not in ran.err

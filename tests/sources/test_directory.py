"""A folder gives one row for everything in it: images, what could not be read, and what is no image."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from blake3 import blake3
from PIL import Image

from leakscan.errors import SourceError
from leakscan.settings import DecodeOptions
from leakscan.sources.directory import DirectorySource
from leakscan.sources.formats import decode, recognise
from leakscan.sources.open import open_source
from leakscan.sources.subject_rules import parse_subject_rule
from leakscan.types import ImageRef, Silent
from support import dicom_maker

OPTIONS = DecodeOptions()


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 9)).astype(np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
    return path


def scan(root: Path, **keywords: object) -> list[ImageRef]:
    return list(DirectorySource(root, "d", OPTIONS, **keywords).scan(Silent()))  # type: ignore[arg-type]


def by_path(refs: list[ImageRef]) -> dict[str, ImageRef]:
    assert len({r.image_id for r in refs}) == len(refs), "ids are unique"
    return {r.path: r for r in refs}


@contextmanager
def without_privileges() -> Iterator[Path]:
    """A folder in which permissions count even where the tests run as root."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


def test_images_are_found_at_every_depth_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.png", "a/b/c/deep.png", "c.png"):
        picture(tmp_path / name, len(name))
    refs = scan(tmp_path)
    assert [r.path for r in refs] == ["a/b/c/deep.png", "a/z.png", "b.png", "c.png"]
    assert refs == scan(tmp_path)
    assert all(decode(r, OPTIONS).stored.shape == (8, 9) for r in refs)


def test_ids_survive_renaming_the_folder_and_follow_the_path(tmp_path: Path) -> None:
    picture(tmp_path / "one" / "x" / "film.png")
    (before,) = scan(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    (after,) = scan(tmp_path / "two")
    assert before.image_id == after.image_id == blake3(b"x/film.png").hexdigest()
    assert before.files != after.files


def test_ids_and_paths_do_not_depend_on_how_a_system_composes_letters(tmp_path: Path) -> None:
    picture(tmp_path / "nfd" / "cafe\u0301.png")
    picture(tmp_path / "nfc" / "caf\u00e9.png")
    (nfd,), (nfc,) = scan(tmp_path / "nfd"), scan(tmp_path / "nfc")
    assert nfd.image_id == nfc.image_id and nfd.path == nfc.path == "caf\u00e9.png"
    assert decode(nfd, OPTIONS).stored.shape == (8, 9), "the file is opened under its own name"


def test_two_names_that_differ_in_form_only_are_two_images(tmp_path: Path) -> None:
    picture(tmp_path / "cafe\u0301.png", 1)
    picture(tmp_path / "caf\u00e9.png", 2)
    assert len({r.image_id for r in scan(tmp_path)}) == 2


@pytest.mark.parametrize(
    "name", ["two words.png", 'it\'s "quoted".png', "胸部 レントゲン.png", "#1?&%20.png", "a\nb.png"]
)
def test_any_name_is_read(tmp_path: Path, name: str) -> None:
    picture(tmp_path / name)
    (ref,) = scan(tmp_path)
    assert (ref.path, ref.status) == (name, "ok")
    assert decode(ref, OPTIONS).stored.shape == (8, 9)


def test_a_name_that_is_no_unicode_is_read_and_shown_escaped(tmp_path: Path) -> None:
    try:
        picture(Path(os.fsdecode(os.fsencode(tmp_path) + b"/film\xff.png")))
    except OSError:
        pytest.skip("This file system takes Unicode names only.")
    (ref,) = scan(tmp_path)
    assert ref.path == "film\\xff.png"
    assert decode(ref, OPTIONS).stored.shape == (8, 9)


def test_the_signature_changes_with_the_file(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    (before,) = scan(tmp_path)
    os.utime(path, ns=(1, 12345))
    (after,) = scan(tmp_path)
    assert before.signature != after.signature
    assert before.image_id == after.image_id


def test_hidden_and_excluded_things_are_left_out(tmp_path: Path) -> None:
    for name in ("keep.png", ".hidden.png", ".git/x.png", "__MACOSX/y.png", "drop/z.png", "deep/drop.png"):
        picture(tmp_path / name, len(name))
    for name in ("._keep.png", ".notes.txt", ".drop/x.png"):
        picture(tmp_path / name)
    (tmp_path / ".notes.txt").write_text("two films")
    rows = by_path(scan(tmp_path, exclude=["drop", "**/drop.png", ".drop"]))
    assert {p: (r.status, r.left_out) for p, r in rows.items()} == {
        "keep.png": ("ok", ""),
        ".hidden.png": ("unsupported", "hidden file"),
        ".git/x.png": ("unsupported", "file in a folder of a tool"),
        "__MACOSX/y.png": ("unsupported", "file in a folder of a tool"),
    }


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.png", ["b/c.jpg", "b/d/c.jpg"]),
        ("b/*", ["a.png"]),
        ("b/", ["a.png"]),
        ("b", ["a.png"]),
        ("b/**", ["a.png"]),
        ("./a.png", ["b/c.jpg", "b/d/c.jpg"]),
        ("**/c.jpg", ["a.png"]),
        ("A.png", ["a.png", "b/c.jpg", "b/d/c.jpg"]),
        # Where .gitignore files differ from the globs of a shell
        ("c.jpg", ["a.png"]),
        ("/c.jpg", ["a.png", "b/c.jpg", "b/d/c.jpg"]),
        ("b/*.jpg", ["a.png", "b/d/c.jpg"]),
        ("b/**/c.jpg", ["a.png"]),
        ("d/", ["a.png", "b/c.jpg"]),
        ("a.png/", ["a.png", "b/c.jpg", "b/d/c.jpg"]),
        ("", ["a.png", "b/c.jpg", "b/d/c.jpg"]),
    ],
)
def test_exclude_patterns_match_relative_paths_as_gitignore_does(
    tmp_path: Path, pattern: str, left: list[str]
) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b" / "c.jpg")
    picture(tmp_path / "b" / "d" / "c.jpg")
    assert [r.path for r in scan(tmp_path, exclude=[pattern])] == left


def test_a_folder_that_is_left_out_is_not_even_opened(tmp_path: Path) -> None:
    with without_privileges() as root:
        picture(root / "a.png")
        (root / "locked").mkdir(mode=0)
        for pattern in ("locked", "locked/", "locked/**", "lock*"):
            assert [r.path for r in scan(root, exclude=[pattern])] == ["a.png"], pattern
        (root / "locked").chmod(0o700)


def test_what_is_no_image_is_ignored_and_what_should_be_one_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "empty.png").touch()
    (tmp_path / "lie.nii.gz").write_text("hello")
    (tmp_path / "SCAN.DCM").write_text("hello")
    (tmp_path / "annex.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    picture(tmp_path / "film")
    rows = by_path(scan(tmp_path))
    assert {p: r.status for p, r in rows.items()} == {
        "notes.txt": "ignored",
        "empty.txt": "ignored",
        "empty.png": "unreadable",
        "lie.nii.gz": "unreadable",
        "SCAN.DCM": "unreadable",
        "annex.jpg": "unreadable",
        "film": "ok",
    }
    assert rows["empty.png"].error == "The file is empty."
    assert "Git LFS" in rows["annex.jpg"].error
    assert all(r.error.endswith(".") for r in rows.values() if r.status != "ok")


def test_a_damaged_header_is_a_row_and_the_rest_is_kept(tmp_path: Path) -> None:
    picture(tmp_path / "good.png")
    (tmp_path / "bad.tif").write_bytes(b"II*\0\x08\0\0\0\xff\xff")
    rows = by_path(scan(tmp_path))
    assert (rows["bad.tif"].status, rows["good.png"].status) == ("unreadable", "ok")


def test_a_hard_link_is_the_same_file(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").hardlink_to(tmp_path / "a.png")
    first, second = scan(tmp_path)
    assert first.status == "ok"
    assert (second.status, second.error) == ("ignored", "It is the same file as {path}.")
    assert second.error_path == "a.png"


def test_a_link_never_takes_the_place_of_the_file(tmp_path: Path) -> None:
    picture(tmp_path / "z.png")
    (tmp_path / "a.png").symlink_to("z.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "alias").symlink_to("folder")
    picture(tmp_path / "folder" / "x.png", 1)
    rows = by_path(scan(tmp_path))
    assert rows["z.png"].status == rows["folder/x.png"].status == "ok"
    assert rows["a.png"].error == "It is the same file as {path}."
    assert rows["a.png"].error_path == "z.png"
    assert rows["alias"].error == "It is the same folder as {path}."
    assert rows["alias"].error_path == "folder"
    assert "alias/x.png" not in rows


def test_links_to_what_is_hidden_inside_the_folder_are_followed(tmp_path: Path) -> None:
    """git-annex and DataLad keep the files themselves in a hidden folder."""
    picture(tmp_path / ".store" / "k1")
    picture(tmp_path / ".tree" / "x.png", 1)
    (tmp_path / "film.png").symlink_to(".store/k1")
    (tmp_path / "set").symlink_to(".tree")
    rows = by_path(scan(tmp_path))
    assert {p: r.status for p, r in rows.items()} == {"film.png": "ok", "set/x.png": "ok"}


def test_links_that_loop_leave_or_lead_nowhere_are_refused_with_a_reason(tmp_path: Path) -> None:
    picture(tmp_path / "outside" / "x.png")
    root = tmp_path / "root"
    picture(root / "a" / "film.png")
    (root / "a" / "up").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "out.png").symlink_to(tmp_path / "outside" / "x.png")
    (root / "gone.png").symlink_to("nowhere.png")
    (root / "gone").symlink_to("nowhere")
    (root / "gone.txt").symlink_to("nowhere")
    (root / "loop.png").symlink_to("loop.png")
    (tmp_path / "notes.txt").write_text("two films")
    (root / "out.txt").symlink_to(tmp_path / "notes.txt")
    rows = by_path(scan(root))
    assert {p: r.status for p, r in rows.items()} == {
        "a/film.png": "ok",
        "a/up": "ignored",
        "self": "ignored",
        "loop.png": "unsupported",
        "out/x.png": "unsupported",
        "out.png": "unsupported",
        "out.txt": "ignored",
        "gone.png": "unreadable",
        "gone": "unreadable",
        "gone.txt": "ignored",
    }
    assert "loop" in rows["a/up"].error
    assert rows["out.png"].error == "It is a link that leaves the folder."
    assert rows["out/x.png"].left_out == rows["out.png"].left_out == "link that leaves the folder"


def test_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    for a in "xyz":
        picture(tmp_path / a / "film.png", ord(a))
        for b in "xyz":
            (tmp_path / a / f"to_{b}").symlink_to(f"../{b}")
    refs = scan(tmp_path)
    assert sum(r.status == "ok" for r in refs) == 3
    assert len(refs) == 3 + 9


def test_a_root_that_is_a_link_is_a_folder_like_any_other(tmp_path: Path) -> None:
    picture(tmp_path / "real" / "film.png")
    (tmp_path / "alias").symlink_to("real")
    (ref,) = scan(tmp_path / "alias")
    assert (ref.path, ref.status) == ("film.png", "ok")


def test_a_pipe_does_not_hang_the_scan(tmp_path: Path) -> None:
    for name in ("pipe.png", "pipe"):
        os.mkfifo(tmp_path / name)
    # Whose name promises an image counts as not compared.
    assert {ref.path: ref.status for ref in scan(tmp_path)} == {"pipe": "ignored", "pipe.png": "unreadable"}


def test_what_may_not_be_read_is_a_row_that_says_so() -> None:
    with without_privileges() as root:
        picture(root / "good.png")
        picture(root / "locked.png", 1).chmod(0)
        picture(root / "locked" / "x.png", 2)
        (root / "locked").chmod(0)
        try:
            rows = by_path(scan(root))
        finally:
            (root / "locked").chmod(0o700)
    assert rows["good.png"].status == "ok"
    for name in ("locked.png", "locked"):
        assert (rows[name].status, rows[name].error) == (
            "unreadable",
            "It cannot be read: permission denied.",
        )


def test_a_root_that_may_not_be_listed_is_a_source_error() -> None:
    with without_privileges() as root:
        (root / "d").mkdir()
        (root / "d").chmod(0)
        with pytest.raises(SourceError, match="permission denied"):
            scan(root / "d")


def test_a_missing_path_an_empty_folder_and_an_emptied_one_are_source_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        scan(tmp_path / "nothing")
    (tmp_path / "empty" / "within").mkdir(parents=True)
    with pytest.raises(SourceError, match=r"empty holds no files"):
        scan(tmp_path / "empty")
    picture(tmp_path / "full" / "a.png")
    with pytest.raises(SourceError, match="no files"):
        scan(tmp_path / "full", exclude=["*"])


def test_a_folder_of_text_is_no_error_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert [r.status for r in scan(tmp_path)] == ["ignored"]


def test_one_image_is_a_source(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", 1)
    (ref,) = scan(tmp_path / "a.png")
    assert (ref.path, ref.status) == ("a.png", "ok")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SourceError, match="neither a folder, a manifest nor an image"):
        scan(tmp_path / "a.txt")


def test_pages_and_time_points_are_images_with_ids_of_their_own(tmp_path: Path) -> None:
    nib.save(
        nib.Nifti1Image(np.arange(240.0, dtype="f4").reshape(4, 4, 5, 3), np.eye(4)), tmp_path / "v.nii.gz"
    )
    refs = scan(tmp_path)
    assert [r.frame for r in refs] == [0, 1, 2]
    assert refs[0].image_id == blake3(b"v.nii.gz").hexdigest()
    assert refs[2].image_id == blake3(b"v.nii.gz#2").hexdigest()
    assert all(r.ndim == 3 for r in refs)


def test_the_voxels_of_a_pair_are_part_of_its_header(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(np.arange(60, dtype="i2").reshape(3, 4, 5), np.eye(4)), tmp_path / "v.hdr")
    (tmp_path / "other.img").write_bytes(b"no header beside this one")
    rows = by_path(scan(tmp_path))
    assert {p: r.status for p, r in rows.items()} == {"v.hdr": "ok", "other.img": "unreadable"}
    before = rows["v.hdr"]
    assert [Path(f).name for f in before.files] == ["v.hdr", "v.img"]
    os.utime(tmp_path / "v.img", ns=(1, 1))
    assert by_path(scan(tmp_path))["v.hdr"].signature != before.signature


def test_a_rule_declares_subjects_and_without_one_nothing_is_guessed(tmp_path: Path) -> None:
    picture(tmp_path / "sub-07" / "anat" / "a.png")
    picture(tmp_path / "extra.png", 1)
    (tmp_path / "manifest.csv").write_text("path,subject_id\nextra.png,P1\n")
    assert {r.tags.subject for r in scan(tmp_path)} == {""}
    rows = by_path(scan(tmp_path, subjects=parse_subject_rule("bids")))
    assert rows["sub-07/anat/a.png"].tags.subject == "07"
    assert rows["extra.png"].tags.subject == ""


def test_dicom_files_are_collected_under_the_declared_subject(tmp_path: Path) -> None:
    (tmp_path / "sub-3").mkdir()
    dicom_maker.film(tmp_path / "sub-3" / "a.dcm")
    dicom_maker.film(tmp_path / "b", SeriesInstanceUID="1.2.9")
    (tmp_path / "c.dcm").hardlink_to(tmp_path / "b")
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    rows = by_path(scan(tmp_path, subjects=parse_subject_rule("bids")))
    assert (rows["sub-3/a.dcm"].format, rows["sub-3/a.dcm"].tags.subject) == ("dicom", "3")
    assert rows["b"].tags.subject == "P1"
    assert rows["c.dcm"].status == "ignored"
    assert rows["broken.dcm"].status in ("unreadable", "unsupported")
    assert decode(rows["b"], OPTIONS).values.ndim == 2


class Counter:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def start(self, stage: str, total: int | None) -> None:
        self.calls.append((stage, total))

    def advance(self, n: int = 1) -> None:
        self.calls.append(n)

    def finish(self) -> None:
        self.calls.append("finish")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_dicom_without_a_preamble_is_known_by_its_first_elements(tmp_path: Path, syntax: str) -> None:
    """Implicit and explicit little endian, as old archives store them."""
    ds = dicom_maker.dataset(dicom_maker.scene())
    bare = io.BytesIO()
    del ds.file_meta
    pydicom.dcmwrite(
        bare, ds, implicit_vr=syntax.endswith(".2"), little_endian=True, enforce_file_format=False
    )
    (tmp_path / "IM0001").write_bytes(bare.getvalue())
    assert bare.getvalue()[128:132] != b"DICM"
    assert recognise(tmp_path / "IM0001") == "dicom"
    (tmp_path / "part").write_bytes(bare.getvalue()[4:])
    assert recognise(tmp_path / "part") == ""


def test_noise_is_no_image(tmp_path: Path) -> None:
    for seed in range(300):
        (tmp_path / "noise").write_bytes(np.random.default_rng(seed).bytes(600))
        assert recognise(tmp_path / "noise") == "", f"seed {seed}"


def test_progress_counts_files(tmp_path: Path) -> None:
    for n in range(3):
        picture(tmp_path / f"{n}.png", n)
    progress = Counter()
    list(DirectorySource(tmp_path, "d", OPTIONS).scan(progress))
    assert progress.calls == [("scan", None), 1, 1, 1, "finish"]


def test_a_misspelt_path_suggests_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "hospital_a").mkdir()
    with pytest.raises(SourceError) as caught:
        open_source(str(tmp_path / "hospital_b" / "films"), OPTIONS)
    assert "Did you mean" in caught.value.hint and "hospital_a" in caught.value.hint


def test_sources_are_named_after_their_folder_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "site a" / "x.png")
    assert open_source(str(tmp_path / "site a"), OPTIONS).name == "site a"
    assert open_source(str(tmp_path / "site a"), OPTIONS, name="A").name == "A"
    monkeypatch.chdir(tmp_path / "site a")
    assert open_source(".", OPTIONS).name == "site a"

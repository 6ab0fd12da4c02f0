"""What goes wrong is said in a sentence that names the file, with the right exit code; the rest goes on."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest

import leakscan.tables
from leakscan.synthetic.writers import write_dicom_film
from support.makers import NO_ENCODER, Leakscan, Picture, Ran, fill, rows_of, save, scene

NEVER_UNREAD = ("--max-unread", "1")


def unread(ran: Ran, dataset: str = "A") -> dict[str, str]:
    """Path -> what is said of it, of the files of a dataset that were not read."""
    (found,) = (d for d in ran.json["datasets"] if d["name"] == dataset)
    return {u["path"]: u["error"] for u in found["unread"]}


def is_sentence(text: str) -> bool:
    return text[:1].isupper() and text.endswith(".") and "Error(" not in text and "Errno" not in text


def relations(ran: Ran) -> dict[str, int]:
    return {relation: counts["leak"] for relation, counts in ran.json["decisions"].items() if counts["leak"]}


# Sources that are no source


@pytest.mark.parametrize("command", [("compare", "A"), ("fingerprint", "-o", "s.fps"), ("audit",)])
def test_a_wrong_path_is_named_and_exits_2(
    leakscan: Leakscan, two_folders: object, command: tuple[str, ...]
) -> None:
    ran = leakscan(*command, "hospital_b")
    assert ran.code == 2
    assert "hospital_b" in ran.error


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("A", "hospital_b"), "hospital_b does not exist"),
        (("A", "empty"), "holds no files"),
        (("A", "films.csv?split=tset"), "split = 'tset'"),
        (("A", "damaged.fps"), "damaged.fps is damaged"),
        (("A", "B", "--calibration", "A/0.png"), "0.png is no calibration"),
    ],
)
def test_what_a_run_would_fail_on_is_said_before_hours_of_work(
    leakscan: Leakscan, tmp_path: Path, two_folders: object, arguments: tuple[str, ...], named: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "films.csv").write_text("path,split\nA/0.png,test\n")
    (tmp_path / "damaged.fps").mkdir()
    (tmp_path / "damaged.fps/store.json").write_text("{")
    ran = leakscan("compare", *arguments)
    assert ran.code == 2
    assert named in ran.error
    assert not (tmp_path / ".leakscan/stores").exists()


def test_a_misspelt_path_gets_a_hint(leakscan: Leakscan, tmp_path: Path, two_folders: object) -> None:
    fill(tmp_path / "hospital_b", [1])
    ran = leakscan("compare", "A", "hopsital_b")
    assert ran.code == 2
    assert "Did you mean hospital_b?" in ran.error


def test_a_wrong_path_leaves_no_run_folder_in_the_way_of_the_next_try(
    leakscan: Leakscan, two_folders: object
) -> None:
    assert leakscan("compare", "A", "BB", "-o", "run").code == 2
    assert leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER).code == 1


@pytest.mark.parametrize("side", ["first", "second"])
def test_an_empty_folder_is_named_and_exits_2(
    leakscan: Leakscan, tmp_path: Path, two_folders: object, side: str
) -> None:
    (tmp_path / "empty").mkdir()
    ran = leakscan("compare", *(("empty", "A") if side == "first" else ("A", "empty")), *NO_ENCODER)
    assert ran.code == 2
    assert "empty" in ran.error


def test_a_folder_of_text_files_is_not_vouched_for(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    (tmp_path / "texts").mkdir()
    for i in range(3):
        (tmp_path / "texts" / f"{i}.txt").write_text("no image")
    ran = leakscan("compare", "A", "texts", "--json", *NO_ENCODER)
    assert ran.code == 3
    assert ran.json["reasons"] == ["No image of texts could be read, so nothing was compared."]
    (comparison,) = ran.json["comparisons"]
    assert comparison["words"] == ["Nothing was compared: one of the two has no readable image."]
    assert ran.json["datasets"][1]["status"]["ignored"] == 3
    assert ran.json["datasets"][1]["unread_share"] == 0
    with zipfile.ZipFile("texts/list.zip", "w") as archive:
        archive.writestr("films.csv", "path\na.png\n")
    assert (
        "name the table itself" in leakscan("compare", "A", "texts", "--json", *NO_ENCODER).json["reasons"][0]
    )


def test_one_source_is_no_comparison(leakscan: Leakscan, two_folders: object) -> None:
    ran = leakscan("compare", "A")
    assert ran.code == 2
    assert "two sources" in ran.error


def test_a_source_given_twice_is_refused_however_it_is_spelt(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    (tmp_path / "link").symlink_to("A")
    for again in ("A", "./A", "B/../A", "link"):
        ran = leakscan("compare", "A", again)
        assert ran.code == 2
        assert "given twice" in ran.error


def test_a_folder_inside_the_other_is_refused_unless_it_is_left_out(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    (tmp_path / "B").rename(tmp_path / "A" / "later")
    for pair in (("A", "A/later"), ("A/later", "A")):
        ran = leakscan("compare", *pair)
        assert ran.code == 2
        assert "lies inside" in ran.error
        assert "--exclude 'later/**'" in ran.error
    ran = leakscan("compare", "A", "A/later", "--exclude", "later/**", "--json", *NO_ENCODER)
    assert relations(ran) == {"same_pixels": 1}


def test_a_store_may_lie_inside_the_other_folder(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    assert leakscan("fingerprint", "B", "-o", "A/b.fps", *NO_ENCODER).code == 0
    assert relations(leakscan("compare", "A", "A/b.fps", "--json", *NO_ENCODER)) == {"same_pixels": 1}


# Files that are no image


def broken_files(folder: Path, films: list[Picture]) -> None:
    whole = save(folder / "whole.jpg", films[0])
    (folder / "truncated.jpg").write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    (folder / "empty.png").write_bytes(b"")
    (folder / "words.dcm").write_text("these are only words, whatever the name says\n" * 40)
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    body = zlib.compress(b"\0" * 100)
    (folder / "vast.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        + struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
        + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    )  # fmt: skip
    image = nibabel.Nifti1Image(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4))
    nibabel.save(image, folder / "flat.nii")
    raw = bytearray((folder / "flat.nii").read_bytes())
    raw[40:56] = struct.pack("<8h", 3, 8, 0, 8, 1, 1, 1, 1)
    (folder / "flat.nii").write_bytes(raw)
    write_dicom_film(films[1], folder / "pixelless.dcm", np.random.default_rng(1))
    ds = pydicom.dcmread(folder / "pixelless.dcm")
    del ds.PixelData
    ds.save_as(folder / "pixelless.dcm")


def test_every_broken_file_is_named_with_a_sentence_and_the_others_are_compared(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    broken_files(tmp_path / "A", films)
    save(tmp_path / "B" / "copy.png", films[2])
    save(tmp_path / "A" / "other.bmp", films[2])
    ran = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    said = unread(ran)
    expected = ("truncated.jpg", "empty.png", "words.dcm", "vast.png", "flat.nii", "pixelless.dcm")
    assert set(said) == set(expected)
    assert all(is_sentence(text) for text in said.values()), said
    assert ran.json["datasets"][0]["status"]["ok"] == 2
    assert relations(ran) == {"same_pixels": 1}
    assert ran.code == 1  # a leak outweighs what could not be read
    assert "Traceback" not in ran.err


def test_the_pixel_limit_names_the_setting_that_raises_it(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    broken_files(tmp_path / "A", films)
    fill(tmp_path / "B", [1])
    began = time.monotonic()
    said = unread(leakscan("compare", "A", "B", "--json", *NO_ENCODER))["vast.png"]
    assert "max_pixels" in said
    assert time.monotonic() - began < 20
    lower = leakscan("compare", "A", "B", "--json", "--max-pixels", "100", *NO_ENCODER)
    assert "max_pixels" in unread(lower)["whole.jpg"]
    assert lower.code == 3


def test_too_many_unread_files_are_not_vouched_for_unless_allowed(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    (tmp_path / "A" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    (tmp_path / "A" / "3.png").unlink()
    ran = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert ran.code == 3
    assert any("that are allowed" in reason and "A" in reason for reason in ran.json["reasons"])
    calm = leakscan("compare", "A", "B", "--json", *NEVER_UNREAD, *NO_ENCODER)
    assert not any("that are allowed" in reason for reason in calm.json["reasons"])


def test_a_volume_with_holes_is_still_compared(
    leakscan: Leakscan, tmp_path: Path, as_volumes_lie: None
) -> None:
    voxels = np.random.default_rng(2).normal(100, 30, (12, 12, 12)).astype(np.float32)
    voxels[3:6, 3:6, 3:6] = np.nan
    voxels[0, 0, 0] = np.inf
    for name in ("A/a.nii", "B/b.nii.gz"):
        (tmp_path / name).parent.mkdir()
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / name)
    ran = leakscan("compare", "A", "B", "--json")
    assert unread(ran) == {}
    assert relations(ran) == {"same_pixels": 1}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named_and_the_rest_is_read(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    (tmp_path / "A" / "0.png").chmod(0)
    ran = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert "permission" in unread(ran)["0.png"].lower()
    assert relations(ran) == {"same_pixels": 1}


def test_a_file_that_the_system_refuses_is_named_and_the_rest_is_read(
    leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch, two_folders: object
) -> None:
    """As the test above, but also for root, whom no permission stops."""
    real = Path.open

    def refused(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "0.png":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refused)
        ran = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert "permission denied" in unread(ran)["0.png"].lower()
    assert relations(ran) == {"same_pixels": 1}
    healed = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert unread(healed) == {}
    assert healed.json["timings"]["images_read"] == 1


@pytest.mark.parametrize("trouble", [MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_a_passing_trouble_of_the_machine_is_not_remembered_as_a_broken_file(
    leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch, two_folders: object, trouble: Exception
) -> None:
    """The sentence says "lower --workers": then the next run has to try again."""
    from leakscan.fingerprint import prepare

    real = prepare.decode

    def failing(ref: Any, options: Any) -> Any:
        if ref.path == "1.png":
            raise trouble
        return real(ref, options)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "decode", failing)
        assert set(unread(leakscan("compare", "A", "B", "--json", *NO_ENCODER))) == {"1.png"}
    assert unread(leakscan("compare", "A", "B", "--json", *NO_ENCODER)) == {}


# Many, few, equal, blank


@pytest.mark.slow
def test_three_thousand_blank_pictures_match_nothing_and_take_no_time(
    leakscan: Leakscan, tmp_path: Path
) -> None:
    for name in ("A", "B"):
        first = save(tmp_path / name / "0.png", np.full((8, 8), 7, np.uint8))
        content = first.read_bytes()
        for i in range(1, 3000):
            (tmp_path / name / f"{i}.png").write_bytes(content)
    began = time.monotonic()
    ran = leakscan("compare", "A", "B", "--json", "-o", "run", "--workers", "1")
    assert ran.code == 3  # there was nothing to compare
    assert [d["status"]["blank"] for d in ran.json["datasets"]] == [3000, 3000]
    assert rows_of(tmp_path / "run", "pairs") == []
    assert time.monotonic() - began < 45


def test_blank_pictures_are_left_out_and_the_others_compared(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    for name in ("A", "B"):
        save(tmp_path / name / "blank.png", np.full((8, 8), 255, np.uint8))
    ran = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert [d["status"]["blank"] for d in ran.json["datasets"]] == [1, 1]
    assert relations(ran) == {"same_pixels": 1}


def test_a_copy_of_a_folder_leaks_every_image_once(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", range(5))
    shutil.copytree(tmp_path / "A", tmp_path / "B")
    ran = leakscan("compare", "A", "B", "--json", "-o", "run", *NO_ENCODER)
    assert ran.code == 1
    pairs = rows_of(tmp_path / "run", "pairs")
    assert [(p["relation"], p["decision"]) for p in pairs] == [("same_file", "leak")] * 5
    assert all(p["path_a"] == p["path_b"] for p in pairs)


def test_films_against_brains_are_no_subject_comparison(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    for i, film in enumerate(films[:2]):
        save(tmp_path / "A" / f"{i}.png", film)
    (tmp_path / "B").mkdir()
    for i in range(2):
        voxels = np.random.default_rng([8, i]).integers(0, 4000, (12, 14, 10), dtype=np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "B" / f"{i}.nii.gz")
    ran = leakscan("compare", "A", "B", "--json", "--kind", "chest_radiograph")
    assert ran.code == 3
    assert any("No subject comparison" in reason for reason in ran.json["reasons"])
    assert ran.json["comparisons"][0]["subject_comparisons"] == {}
    assert ran.json["datasets"][0]["kinds"] == {"chest_radiograph": 2}


def test_a_source_of_one_image_is_a_source(leakscan: Leakscan, two_folders: tuple[Path, Path]) -> None:
    a, b = two_folders
    for path in (b / "4.png", b / "5.png", b / "6.png"):
        path.unlink()
    assert relations(leakscan("compare", "A", "B", "--json", *NO_ENCODER)) == {"same_pixels": 1}
    single = leakscan("compare", a / "3.png", "B", "--json", *NO_ENCODER)
    assert relations(single) == {"same_pixels": 1}


def test_a_picture_of_one_row_is_read(leakscan: Leakscan, tmp_path: Path, two_folders: object) -> None:
    save(tmp_path / "A" / "line.png", np.arange(200, dtype=np.uint8)[None])
    save(tmp_path / "B" / "line.bmp", np.arange(200, dtype=np.uint8)[None])
    ran = leakscan("compare", "A", "B", "--json")
    assert unread(ran) == {}
    assert relations(ran)["same_pixels"] == 2


# Names


def test_two_sources_of_one_name_are_told_apart(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "rome" / "data", [1, 2])
    fill(tmp_path / "oslo" / "data", [2, 3])
    ran = leakscan("compare", "rome/data", "oslo/data", "--json", "-o", "run", *NO_ENCODER)
    assert [d["name"] for d in ran.json["datasets"]] == ["rome/data", "oslo/data"]
    (pair,) = rows_of(tmp_path / "run", "pairs")
    assert (pair["dataset_a"], pair["dataset_b"]) == ("rome/data", "oslo/data")


@pytest.mark.parametrize(
    "name",
    [
        "two words",
        'o\'brien "x"',
        "[red]",
        "[bold](1)",
        "100%",
        "Кардиология",
        "胸部 X線",
        "a?b",
        "-o",
        "{n}",
        "<b>&",
    ],
)
def test_any_name_goes_through_to_the_report(leakscan: Leakscan, tmp_path: Path, name: str) -> None:
    fill(tmp_path / name, [1])
    save(tmp_path / name / f"{name}.png", scene(2))
    fill(tmp_path / "B", [2], compress_level=1)
    ran = leakscan("compare", f"./{name}", "B", "-o", f"./{name} run", "--pairs", *NO_ENCODER)
    assert ran.code == 1
    (pair,) = rows_of(tmp_path / f"{name} run", "pairs")
    assert (pair["dataset_a"], pair["path_a"]) == (name, f"{name}.png")
    assert f"{name}.png" in ran.out
    stored = leakscan("fingerprint", f"./{name}", "-o", f"./{name}.fps", *NO_ENCODER)
    assert stored.code == 0
    assert f"{name}.fps" in stored.out
    listed = leakscan("exclude", f"./{name} run", "--from", name)
    assert listed.code == 0
    assert f"Drop from {name}: " in listed.out


def test_names_that_are_no_unicode_go_through_too(leakscan: Leakscan, tmp_path: Path) -> None:
    """An archive from an old Windows system, unpacked on Linux, has names in Latin-1."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    fill(odd, [1])
    save(odd / os.fsdecode(b"\xe9t\xe9.png"), scene(2))
    fill(tmp_path / "B", [2], compress_level=1)
    ran = leakscan("compare", odd, "B", "--json", "-o", "run", *NO_ENCODER)
    assert ran.code == 1
    assert rows_of(tmp_path / "run", "pairs")[0]["path_a"] == "\\xe9t\\xe9.png"


# Manifests


def test_a_manifest_says_which_of_its_rows_are_missing_or_outside(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    save(tmp_path / "secret.png", scene(4))
    (tmp_path / "A" / "films.csv").write_text("path\n3.png\ngone.png\n../secret.png\n/etc/hostname\n")
    ran = leakscan("compare", "A/films.csv", "B", "--json", *NO_ENCODER)
    said = unread(ran, "films.csv")
    assert "does not exist" in said["gone.png"]
    assert "outside" in said["../secret.png"]
    assert "outside" in said["/etc/hostname"]
    assert relations(ran) == {"same_pixels": 1}  # of 3.png; scene 4 is in B but was not let in


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "empty"),
        ("knee,side\n3,left\n", "'path'"),
        ("file,filename\n3.png,3.png\n", "'path'"),
        ("path,kind\n3.png,knee\n", "'knee'"),
        ("path\n", "no images"),
    ],
)
def test_a_manifest_that_makes_no_sense_exits_2(
    leakscan: Leakscan, tmp_path: Path, two_folders: object, text: str, named: str
) -> None:
    (tmp_path / "A" / "films.csv").write_text(text)
    ran = leakscan("compare", "A/films.csv", "B")
    assert ran.code == 2
    assert "films.csv" in ran.error
    assert named in ran.error


# One file, reached twice


def test_a_file_reached_twice_counts_once(leakscan: Leakscan, tmp_path: Path, two_folders: object) -> None:
    (tmp_path / "A" / "hard.png").hardlink_to(tmp_path / "A" / "3.png")
    (tmp_path / "A" / "soft.png").symlink_to("3.png")
    (tmp_path / "A" / "loop").symlink_to(".")
    ran = leakscan("compare", "A", "B", "--json", "-o", "run", *NO_ENCODER)
    assert ran.json["datasets"][0]["status"]["ok"] == 4
    assert ran.json["datasets"][0]["status"]["ignored"] == 3
    assert relations(ran) == {"same_pixels": 1}
    errors = {r["path"]: r["error"] for r in rows_of(tmp_path / "run", "images") if r["dataset"] == "A"}
    assert "same file as 3.png" in errors["soft.png"]
    assert "loop" in errors["loop"]


def test_a_row_listed_twice_counts_once(leakscan: Leakscan, tmp_path: Path, two_folders: object) -> None:
    (tmp_path / "A" / "films.csv").write_text("path\n3.png\n3.png\n./3.png\n")
    ran = leakscan("compare", "A/films.csv", "B", "--json", *NO_ENCODER)
    assert ran.json["datasets"][0]["status"]["ok"] == 1
    assert relations(ran) == {"same_pixels": 1}


# Where results go


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "A", "B", "-o", "locked/run"),
        ("audit", "A/films.csv", "-o", "locked/new/run"),
        ("evaluate", "A/films.csv", "-o", "locked/out"),
        ("calibrate", "A/films.csv", "-o", "locked/mine.safetensors"),
        ("calibrate", "A/films.csv", "-o", "mine.safetensors", "--plots", "locked/plots"),
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[-2]}",
)
def test_a_place_without_permission_is_named_before_anything_is_read(
    leakscan: Leakscan,
    tmp_path: Path,
    two_folders: object,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    """As the system would answer; whoever runs the tests may be allowed everything."""
    (tmp_path / "A" / "films.csv").write_text("path,subject_id,split\n3.png,a,train\n1.png,a,test\n")
    (tmp_path / "locked").mkdir()
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode, **more: "locked" not in str(path) and real(path, mode, **more)
    )
    ran = leakscan(*arguments)
    assert ran.code == 2
    assert "cannot be written: there is no permission to write in" in ran.error
    assert not (tmp_path / ".leakscan").exists()


def test_a_run_folder_that_exists_is_kept_intact(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    assert leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER).code == 1
    before = content(tmp_path / "run")
    ran = leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    assert ran.code == 2
    assert "run exists" in ran.error
    assert "--overwrite" in ran.error
    assert content(tmp_path / "run") == before
    again = leakscan("compare", "A", "B", "-o", "run", "--overwrite", *NO_ENCODER)
    assert again.code == 1
    assert set(content(tmp_path / "run")) == set(before)


def test_overwrite_touches_nothing_but_run_folders(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("words")
    ran = leakscan("compare", "A", "B", "-o", "thesis", "--overwrite")
    assert ran.code == 2
    assert "thesis" in ran.error
    assert set(content(tmp_path / "thesis")) == {"chapter1.tex"}


def test_overwrite_keeps_what_is_not_of_the_run(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    """A folder may hold a summary.json of another program, or notes beside the report."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "summary.json").write_text('{"made by": "another program"}')
    (tmp_path / "study" / "years of work.txt").write_text("words")
    leakscan("compare", "A", "B", "-o", "study", "--overwrite", *NO_ENCODER)
    assert (tmp_path / "study" / "years of work.txt").read_text() == "words"


def test_overwrite_gives_up_the_old_run_only_for_a_new_one(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    before = content(tmp_path / "run")
    assert leakscan("compare", "A", "misspelt", "-o", "run", "--overwrite").code == 2
    assert (tmp_path / "run").is_dir()
    assert content(tmp_path / "run") == before


@pytest.mark.parametrize(
    "command", [("compare", "A", "B"), ("fingerprint", "A"), ("compare", "A", "B", "--overwrite")]
)
def test_an_output_that_is_a_file_is_refused(
    leakscan: Leakscan, tmp_path: Path, two_folders: object, command: tuple[str, ...]
) -> None:
    (tmp_path / "occupied").write_text("mine")
    ran = leakscan(*command, "-o", "occupied", *NO_ENCODER)
    assert ran.code == 2
    assert "occupied" in ran.error
    assert (tmp_path / "occupied").read_text() == "mine"


# The disk is full


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Switches a disk on which every table's second half finds no room; ``names`` limits which."""
    real = pq.write_table

    def switch(patch: pytest.MonkeyPatch, names: str = "") -> None:
        def half(table: Any, where: Any, *arguments: Any, **options: Any) -> None:
            if names not in str(where):
                real(table, where, *arguments, **options)
                return
            real(table, where, *arguments, **options)
            whole = Path(where).read_bytes()
            Path(where).write_bytes(whole[: len(whole) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(leakscan.tables.pq, "write_table", half)

    return switch


@pytest.mark.parametrize("full", ["shards", "images.parquet", "fingerprints.parquet", "subjects.parquet"])
def test_a_full_disk_is_said_and_nothing_half_written_is_taken_for_whole(
    leakscan: Leakscan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    two_folders: object,
    full_disk: Any,
    full: str,
) -> None:
    with monkeypatch.context() as patch:
        full_disk(patch, full)
        ran = leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
        assert ran.code == 2
        assert "space" in ran.error.lower()
        assert full in ran.error or ".parquet" in ran.error
    assert not (tmp_path / "run" / "summary.json").exists()
    assert not list(tmp_path.rglob("*.part"))
    # What the user is told to do must work: make room and run the same command again.
    again = leakscan("compare", "A", "B", "-o", "run", "--json", *NO_ENCODER)
    assert again.code == 1, again.err
    assert relations(again) == {"same_pixels": 1}
    assert len(rows_of(tmp_path / "run", "images")) == 8


def test_a_run_folder_left_by_a_full_disk_can_be_overwritten(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_folders: object, full_disk: Any
) -> None:
    with monkeypatch.context() as patch:
        full_disk(patch, "subjects.parquet")
        assert leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER).code == 2
    assert leakscan("compare", "A", "B", "-o", "run", "--overwrite", *NO_ENCODER).code == 1


def test_images_read_before_the_disk_was_full_are_not_read_again(
    leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch, two_folders: object, full_disk: Any
) -> None:
    with monkeypatch.context() as patch:
        full_disk(patch, "pairs.parquet")
        assert leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER).code == 2
    again = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert again.json["timings"]["images_read"] == 0


# What is damaged


def test_a_damaged_store_is_named(leakscan: Leakscan, tmp_path: Path, two_folders: object) -> None:
    leakscan("fingerprint", "A", "-o", "a.fps", *NO_ENCODER)
    (shard,) = (tmp_path / "a.fps" / "shards").iterdir()
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    ran = leakscan("compare", "a.fps", "B")
    assert ran.code == 2
    assert shard.name in ran.error
    shard.write_bytes(whole)
    (tmp_path / "a.fps" / "store.json").write_text("{")
    ran = leakscan("compare", "a.fps", "B")
    assert ran.code == 2
    assert "a.fps" in ran.error


def test_a_store_without_images_is_named(leakscan: Leakscan, tmp_path: Path, two_folders: object) -> None:
    leakscan("fingerprint", "A", "-o", "a.fps", *NO_ENCODER)
    for shard in (tmp_path / "a.fps" / "shards").iterdir():
        shard.unlink()
    ran = leakscan("compare", "a.fps", "B")
    assert ran.code == 2
    assert "a.fps" in ran.error


def test_a_damaged_key_is_named(leakscan: Leakscan, tmp_path: Path, two_folders: object) -> None:
    (tmp_path / "short.key").write_bytes(b"too short")
    ran = leakscan("compare", "A", "B", "--key", "short.key")
    assert ran.code == 2
    assert "short.key" in ran.error


def test_another_key_is_no_reason_to_stop(leakscan: Leakscan, two_folders: object) -> None:
    """The cache is the program's own business: the user did not choose the store in it."""
    leakscan("compare", "A", "B", *NO_ENCODER)
    assert leakscan("compare", "A", "B", "--key", "project.key", *NO_ENCODER).code == 1

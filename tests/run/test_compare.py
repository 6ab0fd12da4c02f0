"""What a comparison promises whatever the images are: symmetry, privacy, honest words."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from leakscan.decide.copies import INVERSE_WORDS
from leakscan.synthetic.writers import FilmTags, write_dicom_film
from support.makers import NO_ENCODER, Leakscan, Picture, fill, rows_of, save, scene

SECRETS = (b"DOE-JANE-4711", b"doe-jane-4711")


def swapped(row: dict[str, Any]) -> dict[str, Any]:
    """A row of pairs.parquet as it would be with the arguments swapped."""
    out = dict(row)
    for name in ("image", "dataset", "path", "subject"):
        out[f"{name}_a"], out[f"{name}_b"] = row[f"{name}_b"], row[f"{name}_a"]
    if row["transform"]:
        out["transform"] = "+".join(INVERSE_WORDS.get(w, w) for w in row["transform"].split("+"))
    return out


def ordered(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(repr(row) for row in rows)


@pytest.mark.parametrize("kind", ["other_2d", "chest_radiograph"])
def test_swapping_the_sources_swaps_the_columns_and_changes_nothing_else(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture], kind: str
) -> None:
    for i in range(4):
        save(tmp_path / "A" / f"{i}.png", films[i])
    save(tmp_path / "B" / "same.png", films[0])
    save(tmp_path / "B" / "deep.png", films[1].astype(np.uint16) * 257)
    save(tmp_path / "B" / "turned.jpg", np.rot90(films[2]), quality=80)
    save(tmp_path / "B" / "mirror.jpg", films[3][:, ::-1], quality=80)
    save(tmp_path / "B" / "negative.png", np.asarray(255 - np.asarray(films[3]), np.uint8))
    save(tmp_path / "B" / "stranger.png", films[5])
    one = leakscan("compare", "A", "B", "-o", "ab", "--json", "--kind", kind)
    two = leakscan("compare", "B", "A", "-o", "ba", "--json", "--kind", kind)
    ab, ba = rows_of(tmp_path / "ab", "pairs"), rows_of(tmp_path / "ba", "pairs")
    assert ordered(ab) == ordered([swapped(row) for row in ba])
    assert [r["path_a"] for r in ab] == [r["path_b"] for r in ba]
    assert one.code == two.code == 1
    assert one.json["decisions"] == two.json["decisions"]
    copies = {(r["path_a"], r["path_b"]): r["relation"] for r in ab if r["relation"] != "same_subject"}
    assert copies == {
        ("0.png", "same.png"): "same_file",
        ("1.png", "deep.png"): "same_pixels",
        ("2.png", "turned.jpg"): "same_image",
        ("3.png", "mirror.jpg"): "same_image",
        ("3.png", "negative.png"): "same_image",
    }
    turned = next(r for r in ab if r["path_b"] == "turned.jpg")
    assert "rot90" in turned["transform"].split("+")


def test_three_sources_meet_pair_by_pair(leakscan: Leakscan, tmp_path: Path) -> None:
    for name, seeds in (("A", [1, 2]), ("B", [2, 3]), ("C", [3, 1])):
        fill(tmp_path / name, seeds)
    ran = leakscan("compare", "A", "B", "C", "--json", "-o", "run", *NO_ENCODER)
    assert [(c["a"], c["b"]) for c in ran.json["comparisons"]] == [("A", "B"), ("A", "C"), ("B", "C")]
    met = {(p["dataset_a"], p["dataset_b"], p["path_a"]) for p in rows_of(tmp_path / "run", "pairs")}
    assert met == {("A", "B", "2.png"), ("A", "C", "1.png"), ("B", "C", "3.png")}


def test_pairs_inside_one_source_are_left_alone(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", [1])
    save(tmp_path / "A" / "again.png", scene(1))
    fill(tmp_path / "B", [2])
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    assert rows_of(tmp_path / "run", "pairs") == []


# Privacy


def hand(path: Path, film: Picture, patient: str, seed: int) -> None:
    """A DICOM film that its tags declare no chest, so that no encoder has a say about it."""
    write_dicom_film(film, path, np.random.default_rng(seed), tags=FilmTags(patient))
    ds = pydicom.dcmread(path)
    ds.BodyPartExamined = "HAND"
    ds.save_as(path)


@pytest.fixture
def clinics(tmp_path: Path, films: list[Picture]) -> None:
    """Two folders of DICOM films; one patient is in both with different pictures, one picture leaks."""
    for name, first in (("A", 0), ("B", 2)):
        (tmp_path / name).mkdir()
        for i in (first, first + 1, first + 2):
            patient = "DOE-JANE-4711" if i in (0, 3) else f"P-{name}-{i}"
            hand(tmp_path / name / f"{i}.dcm", films[i], patient, i)


def bytes_of(*folders: Path) -> bytes:
    """Everything in some folders; Parquet pages are read, because they are compressed."""
    found = []
    for path in (p for folder in folders for p in sorted(folder.rglob("*")) if p.is_file()):
        found.append(path.read_bytes())
        if path.suffix == ".parquet":
            found.append(json.dumps(rows_of(path.parent, path.stem), default=str).encode())
    return b"\n".join(found)


def test_identifiers_stay_out_of_every_output_unless_asked_for(
    leakscan: Leakscan, tmp_path: Path, clinics: None
) -> None:
    hidden = leakscan("compare", "A", "B", "-o", "run", "--same-ids")
    everything = bytes_of(tmp_path / "run", tmp_path / ".leakscan") + (hidden.out + hidden.err).encode()
    assert not any(secret in everything for secret in SECRETS)
    assert hidden.code == 1
    shown = leakscan("compare", "A", "B", "-o", "clear", "--same-ids", "--show-subjects")
    assert shown.code == 1
    subjects = {p["subject_a"] for p in rows_of(tmp_path / "clear", "pairs")}
    assert "DOE-JANE-4711" in subjects
    assert SECRETS[0] not in bytes_of(tmp_path / ".leakscan")


def test_same_ids_join_and_without_it_they_only_support(
    leakscan: Leakscan, tmp_path: Path, clinics: None
) -> None:
    leakscan("compare", "A", "B", "-o", "joined", "--same-ids", *NO_ENCODER)
    leakscan("compare", "A", "B", "-o", "apart", *NO_ENCODER)

    def jane(run: str) -> list[dict[str, Any]]:
        both = [(r["path_a"], r["path_b"]) for r in rows_of(tmp_path / run, "pairs")]
        return [
            r for r, p in zip(rows_of(tmp_path / run, "pairs"), both, strict=True) if p == ("0.dcm", "3.dcm")
        ]

    (pair,) = jane("joined")
    assert (pair["relation"], pair["decision"]) == ("same_subject", "leak")
    assert any("same declared subject" in e for e in pair["evidence"])
    assert all("not proof" in " ".join(p["evidence"]) and p["decision"] != "leak" for p in jane("apart"))


def test_placeholders_join_nobody(leakscan: Leakscan, tmp_path: Path, films: list[Picture]) -> None:
    for name, i in (("A", 0), ("B", 1)):
        (tmp_path / name).mkdir()
        hand(tmp_path / name / "x.dcm", films[i], "ANONYMOUS", i)
    leakscan("compare", "A", "B", "-o", "run", "--same-ids", *NO_ENCODER)
    assert rows_of(tmp_path / "run", "pairs") == []


def test_hide_paths_leaves_no_path_anywhere(leakscan: Leakscan, tmp_path: Path, films: list[Picture]) -> None:
    name = "QUERTZ-JOHN"
    save(tmp_path / "A" / name / f"{name}-1.png", films[0])
    (tmp_path / "A" / f"{name}-2.png").hardlink_to(tmp_path / "A" / name / f"{name}-1.png")
    (tmp_path / "A" / f"{name}-3").symlink_to(name)
    (tmp_path / "A" / f"{name}-4.png").write_bytes(b"")
    (tmp_path / "A" / f"{name}-5.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    save(tmp_path / "B" / f"{name}.jpg", films[0], quality=80)
    save(tmp_path / "B" / f"{name}.png", films[0])
    ran = leakscan("compare", "A", "B", "-o", "run", "--hide-paths", "--max-unread", "1", *NO_ENCODER)
    assert ran.code == 1
    assert len(rows_of(tmp_path / "run", "pairs")) == 2
    everything = bytes_of(tmp_path / "run").decode("utf-8", "replace") + ran.out + ran.err
    assert sorted(set(re.findall(rf"[\w./-]*{name}[\w./-]*", everything))) == []
    listed = leakscan("exclude", "run", "--from", "B")
    assert listed.code == 0
    assert name not in bytes_of(tmp_path / "run").decode("utf-8", "replace")


# The page


def test_the_page_loads_nothing_from_anywhere(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    save(tmp_path / "A" / "1.png", films[0])
    save(tmp_path / "B" / "<script>alert(1)<&>.png", films[0])
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count('<img src="data:image/webp;base64,') == 2
    text = re.sub(r'"data:image/webp;base64,[^"]*"', '""', page)
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert "default-src &#39;none&#39;; img-src data:;" in policy[1]
    assert not re.search(r"http|//|url\(|@import|<link|<iframe", text.replace(policy[0], ""))
    assert text.count("<script>") == 1
    assert "&lt;script&gt;" in text


def test_the_page_and_the_terminal_say_that_no_subjects_were_compared(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    ran = leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    assert "No subject comparison was possible" in ran.out
    assert "No subject comparison was possible" in (tmp_path / "run" / "report.html").read_text()


def test_the_first_screen_counts_what_was_not_done(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    save(tmp_path / "A" / "film.png", films[0])
    save(tmp_path / "B" / "film.jpg", films[0], quality=90)
    for i in range(5):
        for name in ("A", "B"):
            save(tmp_path / name / f"{i}.png", scene(1), compress_level=i + 1)
    ran = leakscan("compare", "A", "B", "--verify-seconds", "0", "--max-pairs", "1", *NO_ENCODER)
    said = " ".join(ran.out.split())
    (comparison,) = leakscan(
        "compare", "A", "B", "--verify-seconds", "0", "--max-pairs", "1", "--json", *NO_ENCODER
    ).json["comparisons"]
    assert comparison["unverified"] and comparison["cut_by_max_pairs"]
    assert f"{comparison['unverified']} of {comparison['candidates']} candidate pairs got no copy" in said
    assert f"{comparison['cut_by_max_pairs']} candidate pairs were cut" in said
    assert said.count("No subject comparison was possible") == 1
    assert len(ran.out.splitlines()) <= 25


def test_the_first_screen_says_once_why_it_cannot_vouch(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    (tmp_path / "B" / "3.png").unlink()
    ran = leakscan("compare", "A", "B", *NO_ENCODER)
    assert ran.code == 3
    assert ran.out.count("No subject comparison was possible") == 1


# What is cut is said


def test_pairs_past_the_limit_are_counted(leakscan: Leakscan, tmp_path: Path) -> None:
    for name in ("A", "B"):
        for i in range(5):
            save(tmp_path / name / f"{i}.png", scene(1), compress_level=i + 1)
    ran = leakscan("compare", "A", "B", "--json", "-o", "run", "--max-pairs", "10", *NO_ENCODER)
    assert len(rows_of(tmp_path / "run", "pairs")) == 10
    (comparison,) = ran.json["comparisons"]
    assert comparison["cut_by_max_pairs"] == 15
    assert any("15 " in words and "max_pairs" in words for words in comparison["words"])


def test_declared_subjects_past_the_limit_are_counted(leakscan: Leakscan, tmp_path: Path) -> None:
    for name, seeds in (("A", range(4)), ("B", range(10, 14))):
        fill(tmp_path / name / "sub-07", seeds)
    options = ("--subjects", "bids", "--same-ids", "--max-pairs", "5", *NO_ENCODER)
    ran = leakscan("compare", "A", "B", "--json", "-o", "run", *options)
    assert len(rows_of(tmp_path / "run", "pairs")) == 5
    assert ran.json["comparisons"][0]["cut_by_max_pairs"] == 11


def test_pairs_that_there_was_no_time_to_look_at_are_at_most_for_review(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    save(tmp_path / "A" / "1.png", films[0])
    save(tmp_path / "B" / "1.jpg", films[0], quality=90)
    ran = leakscan("compare", "A", "B", "--json", "-o", "run", "--verify-seconds", "0", *NO_ENCODER)
    (pair,) = rows_of(tmp_path / "run", "pairs")
    assert (pair["relation"], pair["decision"]) == ("same_image", "review")
    assert any("time" in e for e in pair["evidence"])
    assert ran.json["comparisons"][0]["unverified"] == 1
    assert any("no copy check" in words for words in ran.json["comparisons"][0]["words"])


# Depth, container, kind


def test_one_picture_in_every_container_is_one_picture(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    save(tmp_path / "A" / "film.png", films[0])
    (tmp_path / "B").mkdir()
    rng = np.random.default_rng(4)
    save(tmp_path / "B" / "film.tif", films[0], compression="tiff_lzw")
    save(tmp_path / "B" / "film.bmp", films[0])
    save(tmp_path / "B" / "film.webp", films[0], lossless=True)
    save(tmp_path / "B" / "colour.png", np.repeat(np.asarray(films[0])[:, :, None], 3, 2))
    save(tmp_path / "B" / "deep.png", films[0].astype(np.uint16) * 257)
    write_dicom_film(films[0], tmp_path / "B" / "plain.dcm", rng)
    write_dicom_film(films[0], tmp_path / "B" / "negative.dcm", rng, monochrome1=True)
    write_dicom_film(films[0], tmp_path / "B" / "packed.dcm", rng, compression="jpeg2000")
    twelve = np.asarray(films[0], np.uint16) * 16
    write_dicom_film(twelve, tmp_path / "B" / "twelve.dcm", rng)
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    found = {p["path_b"]: p["relation"] for p in rows_of(tmp_path / "run", "pairs")}
    assert found == {path.name: "same_pixels" for path in (tmp_path / "B").iterdir()}


def test_photographs_are_not_compared_as_chests(leakscan: Leakscan, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    for name in ("A", "B"):
        for i in range(3):
            save(tmp_path / name / f"{i}.png", rng.integers(0, 256, (64, 64), dtype=np.uint8))
    ran = leakscan("compare", "A", "B", "--json")
    assert ran.json["datasets"][0]["kinds"] == {"other_2d": 3}
    assert ran.code == 3


def test_an_image_id_outlives_the_name_of_its_dataset(leakscan: Leakscan, tmp_path: Path) -> None:
    for name in ("A", "renamed", "B"):
        fill(tmp_path / name / "deep", [1])
    leakscan("compare", "A", "renamed", "-o", "run", *NO_ENCODER)
    (pair,) = rows_of(tmp_path / "run", "pairs")
    assert pair["image_a"] == pair["image_b"]
    assert len(Image.open(tmp_path / "A" / "deep" / "1.png").getbands()) == 1


def test_sources_whose_names_look_alike_are_told_apart(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    for i in range(2):
        save(tmp_path / f"{i}.png", films[i])
        save(tmp_path / f"{i}-deep.png", films[i].astype(np.uint16) * 257)
    (tmp_path / "films.csv").write_text("path,site\n0.png,A\n1.png,A\n0-deep.png,A/\n1-deep.png,A/\n")
    ran = leakscan("compare", "films.csv?site=A", "films.csv?site=A/", "-o", "run", "--json", *NO_ENCODER)
    assert [d["name"] for d in ran.json["datasets"]] == ["films.csv?site=A", "films.csv?site=A/"]
    found = {(r["path_a"], r["path_b"]): r["relation"] for r in rows_of(tmp_path / "run", "pairs")}
    assert found == {(f"{i}.png", f"{i}-deep.png"): "same_pixels" for i in range(2)}


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode here")
def test_bytes_and_the_name_they_are_shown_as_are_two_datasets(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    folders = [os.fsdecode(os.fsencode(tmp_path) + name) for name in (b"/\xff", b"/\\xff")]
    for i, folder in enumerate(folders):
        save(Path(folder) / f"{i}.png", films[i])
    ran = leakscan("compare", *folders, "-o", "run", "--json", *NO_ENCODER)
    names = [d["name"] for d in ran.json["datasets"]]
    assert [name[-8:] for name in names] == ["\\xff (1)", "\\xff (2)"]
    images = {(r["dataset"], r["path"]) for r in rows_of(tmp_path / "run", "images")}
    assert images == set(zip(names, ("0.png", "1.png"), strict=True))


def test_an_image_of_a_folder_is_not_compared_with_that_folder(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", range(2))
    ran = leakscan("compare", "A", "A/0.png", *NO_ENCODER)
    assert ran.code == 2
    assert "lies inside" in ran.err


def test_a_memory_that_cannot_be_kept_is_a_warning_beside_the_answer(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    save(tmp_path / "A" / "1.png", films[0])
    save(tmp_path / "B" / "1.jpg", films[0], quality=80)
    (tmp_path / ".leakscan" / "pairs.sqlite3").mkdir(parents=True)
    ran = leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    assert ran.code == 1
    assert "cannot be kept" in ran.out
    assert ran.err == ""


@pytest.mark.parametrize("stored", [False, True])
def test_a_pattern_that_leaves_nothing_out_is_said(leakscan: Leakscan, tmp_path: Path, stored: bool) -> None:
    a, b = fill(tmp_path / "A", range(4)), fill(tmp_path / "B", range(6, 9))
    fill(a / "masks", [20])
    (tmp_path / "films.csv").write_text("path\nB/6.png\nB/7.png\n")
    sources = ["A", "B", "films.csv"][: 2 if stored else 3]
    if stored:
        sources = [f"{source}.fps" for source in sources]
        for source in (a, b):
            assert leakscan("fingerprint", source, "-o", f"{source}.fps", *NO_ENCODER).code == 0
    patterns = ("--exclude", "masks/", "--exclude", "mask/", "--exclude", "!9.png", "--exclude", "B/7.png")
    said = " ".join(leakscan("compare", *sources, *patterns, "--json", *NO_ENCODER).json["warnings"])
    assert "'mask/'" in said and "'!9.png'" in said and "'masks/'" not in said
    assert ("'B/7.png'" in said) == stored
    assert "'mask/'" in leakscan("compare", *sources, *patterns, *NO_ENCODER).out.replace("\n", " ")
    hidden = leakscan("compare", *sources, *patterns, "--hide-paths", "--json", *NO_ENCODER)
    assert "mask/" not in hidden.out and "pattern number 2 " in hidden.out


def test_a_pattern_that_leaves_nothing_out_of_a_store_or_of_an_audit_is_said(
    leakscan: Leakscan, tmp_path: Path
) -> None:
    fill(tmp_path / "A" / "train", range(2))
    fill(tmp_path / "A" / "test", range(2, 4))
    patterns = ("--exclude", "0.png", "--exclude", "mask/")
    said = leakscan("fingerprint", "A", "-o", "a.fps", *patterns, *NO_ENCODER).out
    assert "'mask/'" in said and "'0.png'" not in said
    rows = "".join(f"A/{split}/{n}.png,{split}\n" for split, n in [("train", 0), ("test", 2), ("test", 3)])
    (tmp_path / "films.csv").write_text(f"path,split\n{rows}A/train/1.png,train\nA/train/0.png,val\n")
    said = " ".join(leakscan("audit", "films.csv", *patterns, "--json", *NO_ENCODER).json["warnings"])
    assert "'mask/'" in said and "'0.png'" not in said

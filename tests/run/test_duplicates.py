"""Duplicates inside one source: found like leaks between two, grouped, with one to keep."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from leakscan.run.models import Models
from support.makers import NO_ENCODER, Leakscan, Picture, fill, rows_of, save, scene


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """Scene 1 three times (equal pixels twice, mirrored once), scene 2 twice as one file, the rest alone."""
    folder = tmp_path / "ward"
    fill(folder / "benign", [1, 2, 5, 6], compress_level=1)
    big = scene(1, 96)
    save(folder / "benign" / "1.png", big)
    save(folder / "malignant" / "1.png", big, compress_level=9)
    save(folder / "malignant" / "mirror.png", np.ascontiguousarray(big[:, ::-1]))
    (folder / "benign" / "copy.png").write_bytes((folder / "benign" / "2.png").read_bytes())
    return folder


def found(leakscan: Leakscan, *more: str) -> tuple[Any, list[dict[str, str]]]:
    ran = leakscan(
        "duplicates", "ward", "-o", "run", "--overwrite", "--json", "--workers", "0", *NO_ENCODER, *more
    )
    assert ran.code in (1, 3), ran.err
    with (Path("run") / "duplicates.csv").open() as stream:
        return ran, list(csv.DictReader(stream))


def test_every_group_has_its_images_once_and_one_to_keep(leakscan: Leakscan, ward: Path) -> None:
    ran, rows = found(leakscan)
    assert [(r["group"], r["path"], r["keep"], r["relation"]) for r in rows] == [
        ("1", "benign/1.png", "True", "same_pixels"),
        ("1", "malignant/1.png", "False", "same_pixels"),
        ("1", "malignant/mirror.png", "False", "same_image"),
        ("2", "benign/2.png", "True", "same_file"),
        ("2", "benign/copy.png", "False", "same_file"),
    ]
    assert ran.code == 1
    assert {k: ran.json["duplicates"][k] for k in ("groups", "images", "to_drop", "in_one_folder")} == {
        "groups": 2, "images": 5, "to_drop": 3, "in_one_folder": 1,
    }  # fmt: skip
    pairs = [(p["path_a"], p["path_b"]) for p in rows_of(Path("run"), "pairs")]
    assert len(pairs) == len({frozenset(p) for p in pairs}) == 4
    assert all(a != b for a, b in pairs)
    assert Path("run/report.html").is_file()


def test_other_rules_keep_other_images(leakscan: Leakscan, ward: Path) -> None:
    def kept(rule: str) -> set[str]:
        return {r["path"] for r in found(leakscan, "--keep", rule)[1] if r["keep"] == "True"}

    save(ward / "malignant" / "mirror.png", np.ascontiguousarray(scene(1, 144)[:, ::-1]))
    assert kept("largest") == {"malignant/mirror.png", "benign/2.png"}
    assert kept("malignant/*") == {"malignant/1.png", "benign/2.png"}
    assert kept("*/copy.png") == {"benign/1.png", "benign/copy.png"}
    assert len(kept("sharpest")) == 2
    ran = leakscan("duplicates", "ward", "--keep", "blurred", "-o", "no", "--workers", "0", *NO_ENCODER)
    assert ran.code == 2
    assert "blurred" in ran.error
    assert not Path("no").exists()
    ran, rows = found(leakscan, "--keep", "*/mirror.png")  # fits an image of the one group, not of the other
    assert {r["path"] for r in rows if r["keep"] == "True"} == {"malignant/mirror.png", "benign/2.png"}
    assert ran.json["warnings"] == ["In 1 group no path fits '*/mirror.png', so the first by path is kept."]


def test_the_sharpest_is_the_one_that_was_not_smoothed(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    save(tmp_path / "ward" / "a.png", cv2.GaussianBlur(films[0], (0, 0), 1))
    save(tmp_path / "ward" / "b.png", films[0])
    _, rows = found(leakscan, "--keep", "sharpest")
    assert [(r["path"], r["keep"]) for r in rows] == [("b.png", "True"), ("a.png", "False")]


def test_labels_that_contradict_each_other_are_said(leakscan: Leakscan, ward: Path) -> None:
    ran, rows = found(leakscan, "--labels", "folder")
    assert {(r["group"], r["conflict"]) for r in rows} == {("1", "True"), ("2", "False")}
    assert ran.json["duplicates"]["conflicting"] == 1
    lines = "".join(f"{r['path']},{i % 2}\n" for i, r in enumerate(rows[3:]))
    (ward / "m.csv").write_text("path,grade\n" + lines)
    ran = leakscan("duplicates", "ward/m.csv", "--labels", "grade", "--json", "--workers", "0", *NO_ENCODER)
    assert ran.json["duplicates"]["conflicting"] == 1
    for source, column in (("ward", "grade"), ("ward/m.csv", "colour")):
        ran = leakscan("duplicates", source, "--labels", column, "--workers", "0", *NO_ENCODER)
        assert ran.code == 2
        assert column in ran.error


def test_groups_of_one_folder_are_hidden_on_request(leakscan: Leakscan, ward: Path) -> None:
    ran, rows = found(leakscan, "--across-folders")
    assert {r["one_folder"] for r in rows} == {"False"}
    assert ran.json["duplicates"]["groups"] == 1


def test_one_declared_subject_is_no_news_but_its_copies_are(leakscan: Leakscan, ward: Path) -> None:
    (ward / "m.csv").write_text(
        "path,subject_id\nbenign/1.png,P1\nmalignant/mirror.png,P1\nbenign/5.png,P2\nbenign/6.png,P2\n"
    )
    ran = leakscan("duplicates", "ward/m.csv", "--json", "--workers", "0", *NO_ENCODER)
    assert ran.json["duplicates"]["relations"] == {"same_image": 1}


def test_a_source_without_duplicates_has_no_groups(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "ward", [1, 2, 3])
    ran, rows = found(leakscan)
    assert (rows, ran.json["duplicates"]["groups"]) == ([], 0)
    ran, rows = found(leakscan, "--keep", "1.*")
    assert rows == []

"""Splits that nobody crosses, near what was asked, the same for the same seed."""

from __future__ import annotations

import csv
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.errors import UsageError
from leakscan.review.people import Owners
from leakscan.review.ratios import parse_ratios
from leakscan.review.splits import SplitChoices, split_people
from support.makers import NO_ENCODER, Leakscan, fill, save, scene
from support.run_maker import write_run


def people(sizes: list[int]) -> Owners:
    rows = [
        {"dataset": "A", "image_id": f"{p}-{i}", "path": f"{p}-{i}.png", "subject": f"P{p}"}
        | {"study_uid_hash": None, "status": "ok"}
        for p, size in enumerate(sizes)
        for i in range(size)
    ]
    return Owners.of(rows)


def choices(ratios: str, **more: Any) -> SplitChoices:
    return SplitChoices(**{"shares": parse_ratios(ratios), "labels": {}, "before": {}} | more)


@given(sizes=st.lists(st.integers(1, 9), min_size=3, max_size=60), seed=st.integers(0, 3))
@settings(max_examples=40)
def test_nobody_stands_in_two_splits_and_the_seed_decides(sizes: list[int], seed: int) -> None:
    found = split_people(people(sizes), choices("60/20/20", seed=seed))
    places: dict[int, set[str]] = {}
    for row in found.table.to_pylist():
        places.setdefault(row["person"], set()).add(row["split"])
    assert {len(where) for where in places.values()} == {1}
    assert len(found.table) == sum(sizes)
    assert split_people(people(sizes), choices("60/20/20", seed=seed)).table == found.table


def test_images_people_and_labels_are_as_near_as_people_allow() -> None:
    random = np.random.default_rng(3)
    found_people = people(random.geometric(0.3, 300).tolist())
    labels = {
        (row["dataset"], row["image_id"]): "rare" if number % 11 == 0 else f"kind {number % 2}"
        for number, row in zip(found_people.person.tolist(), found_people.images, strict=True)
    }
    found = split_people(found_people, choices("80/10/10", labels=labels))
    assert found.off <= 0.005, found.reached
    assert set(found.reached["val"]["labels"]) == {"rare", "kind 0", "kind 1"}


def test_a_group_larger_than_its_share_is_said_and_not_divided() -> None:
    found = split_people(people([60, 10, 10, 10, 10]), choices("70/30"))
    assert found.off <= 0.1
    assert found.reached["train"]["images"] in (70, 80)
    found = split_people(people([60, 5, 5]), choices("50/50"))
    assert "60 images" in found.notes[0]
    assert found.off == pytest.approx(60 / 70 - 0.5, abs=1e-3)


def test_a_split_whose_share_is_less_than_a_person_is_said_to_be_empty() -> None:
    found = split_people(people([4] * 20), choices("99.9/0.05/0.05"))
    assert found.reached["test"]["images"] == 0
    assert [note.split(":")[0] for note in found.notes] == ["val is empty", "test is empty"]


def test_too_few_people_and_ratios_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="2 people"):
        split_people(people([5, 5]), choices("80/10/10"))
    for wrong in ("80", "a/b", "80/-20", "0/1", "train=1/train=2", "", "nan/1", "train=1/2"):
        with pytest.raises(UsageError):
            parse_ratios(wrong)


def test_a_split_is_mended_by_moving_as_few_images_as_possible() -> None:
    found_people = people([4, 3, 2, 1, 1])
    old = ["train", "train", "train", "test", "train", "train", "val", "val", "val", "train", "none"]
    keys = [(row["dataset"], row["image_id"]) for row in found_people.images]
    before = {key: name for key, name in zip(keys, old, strict=True) if name != "none"}
    found = split_people(found_people, choices("80/10/10", before=before, keep_test=True))
    split_of = {row["person"]: row["split"] for row in found.table.to_pylist()}
    assert [split_of[p] for p in range(4)] == ["test", "train", "val", "train"]
    assert found.moved == 3 + 1
    assert split_of[4] in ("train", "val")


def test_images_without_a_label_are_counted() -> None:
    found_people = people([1] * 20)
    labels = {(r["dataset"], r["image_id"]): "x" for r in found_people.images[:15]}
    assert "5 of 20" in split_people(found_people, choices("50/50", labels=labels)).notes[0]


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """Twelve films of four declared people, and copies of some under the names of others."""
    folder = tmp_path / "ward"
    lines = ["path,subject_id,grade"]
    for i in range(12):
        save(folder / f"{i}.png", scene(i))
        lines.append(f"{i}.png,P{i // 3},{i % 2}")
    for i, owner in ((0, "P3"), (4, "Q")):
        save(folder / f"copy{i}.png", scene(i), compress_level=9)
        lines.append(f"copy{i}.png,{owner},1")
    (folder / "m.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_split_passes_an_audit_with_no_shared_subject(leakscan: Leakscan, ward: Path) -> None:
    ran = leakscan("split", "ward/m.csv", "--ratios", "60/40", "--stratify", "grade", "-o", "ward/split",
                   "--json", "--workers", "0", *NO_ENCODER)  # fmt: skip
    assert ran.code == 0, ran.err
    assert sum(told["images"] for told in ran.json["splits"].values()) == 14
    assert set(ran.json["splits"]["train"]["labels"]) == {"0", "1"}
    assert ran.json["largest_difference"] < 0.3
    audit = leakscan("audit", "ward/split.csv", "--json", *NO_ENCODER)
    assert audit.code == 3  # it has no encoder here, but nothing leaks
    assert audit.json["audit"]["shared_subjects"] == 0
    assert not any(n["leak"] for n in audit.json["decisions"].values())
    with (ward / "split.csv").open() as stream:
        rows = {r["path"]: r for r in csv.DictReader(stream)}
    assert rows["0.png"]["split"] == rows["copy0.png"]["split"] == rows["9.png"]["split"]


def test_a_run_can_be_split_and_published(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", range(8))
    fill(tmp_path / "B", range(6, 14), compress_level=9)
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    ran = leakscan("split", "run", "--ratios", "train=50/test=50", "--hashed", "-o", "split", "--json")
    assert ran.code == 0, ran.err
    assert {name: told["people"] for name, told in ran.json["splits"].items()} == {"train": 7, "test": 7}
    table = pq.read_table(tmp_path / "split.parquet")
    assert "path" not in table.column_names
    assert len(table) == 16
    assert ".png" not in (tmp_path / "split.csv").read_text()


@pytest.fixture
def two_wards(tmp_path: Path, leakscan: Leakscan) -> Path:
    """Two datasets with two shared pictures; one has a manifest with grades, the other has none."""
    fill(tmp_path / "A", range(8))
    fill(tmp_path / "B", range(6, 14), compress_level=9)
    lines = ["filename,patient_id,grade", *(f"{i}.png,Q{i},{i % 2}" for i in range(6, 14))]
    (tmp_path / "B" / "m.csv").write_text("\n".join(lines) + "\n")
    leakscan("compare", "A", "B/m.csv", "-o", "run", *NO_ENCODER)
    return tmp_path


def test_two_datasets_are_split_as_one_manifest_with_labels_of_the_one_that_has_some(
    leakscan: Leakscan, two_wards: Path
) -> None:
    ran = leakscan("split", "run", "--ratios", "50/50", "--stratify", "grade")
    assert ran.code == 0, ran.err
    assert "8 of 16 images have no label" in ran.out
    # A run never looks inside a dataset, and only B says who is who.
    assert "Images of A name no person, and a run compares only different datasets" in " ".join(
        ran.out.split()
    )
    (check,) = (line for line in ran.out.splitlines() if line.startswith("Check it: "))
    words = check.removeprefix("Check it: leakscan ").split()
    assert words[:4] == ["audit", "split.csv", *NO_ENCODER]
    audit = leakscan(*words, "--json")
    assert audit.json["audit"]["shared_subjects"] == 0
    assert sum(told["status"]["ok"] for told in audit.json["datasets"]) == 16
    assert not any(n["leak"] for n in audit.json["decisions"].values())
    assert leakscan("split", "run", "--stratify", "colour").code == 2
    assert "add up to 120 and not to 100" in leakscan("split", "run", "--ratios", "80/10/30").out


def test_people_whose_overlap_is_accepted_stand_in_one_split(leakscan: Leakscan, two_wards: Path) -> None:
    for image in ("B/6.png", "B/7.png"):
        said = leakscan("verdicts", "add", "run", "wanted", "--image", image)
        assert said.code == 0, said.err
    ran = leakscan("compare", "A", "B/m.csv", "--verdicts", "verdicts.parquet", "-o", "again", *NO_ENCODER)
    assert ran.code == 3
    for seed in range(4):
        leakscan("split", "again", "--ratios", "50/50", "--seed", str(seed))
        with (two_wards / "split.csv").open() as stream:
            place = {row["path"]: row["split"] for row in csv.DictReader(stream)}
        assert [place[f"A/{i}.png"] for i in (6, 7)] == [place[f"B/{i}.png"] for i in (6, 7)]


def test_images_that_a_list_left_out_are_no_unnamed_people(leakscan: Leakscan, two_wards: Path) -> None:
    lines = ["filename,patient_id", *(f"{i}.png,P{i}" for i in range(8))]
    (two_wards / "A" / "m.csv").write_text("\n".join(lines) + "\n")
    (two_wards / "drop.csv").write_text("dataset,path\nB/m.csv,6.png\nB/m.csv,7.png\n")
    given = ("A/m.csv", "B/m.csv", "-o", "left", "--exclude-list", "drop.csv", *NO_ENCODER)
    ran = leakscan("compare", *given, "--json")
    assert sum(ran.json["left_out"].values()) == 2, ran.err
    assert "name no person" not in leakscan("split", "left", "--ratios", "50/50").out


def test_the_split_of_one_dataset_says_where_it_belongs(leakscan: Leakscan, ward: Path) -> None:
    ran = leakscan(
        "split", "ward/m.csv", "--ratios", "60/40", "--stratify", "grade", "--workers", "0", *NO_ENCODER
    )
    check = "Check it: cp split.csv ward/split.csv && leakscan audit ward/split.csv"
    assert f"{check} {' '.join(NO_ENCODER)} --workers 0" in ran.out
    off = next(line for line in ran.out.splitlines() if "largest difference" in line)
    assert re.search(r"Of \d+ (images|people)( with the label \d)?, \d+ (is|are) in (train|test)\.", off)


def test_what_cannot_be_split_is_said(leakscan: Leakscan, tmp_path: Path) -> None:
    images = [{"dataset": "A", "subject": "P1"} for _ in range(4)]
    write_run(tmp_path / "run", images, [])
    for wrong, words in (
        ([], "1 people"),
        (["--ratios", "x"], "'x'"),
        (["--stratify", "grade"], "grade"),
        (["--keep-test"], "no split to keep"),
    ):
        ran = leakscan("split", "run", *wrong)
        assert ran.code == 2, wrong
        assert words in ran.error
    assert leakscan("split", "gone").code == 2
    with tempfile.TemporaryDirectory() as empty:
        assert leakscan("split", empty).code == 2

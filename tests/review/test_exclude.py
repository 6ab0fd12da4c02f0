"""The list of images to drop is right, in both formats, and complete."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from support.makers import NO_ENCODER, Leakscan, Picture, fill, save, scene


@pytest.fixture
def run(leakscan: Leakscan, tmp_path: Path, films: list[Picture]) -> Path:
    """A and B share scene 1 (twice in B) and scene 2; one film waits for review; the rest are strangers."""
    fill(tmp_path / "A", [1, 2, 7])
    save(tmp_path / "A" / "film.png", films[0])
    fill(tmp_path / "B", [1, 8], compress_level=9)
    save(tmp_path / "B" / 'odd, "name"\n.png', scene(1), compress_level=1)
    save(tmp_path / "B" / "two.bmp", scene(2))
    save(tmp_path / "B" / "film.jpg", films[0], quality=90)
    ran = leakscan("compare", "A", "B", "-o", "run", "--verify-seconds", "0", *NO_ENCODER)
    assert ran.code == 1
    return tmp_path / "run"


def listed(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_images_to_drop_are_those_that_leak(leakscan: Leakscan, run: Path) -> None:
    ran = leakscan("exclude", "run", "--from", "B", "--json")
    assert ran.code == 0
    assert ran.json["images"] == 3
    rows = listed(run / "exclude-B.csv")
    assert {r["path"] for r in rows} == {"1.png", 'odd, "name"\n.png', "two.bmp"}
    assert {(r["decision"], r["dataset"]) for r in rows} == {("leak", "B")}
    assert {r["relation"] for r in rows if r["path"] != "two.bmp"} <= {"same_file", "same_pixels"}
    assert {r["relation"] for r in rows if r["path"] == "two.bmp"} == {"same_pixels"}
    assert {r["because_of"] for r in rows} == {"A/1.png", "A/2.png"}
    assert pq.read_table(run / "exclude-B.parquet").to_pylist() == rows


def test_reviews_are_dropped_only_on_request(leakscan: Leakscan, run: Path) -> None:
    leakscan("exclude", "run", "--from", "B", "--with-review", "-o", "drop")
    rows = listed(run.parent / "drop.csv")
    assert [(r["path"], r["decision"]) for r in rows if r["relation"] == "same_image"] == [
        ("film.jpg", "review")
    ]
    assert len(rows) == 4


def test_either_side_can_be_cleaned(leakscan: Leakscan, run: Path) -> None:
    leakscan("exclude", "run", "--from", "A", "-o", "drop")
    assert {r["path"] for r in listed(run.parent / "drop.csv")} == {"1.png", "2.png"}


def test_without_the_listed_images_nothing_leaks(leakscan: Leakscan, run: Path) -> None:
    leakscan("exclude", "run", "--from", "B", "--with-review", "-o", "drop")
    for row in listed(run.parent / "drop.csv"):
        (run.parent / "B" / row["path"]).unlink()
    again = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert not any(counts["leak"] or counts["review"] for counts in again.json["decisions"].values())


def test_an_unknown_dataset_or_folder_is_named(leakscan: Leakscan, run: Path, tmp_path: Path) -> None:
    ran = leakscan("exclude", "run", "--from", "C")
    assert ran.code == 2
    assert "'C'" in ran.error
    assert "A, B" in ran.error
    (tmp_path / "holiday").mkdir()
    ran = leakscan("exclude", "holiday", "--from", "A")
    assert ran.code == 2
    assert "holiday" in ran.error


@pytest.mark.parametrize("stem", [".", "gone/drop", "run/pairs.parquet/x"])
def test_a_place_that_cannot_be_written_is_named(leakscan: Leakscan, run: Path, stem: str) -> None:
    ran = leakscan("exclude", "run", "--from", "A", "-o", stem)
    assert ran.code == 2
    assert stem in ran.error


def test_a_clean_run_gives_an_empty_list(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", [1])
    fill(tmp_path / "B", [2])
    leakscan("compare", "A", "B", "-o", "clean", *NO_ENCODER)
    assert leakscan("exclude", "clean", "--from", "A", "--json").json["images"] == 0
    assert listed(tmp_path / "clean" / "exclude-A.csv") == []

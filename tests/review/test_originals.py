"""For every image its original: the best match, or nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from leakscan.errors import UsageError
from leakscan.review.originals import originals
from support.makers import NO_ENCODER, Leakscan, fill
from support.run_maker import write_run

SOURCES = [{"dataset": name} for name in "ABBCC"]


def test_every_image_has_one_row_and_a_copy_goes_before_a_person(tmp_path: Path) -> None:
    pairs = [
        (0, 1, "same_subject", "leak"), (0, 3, "same_image", "review"), (0, 4, "same_file", "cleared"),
        (2, 4, "same_subject", "review"),
    ]  # fmt: skip
    run = write_run(tmp_path / "run", SOURCES, pairs)
    (row,) = originals(run, of="A").to_pylist()
    assert (row["original_path"], row["relation"], row["matches"]) == ("3.png", "same_image", 2)
    assert [r["original_path"] for r in originals(run, of="A", to="B").to_pylist()] == ["1.png"]
    last = originals(run).to_pylist()
    assert [(r["path"], r["original_path"]) for r in last] == [("3.png", "0.png"), ("4.png", "2.png")]
    assert [r["matches"] for r in originals(run, of="B", to="A").to_pylist()] == [1, 0]
    for wrong in ("Z", "A"):
        with pytest.raises(UsageError):
            originals(run, of="A", to=wrong)


def test_no_map_is_made_of_a_dataset_that_could_not_be_read(tmp_path: Path) -> None:
    read, unread = {"dataset": "A"}, {"dataset": "B", "status": "unreadable", "error": "damaged"}
    run = write_run(tmp_path / "run", [read, unread], [])
    for of in ("B", None):
        with pytest.raises(UsageError, match="No image of B was read"):
            originals(run, of=of)
    assert len(originals(run, of="A")) == 1


def test_the_map_is_written_beside_the_run(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", [1, 2])
    fill(tmp_path / "B", [2, 3], compress_level=9)
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    assert leakscan("map", "run", "--json").json["matched"] == 1
    with (tmp_path / "run" / "map-B.csv").open() as stream:
        rows = [(r["path"], r["original_path"], r["relation"]) for r in csv.DictReader(stream)]
    assert rows == [("2.png", "2.png", "same_pixels"), ("3.png", "", "")]
    assert leakscan("map", "run", "--of", "Z").code == 2


def test_a_wanted_overlap_has_its_original_and_what_is_called_different_has_none(
    leakscan: Leakscan, tmp_path: Path
) -> None:
    fill(tmp_path / "A", [1, 2, 3], compress_level=1)
    fill(tmp_path / "B", [1, 2, 3, 4], compress_level=9)
    compare = ("compare", "A", "B", "-o", "run", "--overwrite", *NO_ENCODER)
    leakscan(*compare)
    leakscan("verdicts", "add", "run", "wanted", "--image", "B/1.png")
    leakscan("verdicts", "add", "run", "different", "--image", "A/2.png", "--image", "B/2.png")
    leakscan(*compare, "--verdicts", "verdicts.parquet")
    ran = leakscan("map", "run")
    assert "2 of 4 images of B have a match (2 the same picture)" in ran.out
    with (tmp_path / "run" / "map-B.csv").open() as stream:
        rows = [(r["path"], r["original_path"], r["decision"]) for r in csv.DictReader(stream)]
    assert rows == [
        ("1.png", "1.png", "cleared"),
        ("2.png", "", ""),
        ("3.png", "3.png", "leak"),
        ("4.png", "", ""),
    ]

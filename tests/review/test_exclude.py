"""The list of images to drop is right, in both formats, and complete."""

from __future__ import annotations

import csv
import shlex
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.review.lists import Policy, exclusions
from leakscan.review.people import UNITS
from support.makers import NO_ENCODER, Leakscan, Picture, fill, rows_of, save, scene
from support.run_maker import write_run


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
    table = pq.read_table(run / "exclude-B.parquet").to_pylist()
    assert [{n: str(v) for n, v in row.items()} for row in table] == rows


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


def test_the_command_that_checks_a_list_can_be_pasted(leakscan: Leakscan, run: Path) -> None:
    leakscan("verdicts", "add", "run", "different", "--image", "A/film.png", "--image", "B/film.jpg")
    ran = leakscan("exclude", "run", "--from", "B")
    command = next(line for line in ran.out.splitlines() if line.startswith("Check it: "))
    words = shlex.split(command.removeprefix("Check it: "))
    assert words[:4] == ["leakscan", "compare", "A", "B"]
    assert set(NO_ENCODER) < set(words)
    checked = leakscan(*words[1:])
    assert checked.code == 3, checked.err  # nobody is compared as a person here
    pairs = rows_of(run.parent / "run-checked", "pairs")
    assert {p["decision"] for p in pairs} <= {"cleared"}


def test_a_pasted_command_finds_the_cache_of_the_run_also_for_audits_and_later_comparisons(
    leakscan: Leakscan, tmp_path: Path
) -> None:
    fill(tmp_path / "A", [1, 2])
    fill(tmp_path / "B", [2, 3])
    fill(tmp_path / "C", [3])
    kept = ("--cache", str(tmp_path / "kept"), *NO_ENCODER)
    leakscan("compare", "A", "B", "-o", "run", *kept)
    leakscan("compare", "C", "--against", "run", "-o", "later", *kept)
    (tmp_path / "all.csv").write_text("path,fold\nA/2.png,one\nB/2.png,two\n")
    leakscan("audit", "all.csv", "--split-column", "fold", "-o", "audited", *kept)
    for run_folder, begin in (
        ("run", ["compare", "A", "B"]),
        ("later", ["compare", "C", "--against", "run"]),
        ("audited", ["audit", "all.csv", "--split-column", "fold"]),
    ):
        pair = rows_of(tmp_path / run_folder, "pairs")[0]
        both = [f"--image={pair[f'dataset_{side}']}/{pair[f'path_{side}']}" for side in ("a", "b")]
        said = leakscan("verdicts", "add", run_folder, "different", *both)
        command = said.out.splitlines()[-1]
        words = shlex.split(command)[1:]
        assert words[: len(begin)] == begin
        assert words[words.index("--cache") + 1] == "kept"
        ran = leakscan(*words, "--json")
        assert ran.code == 3, ran.err
        assert ran.json["timings"]["images_read"] == 0
        (tmp_path / "verdicts.parquet").unlink()


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


IMAGES = st.lists(
    st.fixed_dictionaries(
        {
            "dataset": st.sampled_from("ABC"),
            "subject": st.sampled_from([None, "s1", "s2", "s3"]),
            "study_uid_hash": st.sampled_from([None, None, "u1", "u2"]),
            "status": st.sampled_from(["ok", "ok", "ok", "blank"]),
        }
    ),
    min_size=2,
    max_size=12,
)
ENDS = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 11), st.sampled_from(["leak", "review"])), max_size=8
)


@given(images=IMAGES, ends=ENDS, source=st.sampled_from([None, "A", "B"]), unit=st.sampled_from(UNITS))
@settings(max_examples=60)
def test_without_the_list_no_person_of_a_leak_stands_on_both_sides(
    images: list[dict[str, str | None]], ends: list[tuple[int, int, str]], source: str | None, unit: str
) -> None:
    pairs = [
        (a, b, "same_pixels", decision)
        for a, b, decision in ends
        if a < len(images) and b < len(images) and images[a]["dataset"] != images[b]["dataset"]
    ]
    if source is not None and source not in [image["dataset"] for image in images]:
        return
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder), images, pairs)
        found = exclusions(run, Policy(dataset=source, unit=unit, with_review=True))  # type: ignore[arg-type]
    gone = set(found.drop["image_id"].to_pylist())
    for a, b, _, _ in pairs:
        if source in (None, images[a]["dataset"], images[b]["dataset"]):
            assert {f"id{a}", f"id{b}"} & gone
            for end in (a, b):
                column = {"subject": "subject", "study": "study_uid_hash", "image": None}[unit]
                if f"id{end}" in gone and column and images[end][column]:
                    same = [
                        f"id{i}"
                        for i, image in enumerate(images)
                        if (image["dataset"], image[column]) == (images[end]["dataset"], images[end][column])
                    ]
                    assert set(same) <= gone
    if source is not None:
        assert {images[int(i[2:])]["dataset"] for i in gone} <= {source}
    elif unit != "image":
        assert found.left == 0


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Patient P1 of A has two films, of which one leaks into B, whose patient Q1 has two as well."""
    fill(tmp_path / "A", [1, 2, 3], compress_level=1)
    fill(tmp_path / "B", [1, 8, 9], compress_level=9)
    (tmp_path / "A" / "manifest.csv").write_text("path,subject_id\n1.png,P1\n2.png,P1\n3.png,P3\n")
    (tmp_path / "B" / "manifest.csv").write_text("path,subject_id\n1.png,Q1\n8.png,Q1\n9.png,Q9\n")
    return tmp_path


COMPARE = ("compare", "A/manifest.csv", "B/manifest.csv", "--json", *NO_ENCODER)


def test_whole_people_are_dropped_and_then_nothing_is_found(leakscan: Leakscan, patients: Path) -> None:
    leakscan(*COMPARE, "-o", "run")
    ran = leakscan("exclude", "run", "--from", "A", "--json")
    assert (ran.json["images"], ran.json["people"]) == (2, 1)
    assert ran.json["files"][0] == "run/exclude-A.csv"  # not exclude-manifest.csv.csv
    rows = listed(patients / "run" / "exclude-A.csv")
    assert [(r["path"], r["relation"]) for r in rows] == [("1.png", "same_pixels"), ("2.png", "")]
    for name in ("csv", "parquet"):
        again = leakscan(*COMPARE, "--exclude-list", f"run/exclude-A.{name}", "-o", "again", "--overwrite")
        assert again.json["left_out"] == {"A": 2}
        assert again.json["decisions"]["same_pixels"]["leak"] == 0
    states = {
        r["path"]: (r["status"], r["subject"])
        for r in rows_of(patients / "again", "images")
        if r["dataset"] == "A"
    }
    assert states["2.png"] == ("ignored", None)
    assert states["3.png"][0] == "ok"


def test_one_image_alone_or_the_best_side_can_be_asked_for(leakscan: Leakscan, patients: Path) -> None:
    fill(patients / "B", [4], compress_level=9)
    (patients / "B" / "manifest.csv").write_text("path,subject_id\n1.png,Q1\n8.png,Q1\n4.png,Q1\n")
    leakscan(*COMPARE, "-o", "run")
    assert leakscan("exclude", "run", "--from", "A", "--by", "image", "--json").json["images"] == 1
    ran = leakscan("exclude", "run", "--keep", "best", "-o", "best", "--json")
    assert {r["dataset"] for r in listed(patients / "best.csv")} == {"A"}  # B has more films of the person
    ran = leakscan("exclude", "run", "--keep", "best", "--protect", "A", "-o", "best", "--json")
    assert {r["dataset"] for r in listed(patients / "best.csv")} == {"B"}
    ran = leakscan("exclude", "run", "--keep", "best", "--protect", "A", "--protect", "B", "--json")
    assert (ran.json["images"], ran.json["left_in_two"]) == (0, 1)
    for wrong in (
        [],
        ["--keep", "worst"],
        ["--from", "A", "--keep", "best"],
        ["--from", "A", "--by", "scanner"],
        ["--from", "A", "--protect", "A"],
        ["--from", "A", "--protect", "Z"],
    ):
        assert leakscan("exclude", "run", *wrong).code == 2, wrong


def test_a_list_for_publication_names_only_its_own_side(leakscan: Leakscan, patients: Path) -> None:
    (patients / "A" / "DOE_JANE").mkdir()
    (patients / "A" / "1.png").rename(patients / "A" / "DOE_JANE" / "1.png")
    (patients / "A" / "manifest.csv").write_text("path,subject_id\nDOE_JANE/1.png,P1\n")
    leakscan(*COMPARE, "-o", "run")
    leakscan("exclude", "run", "--from", "B", "--publish", "-o", "drop")
    assert "DOE" not in (patients / "drop.csv").read_text()
    assert b"DOE" not in (patients / "drop.parquet").read_bytes()
    assert [r["path"] for r in listed(patients / "drop.csv")] == ["1.png", "8.png"]


def test_lists_for_publication_of_several_datasets_name_one_each(leakscan: Leakscan, patients: Path) -> None:
    leakscan(*COMPARE, "-o", "run")
    ran = leakscan("exclude", "run", "--keep", "best", "--publish", "-o", "drop.csv", "--json")
    written = [Path(p) for p in ran.json["files"] if p.endswith(".csv")]
    assert written and not (patients / "drop.csv").exists()
    for path in written:
        assert {r["dataset"] for r in listed(patients / path)} == {path.stem.removeprefix("drop-")}
    assert sum(len(listed(patients / path)) for path in written) == ran.json["images"]


def test_a_person_sees_first_what_the_list_leaves(leakscan: Leakscan, run: Path) -> None:
    ran = leakscan("exclude", "run", "--from", "B", "--json")
    assert ran.json["look_first"] == 1
    (row,) = listed(run / "exclude-B-look-first.csv")
    assert (row["path_a"], row["path_b"], row["decision"]) == ("film.png", "film.jpg", "review")
    assert leakscan("exclude", "run", "--from", "B", "--with-review", "--json").json["look_first"] == 0


def test_a_list_of_ones_own_or_of_a_spreadsheet_is_understood(leakscan: Leakscan, patients: Path) -> None:
    (patients / "own.csv").write_bytes("\ufeffPath;why\r\n1.png;old\r\n".encode())
    ran = leakscan(*COMPARE, "--exclude-list", "own.csv")
    assert ran.json["left_out"] == {"A": 1, "B": 1}  # it names no dataset
    (patients / "leakscan.toml").write_text('reading.exclude_list = ["own.csv"]\n')
    assert leakscan(*COMPARE).json["left_out"] == {"A": 1, "B": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        ("name\n1.png\n", "names no images"),
        ("path\nz.png\n", "No entry"),
        ("\0\xff", "drop.csv"),
    ],
)
def test_a_list_that_fits_nothing_is_named(
    leakscan: Leakscan, patients: Path, content: str | None, words: str
) -> None:
    if content is not None:
        (patients / "drop.csv").write_text(content, encoding="latin-1")
    ran = leakscan(*COMPARE, "--exclude-list", "drop.csv")
    assert ran.code == 2
    assert words in ran.err


def test_an_entry_that_fits_nothing_is_counted(leakscan: Leakscan, patients: Path) -> None:
    (patients / "drop.csv").write_text("path\n1.png\nz.png\n")
    ran = leakscan(*COMPARE, "--exclude-list", "drop.csv")
    assert ["1 of 2 entries" in words for words in ran.json["warnings"]] == [True]


def test_patterns_leave_images_out_of_a_store_as_well(leakscan: Leakscan, patients: Path) -> None:
    leakscan("fingerprint", "A", "-o", "A.fps", *NO_ENCODER)
    ran = leakscan("compare", "A.fps", "B", "--exclude", "1.png", "--json", *NO_ENCODER)
    assert ran.json["left_out"] == {"A.fps": 1}
    assert not any(counts["leak"] for counts in ran.json["decisions"].values())

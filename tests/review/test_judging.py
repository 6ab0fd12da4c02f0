"""What people said of pairs holds in later runs, until something about them is new."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from leakscan.review.judged_run import JudgedRun, Said
from leakscan.review.verdicts import Scope, Verdict, VerdictFile, Word
from support.makers import NO_ENCODER, Leakscan, Ran, fill, rows_of, save, scene

MANIFEST_A = "path,subject_id\n1.png,P1\n2.png,P2\n3.png,P3\n"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Scenes 1 and 2 are in both, as other files; subjects are declared; scene 9 is B's alone."""
    fill(tmp_path / "A", [1, 2, 3], compress_level=1)
    fill(tmp_path / "B", [1, 2, 9], compress_level=9)
    (tmp_path / "A" / "a.csv").write_text(MANIFEST_A)
    (tmp_path / "B" / "b.csv").write_text("path,subject_id\n1.png,Q1\n2.png,Q2\n9.png,Q9\n")
    return tmp_path


def compare(leakscan: Leakscan, *more: str) -> Ran:
    names = ("A/a.csv", "B/b.csv", "-o", "run", "--overwrite", "--json", *NO_ENCODER)
    return leakscan("compare", *names, *more)


def give(
    root: Path, word: Word, of: str = "1.png", scope: Scope = "pair", by: str = "ann", **more: Any
) -> None:
    """A verdict on the pair of one film of A and all that goes with it, written into ``v.parquet``."""
    run = JudgedRun.open(root / "run")
    rows = [next(i for i, pair in enumerate(run.pairs) if pair["path_a"] == of)]
    if scope == "subjects":
        rows = next(all_of for all_of in run.person_pairs.values() if rows[0] in all_of)
    VerdictFile(root / "v.parquet").append([run.verdict(rows, Said(by=by, verdict=word, **more), scope)])


def by_film(root: Path) -> dict[str, dict[str, Any]]:
    return {row["path_a"]: row for row in rows_of(root / "run", "pairs")}


def said(ran: Ran) -> dict[str, int]:
    return {name: n for name, n in ran.json["verdicts"].items() if n and name != "people"}


def test_different_clears_a_pair_and_wanted_accepts_one(leakscan: Leakscan, two: Path) -> None:
    assert compare(leakscan).code == 1
    give(two, "different")
    ran = compare(leakscan, "--verdicts", "v.parquet")
    assert (ran.code, said(ran)) == (1, {"verdicts": 1, "standing": 1, "cleared": 1})
    rows = rows_of(two / "run", "pairs")
    assert [(r["path_a"], r["decision"], r["verdict"], r["verdict_by"]) for r in rows] == [
        ("2.png", "leak", None, None),
        ("1.png", "cleared", "different", "ann"),
    ]
    assert rows[1]["evidence"][0].startswith("ann says that they are two people")
    assert len(rows_of(two / "run", "subjects")) == 2
    give(two, "wanted", "2.png", reason="baseline of the trial")
    ran = compare(leakscan, "--verdicts", "v.parquet")
    assert (ran.code, said(ran)) == (3, {"verdicts": 2, "standing": 2, "cleared": 1, "accepted": 1})
    assert rows_of(two / "run", "subjects") == []
    # It stands in the settings file, too, and holds in Python.
    (two / "leakscan.toml").write_text('deciding.verdicts = "v.parquet"\n')
    assert compare(leakscan).code == 3


def test_files_and_folders_may_move_and_sides_may_swap(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    give(two, "different", "1.png")
    give(two, "different", "2.png")
    (two / "run").rename(two / "old run")
    (two / "A").rename(two / "C")
    (two / "C" / "1.png").rename(two / "C" / "x.png")
    (two / "C" / "a.csv").unlink()
    ran = leakscan("compare", "B/b.csv", "C", "--json", "--verdicts", "v.parquet", *NO_ENCODER)
    assert (ran.code, said(ran)) == (3, {"verdicts": 2, "standing": 2, "cleared": 2})


def test_a_run_that_moved_can_be_judged(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    for name in ("A", "B"):
        for image in (two / name).glob("*.png"):
            image.unlink()  # the images are not needed
    (two / "run").rename(two / "elsewhere")
    run = JudgedRun.open(two / "elsewhere")
    assert run.verdict([0], Said(by="ann", verdict="same")).pictures_a == (run.picture(0, "a"),)


def test_a_verdict_names_nobody_and_no_path(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan, "--show-subjects")
    assert by_film(two)["1.png"]["subject_a"] == "P1"
    give(two, "different", scope="subjects")
    compare(leakscan)
    give(two, "different", scope="subjects")
    raw = str([v.row() for v in VerdictFile(two / "v.parquet").read()])
    assert not [word for word in ("P1", "Q1", ".png") if word in raw]


def test_a_stronger_relation_opens_a_cleared_pair(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    give(two, "different", scope="subjects")
    assert said(compare(leakscan, "--verdicts", "v.parquet"))["cleared"] == 1
    (two / "B" / "1.png").write_bytes((two / "A" / "1.png").read_bytes())
    ran = compare(leakscan, "--verdicts", "v.parquet")
    row = by_film(two)["1.png"]
    assert (row["decision"], row["relation"]) == ("leak", "same_file")
    assert "same_pixels" in row["reopened"]
    assert said(ran) == {"verdicts": 1, "standing": 1, "reopened": 1}
    assert row["evidence"][0].startswith("open again")


def test_a_new_picture_opens_a_cleared_group(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    for film in ("1.png", "2.png"):
        give(two, "different", film, scope="subjects")
    assert compare(leakscan, "--verdicts", "v.parquet").code == 3
    fill(two / "A", [30], compress_level=1)
    fill(two / "B", [30], compress_level=9)
    (two / "A" / "a.csv").write_text(MANIFEST_A + "30.png,P1\n")
    (two / "B" / "b.csv").write_text("path,subject_id\n1.png,Q1\n2.png,Q2\n30.png,Q1\n")
    ran = compare(leakscan, "--verdicts", "v.parquet")
    rows = by_film(two)
    assert {path: r["decision"] for path, r in rows.items()} == {
        "1.png": "leak",
        "30.png": "leak",
        "2.png": "cleared",
    }
    assert "joined" in rows["1.png"]["reopened"]
    assert ran.code == 1
    give(two, "different", scope="subjects")  # who saw all of it has the last word
    assert compare(leakscan, "--verdicts", "v.parquet").code == 3


def test_pictures_that_link_both_sides_later_open_a_pair(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    give(two, "different")
    # A third dataset holds another film of both sides of the pair, under one name.
    fill(two / "C", [31, 32], compress_level=5)
    (two / "C" / "c.csv").write_text("path,subject_id\n31.png,R1\n32.png,R1\n")
    for name, film in (("A", 31), ("B", 32)):
        fill(two / name, [film], compress_level=1)
    (two / "A" / "a.csv").write_text(MANIFEST_A + "31.png,P1\n")
    (two / "B" / "b.csv").write_text("path,subject_id\n1.png,Q1\n32.png,Q1\n")
    sources = ("A/a.csv", "B/b.csv", "C/c.csv", "-o", "run", "--overwrite", "--json", *NO_ENCODER)
    ran = leakscan("compare", *sources, "--verdicts", "v.parquet")
    row = by_film(two)["1.png"]
    assert (row["decision"], row["verdict"]) == ("leak", "different")
    assert "link the two sides" in row["reopened"]
    give(two, "different")  # who knows of these pictures has the last word
    ran = leakscan("compare", *sources, "--verdicts", "v.parquet")
    assert said(ran)["cleared"] == 1


def test_same_makes_a_leak_whether_the_run_finds_the_pair_or_not(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    (two / "B" / "2.png").unlink()
    (two / "B" / "1.png").unlink()
    save(two / "B" / "2.png", scene(70))
    images = {(r["dataset"], r["path"]): r["pixel_hash"] for r in rows_of(two / "run", "images")}
    verdict = Verdict(
        by="ann",
        verdict="same",
        scope="pair",
        pictures_a=(images["b.csv", "9.png"],),
        pictures_b=(images["a.csv", "3.png"],),
    )
    VerdictFile(two / "v.parquet").append([verdict])
    ran = compare(leakscan, "--verdicts", "v.parquet", "--max-unread", "1")
    assert (ran.code, said(ran)) == (1, {"verdicts": 1, "standing": 1, "made_leaks": 1})
    (row,) = rows_of(two / "run", "pairs")
    assert (row["path_a"], row["path_b"], row["decision"], row["relation"]) == (
        "3.png",
        "9.png",
        "leak",
        "same_subject",
    )
    assert len(rows_of(two / "run", "subjects")) == 2


def test_same_is_no_leak_where_a_list_leaves_one_side_out(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    give(two, "same")
    give(two, "same", "2.png")
    assert compare(leakscan, "--verdicts", "v.parquet").code == 1
    leakscan("exclude", "run", "--from", "b.csv")
    checked = compare(leakscan, "--verdicts", "v.parquet", "--exclude-list", "run/exclude-b.csv")
    assert checked.json["answer"]["pairs_of_datasets"][0]["copies"] == 0
    assert checked.code == 3, "no leak, though too few people to tell others"


def test_lists_and_splits_say_that_verdicts_are_not_counted_yet(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    ran = leakscan("verdicts", "add", "run", "wanted", "--image", "a.csv/1.png")
    command = (
        "leakscan compare A/a.csv B/b.csv --kind other_2d --workers 0 --verdicts verdicts.parquet -o run"
        " --overwrite"
    )
    assert command in ran.out
    assert command in leakscan("exclude", "run", "--from", "b.csv").out
    assert command in leakscan("split", "run", "--ratios", "50/50").out
    leakscan(*command.split()[1:], *NO_ENCODER)
    assert "not count" not in leakscan("exclude", "run", "--from", "b.csv").out


def test_an_accepted_subject_may_have_more_pictures_but_no_stronger_relation(
    leakscan: Leakscan, two: Path
) -> None:
    compare(leakscan)
    give(two, "wanted", scope="subject")
    fill(two / "A", [30], compress_level=1)
    fill(two / "B", [30], compress_level=9)
    (two / "A" / "a.csv").write_text("path,subject_id\n1.png,P1\n30.png,P1\n")
    ran = compare(leakscan, "--verdicts", "v.parquet")
    assert (ran.code, said(ran)) == (3, {"verdicts": 1, "standing": 1, "accepted": 1})
    (two / "B" / "1.png").write_bytes((two / "A" / "1.png").read_bytes())
    ran = compare(leakscan, "--verdicts", "v.parquet")
    assert ran.code == 1  # a copied file is another kind of leak than equal pixels
    assert ran.json["decisions"]["same_file"]["leak"] == 1


def test_an_overlap_of_two_datasets_is_accepted_until_its_last_day(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    today = dt.datetime.now(dt.UTC).date()
    for until, code in ((today, 3), (today - dt.timedelta(days=1), 1)):
        give(two, "wanted", scope="datasets", until=until)
        ran = compare(leakscan, "--verdicts", "v.parquet")
        assert ran.code == code
        assert ran.json["verdicts"]["ended"] == (code == 1)
    assert ran.json["verdicts"]["verdicts"] == 2


def test_people_who_disagree_leave_a_pair_as_it_was_found(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    give(two, "different")
    give(two, "same", by="bob")
    give(two, "unsure", "2.png")
    ran = compare(leakscan, "--verdicts", "v.parquet")
    assert {film: (r["decision"], r["verdict"]) for film, r in by_film(two).items()} == {
        "1.png": ("leak", "disputed"),
        "2.png": ("leak", "unsure"),
    }
    assert said(ran) == {"verdicts": 3, "standing": 2, "disputed": 1, "reopened": 1}
    people = ran.json["verdicts"]["people"]
    assert (people["disputed"], people["reopened"]) == (1, 0)  # no pair of people counts twice


def test_verdicts_on_pictures_that_are_gone_are_counted(leakscan: Leakscan, two: Path) -> None:
    compare(leakscan)
    give(two, "different")
    for name in ("A", "B"):
        save(two / name / "1.png", scene(80 if name == "A" else 81))
    ran = compare(leakscan, "--verdicts", "v.parquet")
    assert said(ran) == {"verdicts": 1, "standing": 1, "stale": 1}


@pytest.mark.parametrize("content", [None, b"nothing of the kind"])
def test_a_wrong_file_of_verdicts_stops_the_run(leakscan: Leakscan, two: Path, content: bytes | None) -> None:
    if content is not None:
        (two / "v.parquet").write_bytes(content)
    ran = leakscan("compare", "A/a.csv", "B/b.csv", "--verdicts", "v.parquet", *NO_ENCODER)
    assert ran.code == 2
    assert "v.parquet" in ran.error
    assert "Delete" not in ran.error


def test_verdicts_are_counted_in_pairs_of_people_by_what_they_did(leakscan: Leakscan, two: Path) -> None:
    fill(two / "A", [30, 31], compress_level=1)
    fill(two / "B", [30, 31], compress_level=9)
    (two / "A" / "a.csv").write_text(MANIFEST_A + "30.png,P1\n31.png,P3\n")
    (two / "B" / "b.csv").write_text("path,subject_id\n1.png,Q1\n2.png,Q2\n30.png,Q1\n31.png,Q3\n")
    compare(leakscan)
    give(two, "wanted", "1.png", scope="subjects")
    give(two, "different", "31.png", scope="subjects")
    ran = compare(leakscan, "--verdicts", "v.parquet")
    people = {name: n for name, n in ran.json["verdicts"]["people"].items() if n}
    assert people == {"accepted": 1, "different": 1}  # the two pairs of films of P1 and Q1 are one of people
    (pair,) = ran.json["answer"]["pairs_of_datasets"]
    assert (pair["accepted"], pair["different"], pair["copies"], pair["possible"]) == (1, 1, 1, 0)
    shown = leakscan("show", "run").out
    words = "2 verdicts. By them 1 pair of people is accepted, 1 is cleared as different."
    assert words in " ".join(shown.split())

"""What is new between two runs, and a run that fails only for what is new."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakscan.review.difference import is_new_leak
from support.makers import NO_ENCODER, Leakscan, fill


@pytest.fixture
def monday(leakscan: Leakscan, tmp_path: Path) -> Path:
    fill(tmp_path / "A", range(4), compress_level=1)
    fill(tmp_path / "B", range(2, 6), compress_level=9)
    assert leakscan("compare", "A", "B", "-o", "monday", *NO_ENCODER).code == 1
    return tmp_path


def test_only_new_leaks_fail(leakscan: Leakscan, monday: Path) -> None:
    compare = (
        "compare",
        "A",
        "B",
        "--baseline",
        "monday",
        "-o",
        "tuesday",
        "--overwrite",
        "--json",
        *NO_ENCODER,
    )
    (monday / "A" / "2.png").rename(monday / "A" / "moved.png")
    ran = leakscan(*compare)
    told = ran.json["baseline"]
    assert (ran.code, told["new_leaks"], told["known_leaks"]) == (3, 0, 2)  # nobody was compared as a person
    assert "No new leak" in ran.json["reasons"][0]
    marked = leakscan("ci", "tuesday", "--annotations", "--junit", "j.xml")
    assert (marked.code, marked.out) == (3, "")
    assert 'failures="0"' in (monday / "j.xml").read_text()
    assert leakscan("diff", "monday", "tuesday").code == 0
    fill(monday / "A", [5], compress_level=1)
    (monday / "B" / "3.png").unlink()
    ran = leakscan(*compare)
    told = ran.json["baseline"]
    assert (ran.code, told["new_leaks"], told["known_leaks"]) == (1, 1, 1)
    marked = leakscan("ci", "tuesday", "--annotations", "--junit", "j.xml")
    assert marked.out.count("::error") == 1
    assert "file=B/5.png" in marked.out
    assert 'message="1 leak"' in (monday / "j.xml").read_text()
    assert "1 leak that the baseline does not have" in ran.json["reasons"][0]
    ran = leakscan("diff", "monday", "tuesday", "-o", "d", "--json")
    assert (ran.code, ran.json["new_leaks"], ran.json["gone_leaks"], ran.json["same"]) == (1, 1, 1, 1)
    assert [(r["change"], r["path_a"]) for r in ran.json["differences"]] == [
        ("new", "5.png"),
        ("gone", "3.png"),
    ]
    assert (monday / "d.csv").is_file()


def test_a_stronger_relation_is_new(leakscan: Leakscan, monday: Path) -> None:
    (monday / "B" / "2.png").write_bytes((monday / "A" / "2.png").read_bytes())
    ran = leakscan("compare", "A", "B", "--baseline", "monday", "--json", *NO_ENCODER)
    assert (ran.code, ran.json["baseline"]["new_leaks"]) == (1, 1)


def test_a_baseline_that_is_no_run_is_named(leakscan: Leakscan, monday: Path) -> None:
    ran = leakscan("compare", "A", "B", "--baseline", "A", *NO_ENCODER)
    assert ran.code == 2
    assert "no run folder" in ran.error
    assert leakscan("diff", "monday", "A").code == 2


def test_known_leaks_do_not_hide_that_a_run_cannot_vouch(leakscan: Leakscan, monday: Path) -> None:
    fill(monday / "A", range(10, 30))
    for path in sorted((monday / "A").glob("[12]?.png")):
        path.write_bytes(path.read_bytes()[:60])
    ran = leakscan("compare", "A", "B", "--baseline", "monday", "--json", *NO_ENCODER)
    assert ran.code == 3
    assert any("more than the 1.0% that are allowed" in words for words in ran.json["reasons"])


def test_pairs_for_review_that_are_known_fail_nothing_either() -> None:
    pair = {"key": frozenset("xy"), "decision": "review", "relation": "same_image"}
    known = {pair["key"]: pair}
    assert not is_new_leak(pair, {})
    assert is_new_leak(pair, {}, ("leak", "review"))
    assert not is_new_leak(pair, known, ("leak", "review"))

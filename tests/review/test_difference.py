"""What is new between two runs, and a run that fails only for what is new."""

from __future__ import annotations

from pathlib import Path

import pytest

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
    assert (ran.code, ran.json["baseline"]) == (0, {"new_leaks": 0, "known_leaks": 2})
    assert leakscan("diff", "monday", "tuesday").code == 0
    fill(monday / "A", [5], compress_level=1)
    (monday / "B" / "3.png").unlink()
    ran = leakscan(*compare)
    assert (ran.code, ran.json["baseline"]) == (1, {"new_leaks": 1, "known_leaks": 1})
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

"""The first screen holds its 25 lines of 80 columns, whatever and however many the datasets are."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from leakscan.cli.first_screen import LINES, WIDTH, first_screen
from leakscan.cli.output import Output

LONG = "university_hospital_of_the_northern_city_chest_films_"
MANY = [LONG + "2019", LONG + "2020", "research", " odd name (v2)", "x" * 70]


def between(a: str, b: str, copies: int, accepted: int = 0, possible: int = 2) -> dict[str, Any]:
    return {
        "a": a,
        "b": b,
        "unit": {"a": "subjects and unnamed pictures", "b": "pictures"},
        "people": {"a": {"shared": copies, "of": 1_234_567}, "b": {"shared": copies, "of": 654_321}},
        "images": {"a": {"shared": copies, "of": 9_876_543}, "b": {"shared": copies, "of": 654_321}},
        "copies": copies,
        "other_pictures": 0,
        "possible": possible,
        "expected_true": 1.0,
        "accepted": accepted,
        "different": 0,
        "listed": {"value": copies + 1.0, "low": copies, "high": copies + possible},
        "expected_false": None,
        "estimate": None,
        "missed_share": None,
        "missed_share_of_this_run": False,
        "subject_comparisons": 0,
        "drop": {side: {"people": copies, "images": copies} for side in ("a", "b")},
    }


def summary(pairs: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    names = sorted({pair[side] for pair in pairs for side in ("a", "b")})
    return {
        "fail_on": "same_subject",
        "exit_code": 1,
        "reasons": ["There is a leak."],
        "warnings": [f"The folder /{'/'.join(['deep'] * 40)}/0001.dcm could not be listed."],
        "datasets": [
            {
                "name": name,
                "status": {"unreadable": 1, "unsupported": 0},
                "unread": [{"path": f"{name}/{'w' * 200}.png", "error": "It is truncated or damaged."}],
            }
            for name in names
        ],
        "answer": {
            "headline": f"3 of 9 subjects of {pairs[0]['a']} are also in {pairs[0]['b']}",
            "pairs_of_datasets": pairs,
            "not_judged": {name: [f"films/{'y' * 60}.png"] * 9 for name in names},
            "not_done": ["Persons were compared in 1 of 9 pairs of pictures."],
        },
        **more,
    }


def of_all(names: list[str], **more: Any) -> list[dict[str, Any]]:
    return [between(a, b, copies=90_000 - at, **more) for at, (a, b) in enumerate(combinations(names, 2))]


def commands(lines: list[str]) -> list[str]:
    return [line for line in lines if line[7:].startswith("leakscan ")]


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_long_names_and_many_datasets_fit(n: int) -> None:
    lines = first_screen(summary(of_all(MANY[:n])), Path("run"))
    assert len(lines) <= LINES
    told = [line for line in lines if line not in commands(lines)]  # a command is pasted whole
    assert max(map(len, told)) <= WIDTH
    assert f"--from {MANY[1]}" in commands(lines)[1]


def test_every_two_datasets_are_told_apart_and_none_is_forgotten() -> None:
    lines = first_screen(summary(of_all(MANY, accepted=1)), Path("run"))
    rows = [line for line in lines if " x " in line]
    assert len({row[:38] for row in rows}) == 6
    assert {tuple(row.split()[-5:-3]) for row in rows} == {("2", "1")}
    assert rows[0].endswith("  90,000 to 90,002")
    (rest,) = (line for line in lines if line.startswith("4 more pairs of datasets"))
    assert rest.split()[-4:] == ["359,970", "0", "8", "4"]


def test_no_split_is_proposed_where_nothing_could_be_read() -> None:
    empty = between("A", "B", copies=0, possible=0)
    assert [line[7:].split()[1] for line in commands(first_screen(summary([empty]), Path("run")))] == [
        "split"
    ]
    empty["images"]["b"]["of"] = 0
    assert commands(first_screen(summary([empty]), Path("run"))) == []


def test_a_long_headline_is_broken_between_its_clauses() -> None:
    told = summary(of_all(["A", "B", "C"]))
    told["answer"]["headline"] = "6 of 59 pictures of B are also in A; 2 more pairs of datasets overlap"
    first, second, third, *_ = first_screen(told, Path("run"))
    assert first.startswith("LEAK: 6 of 59 pictures of B are also in A;  ")
    assert first.endswith("exit 1")
    assert (second, third) == ("2 more pairs of datasets overlap", "")


def test_numbers_and_names_are_not_cut_off() -> None:
    words = " ".join(" ".join(first_screen(summary(of_all(MANY[:2])), Path("run"))).split())
    assert "90,000 of 1,234,567 subjects and unnamed pictures (7%), 90,000 of 9,876,543 images (1%)" in words
    assert "90,000 images, or from univ" in words
    assert "2020: 90,000 images" in words


def test_the_next_step_is_what_is_left_to_do() -> None:
    verdicts = dict.fromkeys(("cleared", "made_leaks", "disputed", "reopened", "stale", "ended"), 0)
    said = {"verdicts": {"verdicts": 2, "standing": 2, "accepted": 2, **verdicts}}

    def first_words(copies: int, possible: int, **more: Any) -> list[str]:
        lines = first_screen(summary([between("A", "B", copies, possible=possible)], **more), Path("run"))
        return [line[7:].split()[1] for line in commands(lines)]

    assert first_words(3, 0) == ["review", "exclude"]
    assert first_words(3, 2, **said) == ["review", "exclude"]
    assert first_words(3, 0, **said) == ["exclude"]
    assert first_words(0, 2) == ["review"]
    assert first_words(0, 0, **said) == ["split"]


def test_a_table_breaks_no_word(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    paths = ["hospital_a/films/2019/january/IM000012345678.dcm", "research/images/part-000123/cxr_000017.png"]
    row = ["leak", "same_pixels", *paths, "1.00", "mirrored, made negative, cropped"]
    Output().table("Pairs", ["", "relation", "A", "B", "prob.", "altered"], [row, ["", "", "a", "b", "", ""]])
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    words = printed.split()
    assert {"same_pixels", "relation", "mirrored,", "negative,", "cropped"} <= set(words)
    assert sum("..." in word and word.endswith((".dcm", ".png")) for word in words) == 2


def test_what_holds_of_many_datasets_is_said_once() -> None:
    told = summary(of_all(MANY[:3]), reasons=["Nobody knows.", "Nobody knows."])
    lines = first_screen({**told, "exit_code": 3, "warnings": ["Nobody knows."]}, Path("run"))
    assert lines.count("Nobody knows.") == 1


def test_frames_of_one_file_are_named_once_among_those_that_were_not_judged() -> None:
    told = summary(of_all(MANY[:2]))
    told["answer"]["not_judged"] = {"A": ["a/stack.tif"] * 3 + ["a/other.tif"]}
    (line,) = [line for line in first_screen(told, Path("run")) if line.startswith("Not judged")]
    assert line == "Not judged as persons: A stack.tif, other.tif and 2 more"


def test_the_people_on_the_lists_have_an_interval_while_some_are_open() -> None:
    def row(possible: int, **more: Any) -> str:
        pair = between("A", "B", 3, possible=possible) | more
        return next((line for line in first_screen(summary([pair]), None) if "shared, of all" in line), "")

    assert row(4).split("these")[1].split() == ["4", "3", "to", "7,", "by", "their", "probabilities"]
    assert row(0) == ""
    estimate = {"estimate": 9.0, "low": 6.0, "high": 14.0}
    assert row(4, estimate=estimate) == ""  # which the last row of the table says better


def test_a_green_run_says_so_once_and_counts_what_people_settled_apart() -> None:
    pair = between("A", "B", 0, accepted=2, possible=0) | {"different": 3}
    told = summary([pair], exit_code=0, reasons=["No leak was found."])
    told["answer"]["headline"] = "No leak was found beyond 2 accepted overlaps"
    lines = first_screen(told, None)
    assert lines[0].split("  ")[0] == "NO LEAK FOUND beyond 2 accepted overlaps"
    assert "no leak" not in " ".join(lines[1:]).lower()
    rows = [line for line in lines if line.startswith("  ") and line.strip()]
    numbers = {line[:34].strip(): line[34:].split()[0] for line in rows}
    assert numbers["wanted overlap, accepted"] == "2"
    assert numbers["cleared as different people"] == "3"


def test_the_next_command_keeps_the_cache_of_the_run() -> None:
    made = {"settings": {}, "machine_settings": {"cache": "/big/disk/my cache", "workers": 2}}
    told = summary([between("A", "B", 3)], made_with=made)
    review, exclude = (line[7:] for line in commands(first_screen(told, Path("run"))))
    assert review == "leakscan review run --cache '/big/disk/my cache'"
    assert exclude == "leakscan exclude run --from B"
    green = summary([between("A", "B", 0, possible=0)], made_with=made)
    assert commands(first_screen(green, Path("run")))[0].endswith(
        "leakscan split run --ratios 80/10/10 --cache '/big/disk/my cache' --workers 2"
    )

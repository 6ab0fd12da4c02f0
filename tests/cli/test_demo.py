"""``leakscan demo``: what its reader sees on a terminal of 80 columns, and what a script reads."""

from __future__ import annotations

import re

import pytest

from support.makers import Leakscan

# Without the heads, whose comparison takes longest; the release job runs the whole demo.
RELATIONS = {"same_file": 3, "same_pixels": 4, "same_image": 5, "same_subject": 2}


@pytest.fixture(autouse=True)
def films_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakscan.synthetic.demo_data._volumes", lambda *_: [])


def test_people_read_one_line_a_leak_in_80_columns(
    leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = leakscan("demo", "-o", "demo")
    assert shown.code == 0  # leaks were planted: finding them is no failure
    lines = shown.out.splitlines()
    table = lines[lines.index("Planted and found") :]
    assert max(map(len, table)) <= 80
    rows = [re.split(r" {2,}", line.strip()) for line in table[2:-3]]
    assert [row[1:] for row in rows] == [[r, "found"] for r, n in RELATIONS.items() for _ in range(n)]
    assert ["DICOM MONOCHROME1 to 16-bit PNG", "same_pixels", "found"] in rows
    assert table[-3] == "14 of 14 planted leaks found; 0 other pairs called a leak."
    assert len(re.findall(r"^(?:Drawn|Compared) in \d+ s\.", shown.out, re.MULTILINE)) == 2


@pytest.mark.slow
def test_scripts_read_the_summary(leakscan: Leakscan) -> None:
    summary = leakscan("demo", "-o", "demo", "--json").json
    assert {r: n["leak"] for r, n in summary["decisions"].items()} == RELATIONS
    assert summary["report"] == "demo/run"

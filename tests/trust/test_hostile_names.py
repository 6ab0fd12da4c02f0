"""Names that others chose reach no terminal raw, run in no spreadsheet, and are no markup in a page."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

import leakscan as package
from leakscan import harmless
from leakscan.cli.app import _told
from leakscan.settings import Settings
from support.makers import NO_ENCODER, Leakscan, fill, rows_of, save, scene

HOSTILE = [
    "clear\x1b[2J\x1b[1;1H.png",
    "title\x1b]0;owned\x07.png",
    "line\nNo leaks were found.png",
    "back\b\b\b\b.png",
    "return\rok.png",
    "one byte \x9b31m.png",
    "turned \u202egnp.exe.png",
    "wide\u2028line.png",
    '=HYPERLINK("http:--evil").png',
    "+1+cmd.png",
    "-2+3.png",
    "@SUM(A1).png",
    "\tTAB.png",
    "'=quoted.png",
    "<img src=x onerror=alert(1)>.png",
    "<!--.png",
    '"><script>alert(1)<.png',
    "{{7*7}}{%x%}.png",
    "[bold red]marked[-].png",
]
RAW = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What no terminal may be sent; lines end with a newline."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A holds one picture under every hostile name, B the same ones under harmless names."""
    folder = tmp_path_factory.mktemp("hostile")
    for number, name in enumerate(HOSTILE):
        save(folder / "A" / name, scene(number))
        save(folder / "B" / f"{number}.tif", scene(number))
    (folder / "A" / "broken\x1b[31m.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    choices = {"kind": "other_2d", "workers": 0, "cache": folder / ".leakscan", "max_unread": 1.0}
    package.compare(folder / "A", folder / "B", settings=Settings.of(**choices), output=folder / "run")
    return folder


@pytest.fixture
def hostile(made: Path, monkeypatch: pytest.MonkeyPatch, leakscan: Leakscan) -> Path:
    """The same folder, where commands run."""
    monkeypatch.chdir(made)
    return made


def test_no_name_reaches_the_terminal_raw(hostile: Path, leakscan: Leakscan) -> None:
    told = [
        leakscan("compare", "A", "B", "--pairs", "--max-unread", "1", *NO_ENCODER),
        leakscan("compare", "A", "B", "--pairs", "--max-unread", "1", "--json", *NO_ENCODER),
        leakscan("explain", "run", "1"),
        leakscan("compare", "A", "none\x1b[31m"),
        leakscan("compare", "A", "--kind", "\x1b[31m"),
        leakscan("\x1b[31m"),
        leakscan("fingerprint", "A", "-o", "a\x1b[31m.fps", *NO_ENCODER),
        leakscan("exclude", "run", "--from", "A\x1b[31m"),
    ]
    for ran in told:
        assert not RAW.search(ran.out + ran.err), ran
    assert "\\x1b" in told[3].err
    paths = {pair["path_a"] for pair in told[1].json["pairs"]}
    assert paths & set(HOSTILE)  # what a machine reads is the name itself


def test_a_crash_report_holds_no_code_and_with_paths_hidden_no_words() -> None:
    try:
        raise ValueError("cannot read \x1b[31mDOE^JOHN.png")
    except ValueError as error:
        shown, hidden = _told(error, []), _told(error, ["--hide-paths"])
    assert "DOE^JOHN" in shown and "\x1b" not in shown
    assert "ValueError: (words hidden)" in hidden and "test_hostile_names" in hidden
    assert "cannot read" not in hidden.replace('raise ValueError("cannot read', "")


def test_no_cell_of_a_list_is_a_formula_and_the_list_fits_all_the_same(
    hostile: Path, leakscan: Leakscan
) -> None:
    assert leakscan("exclude", "run", "--from", "A", "-o", "drop").code == 0
    assert leakscan("map", "run", "--of", "A", "-o", "map").code == 0
    rows = list(csv.reader((hostile / "drop.csv").open(newline="", encoding="utf-8")))
    rows += csv.reader((hostile / "map.csv").open(newline="", encoding="utf-8"))
    cells = [cell for row in rows[1:] for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]
    assert '\'=HYPERLINK("http:--evil").png' in cells
    # By their paths alone: a list without ids and hashes must still name every image.
    at = rows[0].index("path")
    with (hostile / "paths.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path"], *([row[at]] for row in rows[1 : len(HOSTILE) + 1])])
    again = leakscan("compare", "A", "B", "-o", "again", "--exclude-list", "paths.csv", "--json", *NO_ENCODER)
    assert again.json["left_out"] == {"A": len(HOSTILE)}, (again.json["warnings"], len(rows))


def test_names_are_text_in_the_page(hostile: Path) -> None:
    page = (hostile / "run" / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and "<script>alert" not in page and "<!--.png" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page
    assert "49" not in re.findall(r"[^\w]49[^\w]", page)
    assert len(rows_of(hostile / "run", "pairs")) == len(HOSTILE)


@pytest.mark.parametrize("text", [*HOSTILE, "", "'", "''", "'-", "''=", "plain"])
def test_a_cell_says_what_was_put_into_it(text: str) -> None:
    assert harmless.from_cell(harmless.cell(text)) == text
    assert not harmless.cell(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_document_for_machines_keeps_its_meaning(text: str) -> None:
    document = harmless.json_safe(json.dumps({"path": text}, ensure_ascii=False, indent=1))
    assert json.loads(document) == {"path": text}
    assert not RAW.search(document)


def test_a_hostile_manifest_of_hostile_names_is_read(tmp_path: Path, leakscan: Leakscan) -> None:
    fill(tmp_path / "B", range(3))
    save(tmp_path / "A" / "=1+1.png", scene(0))
    (tmp_path / "A" / "list.csv").write_text("path,subject_id\n'=1+1.png,=cmd\n")
    ran = leakscan("compare", "A/list.csv", "B", "-o", "run", *NO_ENCODER)
    assert ran.code == 1, ran.err
    assert [pair["path_a"] for pair in rows_of(tmp_path / "run", "pairs")] == ["=1+1.png"]

"""The walk of the docs, from two folders to a green check, command by command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from support.makers import Leakscan, rows_of

PAGE = Path(__file__).parents[2] / "docs" / "walk.md"
IN_A_BROWSER = "leakscan review run"


def commands() -> list[tuple[list[str], int]]:
    """Every command of the page with the exit code that it says, 0 where it says none."""
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command, _, said = line.partition("#")
            code = re.search(r"exit (\d)", said)
            found.append((shlex.split(command), int(code[1]) if code else 0))
    return found


def test_every_command_of_the_walk_does_what_the_page_says(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakscan.synthetic.demo_data._volumes", lambda *_: [])
    monkeypatch.setenv("LEAKSCAN_CACHE", str(tmp_path / "cache"))
    said = {}
    for words, code in commands():
        if words[0] == "cd":
            monkeypatch.chdir(words[1])
        elif shlex.join(words) != IN_A_BROWSER:
            more = ("--workers", "0") if words[1] in ("compare", "audit", "split") else ()
            ran = leakscan(*words[1:], *more)
            assert ran.code == code, f"{words}: {ran.err}{ran.out}"
            said[" ".join(words[:2] + words[-1:])] = ran.out
    data = Path("checked").resolve().parent
    checked = rows_of(data / "checked", "pairs")
    assert {p["decision"] for p in checked} == {"cleared"}
    assert sorted(p["verdict"] for p in checked) == ["different", "wanted", "wanted"]
    applied = rows_of(data / "run", "pairs")
    assert sum(p["decision"] == "leak" for p in applied) == 9
    assert sum(p["verdict"] == "different" for p in applied) == 1
    assert rows_of(data / "audited", "pairs") == []
    assert Path("junit.xml").is_file() and Path("summary.md").is_file()


def test_the_page_has_the_whole_way() -> None:
    assert [words[1] for words, _ in commands() if words[0] == "leakscan"] == [
        *("demo", "compare", "review", "verdicts", "verdicts", "verdicts", "compare"),
        *("exclude", "compare", "split", "audit", "ci"),
    ]

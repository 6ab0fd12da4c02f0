"""The walk of the docs, from two folders to a green check, command by command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from support.makers import NO_ENCODER, Leakscan, fill, rows_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "walk.md"
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
    data = Path("run-checked").resolve().parent
    checked = rows_of(data / "run-checked", "pairs")
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


def test_the_whole_way_of_the_readme_leads_to_a_green_check(leakscan: Leakscan, tmp_path: Path) -> None:
    (block,) = (
        text
        for text in re.findall(
            r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
        )
        if "leakscan split" in text
    )
    fill(tmp_path / "hospital_a", range(12))
    fill(tmp_path / "research", range(9, 21), compress_level=9)
    lines = [f"{seed}.png,P{seed},{'ill' if seed % 2 else 'well'}" for seed in range(9, 21)]
    (tmp_path / "research" / "manifest.csv").write_text("\n".join(["filename,patient_id,diagnosis", *lines]))
    for line in block.splitlines()[1:]:
        words = shlex.split(line.partition("#")[0])
        if shlex.join(words) == IN_A_BROWSER:
            for wanted in (9, 10):  # as on the page of the review
                add = ("verdicts", "add", "run", "wanted", "--image", f"research/{wanted}.png")
                assert leakscan(*add, "--verdicts", "run/verdicts.parquet").code == 0
            continue
        more = (*NO_ENCODER, "--workers", "0") if words[1] in ("compare", "audit") else ()
        ran = leakscan(*words[1:], *more)
        leaks = words[1] == "compare" and "--exclude-list" not in words
        assert ran.code == (1 if leaks else 0 if words[1] == "split" else ran.code), f"{line}: {ran.err}"
        assert ran.code in (0, 1, 3), f"{line}: {ran.err}"  # 3: nobody was compared as a person here
        assert leaks or ran.code != 1, line
    checked = rows_of(tmp_path / "run-checked", "pairs")
    assert [(p["decision"], p["verdict"]) for p in checked] == [("cleared", "wanted")] * 2
    split = (tmp_path / "split.csv").read_text().splitlines()
    assert len(split) == 1 + 12 + 12 - 1  # everybody but the one who was dropped
    assert "other pictures" in (tmp_path / "summary.md").read_text()

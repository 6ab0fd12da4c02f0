"""What build servers read: the shell that all of them call, and the files that it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from leakscan.report.ci_files import junit, markdown, workflow_lines
from leakscan.run.models import Models
from support.makers import NO_ENCODER, Leakscan, fill

CI = Path(__file__).parents[2] / "docs" / "ci"


def summary(leaks: int, code: int) -> dict[str, object]:
    none = {"leak": 0, "review": 0, "cleared": 0}
    relations = ("same_file", "same_pixels", "same_image", "same_subject")
    counts = {r: {**none, "leak": leaks if r == "same_file" else 0} for r in relations}
    two = {"a": "A|<b>", "b": "B"}
    people = {"copies": leaks, "other_pictures": 0, "possible": 0, "accepted": 0}
    return {
        "exit_code": code,
        "reasons": ["Why & how."],
        "comparisons": [{**two, "decisions": counts}],
        "answer": {"headline": "A|<b>", "pairs_of_datasets": [{**two, **people}]},
    }


@pytest.mark.parametrize(
    ("leaks", "code", "failures", "errors"),
    [(2, 1, "1", "0"), (2, 0, "0", "0"), (0, 3, "0", "1"), (0, 0, "0", "0"), (0, 1, "0", "1")],
)
def test_junit_fails_as_the_run_does(leaks: int, code: int, failures: str, errors: str) -> None:
    suite = ET.fromstring(junit(summary(leaks, code)))
    assert (suite.get("failures"), suite.get("errors"), suite.get("tests")) == (failures, errors, "5")


def test_every_failure_tells_its_own_leaks_and_the_suite_tells_the_rest() -> None:
    suite = ET.fromstring(junit(summary(2, 1)))
    assert suite.findtext("testcase/failure") == "2 pairs of images of A|<b> and B: same_file."
    assert suite.findtext("system-out") == "Why & how."


def test_names_are_no_markup() -> None:
    page = markdown(summary(2, 1))
    assert "<b>" not in page
    assert [line.count("|") - line.count("\\|") for line in page.splitlines() if "B" in line and "|" in line][
        -1
    ] == 7


def test_names_that_a_terminal_would_obey_make_neither_a_broken_file_nor_a_raw_code() -> None:
    name = "ward\x1b[2J\ufffe\ud800\x00"
    told = json.loads(json.dumps(summary(2, 1)).replace("<b>", json.dumps(name)[1:-1]))
    assert "ward" in str(ET.fromstring(junit(told)).find("testcase").get("classname"))  # type: ignore[union-attr]
    for text in (junit(told), markdown(told)):
        assert not {"\x1b", "\ufffe", "\ud800", "\x00"} & set(text)


@pytest.mark.parametrize("code", [256, -1, 2.5, None, "1", [1], True, 10**30])
def test_a_summary_whose_exit_code_is_none_passes_no_build(
    leakscan: Leakscan, tmp_path: Path, code: object
) -> None:
    a, b = fill(tmp_path / "a", [1, 2]), fill(tmp_path / "b", [2, 3])
    assert leakscan("compare", a, b, "-o", tmp_path / "run", *NO_ENCODER).code == 1
    written = tmp_path / "run" / "summary.json"
    written.write_text(json.dumps({**json.loads(written.read_text()), "exit_code": code}))
    for command in (["ci", "--junit", tmp_path / "j.xml"], ["show"]):
        done = leakscan(*command, tmp_path / "run")
        assert done.code == 2
        assert "exit_code" in done.err


@pytest.mark.parametrize(
    "wrong", [{"datasets": {"x": 1}}, {"comparisons": 5}, {"sources": [1]}, {"answer": "no"}]
)
def test_a_summary_of_other_kinds_of_values_is_a_sentence(
    leakscan: Leakscan, tmp_path: Path, wrong: dict[str, object]
) -> None:
    a, b = fill(tmp_path / "a", [1, 2]), fill(tmp_path / "b", [2, 3])
    leakscan("compare", a, b, "-o", tmp_path / "run", *NO_ENCODER)
    written = tmp_path / "run" / "summary.json"
    written.write_text(json.dumps(json.loads(written.read_text()) | wrong))
    for command in ("show", "ci"):
        done = leakscan(command, tmp_path / "run")
        assert done.code == 2
        assert next(iter(wrong)) in done.err


def test_a_line_break_in_a_path_makes_no_second_annotation() -> None:
    pair = {"decision": "review", "relation": "same_image", "dataset_a": "A", "path_a": "a\n::error::x"}
    (line,) = workflow_lines([{**pair, "dataset_b": "B", "path_b": "b.png"}])
    assert line.startswith("::warning file=b.png,")
    assert "\n" not in line


def test_a_run_is_written_down_for_a_build_server(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))
    fill(tmp_path / "A", [1, 2])
    fill(tmp_path / "B", [2, 3])
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    ran = leakscan("ci", "run", "--junit", "j.xml", "--markdown", "s.md", "--annotations")
    assert ran.code == 1
    assert "::error file=B/2.png" in ran.out  # as seen from the repository
    assert ET.parse(tmp_path / "j.xml").getroot().get("failures") == "1"
    assert "1 of 2" in (tmp_path / "s.md").read_text()
    assert leakscan("ci", "A").code == 2


def test_without_paths_an_annotation_names_the_images_all_the_same() -> None:
    pair = {"decision": "leak", "relation": "same_file", "path_a": None, "path_b": None}
    ends = {"dataset_a": "A", "dataset_b": "B", "image_a": "a" * 64, "image_b": "b" * 64}
    (line,) = workflow_lines([{**pair, **ends}], {"A": None, "B": None})
    assert line == f"::error title=leakscan::same_file: B/image {'b' * 12} with A/image {'a' * 12}"


@pytest.mark.parametrize(
    ("place", "path", "marked"),
    [
        ("/repo/data", "x/1.png", "data/x/1.png"),
        ("/repo/data/", "../1.png", "1.png"),
        ("data", "1.png", "data/1.png"),
        ("/elsewhere", "1.png", "1.png"),
    ],
)
def test_a_file_is_marked_where_it_lies_in_the_repository(place: str, path: str, marked: str) -> None:
    pair = {"decision": "leak", "relation": "same_file", "dataset_a": "A", "path_a": "a.png"}
    (line,) = workflow_lines([{**pair, "dataset_b": "B", "path_b": path}], {"B": place}, Path("/repo"))
    assert f"file={marked}," in line


def test_every_server_calls_the_same_shell() -> None:
    calls = {
        "action.yml": yaml.safe_load((CI / "action.yml").read_text())["runs"]["steps"][0]["run"],
        "gitlab.yml": yaml.safe_load((CI / "gitlab.yml").read_text())["leakscan"]["script"][0],
        "dvc.yaml": yaml.safe_load((CI / "dvc.yaml").read_text())["stages"]["leakscan"]["cmd"],
        "pre-commit": yaml.safe_load((CI / "pre-commit-config.yaml").read_text())["repos"][0]["hooks"][0][
            "entry"
        ],
    }
    assert all("check.sh" in call for call in calls.values())


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_shell_ends_with_the_code_of_the_comparison(tmp_path: Path, code: int) -> None:
    """A program stands in for leakscan, and notes how it was called."""
    program = tmp_path / "bin" / "leakscan"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\nimport sys, pathlib\n"
        "with open('calls', 'a') as f: f.write(' '.join(sys.argv[1:]) + '\\n')\n"
        "run = pathlib.Path('leakscan-run'); run.mkdir(exist_ok=True)\n"
        f"if {code} < 2: (run / 'summary.json').write_text('{{}}'); (run / 'summary.md').write_text('told')\n"
        f"sys.exit({code})\n"
    )
    program.chmod(0o755)
    (tmp_path / "verdicts.parquet").touch()
    env = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": "page",
        "GITHUB_ACTIONS": "true",
        "LEAKSCAN_PATHS": "" if code else "show",
    }
    done = subprocess.run(["sh", CI / "check.sh", "a.fps", "new data"], cwd=tmp_path, env=env, check=False)
    assert done.returncode == code
    calls = (tmp_path / "calls").read_text().splitlines()
    hidden = " --hide-paths" if code else ""
    assert calls[0] == (
        f"compare a.fps new data --verdicts verdicts.parquet{hidden} -o leakscan-run --overwrite"
    )
    assert len(calls) == (2 if code < 2 else 1)
    if code < 2:
        assert (tmp_path / "page").read_text() == "told"
        assert calls[1].endswith("--annotations")


def test_the_shell_tells_nothing_of_an_earlier_run_where_there_is_no_new_one(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "leakscan"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho $1 >> calls\nexit 2\n")
    program.chmod(0o755)
    earlier = tmp_path / "leakscan-run"
    earlier.mkdir()
    (earlier / "summary.json").write_text("{}")
    (earlier / "summary.md").write_text("No leak found")
    (earlier / "junit.xml").write_text("<testsuites/>")
    env = {"PATH": f"{program.parent}:{os.environ['PATH']}", "GITHUB_STEP_SUMMARY": "page"}
    done = subprocess.run(["sh", CI / "check.sh", "a", "b"], cwd=tmp_path, env=env, check=False)
    assert done.returncode == 2
    assert (tmp_path / "calls").read_text().split() == ["compare"]
    assert not (tmp_path / "page").exists()
    assert not (earlier / "junit.xml").exists()


def test_the_shell_without_leakscan_says_what_is_missing(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", CI / "check.sh", "a", "b"], cwd=tmp_path, env=env, check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "LEAKSCAN_INSTALL" in done.stderr

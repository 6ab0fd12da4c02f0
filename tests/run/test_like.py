"""``compare --like RUN`` makes a run again as it was, and says what differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.makers import NO_ENCODER, Leakscan, fill, rows_of


def test_a_run_is_made_again_and_what_differs_is_said(
    two_folders: object, tmp_path: Path, leakscan: Leakscan
) -> None:
    first = leakscan("compare", "A", "B", "-o", "run", "--fail-on", "none", *NO_ENCODER)
    assert first.code == 0, first.err
    again = leakscan("compare", "--like", "run", "-o", "again")
    assert again.code == 0, again.err
    assert rows_of(tmp_path / "run", "pairs") == rows_of(tmp_path / "again", "pairs")
    assert "0 differences" in again.out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    summary["made_with"]["versions"]["numpy"] = "0.1"
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    fill(tmp_path / "A", [6])
    changed = leakscan("compare", "--like", "run", "-o", "third")
    assert "numpy: 0.1 before" in changed.out and "A: 4 images before, 5 now." in changed.out
    assert "1 new leak" in changed.out


def test_what_cannot_be_made_again_is_said(two_folders: object, tmp_path: Path, leakscan: Leakscan) -> None:
    leakscan("compare", "A", "B", "-o", "run", "--hide-paths", *NO_ENCODER)
    assert leakscan("compare", "--like", "run").code == 2
    assert leakscan("compare", "A", "--like", "run").code == 2
    assert leakscan("compare").code == 2
    made = json.loads((tmp_path / "run" / "summary.json").read_text())["made_with"]["settings"]
    assert "exclude" not in made["reading"] and "cache" not in made["limits"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda summary: summary["made_with"].pop("settings"),
        lambda summary: summary["datasets"][0].pop("status"),
        lambda summary: summary.update(datasets=5),
        lambda summary: summary.update(made_with="0.1"),
        lambda summary: summary["made_with"].update(versions=["numpy"]),
    ],
)
def test_a_summary_that_somebody_edited_is_named(
    two_folders: object, tmp_path: Path, leakscan: Leakscan, edit: Callable[[dict[str, Any]], object]
) -> None:
    leakscan("compare", "A", "B", "-o", "run", "--fail-on", "none", *NO_ENCODER)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    edit(summary)
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary))
    again = leakscan("compare", "--like", "run", "-o", "again")
    assert again.code == 2 and "another version made it" in again.err

"""The tutorial notebook runs from its first cell to its last, and says what it shows."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"


def cells() -> list[str]:
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]


def run(source: str, names: dict[str, Any]) -> Any:
    """What a notebook would show below a cell: the value of its last line."""
    parsed = ast.parse(source)
    last = parsed.body.pop() if isinstance(parsed.body[-1], ast.Expr) else None
    exec(compile(parsed, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


@pytest.mark.slow
def test_every_cell_of_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("leakscan.synthetic.demo_data._volumes", lambda *_: [])
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = [run(source, names) for source in cells()]
    assert shown[0] == 14
    assert shown[1]._repr_html_().count("<img") == 10, "the first five pairs, both sides"
    assert shown[2][0][0] == "same_file"
    assert "also in hospital_b" in shown[3]
    assert shown[5] == 1, "one accepted overlap"
    dropped, left = shown[6]
    assert dropped >= 11 and left == 0
    assert set(shown[7]) == {"train", "test"} and min(shown[7].values()) > 0


def test_the_notebook_holds_no_output_and_is_one_that_notebooks_open() -> None:
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    assert all(not cell["outputs"] for cell in book["cells"] if cell["cell_type"] == "code")

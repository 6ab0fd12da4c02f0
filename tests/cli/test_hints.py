"""The rooms know no command line: they raise codes, and the command line has the words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import leakscan as package
from leakscan.cli.hints import HINTS, worded
from leakscan.errors import StoreError, UsageError
from leakscan.settings import Settings
from support.makers import NO_ENCODER, Leakscan, fill

ROOT = Path(package.__file__).parent
FRONT_ENDS = ("cli", "research")
FLAG = re.compile(
    r"(?<![\w-])(--[a-z][a-z-]+|-[oq]\b)"
    r"|\bleakscan (compare|audit|fingerprint|calibrate|train|models|exclude)\b"
)


def core() -> Iterator[tuple[Path, ast.Module]]:
    """Every module below the front ends, as a syntax tree."""
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] not in FRONT_ENDS:
            yield path, ast.parse(path.read_text())


def strings(tree: ast.Module) -> Iterator[ast.Constant]:
    """The strings of a module that are no docstrings."""
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    after_fields = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text and id(node) not in documented | after_fields:
            yield node


def test_no_room_names_an_option_or_a_command() -> None:
    # What starts another process by its own command line is no sentence for a reader.
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for path, tree in core()
        if path.name != "measured_run.py"
        for node in strings(tree)
        if FLAG.search(str(node.value))
    ]
    assert named == []


def test_every_code_of_an_error_has_words_on_the_command_line() -> None:
    raised = {
        keyword.value.value
        for _, tree in core()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant) and keyword.value.value
    }
    without = {"bad_setting", "no_setting"}  # worded from the facts, or good as they are
    assert raised - without == set(HINTS)


def test_a_hint_names_the_option_on_the_command_line_and_the_argument_in_python(
    tmp_path: Path, leakscan: Leakscan
) -> None:
    fill(tmp_path / "A", range(2))
    fill(tmp_path / "B", range(2, 4))
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    again = leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    assert again.code == 2
    assert "--overwrite" in again.err
    settings = Settings.of(kind="other_2d", workers=0)
    with pytest.raises(package.LeakscanError, match="exists already") as caught:
        package.compare("A", "B", output="run", settings=settings)
    assert "overwrite=True" in caught.value.hint
    assert "--" not in caught.value.hint


def test_a_value_that_is_not_allowed_is_named_by_its_option() -> None:
    with pytest.raises(UsageError) as caught:
        Settings.of(max_unread=2)
    message, _ = worded(caught.value)
    assert message.startswith("--max-unread is 2; it must be a share between 0 and 1")


def test_an_error_without_a_code_keeps_its_own_hint() -> None:
    assert worded(StoreError("{path} is damaged.", "Delete it.", path="x")) == ("x is damaged.", "Delete it.")

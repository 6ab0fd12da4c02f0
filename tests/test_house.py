"""The rules of the house that a machine can check: short signatures, values by name, whole sentences."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import leakscan

ROOT = Path(leakscan.__file__).parent
MOST_PARAMETERS = 6
MOST_POSITIONAL_FIELDS = 5

# What starts an argument's line and shows that it is no phrase that stands alone.
FRAGMENT = re.compile(
    r"^\s+\w+: (of|for|from|in|to|with|by|as|on|at|is|are|than|see|likewise|whether to be|between|until)\b",
    re.I,
)
SECTION = re.compile(r"^\s*(Args|Attributes):\s*$")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def is_command(function: Function) -> bool:
    """Whether typer makes the parameters from a command line: every option is one."""
    return function.name.endswith("_command") or any(
        "Annotated" in ast.dump(a.annotation) for a in function.args.args if a.annotation
    )


def test_no_function_takes_more_than_six_parameters() -> None:
    long = []
    for path, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, Function) or is_command(node) or node.name in ("main", "_root"):
                continue
            names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([n for n in names if n not in ("self", "cls")])
            if count > MOST_PARAMETERS:
                long.append(f"{path}:{node.lineno} {node.name} takes {count}")
    assert long == []


def test_a_dataclass_of_more_than_five_fields_is_made_by_name() -> None:
    positional = []
    for path, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            marks = [d for d in node.decorator_list if "dataclass" in ast.dump(d)]
            fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
            if marks and len(fields) > MOST_POSITIONAL_FIELDS and "kw_only" not in ast.dump(marks[0]):
                positional.append(f"{path}:{node.lineno} {node.name} has {len(fields)} fields")
    assert positional == []


def test_an_argument_is_described_by_a_phrase_that_stands_alone() -> None:
    fragments = []
    for path, tree in modules():
        for node in ast.walk(tree):
            if not isinstance(node, Function | ast.ClassDef | ast.Module):
                continue
            inside = False
            for line in (ast.get_docstring(node, clean=False) or "").splitlines():
                if SECTION.match(line):
                    inside = True
                elif not line.strip():
                    inside = False
                elif inside and FRAGMENT.match(line):
                    fragments.append(f"{path} {getattr(node, 'name', '')}: {line.strip()}")
    assert fragments == []


def test_nothing_is_told() -> None:
    assert [path for path, _ in modules() if "is told" in (ROOT / path).read_text()] == []


def test_one_word_stands_for_what_details_do() -> None:
    """A look, a looker or a second look is a detail match; files keep their keys, and so does the JSON."""
    words = re.compile(r"\b(second look|looker|lookers|looked at|looks at|look again|looked again)\b", re.I)
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, _ in modules()
        if path != "research/same_tables.py"  # which knows what runs of older versions say
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if words.search(line)
    ]
    assert found == []


def test_a_class_has_a_name_of_its_own() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for path, tree in modules():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(path)
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}

"""Cells of tables that say more than one thing: several paths in one, and splits spread over columns."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from leakscan.sources.column_names import SPLIT_WORDS, plain
from leakscan.sources.formats import has_image_suffix

_YES = {"1", "true", "yes", "y", "x", "t"}
_NO = {"", "0", "false", "no", "n", "f", "nan", "none"}
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_SEPARATORS = (";", "|", ",", "\n")


def spread(table: dict[str, Sequence[str]], folder: Path) -> dict[str, Sequence[str]]:
    """Gives every path a row of its own, where a cell of the column ``path`` holds several.

    Args:
        table: Columns of text, among them ``path``.
        folder: The folder that paths are relative to.

    Example:
        >>> spread({"path": ["a.png;b.png", "c.png"], "subject_id": ["P1", "P2"]}, Path())
        {'path': ['a.png', 'b.png', 'c.png'], 'subject_id': ['P1', 'P1', 'P2']}
    """
    cells = [paths_in(cell, folder) for cell in table["path"]]
    if all(len(paths) == 1 for paths in cells):
        return table
    rows = [i for i, paths in enumerate(cells) for _ in paths]
    found: dict[str, Sequence[str]] = {name: [values[i] for i in rows] for name, values in table.items()}
    found["path"] = [path for paths in cells for path in paths]
    return found


def paths_in(cell: str, folder: Path) -> list[str]:
    """The paths that a cell names: one, or those of a list as JSON, Python or people write it.

    Args:
        cell: The text.
        folder: The folder that paths are relative to; a file that is called like the cell is one path.

    Example:
        >>> paths_in('["a.png", "b.png"]', Path()), paths_in("a.png, b.png", Path()), paths_in("a,b", Path())
        (['a.png', 'b.png'], ['a.png', 'b.png'], ['a,b'])
    """
    text = cell.strip()
    if text.startswith(("[", "(", "array(")) and text[-1:] in ("]", ")"):
        found = _written_list(text)
        return found if found else [cell]
    for separator in _SEPARATORS:
        parts = [part.strip() for part in text.split(separator)] if separator in text else []
        named = [part for part in parts if part]
        if len(named) > 1 and all(map(has_image_suffix, named)) and not _lies(folder, text):
            return named
    return [cell]


def one_hot_splits(table: dict[str, Sequence[str]]) -> tuple[list[str], list[str]] | None:
    """The split of every row, where each split has a column that says yes or no, and those columns.

    One column such as ``is_train`` will do: what it denies is ``test``.

    Example:
        >>> one_hot_splits({"path": ["a.png", "b.png"], "train": ["1", "0"], "test": ["0", "1"]})
        (['train', 'test'], ['train', 'test'])
        >>> one_hot_splits({"path": ["a.png", "b.png"], "is_train": ["True", "False"]})
        (['train', 'test'], ['is_train'])
    """
    columns = {name: plain(name).removeprefix("is").removeprefix("in") for name in table}
    columns = {name: word for name, word in columns.items() if word in SPLIT_WORDS}
    said = {name: [v.strip().casefold().removesuffix(".0") for v in table[name]] for name in columns}
    columns = {name: word for name, word in columns.items() if _yes_or_no(said[name])}
    if not columns:
        return None
    if len(columns) == 1:
        ((name, word),) = columns.items()
        if word not in ("train", "training", "test", "testing"):
            return None
        other = "test" if word.startswith("train") else "train"
        return [word if v in _YES else other for v in said[name]], [name]
    rows = list(zip(*(said[name] for name in columns), strict=True))
    if any(sum(v in _YES for v in row) > 1 for row in rows):
        return None
    words = list(columns.values())
    return [next((w for w, v in zip(words, row, strict=True) if v in _YES), "") for row in rows], list(
        columns
    )


def _yes_or_no(values: Sequence[str]) -> bool:
    return bool(_YES & set(values)) and set(values) <= _YES | _NO


def _written_list(text: str) -> list[str]:
    """The texts of a list as JSON, Python or NumPy print it, or as people do without quotes."""
    quoted = [a or b for a, b in _QUOTED.findall(text)]
    plain_words = [] if quoted else [part.strip() for part in text.strip("[]()").split(",")]
    return [v for v in quoted or plain_words if v.strip()]


def _lies(folder: Path, text: str) -> bool:
    try:
        return os.path.lexists(folder / text)
    except ValueError:
        return False

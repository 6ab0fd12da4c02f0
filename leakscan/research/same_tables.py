"""Holds the tables of two folders of runs against each other, row by row.

``python -m leakscan.research.same_tables BEFORE AFTER`` finds every run below ``BEFORE`` and ``AFTER``
(a folder with ``summary.json``) and compares the tables of runs of the same name: equal columns, and equal
rows in the same order. A value that is not a number equals another one. Nothing is tolerated, except with
``--wording`` the sentences of ``WORDING``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from leakscan.cli.output import Output
from leakscan.counted import counted
from leakscan.errors import SourceError, UsageError
from leakscan.research.command import run_command

TABLES = ("images", "fingerprints", "pairs", "subjects")
"""Tables of a run that are compared."""

WORDING: Mapping[str, str] = {
    "a second look at both films makes one person": "the detail match of both films makes one person",
    "perhaps a copy, unverified: ": "perhaps a copy, not checked: ",
    "the time for verification was up": "the time for copy checks was up",
}
"""Sentences of the column ``evidence`` that were worded anew: the old words -> the new ones."""

_SENTENCES = "evidence"
_SHOWN = 5  # differences that are named for each table
_LONGEST = 120  # characters shown of a value


@dataclass(frozen=True)
class DifferingValue:
    """One value that differs.

    Attributes:
        row: The position of the row, from 0.
        column: The name of the column.
        before: The value before.
        after: The value after.
    """

    row: int
    column: str
    before: Any
    after: Any

    def __str__(self) -> str:
        before, after = self.before, self.after
        if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
            before, after = next(pair for pair in zip(before, after, strict=True) if not _same(*pair))
        return f"row {self.row}, {self.column}: {_short(before)} -> {_short(after)}"


@dataclass(frozen=True)
class ComparedTables:
    """What comparing two tables came to.

    Attributes:
        rows: The number of rows before and after.
        problems: Sentences about columns and numbers of rows that differ.
        differences: The values that differ, by row and then by column.
        equal_by_wording: The number of rows that are equal only after the sentences were worded anew.
    """

    rows: tuple[int, int]
    problems: tuple[str, ...]
    differences: tuple[DifferingValue, ...]
    equal_by_wording: int = 0

    @property
    def equal(self) -> bool:
        """Whether nothing differs that is not tolerated."""
        return not self.problems and not self.differences


def compare_tables(
    before: pa.Table, after: pa.Table, wording: Mapping[str, str] | None = None
) -> ComparedTables:
    """Compares two tables, columns and rows in their order.

    Args:
        before: The one table.
        after: The other table.
        wording: Words of the column ``evidence`` -> the words that replace them; nothing is replaced if
            not given.

    Example:
        >>> one = pa.table({"p": [0.1, float("nan")]})
        >>> compare_tables(one, one).equal
        True
    """
    problems = []
    if before.column_names != after.column_names:
        problems.append(f"columns: {', '.join(before.column_names)} -> {', '.join(after.column_names)}")
    if before.num_rows != after.num_rows:
        problems.append(f"rows: {before.num_rows:,} -> {after.num_rows:,}")
    differences: list[DifferingValue] = []
    reworded: set[int] = set()
    for name in (name for name in before.column_names if name in after.column_names):
        old, new = before[name], after[name]
        if old.type != new.type:
            problems.append(f"type of {name}: {old.type} -> {new.type}")
        if old.equals(new):
            continue
        for row, (was, now) in enumerate(zip(old.to_pylist(), new.to_pylist(), strict=False)):
            if _same(was, now):
                continue
            if wording and name == _SENTENCES and _same(_reworded(was, wording), now):
                reworded.add(row)
            else:
                differences.append(DifferingValue(row, name, was, now))
    reworded -= {difference.row for difference in differences}
    differences.sort(key=lambda d: (d.row, before.column_names.index(d.column)))
    return ComparedTables(
        (before.num_rows, after.num_rows), tuple(problems), tuple(differences), len(reworded)
    )


def _runs_below(folder: Path) -> dict[str, Path]:
    """Relative name -> folder of every run in a folder, at any depth; the folder itself is ``.``.

    Raises:
        SourceError: There is no run.
    """
    found = {path.parent.relative_to(folder).as_posix(): path.parent for path in folder.rglob("summary.json")}
    if not found:
        raise SourceError(f"{folder} holds no run: there is no summary.json in it.")
    return dict(sorted(found.items()))


def same_tables(
    before: Annotated[Path, typer.Argument(help="Folder of runs, or one run.")],
    after: Annotated[Path, typer.Argument(help="The same runs, made later.")],
    wording: Annotated[
        bool, typer.Option("--wording", help="Accept the sentences that are known to be worded anew.")
    ] = False,
) -> None:
    """Say whether the tables of two folders of runs are equal, row by row; exit 1 if not.

    Example: python -m leakscan.research.same_tables before after
    """
    out = Output()
    one, other = _runs_below(before), _runs_below(after)
    if set(one) != set(other):
        only = sorted(set(one) ^ set(other))
        raise UsageError(f"Not in both folders: {', '.join(only)}.", "Keep the same runs in both.")
    all_equal = True
    for name in one:
        for table in TABLES:
            found = compare_tables(
                _read(one[name] / f"{table}.parquet"),
                _read(other[name] / f"{table}.parquet"),
                WORDING if wording else None,
            )
            out.say(f"{name}/{table}: {_words(found)}")
            for line in (*found.problems, *map(str, found.differences[:_SHOWN])):
                out.say(f"  {line}")
            all_equal = all_equal and found.equal
    if not all_equal:
        raise typer.Exit(1)


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as e:
        raise SourceError(f"{path} cannot be read: {e}.") from e


def _words(found: ComparedTables) -> str:
    before, after = found.rows
    words = counted(before, "row") if before == after else f"{before:,} and {counted(after, 'row')}"
    if found.equal_by_wording:
        words += f", {found.equal_by_wording:,} of them equal only by wording"
    if found.equal:
        return words + ", equal"
    rows = len({difference.row for difference in found.differences})
    return words + (f", {rows:,} different" if rows else ", different")


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal; what is not a number equals itself, in lists as well."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def _reworded(value: Any, wording: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_reworded(part, wording) for part in value]
    if isinstance(value, str):
        for old, new in wording.items():
            value = value.replace(old, new)
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


if __name__ == "__main__":
    run_command(same_tables)

"""Verdicts as a CSV file that people edit, also with a spreadsheet program, and read back."""

from __future__ import annotations

import csv
import datetime as dt
import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from leakscan import harmless
from leakscan.errors import UsageError, reason
from leakscan.review.opinions import newest_of_each
from leakscan.review.verdicts import Verdict

COLUMNS = [f.name for f in fields(Verdict)]
"""The columns that are read back; all others, such as paths, are for people."""

# Spreadsheets would take digits for numbers, and 12e4 for 120,000.
_MARKED = {"id": "v:", "subject_a": "s:", "subject_b": "s:", "key_id": "k:"}
_LISTS = ("pictures_a", "pictures_b", "members")
_NUMBERS = ("score", "p_value", "probability")
_EVIDENCE = " | "
_YES = ("true", "1", "yes", "wahr", "vrai", "verdadero", "vero", "waar")
_NO = ("false", "0", "no", "", "falsch", "faux", "falso", "onwaar")
_SEPARATORS = (",", ";", "\t")
_SAID_SEPARATOR = ("sep=;", "sep=,", "sep=", '"sep=;"', '"sep=,"')
_OTHERS = {
    b"PK": "a workbook of a spreadsheet program",
    b"PAR1": "a Parquet file",
    b"\xd0\xcf": "an old workbook",
}


def to_csv(verdicts: Sequence[Verdict], more: Sequence[Mapping[str, str]] | None = None) -> str:
    """Verdicts as the text of a CSV file.

    Args:
        verdicts: The verdicts, one line each.
        more: More cells of each line, for the reader; they are not read back.

    Example:
        >>> said = Verdict(by="ann", verdict="same", scope="pair", pictures_a=("p1",), pictures_b=("p2",))
        >>> text = to_csv([said])
        >>> text.splitlines()[0][:30], from_csv(text.encode(), Path("v.csv")) == [said]
        ('by,verdict,scope,dataset_a,dat', True)
    """
    extra = list(more[0]) if more else []
    told = zip(verdicts, more or [{}] * len(verdicts), strict=True)
    return harmless.csv_text([*extra, *COLUMNS], ({**cells, **_cells(verdict)} for verdict, cells in told))


def from_csv(content: bytes, path: Path) -> list[Verdict]:
    r"""The verdicts of a CSV file: commas, semicolons or tabs, with or without a byte order mark.

    Args:
        content: The bytes of the file.
        path: Its path, for the error.

    Raises:
        UsageError: A line makes no sense; the message says which and why.

    Example:
        >>> text = "by;verdict;scope;pictures_a;pictures_b;until\nann;wanted;pair;p1;p2;31.01.2027\n"
        >>> (verdict,) = from_csv(text.encode("utf-8-sig"), Path("v.csv"))
        >>> verdict.verdict, verdict.until
        ('wanted', datetime.date(2027, 1, 31))
    """
    if other := next((words for mark, words in _OTHERS.items() if content.startswith(mark)), None):
        raise UsageError(f"{{path}} is {other}.", "Save it as CSV.", path=path)
    text = _text(content)
    said, _, rest = text.partition("\n")
    above = 0
    if said.strip().lower() in _SAID_SEPARATOR:  # a line for Excel alone
        text, above = rest, 1
    header = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=header.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise UsageError(f"{{path}} is no CSV file: {error}.", path=path) from error
    names = [name.strip().lower() for name in lines[0]] if lines else []
    if missing := [name for name in ("by", "verdict", "scope") if name not in names]:
        raise UsageError(
            f"{{path}} has no column {missing[0]!r}, so it holds no verdicts.",
            "Columns are those of an exported file.",
            path=path,
        )
    out = []
    for number, line in enumerate(lines[1:], 2 + above):
        cells = dict(zip(names, (cell.strip() for cell in line), strict=False))
        if not any(cells.values()):
            continue
        if not cells.get("verdict"):
            raise UsageError(
                f"Line {number} of {{path}} has no verdict.",
                "Write same, different, unsure, wanted or withdrawn there, or delete the line.",
                path=path,
            )
        try:
            out.append(Verdict.of_row(_row(cells)))
        except UsageError as error:
            raise UsageError(f"Line {number} of {{path}}: {error.message}", path=path) from error
    return out


def read_csv(path: Path) -> list[Verdict]:
    """The verdicts of a CSV file on disk.

    Raises:
        UsageError: It cannot be read, or a line makes no sense.

    Example:
        >>> said = Verdict(by="ann", verdict="same", scope="pair", pictures_a=("p1",), pictures_b=("p2",))
        >>> _ = Path("v.csv").write_text(to_csv([said]))
        >>> read_csv(Path("v.csv")) == [said]
        True
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{{path}} cannot be read: {reason(error)}.", path=path) from error
    return from_csv(content, path)


def edited(before: Sequence[Verdict], lines: Sequence[Verdict]) -> list[Verdict]:
    """What an edited file says that its verdicts did not say before.

    A line that was changed is a new verdict of now, because nothing that was said is ever changed. A line
    without an id is new. A line that was removed says nothing: to take a verdict back, write ``withdrawn``.

    Args:
        before: The verdicts of the file that was exported.
        lines: The verdicts of the edited file.

    Example:
        >>> said = Verdict(by="ann", verdict="same", scope="pair", pictures_a=("p1",), pictures_b=("p2",))
        >>> edited([said], [said]), edited([said], [replace(said, note="sure")])[0].note
        ([], 'sure')
    """
    known = {verdict.id: verdict for verdict in before}
    newest = newest_of_each(before)
    out = []
    for line in lines:
        old, last = known.get(line.id), newest.get((line.about, line.by))
        if old is None:
            out.append(line)
        elif _said(line) not in [_said(verdict) for verdict in (old, last) if verdict]:
            out.append(replace(old, **_said(line), at=dt.datetime.now(dt.UTC), id=uuid.uuid4().hex))
    return out


def _said(verdict: Verdict) -> dict[str, Any]:
    """What a person may change of a line."""
    return {name: getattr(verdict, name) for name in ("by", "verdict", "scope", "note", "reason", "until")}


def _cells(verdict: Verdict) -> dict[str, Any]:
    row = {name: "" if value is None else value for name, value in verdict.row().items()}
    for name in _LISTS:
        row[name] = " ".join(row[name])
    row["evidence"] = _EVIDENCE.join(verdict.evidence)
    row["at"] = verdict.at.isoformat()
    row |= {name: mark + row[name] for name, mark in _MARKED.items() if row[name]}
    return {n: c if n in _NUMBERS else str(c) for n, c in row.items()}


def _row(cells: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in COLUMNS:
        cell = cells.get(name, "")
        cell = harmless.from_cell(cell)
        if not cell:
            continue
        if name in _MARKED:
            row[name] = cell.removeprefix(_MARKED[name])
        elif name in _LISTS:
            row[name] = cell.split()
        elif name == "evidence":
            row[name] = cell.split(_EVIDENCE)
        elif name in _NUMBERS or name == "at":
            value = _number(cell) if name in _NUMBERS else _moment(cell)
            if value is None and not cells.get("id"):
                what = "no number" if name in _NUMBERS else "no time; leave it empty, then it is now"
                raise UsageError(f"{name} is {cell!r}, which is {what}.")
            if value is not None:  # of a line that was exported the file knows it better than a spreadsheet
                row[name] = value
        elif name == "until":
            row[name] = _day(cell)
        elif name == "blind":
            row[name] = _truth(cell)
        else:
            row[name] = cell.lower() if name in ("verdict", "scope") else cell
    return row


def _text(content: bytes) -> str:
    """The text of a file as spreadsheets save it."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _number(cell: str) -> float | None:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return None


def _day(cell: str) -> dt.date:
    cell = cell.removesuffix("00:00:00").rstrip("T ")
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%d.%m.%y", "%Y/%m/%d", "%d-%m-%Y", "%d-%b-%Y", "%d-%b-%y"):
        try:
            return dt.datetime.strptime(cell, form).date()
        except ValueError:
            continue
    slashed = [_slashed(cell, form) for form in ("%d/%m/%Y", "%m/%d/%Y")]
    days = {day for day in slashed if day}
    if len(days) == 1:  # 31/12/2027 and 12/31/2027 are one day, 1/2/2027 may be two
        return days.pop()
    raise UsageError(f"until is {cell!r}; write the day as 2027-01-31.")


def _slashed(cell: str, form: str) -> dt.date | None:
    try:
        return dt.datetime.strptime(cell, form).date()
    except ValueError:
        return None


def _moment(cell: str) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(cell)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _truth(cell: str) -> bool:
    if cell.lower() in _YES:
        return True
    if cell.lower() in _NO:
        return False
    raise UsageError(f"blind is {cell!r}; write true or false.")

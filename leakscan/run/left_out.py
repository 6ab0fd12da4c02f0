"""Images that a list names, left out of a run after they were found; each stays a row that says so."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from leakscan import tables
from leakscan.errors import UsageError, reason
from leakscan.fingerprint.pipeline import Dataset
from leakscan.harmless import from_cell
from leakscan.sources.exclusion import Exclusion

_ON_LIST = "It is on the list of what to leave out."
_BY_PATTERN = "A pattern of what to leave out names it."
_NAMES = ("image_id", "path", "pixel_hash")


@dataclass(frozen=True)
class Omitted:
    """What lists and patterns left out of a run.

    Attributes:
        images: How many images of each dataset.
        warnings: Entries that name nothing, in sentences.
    """

    images: dict[str, int]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ListedImages:
    """One list of what to leave out.

    Attributes:
        path: The file.
        rows: What each entry names: ``dataset`` (may be empty) and ``image_id``, ``path`` or ``pixel_hash``.
    """

    path: Path
    rows: tuple[dict[str, str], ...]

    @classmethod
    def read(cls, path: Path) -> ListedImages:
        r"""Reads a list that ``exclude`` wrote, or any CSV or Parquet file with a column ``path``.

        Args:
            path: The file. Commas, semicolons and tabs, with or without a byte order mark, are understood.

        Raises:
            UsageError: It cannot be read, or has no column that names images.

        Example:
            >>> _ = Path("drop.csv").write_text("path\nfilm 1.png\n")
            >>> ListedImages.read(Path("drop.csv")).rows
            ({'path': 'film 1.png'},)
        """
        try:
            rows = (
                tables.read_parquet(path).to_pylist()
                if path.suffix.lower() == ".parquet"
                else _csv_rows(path)
            )
        except (OSError, pa.ArrowException, UnicodeDecodeError, csv.Error) as error:
            why = reason(error) if isinstance(error, OSError) else "it is damaged"
            raise UsageError(f"The list {{path}} cannot be read: {why}.", path=path) from error
        names = [name for name in _NAMES if rows and name in rows[0]]
        if rows and not names:
            raise UsageError(
                "The list {path} names no images: it has no column path, image_id or pixel_hash.",
                "Make one with leakscan.review.lists.exclusions.",
                code="no_list",
                path=path,
            )
        wanted = ("dataset", *names)
        return cls(path, tuple({n: str(r[n]) for n in wanted if r.get(n)} for r in rows))


def leave_out(
    datasets: Sequence[Dataset], lists: Sequence[ListedImages], patterns: Exclusion
) -> tuple[list[Dataset], Omitted]:
    """Datasets in which what is listed is ``ignored``, and what that came to.

    An entry names an image by its id, its path, or its pixels, whichever fits, in the dataset that it names
    (in all, where it names none). Patterns count for stores only, because sources apply them themselves.

    Args:
        datasets: The datasets of the run.
        lists: Lists of what to leave out.
        patterns: The paths to leave out.

    Raises:
        UsageError: No entry of a list names any image of the run, so it belongs to another one.

    Example::

        datasets, left = leave_out(datasets, [ListedImages.read(Path("exclude-B.csv"))], Exclusion(()))
        left.images  # {'B': 12}
    """
    names = {d.name for d in datasets}
    met: dict[Path, set[int]] = {one.path: set() for one in lists}
    out, counts = [], Counter[str]()
    for dataset in datasets:
        why: dict[int, str] = {}
        if not lists and (dataset.refs or patterns.empty):
            out.append(dataset)
            continue
        columns = {n: dataset.rows[n].to_pylist() for n in (*_NAMES, "status")}
        for one in lists:
            places = [_places(name, columns[name]) for name in _NAMES]
            for number, entry in enumerate(one.rows):
                if entry.get("dataset", dataset.name) not in (dataset.name, *_unknown(entry, names)):
                    continue
                for name, place in zip(_NAMES, places, strict=True):
                    if found := place.get(entry.get(name, "")):
                        met[one.path].add(number)
                        why |= dict.fromkeys(found, _ON_LIST)
                        break
        if not dataset.refs:  # a store
            why |= {
                i: _BY_PATTERN for i, path in enumerate(columns["path"]) if path and patterns.covers(path)
            }
        counts[dataset.name] = sum(columns["status"][i] != "ignored" for i in why)
        out.append(_without(dataset, why) if why else dataset)
    warnings = []
    for one in lists:
        missed = len(one.rows) - len(met[one.path])
        if missed and missed == len(one.rows):
            raise UsageError(
                "No entry of the list {path} names an image of this run.",
                "It belongs to other datasets.",
                path=one.path,
            )
        if missed:
            warnings.append(f"{missed:,} of {len(one.rows):,} entries of a list name no image of this run.")
    return out, Omitted({name: n for name, n in counts.items() if n}, tuple(warnings))


def _unknown(entry: dict[str, str], names: set[str]) -> tuple[str, ...]:
    """The dataset of an entry, if the run has none of that name: it was renamed, so all are meant."""
    dataset = entry.get("dataset", "")
    return () if dataset in names else (dataset,)


def _places(column: str, values: Sequence[str | None]) -> dict[str, list[int]]:
    out: dict[str, list[int]] = {}
    for i, value in enumerate(values):
        if value:
            out.setdefault(value, []).append(i)
    return out


def _without(dataset: Dataset, why: dict[int, str]) -> Dataset:
    """The dataset with some rows ignored; whom they show is no part of the run either."""
    rows = dataset.rows
    at = np.zeros(len(rows), bool)
    at[list(why)] = True
    for name, value in (("status", "ignored"), ("error", None), ("subject", None), ("study_uid_hash", None)):
        values = rows[name].to_pylist()
        for i, words in why.items():
            values[i] = words if name == "error" else value
        field = rows.schema.field(name)
        rows = rows.set_column(rows.column_names.index(name), field, pa.array(values, field.type))
    gone = {str(rows["image_id"][i].as_py()) for i in why}
    refs = {name: ref for name, ref in dataset.refs.items() if name not in gone}
    subjects = {name: subject for name, subject in dataset.subjects.items() if name not in gone}
    return replace(dataset, rows=rows, refs=refs, subjects=subjects)


def _csv_rows(path: Path) -> list[dict[str, str]]:
    text = path.read_bytes().decode("utf-8-sig")  # with the ends of lines as they are: names may hold some
    header = text.partition("\n")[0]
    separator = max((",", ";", "\t"), key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    return [
        {(n or "").strip().lower(): from_cell(v or "") for n, v in row.items() if isinstance(v, str)}
        for row in rows
    ]

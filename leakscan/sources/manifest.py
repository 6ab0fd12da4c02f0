"""A table that lists images: CSV or Parquet with ``path`` and what is declared about each."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from leakscan.errors import SourceError, reason
from leakscan.settings import DecodeOptions
from leakscan.sources.collect import Collector, posix_name
from leakscan.sources.exclusion import Exclusion
from leakscan.sources.formats import pair_header
from leakscan.sources.spec import SourceSpec
from leakscan.sources.subject_rules import SubjectRule
from leakscan.types import KINDS, ImageRef, Progress, Tags

_MAX_LISTED = 12


class ManifestSource:
    r"""The images that the rows of a table name. An :class:`~leakscan.types.ImageSource`.

    A manifest is ``.csv`` (UTF-8, comma separated, with a header line) or ``.parquet``. Its column
    ``path`` is relative to its folder; ``split`` and ``kind`` are optional.

    Args:
        spec: The manifest, and which of its rows count.
        name: The name of the dataset in every table.
        options: The limits and choices for reading headers.
        exclude: Patterns of paths to leave out, as in a :class:`~leakscan.sources.directory.DirectorySource`.
        subjects: The rule by which paths name subjects, where the column is absent or empty.
        subjects_column: The column that declares subjects; it may be absent if it has its usual name.

    Raises:
        SourceError: The table cannot be read, lacks a column, or has no row that the filters ask for.

    Example:
        >>> from PIL import Image
        >>> from leakscan.types import Silent
        >>> Image.new("L", (8, 8)).save("film.png")
        >>> _ = Path("films.csv").write_text("path,subject_id,split\nfilm.png,P7,test\n")
        >>> source = ManifestSource(SourceSpec.parse("films.csv?split=test"), "films", DecodeOptions())
        >>> [(ref.path, ref.tags.subject) for ref in source.scan(Silent())]
        [('film.png', 'P7')]
    """

    def __init__(
        self,
        spec: SourceSpec,
        name: str,
        options: DecodeOptions,
        exclude: Sequence[str] = (),
        subjects: SubjectRule | None = None,
        subjects_column: str = "subject_id",
    ) -> None:
        self.name = name
        self._options = options
        self._subjects_column = subjects_column
        self._subjects = subjects
        path = spec.path
        self._root = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would rename linked roots
        table = _table(path)
        needed = ["path", *dict(spec.filters)] + (
            [subjects_column] if subjects_column != "subject_id" else []
        )
        for column in needed:
            if column not in table:
                raise SourceError(
                    f"The manifest {{path}} has no column {column!r}.",
                    f"It has {_listed(list(table))}.",
                    path=path,
                )
        rows: Sequence[int] = range(len(table["path"]))
        for column, value in spec.filters:
            values = table[column]
            rows_left = [i for i in rows if values[i].strip() == value.strip()]
            if rows and not rows_left:
                raise SourceError(
                    f"No row of the manifest {{path}} has {column} = {value!r}.",
                    f"Among these rows {column} is {_listed(sorted({values[i] for i in rows}))}.",
                    path=path,
                )
            rows = rows_left
        left_out = Exclusion(exclude)
        rows = [i for i in rows if not left_out.covers(posix_name(table["path"][i]))]
        if not rows:
            raise SourceError(
                "The manifest {path} lists no images.",
                "Rows that the setting exclude names do not count.",
                code="manifest_empty",
                path=path,
            )
        self._rows = [self._row(table, i) for i in rows]
        for (_, tags), i in zip(self._rows, rows, strict=True):
            if tags.kind and tags.kind not in KINDS:
                raise SourceError(
                    f"Row {i + 1} of the manifest {{path}} has the kind {tags.kind!r}.",
                    f"Kinds are {', '.join(KINDS)}; leave it empty if unknown.",
                    path=path,
                )

    def scan(self, progress: Progress) -> Iterator[ImageRef]:
        """Yields images in the order of the rows, then DICOM images; every row is accounted for."""
        collector = Collector(self._root, self._options)
        progress.start("scan", len(self._rows))
        for listed, tags in self._rows:
            yield from self._images(collector, listed, tags)
            progress.advance()
        yield from collector.finish()
        progress.finish()

    def _row(self, table: Mapping[str, Sequence[str]], i: int) -> tuple[str, Tags]:
        def cell(column: str) -> str:
            return table[column][i].strip() if column in table else ""

        path = table["path"][i]
        subject = cell(self._subjects_column)
        if not subject and self._subjects is not None:
            subject = self._subjects.subject(path)
        return path, Tags(subject=subject, kind=cell("kind"), split=cell("split"))

    def _images(self, collector: Collector, listed: str, tags: Tags) -> Iterator[ImageRef]:
        if not listed.strip():
            yield collector.problem("", "unreadable", "A row of the manifest names no file.")
            return
        path = Path(os.path.normpath(self._root / listed))
        if not path.is_relative_to(self._root):
            error = "The manifest names a path outside its folder; put the manifest above the images."
            yield collector.problem(posix_name(listed), "unreadable", error)
            return
        name = posix_name(os.path.relpath(path, self._root))
        try:
            if not path.resolve().is_relative_to(self._root.resolve()):
                yield collector.problem(name, "unsupported", "It is a link that leaves the folder.")
            elif not path.exists():
                yield collector.problem(name, "unreadable", "The manifest names it, but it does not exist.")
            else:
                header = pair_header(path)
                if header is not None:
                    name = posix_name(os.path.relpath(header, self._root))
                yield from collector.add(header or path, name, tags)
        except (OSError, RuntimeError, ValueError) as e:
            why = reason(e) if isinstance(e, OSError) else str(e)
            yield collector.problem(name, "unreadable", f"It cannot be read: {why}.")


def _table(path: Path) -> dict[str, Sequence[str]]:
    """Columns of text; what is absent or null is empty.

    Raises:
        SourceError: There is no such table, or it is damaged.
    """
    try:
        return _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    except OSError as error:
        raise SourceError(f"The manifest {{path}} cannot be read: {reason(error)}.", path=path) from error
    except UnicodeDecodeError as error:
        raise SourceError("The manifest {path} is not UTF-8 text.", "Save it as UTF-8.", path=path) from error
    except (csv.Error, pa.ArrowException) as error:
        raise SourceError(f"The manifest {{path}} is damaged: {error}.", path=path) from error


def _csv(path: Path) -> dict[str, Sequence[str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = csv.reader(stream, strict=True)
        header = [c.strip() for c in next(lines, [])]
        _check_columns(header, path)
        columns: list[list[str]] = [[] for _ in header]
        for line in lines:
            if not line:
                continue
            if len(line) != len(header):
                raise SourceError(
                    f"Line {lines.line_num} of the manifest {{path}} has {len(line)} values, "
                    f"its first line {len(header)}.",
                    "Values that contain commas need double quotes around them.",
                    path=path,
                )
            for column, value in zip(columns, line, strict=True):
                column.append(value)
    return dict(zip(header, columns, strict=True))


def _parquet(path: Path) -> dict[str, Sequence[str]]:
    table = pq.read_table(path)
    _check_columns(table.column_names, path)
    return {name: [_text(v) for v in table[name].to_pylist()] for name in table.column_names}


def _check_columns(names: Sequence[str], path: Path) -> None:
    if not any(names):
        raise SourceError("The manifest {path} is empty.", path=path)
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise SourceError(f"The manifest {{path}} has two columns called {min(twice)!r}.", path=path)


def _text(value: Any) -> str:
    """A cell as CSV would have it: whole numbers without a point, because nulls turn them to floats."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _listed(values: Sequence[str]) -> str:
    shown = [v or "(empty)" for v in values[:_MAX_LISTED]]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {more} others" if more else "")


def column_values(path: Path, column: str, exclude: Sequence[str] = ()) -> list[str]:
    r"""One column of a manifest as text, empty where it is null.

    Args:
        path: The manifest.
        column: The name of the column.
        exclude: Patterns of paths whose rows do not count.

    Raises:
        SourceError: The table cannot be read or has no such column.

    Example:
        >>> _ = Path("films.csv").write_text("path,split\na.png,train\nb.png,\n")
        >>> column_values(Path("films.csv"), "split")
        ['train', '']
    """
    table = _table(path)
    if column not in table:
        raise SourceError(
            f"The manifest {{path}} has no column {column!r}.", f"It has {_listed(list(table))}.", path=path
        )
    left_out = Exclusion(exclude if "path" in table else ())
    paths = table.get("path", table[column])
    return [
        value.strip()
        for path, value in zip(paths, table[column], strict=True)
        if not left_out.covers(posix_name(path))
    ]

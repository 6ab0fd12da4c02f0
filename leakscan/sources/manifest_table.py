"""The table of a manifest: CSV with any of the usual separators, or Parquet, as columns of text."""

from __future__ import annotations

import codecs
import csv
import difflib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from leakscan.errors import SourceError, reason

Columns = dict[str, Sequence[str]]

_MAX_LISTED = 12
_SEPARATORS = ",;\t|"
_PATHS = (
    "path", "filepath", "imagepath", "relativepath", "relpath", "filename", "file", "imageindex", "imagefile",
    "imagefilename", "imagename", "image", "dicompath", "dicomfile", "dicom", "imgpath", "img", "fname",
    "fullpath", "pngpath", "niftipath",
)  # fmt: skip
"""Names of the column of paths in tables of public data sets, without spaces and underscores."""
_SUBJECTS = (
    "subject",
    "subjectid",
    "patient",
    "patientid",
    "participantid",
    "participant",
    "person",
    "personid",
)


def read_table(path: Path) -> Columns:
    r"""Columns of text; what is absent or null is empty.

    Raises:
        SourceError: There is no such table, or it is damaged.

    Example:
        >>> _ = Path("films.csv").write_text("path;split\na.png;train\n")
        >>> read_table(Path("films.csv"))
        {'path': ['a.png'], 'split': ['train']}
    """
    try:
        return _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    except OSError as error:
        raise SourceError(f"The manifest {{path}} cannot be read: {reason(error)}.", path=path) from error
    except UnicodeDecodeError as error:
        raise SourceError("The manifest {path} is not UTF-8 text.", "Save it as UTF-8.", path=path) from error
    except (csv.Error, pa.ArrowException) as error:
        raise SourceError(f"The manifest {{path}} is damaged: {error}.", path=path) from error


def plain(name: str) -> str:
    """A column's name without case, spaces and underscores.

    Example:
        >>> plain(" Image Index")
        'imageindex'
    """
    return "".join(c for c in name.casefold() if c.isalnum())


def path_column(table: Columns, path: Path) -> str:
    """The column that names the images.

    It is ``path``, in any case; else the one column that is called as such columns of public data sets are.

    Args:
        table: The columns.
        path: The manifest, for the message.

    Raises:
        SourceError: There is none, or several of those names.

    Example:
        >>> path_column({"Image Index": ["00000013_005.png"], "Patient ID": ["13"]}, Path("nih.csv"))
        'Image Index'
    """
    if "path" in table:
        return "path"
    named = {plain(name): name for name in reversed(list(table))}
    if "path" in named:
        return named["path"]
    found = [named[name] for name in _PATHS if name in named]
    if len(found) == 1:
        return found[0]
    if not found:
        raise SourceError(
            "The manifest {path} has no column 'path'.",
            f"It has {listed(list(table))}. Rename the column that names the files to path.",
            path=path,
        )
    raise SourceError(
        "The manifest {path} has no column 'path', and several that may be it.",
        f"Rename the one that names the files to path: {listed(found)}.",
        path=path,
    )


def column_named(table: Columns, name: str) -> str | None:
    """The column of a name, whatever its case and the space around it, or ``None``.

    Example:
        >>> column_named({"Split ": []}, "split")
        'Split '
    """
    if name in table:
        return name
    wanted = name.strip().casefold()
    return next((c for c in table if c.strip().casefold() == wanted), None)


def remarks(table: Columns, wanted: Sequence[str]) -> list[str]:
    """What to say of columns that are absent while one of nearly their name is there.

    Args:
        table: The columns.
        wanted: The names that a manifest may have.

    Example:
        >>> remarks({"path": [], "Patient ID": []}, ["subject_id", "split"])  # doctest: +ELLIPSIS
        ["The manifest has no column subject_id, but 'Patient ID': rename it to declare subjects by it."]
    """
    found = []
    free = [c for c in table if c.strip().casefold() not in wanted]
    for name in wanted:
        if column_named(table, name) is not None:
            continue
        near = difflib.get_close_matches(plain(name), list(map(plain, free)), n=1, cutoff=0.8)
        other = [c for c in free if plain(c) in near or (name == "subject_id" and plain(c) in _SUBJECTS)]
        if other:
            what = {"subject_id": "subjects", "split": "splits"}.get(name, f"a {name}")
            found.append(
                f"The manifest has no column {name}, but {other[0]!r}: rename it to declare {what} by it."
            )
    return found


def listed(values: Sequence[str]) -> str:
    """Some values for a message.

    Example:
        >>> listed(["train", "", "test"])
        'train, (empty), test'
    """
    shown = [v or "(empty)" for v in values[:_MAX_LISTED]]
    more = len(values) - len(shown)
    return ", ".join(shown) + (f" and {more} others" if more else "")


def _csv(path: Path) -> Columns:
    with path.open("rb") as raw:
        start = raw.read(4)
    wide = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    with path.open(encoding="utf-16" if wide else "utf-8-sig", newline="") as stream:
        first = stream.readline()
        stream.seek(0)
        counts = {s: first.count(s) for s in _SEPARATORS}
        separator = max(_SEPARATORS, key=lambda s: counts[s])
        lines = csv.reader(stream, strict=True, delimiter=separator if counts[separator] else ",")
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


def _parquet(path: Path) -> Columns:
    file = pq.ParquetFile(path)
    names = [f.name for f in file.schema_arrow]
    _check_columns(names, path)
    flat = [f.name for f in file.schema_arrow if not pa.types.is_nested(f.type)]
    table = file.read(columns=flat)
    return {name: [_text(v) for v in table[name].to_pylist()] for name in flat}


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
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_a_list_of_pictures(path: Path) -> bool:
    r"""Whether a Parquet table holds pictures itself and names no files.

    Args:
        path: A file with the ending of a manifest.

    Example:
        >>> _ = Path("films.csv").write_text("path\na.png\n")
        >>> is_a_list_of_pictures(Path("films.csv"))
        False
    """
    if path.suffix.lower() != ".parquet":
        return False
    from leakscan.errors import ImageError
    from leakscan.sources.table_images import image_columns

    try:
        fields = pq.ParquetFile(path).schema_arrow
        texts = {plain(f.name) for f in fields if not pa.types.is_nested(f.type)}
        pictures = image_columns(str(path))
    except (OSError, pa.ArrowException, ImageError):
        return False
    return bool(pictures) and "path" not in texts

"""Tables as people write them: CSV in any of its dresses, lines of JSON, Parquet, as columns of text."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan.errors import SourceError, reason
from leakscan.tables import open_parquet

Columns = dict[str, Sequence[str]]

_SEPARATORS = ",;\t|"
_NAMES_OF_PATHS = re.compile(r"#\s*(?:path|file_?(?:name|path)?|image(?:_?(?:path|name|index))?)\s*$", re.I)
_MOST_BYTES = 1 << 31
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def read_table(path: Path) -> Columns:
    r"""Columns of text, from CSV, JSON (a list, or an object a line) or Parquet; nothing is the empty text.

    Raises:
        SourceError: There is no such table, or it is damaged.

    Example:
        >>> _ = Path("films.csv").write_text("path;split\na.png;train\n")
        >>> read_table(Path("films.csv"))
        {'path': ['a.png'], 'split': ['train']}
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _parquet(path)
        text = _text_of(path)
        is_json = path.name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson", ".json"))
        return _json(text, path) if is_json else _csv(text, path)
    except OSError as error:
        raise SourceError(f"The manifest {{path}} cannot be read: {reason(error)}.", path=path) from error
    except UnicodeDecodeError as error:
        raise SourceError("The manifest {path} is not UTF-8 text.", "Save it as UTF-8.", path=path) from error
    except (EOFError, zlib.error) as error:
        raise SourceError(
            "The manifest {path} is cut short or its compression is damaged.", path=path
        ) from error
    except (csv.Error, pa.ArrowException) as error:
        raise SourceError(f"The manifest {{path}} is damaged: {error}.", path=path) from error


def _text_of(path: Path) -> str:
    """The text of a table, unpacked, whatever it is written in."""
    with path.open("rb") as raw:
        data = raw.read()
    if data[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            data = packed.read(_MOST_BYTES)
    wide = next((name for mark, name in _WIDE if data.startswith(mark)), "")
    if not wide and b"\0" in data[:4]:  # without a mark, the zeros beside the first letter tell
        wide = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    return data.decode(wide or "utf-8-sig")


def _csv(text: str, path: Path) -> Columns:
    start, first = _header_line(text)
    counts = {s: first.count(s) for s in _SEPARATORS}
    separator = max(_SEPARATORS, key=lambda s: counts[s])
    delimiter = separator if counts[separator] else ","
    lines = csv.reader(io.StringIO(text[start:], newline=""), strict=True, delimiter=delimiter)
    header = [c.strip() for c in next(lines, [])]
    header[:1] = [c.lstrip("#").strip() for c in header[:1]]
    rows = []
    for line in lines:
        if not line or (len(line) > 1 and not any(cell.strip() for cell in line)):
            continue
        if any(cell.strip() for cell in line[len(header) :]) or len(line) < len(header):
            more = len(line) > len(header)
            raise SourceError(
                f"Line {lines.line_num} of the manifest {{path}} has {len(line)} values, "
                f"its first line {len(header)}.",
                "Values that contain commas need double quotes around them."
                if more
                else "Write separators for the values that are missing as well.",
                path=path,
            )
        rows.append(line[: len(header)])
    return _named(header, [[row[i] for row in rows] for i in range(len(header))], path)


def _header_line(text: str) -> tuple[int, str]:
    """Where the line with the names of the columns begins, and the line.

    Empty lines, comments, and the line that names the separator for a spreadsheet may stand before it.
    """
    at = 0
    for line in text.splitlines(keepends=True):
        comment = line.startswith("#") and not _NAMES_OF_PATHS.match(re.split(r"[,;\t|]", line)[0])
        if line.strip(" ,;\t|\r\n") and not comment and not line.lower().startswith("sep="):
            return at, line
        at += len(line)
    return 0, ""


def _json(text: str, path: Path) -> Columns:
    """Objects, as a list or one a line; what is nested stays JSON."""
    try:
        if text.lstrip()[:1] == "[":
            rows = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        what = "is not JSON, as a list of rows or one row a line"
        raise SourceError(f"The manifest {{path}} {what}.", path=path) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SourceError(
            "The manifest {path} holds no rows.", "Write one object a line, with the key path.", path=path
        )
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    return _named(names, [[_text(row.get(name)) for row in rows] for name in names], path)


def _parquet(path: Path) -> Columns:
    file = open_parquet(path)
    flat = [f.name for f in file.schema_arrow if not pa.types.is_nested(f.type)]
    _named([f.name for f in file.schema_arrow], [[] for _ in file.schema_arrow], path)
    table = file.read(columns=flat)
    found: Columns = {name: [_text(v) for v in _values(table[name])] for name in flat}
    # A picture that lies in a file of its own is kept as its path, beside bytes that are null.
    for field in file.schema_arrow:
        if pa.types.is_struct(field.type) and field.type.get_field_index("path") >= 0:
            cells = file.read(columns=[f"{field.name}.path"])[field.name].to_pylist()
            found[field.name] = [_text((cell or {}).get("path")) for cell in cells]
    return found


def _values(cells: pa.ChunkedArray) -> list[Any]:
    """Cells as Python has them, or as text where it cannot: dates after the year 9999."""
    try:
        return list(cells.to_pylist())
    except (ValueError, OverflowError):
        return list(cells.cast(pa.string()).to_pylist())


def _named(names: Sequence[str], columns: Sequence[Sequence[str]], path: Path) -> Columns:
    """Columns by their names; those without a name hold the numbers of rows, and are left out."""
    if not any(names):
        raise SourceError("The manifest {path} is empty.", path=path)
    found: Columns = {}
    for name, values in zip(names, columns, strict=True):
        if name and name in found and list(found[name]) != list(values):
            twice = Counter(names)[name]
            raise SourceError(
                f"The manifest {{path}} has {twice} columns called {name!r}, which differ.",
                "Rename or remove one of them.",
                path=path,
            )
        if name:
            found.setdefault(name, values)
    return found


def _text(value: Any) -> str:
    """A cell as CSV would have it: whole numbers without a point, because nulls turn them to floats."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

"""Tables as people write them: CSV in any of its dresses, JSON, YAML, workbooks, Parquet."""

from __future__ import annotations

import codecs
import csv
import io
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan.errors import ImageError, SourceError, reason
from leakscan.sources.arrow_tables import read_columns
from leakscan.sources.bare_lists import NamedFiles, headed, spaced
from leakscan.sources.column_names import may_name_files
from leakscan.sources.inflating import Inflating
from leakscan.sources.nested_tables import json_in, table_in, yaml_in
from leakscan.sources.sheet_tables import is_workbook, read_sheet
from leakscan.sources.table_names import TEXTS, UNREAD, inner_name
from leakscan.sources.unpacking import compression_of

Columns = dict[str, Sequence[str]]

_SEPARATORS = ",;\t|"
_NAMES_OF_PATHS = re.compile(r"#\s*(?:path|file_?(?:name|path)?|image(?:_?(?:path|name|index))?)\s*$", re.I)
_MOST_BYTES = 1 << 31
_MOST_TITLES = 5  # lines before the one that names the columns
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x19\x1b-\x1f]")
_POINTER = "version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class WrittenTable:
    """A table as it is written.

    Attributes:
        columns: Columns of text by their names; what is null is the empty text.
        notices: What a user should know of how it was read, in sentences.
    """

    columns: Columns
    notices: tuple[str, ...] = ()


def read_table(path: Path) -> WrittenTable:
    r"""Reads a table of any kind that people write.

    CSV may be separated by commas, semicolons, tabs, bars or spaces, in UTF-8, UTF-16, UTF-32 or
    Windows-1252, and need not name its columns; :func:`~leakscan.sources.nested_tables.table_in` says what
    JSON and YAML may hold. All texts may be packed with gzip, bzip2, xz, Zstandard or zip.

    Raises:
        SourceError: There is no such table, or it is damaged.

    Example:
        >>> _ = Path("films.csv").write_text("path;split\na.png;train\n")
        >>> read_table(Path("films.csv")).columns
        {'path': ['a.png'], 'split': ['train']}
    """
    try:
        with path.open("rb") as raw:
            start = raw.read(8)
        ending = path.suffix.lower()
        if start.startswith((b"PAR1", b"ARROW1")) or ending in (".parquet", ".pq", ".arrow", ".feather"):
            is_parquet = start.startswith(b"PAR1") or ending in (".parquet", ".pq")
            return WrittenTable(_named(*read_columns(path, is_parquet), path))
        name, data = _unpacked(path)
        if ending in UNREAD or start.startswith(b"\xd0\xcf\x11\xe0"):
            kind = UNREAD.get(ending, "an old Excel workbook")
            raise SourceError(
                f"The manifest {{path}} is {kind}, which is not read.", "Save it as CSV.", path=path
            )
        if name is None:
            rows, notice = read_sheet(data, path)
            return _headed(rows, path, [notice] if notice else [])
        text, encoding = _text_of(data)
        notices = [] if not encoding else [
            f"{path.name} is not UTF-8 text and is read as {encoding}: if its letters look wrong, save it as "
            "UTF-8."
        ]  # fmt: skip
        return _of_text(text, name, path, notices)
    except OSError as error:
        raise SourceError(f"The manifest {{path}} cannot be read: {reason(error)}.", path=path) from error
    except UnicodeDecodeError as error:
        raise SourceError(
            "The manifest {path} is no text that leakscan can read.", "Save it as CSV in UTF-8.", path=path
        ) from error
    except ImageError as error:
        raise SourceError("The manifest {path} unpacks to far more than a table does.", path=path) from error
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise SourceError(
            "The manifest {path} is cut short or its compression is damaged.",
            "Fetch or save it again.",
            path=path,
        ) from error
    except (csv.Error, pa.ArrowException) as error:
        raise SourceError(
            f"The manifest {{path}} is damaged: {str(error).rstrip('.')}.",
            "Fetch or save it again.",
            path=path,
        ) from error


def _unpacked(path: Path) -> tuple[str | None, bytes]:
    """The name and the bytes of a table without its compression; a workbook has no name."""
    with path.open("rb") as raw:
        data = raw.read()
    name = path.name.lower()
    if data.startswith(b"PK\3\4"):
        return _unzipped(data, path)
    while compression := compression_of(data[:64]):
        data = Inflating(lambda packed=data: io.BytesIO(packed), compression).read()  # type: ignore[misc]
        name = inner_name(name)
    return name, data


def _unzipped(data: bytes, path: Path) -> tuple[str | None, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if is_workbook(archive.namelist()):
            return None, data
        if "content.xml" in archive.namelist():
            raise SourceError(
                "The manifest {path} is an OpenDocument table, which is not read.",
                "Save it as CSV.",
                path=path,
            )
        tables = [
            info for info in archive.infolist()
            if info.filename.lower().endswith(TEXTS) and not info.filename.startswith("__MACOSX/")
        ]  # fmt: skip
        if len(tables) != 1:
            held = f"{len(tables)} tables" if tables else "no table"
            raise SourceError(
                f"The manifest {{path}} is an archive with {held} in it.",
                "Unpack it and name one.",
                path=path,
            )
        if tables[0].file_size > _MOST_BYTES:
            raise SourceError("The manifest {path} unpacks to far more than a table does.", path=path)
        try:
            return tables[0].filename.lower(), archive.read(tables[0])
        except (RuntimeError, NotImplementedError) as error:  # a password, or a rare compression
            raise SourceError(
                "The manifest {path} is an archive that cannot be unpacked here.", "Unpack it.", path=path
            ) from error


def _text_of(data: bytes) -> tuple[str, str]:
    """The text of a table, and what it is written in where that is only presumed."""
    wide = next((name for mark, name in _WIDE if data.startswith(mark)), "")
    if not wide and b"\0" in data[:4]:  # without a mark, the zeros beside the first letter tell
        wide = "utf-16-be" if data[:1] == b"\0" else "utf-16-le"
    try:
        return data.decode(wide or "utf-8-sig"), ""
    except UnicodeDecodeError:
        if wide or _NO_TEXT.search(data[: 1 << 20]):
            raise
        return data.decode("cp1252", errors="replace"), "Windows-1252 (Western Europe)"


def _of_text(text: str, name: str, path: Path, notices: list[str]) -> WrittenTable:
    start = text.lstrip()[:200]
    if start.startswith(_POINTER):
        raise SourceError(
            "The manifest {path} stands for a file that was not fetched.",
            "Fetch it: git lfs pull.",
            path=path,
        )
    if start[:1] == "<":
        kind = "XML" if start.startswith("<?xml") else "a web page"
        raise SourceError(
            f"The manifest {{path}} is {kind}, no table.", "Download the table itself, or save it as CSV.",
            path=path,
        )  # fmt: skip
    if name.endswith((".yaml", ".yml")):
        return _nested(yaml_in(text, path), path, notices)
    written_as_json = name.endswith((".jsonl", ".ndjson", ".json"))
    if written_as_json or start[:2] in ('{"', '["', "[{", "{\n", "[\n"):
        value = json_in(text)
        if value is not None:
            return _nested(value, path, notices)
        if written_as_json and start[:1] in "{[":
            what = "is not JSON, as a list of rows or one row a line"
            raise SourceError(f"The manifest {{path}} {what}.", path=path)
    return _csv(text, path, notices)


def _csv(text: str, path: Path, notices: list[str]) -> WrittenTable:
    start, first = _header_line(text)
    counts = {s: first.count(s) for s in _SEPARATORS}
    separator = max(_SEPARATORS, key=lambda s: counts[s])
    if not counts[separator]:
        lines = [line for line in text[start:].splitlines() if line.strip() and not line.startswith("# ")]
        rows = spaced(lines, NamedFiles(path.parent))
        if rows is not None:
            return _headed(rows, path, notices)
    delimiter = separator if counts[separator] else ","
    reader = csv.reader(io.StringIO(text[start:], newline=""), strict=True, delimiter=delimiter)
    header = [c.strip() for c in next(reader, [])]
    header[:1] = [c.lstrip("#").strip() for c in header[:1]]
    rows = [header]
    for line in reader:
        if _says_nothing(line, header):
            continue
        if any(cell.strip() for cell in line[len(header) :]) or len(line) < len(header):
            more = len(line) > len(header)
            raise SourceError(
                f"Line {reader.line_num} of the manifest {{path}} has {len(line)} values, "
                f"its first line {len(header)}.",
                "Values that contain commas need double quotes around them."
                if more
                else "Write separators for the values that are missing as well.",
                path=path,
            )
        rows.append([_unguarded(cell) for cell in line[: len(header)]])
    return _headed(rows, path, notices)


def _says_nothing(line: list[str], header: list[str]) -> bool:
    """Whether a line is empty, a comment, or the names of the columns once more."""
    if not line or (len(line) > 1 and not any(cell.strip() for cell in line)):
        return True
    comment = line[0].startswith("#") and (len(header) > 1 or line[0].startswith("# "))
    drawn = len(line) > 1 and all(set(cell.strip()) <= {"-", ":"} for cell in line)
    return drawn or (comment and not any(line[1:])) or [c.strip() for c in line] == header


def _unguarded(cell: str) -> str:
    """A cell without what makes spreadsheets take a number for text: ``="007"``."""
    return cell[2:-1] if cell.startswith('="') and cell.endswith('"') and len(cell) > 3 else cell


def _headed(rows: list[list[str]], path: Path, notices: list[str]) -> WrittenTable:
    if not rows or not any(rows[0]):
        raise SourceError("The manifest {path} is empty.", path=path)
    (names, *cells), words = headed(rows, NamedFiles(path.parent), path)
    columns = [[row[i] for row in cells] for i in range(len(names))]
    return WrittenTable(_named(names, columns, path), (*notices, *([words] if words else [])))


def _header_line(text: str) -> tuple[int, str]:
    """Where the line with the names of the columns begins, and the line.

    Empty lines, comments, a title, and the line that names the separator for a spreadsheet may stand before.
    """
    at, first = 0, (0, "")
    for n, line in enumerate(text.splitlines(keepends=True)):
        cells = [cell.strip(' "\r\n') for cell in re.split(r"[,;\t|]", line)]
        filled = sum(map(bool, cells))
        comment = line.startswith("#") and not _NAMES_OF_PATHS.match(cells[0])
        if filled and not comment and not line.lower().startswith("sep="):
            named = any(map(may_name_files, cells))
            if named or filled > 1 or n > _MOST_TITLES:
                return (at, line) if named or not first[1] else first
            first = first if first[1] else (at, line)
        at += len(line)
    return first


def _nested(value: Any, path: Path, notices: list[str]) -> WrittenTable:
    """Objects, as a list or one a line; what is nested stays JSON."""
    try:
        table = table_in(value, NamedFiles(path.parent).names_image)
    except RecursionError:
        table = None
    if table is None:
        raise SourceError(
            "The manifest {path} holds no rows.",
            "Write one object a line, with the key path, or save it as CSV; if it only describes a folder, "
            "name the folder.",
            path=path,
        )
    names, rows = table
    if names == ["path", "value"]:
        notices.append(
            f"{path.name} gives each file a value, which is not used; if it declares subjects, name it with "
            "the setting columns (subject_id=value)."
        )
    columns = [[row[i] for row in rows] for i in range(len(names))]
    return WrittenTable(_named(names, columns, path), tuple(notices))


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

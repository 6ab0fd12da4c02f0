"""Tables in the workbooks of spreadsheets."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from pathlib import Path
from typing import Any

from leakscan.errors import SourceError
from leakscan.sources.column_names import may_name_files
from leakscan.sources.nested_tables import text_of

_MOST_BYTES = 1 << 29


def is_workbook(names: list[str]) -> bool:
    """Whether the files in a zip archive are those of an Excel workbook.

    Example:
        >>> is_workbook(["[Content_Types].xml", "xl/workbook.xml"])
        True
    """
    return "xl/workbook.xml" in names


def read_sheet(data: bytes, path: Path) -> tuple[list[list[str]], str]:
    """The rows of the sheet that lists images, and what to say of the others.

    It is the first sheet with a column that is called as those of paths are, else the first that has a row.

    Args:
        data: The workbook.
        path: Its file, for messages.

    Raises:
        SourceError: It is damaged or too large, or the package that reads it is missing.

    Example:
        ``rows, notice = read_sheet(Path("films.xlsx").read_bytes(), Path("films.xlsx"))``
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise SourceError(
            "The manifest {path} is an Excel workbook, which needs the package openpyxl.",
            "pip install 'leakscan[formats]', or save it as CSV.",
            path=path,
        ) from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MOST_BYTES:
                raise SourceError(
                    "The manifest {path} unpacks to more than a workbook should.",
                    "Save it as CSV.",
                    path=path,
                )
        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [(sheet.title, _rows(sheet)) for sheet in book.worksheets]
        book.close()
    except (KeyError, ValueError, TypeError, AttributeError, OSError, EOFError, SyntaxError) as error:
        raise _damaged(path) from error
    except zipfile.BadZipFile as error:
        raise _damaged(path) from error
    filled = [(title, rows) for title, rows in sheets if rows]
    if not filled:
        return [], ""
    listing = [one for one in filled if any(map(may_name_files, one[1][0]))]
    title, rows = (listing or filled)[0]
    others = "" if len(filled) == 1 else f"Of {path.name} the sheet {title!r} is read, no other."
    return rows, others


def _rows(sheet: Any) -> list[list[str]]:
    """The rows that hold anything, as texts, all as long as the first."""
    rows = [[_cell(v) for v in row] for row in sheet.iter_rows(values_only=True)]
    rows = [row for row in rows if any(row)]
    width = len(rows[0]) if rows else 0
    while width and not rows[0][width - 1]:
        width -= 1
    return [(row + [""] * width)[:width] for row in rows]


def _cell(value: Any) -> str:
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    return text_of(value).strip()


def _damaged(path: Path) -> SourceError:
    return SourceError("The manifest {path} is a workbook that cannot be read.", "Save it as CSV.", path=path)

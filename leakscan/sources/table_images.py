"""Pictures inside tables, as Hugging Face data sets keep them: encoded files in columns of Parquet or Arrow.

A picture may stand in a column of bytes, in a structure with bytes and a path, in lists and structures of
these, or as text in base64.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from leakscan.errors import ImageError
from leakscan.sources.archives import Member
from leakscan.sources.contents import STEP
from leakscan.sources.formats import recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.grouped_tables import GroupedTable, damage_is_said, open_table
from leakscan.sources.picture_cells import files_in, is_empty, is_list, may_hold
from leakscan.sources.unpacking import compression_of, stamp
from leakscan.types import Status, Tags

_MOST_BYTES = 1 << 30
_SAMPLED = 8
_SMALLEST_SIDE = 8
_HEX = re.compile(r"(?:0x)?(?:89504e470d0a1a0a|ffd8ff(?:e0|e1|db)|49492a00|4d4d002a)", re.IGNORECASE)
"""How PNG, JPEG and TIFF begin in hexadecimal numbers."""
_LEAST_FLAT, _LEAST_LEVELS = 196, 16
_kept: dict[str, Any] = {}


def image_columns(place: str) -> list[str]:
    """The columns of a table that hold encoded pictures.

    A column counts if one of its first values that are not empty holds a file of a known format.

    Raises:
        ImageError: The table is damaged.

    Example:
        >>> import io
        >>> import pyarrow.parquet as pq
        >>> from PIL import Image
        >>> Image.new("L", (8, 8)).save(film := io.BytesIO(), "PNG")
        >>> pq.write_table(pa.table({"image": [film.getvalue()], "label": [3]}), "films.parquet")
        >>> image_columns("films.parquet")
        ['image']
    """
    with damage_is_said():
        table = open_table(place)
        return [f.name for f in table.schema if may_hold(f.type) and _holds_pictures(table, f.name)]


def why_no_pictures(place: str) -> ImageError:
    """What the row of a table says that has no column of pictures.

    Raises:
        ImageError: The table is damaged.

    Example:
        >>> import pyarrow.parquet as pq
        >>> pq.write_table(pa.table({"pixels": [[[0.5] * 28] * 28]}), "digits.parquet")
        >>> why_no_pictures("digits.parquet").status
        'unsupported'
        >>> pq.write_table(pa.table({"age": [31]}), "people.parquet")
        >>> why_no_pictures("people.parquet").status
        'ignored'
    """
    with damage_is_said():
        return _why_none(open_table(place))


def _why_none(table: GroupedTable) -> ImageError:
    for field in table.schema:
        if _is_numbers(field.type, 1) and _first_is_wide(table, field.name):
            words = (
                f"Its column {field.name!r} holds arrays of numbers, which may be pictures and are not read; "
                "save them as PNG or as a NumPy array."
            )
            return ImageError("unsupported", words, left_out="table of arrays")
    for field in table.schema:
        if may_hold(field.type) and (kind := _packed_pictures(table, field.name)):
            words = f"Its column {field.name!r} holds {kind}, which are not read there; save them as files."
            return ImageError("unsupported", words, left_out="table of packed pictures")
    if any(_is_named_bytes(field.type) for field in table.schema):
        return ImageError("ignored", "It is a table that holds no pictures, at most their paths.")
    return ImageError("ignored", "It is no image.")


def row_members(place: str) -> Iterator[tuple[Member, Tags]]:
    """The pictures of a table, column by column, with what its other columns declare.

    Raises:
        ImageError: The table is damaged.

    Example:
        ``for member, tags in row_members("films.parquet"): ...``
    """
    with damage_is_said():
        yield from _row_members(place, open_table(place), image_columns(place))


def _row_members(place: str, table: GroupedTable, columns: list[str]) -> Iterator[tuple[Member, Tags]]:
    declared = [c for c in ("subject_id", "split", "kind") if c in table.schema.names]
    first = 0
    for group in range(table.groups):
        count = table.rows(group)
        said = {c: table.column(group, c).to_pylist() for c in declared}
        tags = [_tags({c: values[row] for c, values in said.items()}) for row in range(count)]
        for column in columns:
            if table.size(group, column) > _MOST_BYTES:
                problem = "It lies in a row group of more than 1 GB; write the table with smaller ones."
                for row in range(count):
                    name = f"{column}/{first + row}"
                    yield _member(place, name, f"p{group}:{row}:0:{column}", problem), tags[row]
                continue
            for row in range(count):
                found = files_in(_cells(place, group, column)[row].as_py())
                for k, file in enumerate(found):
                    name = file.name or f"{column}/{first + row}{f'.{k}' if len(found) > 1 else ''}"
                    problem = "" if file.is_known else "What the table holds here is damaged, or no image."
                    yield _member(place, name, f"p{group}:{row}:{k}:{column}", problem), tags[row]
        first += count


def image_bytes(outer: str, step: str, size: int) -> bytes:
    """The first bytes of one picture.

    Args:
        outer: The place of the table.
        step: The row group, row, number within the row, and column, as :func:`row_members` writes them.
        size: How many bytes at most.

    Raises:
        ImageError: The row holds no picture.

    Example:
        ``image_bytes("films.parquet", "p0:3:0:image", 16)``
    """
    group, row, number, column = step[1:].split(":", 3)
    with damage_is_said():
        found = files_in(_cells(outer, int(group), column)[int(row)].as_py())
    if len(found) <= int(number):
        raise ImageError("unreadable", "The row of the table holds no picture.")
    return found[int(number)].data[:size]


def _member(place: str, name: str, step: str, problem: str = "") -> Member:
    status: Status = "unreadable" if problem else "ok"
    where = f"{place}{STEP}{name}{STEP}{step}"
    return Member(name=name, place=where, problem=problem, status=status)


def _tags(said: dict[str, Any]) -> Tags:
    """What the columns beside the pictures declare of one row."""
    words = {c: "" if value is None else str(value) for c, value in said.items()}
    return Tags(subject=words.get("subject_id", ""), split=words.get("split", ""), kind=words.get("kind", ""))


def _cells(place: str, group: int, column: str) -> Any:
    """The cells of one column in one group of rows; those of the last one asked for stay in memory."""
    key = f"{place}|{stamp(place)}|{group}|{column}"
    if key not in _kept:
        cells = open_table(place).column(group, column)
        _kept.clear()
        _kept[key] = cells
    return _kept[key]


def _holds_pictures(table: GroupedTable, column: str) -> bool:
    for group in range(table.groups):
        if table.size(group, column) > _MOST_BYTES:
            return True  # what it holds is not known, and its rows will say so
        cells = table.column(group, column)
        if cells.null_count == len(cells):
            continue
        seen = 0
        for cell in cells:
            value = cell.as_py()
            if any(any(recognised(f.data[:HEAD_BYTES], f.name)) for f in files_in(value)):
                return True
            seen += not is_empty(value)
            if seen == _SAMPLED:
                return False
    return False


def _is_numbers(kind: pa.DataType, axes: int) -> bool:
    """Whether a type is lists of lists of numbers, of at least so many axes."""
    if isinstance(kind, pa.FixedShapeTensorType):
        return _is_numbers(kind.value_type, 0) and len(kind.shape) >= axes
    if isinstance(kind, pa.BaseExtensionType):
        return _is_numbers(kind.storage_type, axes)
    if is_list(kind):
        return _is_numbers(kind.value_type, axes - 1)
    return axes <= 0 and bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_named_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def _first_is_wide(table: GroupedTable, column: str) -> bool:
    """Whether the first array of a column is large enough for a picture."""
    if not table.groups or not table.rows(0):
        return False
    value = table.column(0, column)[0].as_py()
    if hasattr(value, "tolist"):
        value = value.tolist()
    sides = []
    while isinstance(value, list) and value:
        sides.append(len(value))
        value = value[0]
    if len(sides) == 1:
        return _is_picture_in_a_row(table.column(0, column)[0].as_py())
    return sum(side >= _SMALLEST_SIDE for side in sides) >= 2


def _is_picture_in_a_row(numbers: list[Any]) -> bool:
    """Whether numbers are likely the pixels of a square picture, and no embedding, text or mask."""
    count = len(numbers)
    square = any(math.isqrt(n) ** 2 == n for n in ([count] if count % 3 else [count, count // 3]))
    bytes_only = all(isinstance(n, int) and 0 <= n <= 255 for n in numbers)
    return count >= _LEAST_FLAT and square and bytes_only and len(set(numbers)) > _LEAST_LEVELS


def _packed_pictures(table: GroupedTable, column: str) -> str:
    """What pictures the first cells of a column hold that is not read there, empty for anything else."""
    if not table.groups or table.size(0, column) > _MOST_BYTES:
        return ""
    cells = table.column(0, column)
    for cell in cells[:_SAMPLED]:
        value = cell.as_py()
        if isinstance(value, str) and _HEX.match(value):
            return "images as hexadecimal numbers"
        for file in files_in(value):
            if compression_of(file.data[:16]):
                return "compressed files"
            if file.data[:6] == b"\x93NUMPY" or file.data[:4] == b"PK\3\4":
                return "arrays or archives"
            if unread_kind("", file.data[:HEAD_BYTES]) is not None:
                return "images of a kind that is not read"
    return ""

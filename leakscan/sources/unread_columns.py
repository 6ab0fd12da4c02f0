"""What columns of a table hold pictures in a way that is not read: as pixels, packed, as other texts."""

from __future__ import annotations

import contextlib
import math
import re
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from leakscan.errors import ImageError
from leakscan.sources.cell_values import LARGE, SAMPLED, first_values
from leakscan.sources.formats import recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.grouped_tables import GroupedTable
from leakscan.sources.listed_numbers import lists_pixels
from leakscan.sources.picture_cells import files_in, is_list, may_hold, pictures_in_text
from leakscan.sources.pixel_statistics import (
    bytes_look_like_pixels,
    look_like_pixels,
    rows_look_like_pixels,
)
from leakscan.sources.sought_pictures import spells_image, spelt_otherwise
from leakscan.sources.unpacking import compression_of

_SMALLEST_SIDE = 8
_LEAST_FLAT, _LEAST_LEVELS = 196, 16
_LEAST_COLUMNS, _MOST_COLUMNS, _MOST_ROWS = 60, 4096, 64
_MOST_TEXT = 1 << 19
_FEW_COLUMNS, _MOST_CELLS, _MOST_GROUPS = 12, 1 << 14, 256
_SIDES = ("height", "width", "h", "w", "row", "rows", "column", "col", "cols", "nrow", "ncol", "x", "y")
_SHAPES = ("shape", "size", "dim", "dimension")
_OF_PIXELS = re.compile(r"pix|im(?:g|age)|scan|film|slice|frame|raw")


def why_none(table: GroupedTable) -> ImageError:
    """What the row of a table says of which no column is read.

    Args:
        table: The table.

    Example:
        >>> import pyarrow.parquet as pq
        >>> from leakscan.sources.grouped_tables import open_table
        >>> pq.write_table(pa.table({"pixels": [[[0.5] * 28] * 28]}), "digits.parquet")
        >>> why_none(open_table("digits.parquet")).left_out
        'table of arrays'
    """
    if shared := shared_names(table):
        words = f"It has several columns called {shared[0]!r}, which are not read; rename them."
        return ImageError("unsupported", words, left_out="table of packed pictures")
    for field in table.schema:
        if _holds_numbers(field.type) and _first_is_wide(table, field.name):
            words = (
                f"Its column {field.name!r} holds arrays of numbers, which may be pictures and are not read; "
                "save them as PNG or as a NumPy array."
            )
            return ImageError("unsupported", words, left_out="table of arrays")
    if _rows_are_pictures(table) or any(_column_is_picture(table, field) for field in _narrow(table)):
        words = "Its columns are likely the pixels of pictures, which are not read; save them as PNG."
        return ImageError("unsupported", words, left_out="table of pixels")
    for field in table.schema:
        if may_hold(field.type) and (kind := packed_pictures(table, field.name)):
            words = f"Its column {field.name!r} holds {kind}, which are not read there; save them as files."
            return ImageError("unsupported", words, left_out="table of packed pictures")
    if any(_is_named_bytes(field.type) for field in table.schema):
        return ImageError("ignored", "It is a table that holds no pictures, at most their paths.")
    return ImageError("ignored", "It is no image.")


def shared_names(table: GroupedTable) -> list[str]:
    """The names that several columns have, of which one might hold pictures.

    Args:
        table: The table.

    Example:
        >>> import pyarrow.parquet as pq
        >>> from leakscan.sources.grouped_tables import open_table
        >>> pq.write_table(pa.table([[b"a"], [b"b"]], names=["i", "i"]), "twice.parquet")
        >>> shared_names(open_table("twice.parquet"))
        ['i', 'i']
    """
    names = table.schema.names
    return [f.name for f in table.schema if names.count(f.name) > 1 and may_hold(f.type)]


def _is_numbers(kind: pa.DataType, axes: int) -> bool:
    """Whether a type is lists of lists of numbers, of at least so many axes."""
    if isinstance(kind, pa.FixedShapeTensorType):
        return _is_numbers(kind.value_type, 0) and len(kind.shape) >= axes
    if isinstance(kind, pa.BaseExtensionType):
        return _is_numbers(kind.storage_type, axes)
    if is_list(kind):
        return _is_numbers(kind.value_type, axes - 1)
    return axes <= 0 and bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _holds_numbers(kind: pa.DataType) -> bool:
    """Whether lists of numbers stand in a type, also within structures."""
    if pa.types.is_struct(kind):
        return any(_holds_numbers(kind.field(i).type) for i in range(kind.num_fields))
    if is_list(kind) and pa.types.is_struct(kind.value_type):
        return _holds_numbers(kind.value_type)
    if pa.types.is_map(kind):
        return _holds_numbers(kind.item_type)
    return _is_numbers(kind, 1)


def _rows_are_pictures(table: GroupedTable) -> bool:
    """Whether a table has a column for every pixel, or for every column of pixels."""
    names = [f.name for f in table.schema if _is_numbers(f.type, 0)]
    if len(names) < _LEAST_COLUMNS or not table.groups or len(names) != len(set(names)):
        return False
    rows = min(table.rows(0), _MOST_ROWS)
    if rows < 1:
        return False
    columns = [_first_cells(table, name, rows) for name in names[:_MOST_COLUMNS]]
    grid = np.array([cells for cells in columns if len(cells) == rows], np.float64).T
    if any(rows_look_like_pixels(each) for each in (grid, grid[:, 1:])):
        return True
    return any(map(look_like_pixels, (grid[0], grid[:, 1:][0], grid, grid[:, 1:])))


def _narrow(table: GroupedTable) -> list[pa.Field]:
    """The columns of a table that has few: one of them may hold the pixels of a picture, one a row."""
    return list(table.schema) if len(table.schema) <= _FEW_COLUMNS and table.groups else []


def _column_is_picture(table: GroupedTable, field: pa.Field) -> bool:
    """Whether a column holds a picture, one pixel or one row of pixels in a cell."""
    kind = field.type
    is_number = _is_numbers(kind, 0) or pa.types.is_decimal(kind)
    is_row = (is_list(kind) and _is_numbers(kind, 1)) or pa.types.is_binary(kind)
    if not (is_number or is_row):
        return False
    cells: list[Any] = []
    most = _MOST_CELLS if is_number else _MOST_ROWS
    for group in range(min(table.groups, _MOST_GROUPS)):
        if len(cells) >= most or table.too_large(group, field.name):
            break
        for piece in table.pieces(group, field.name):
            cells += piece[: most - len(cells)].to_pylist()
            if len(cells) >= most:
                break
    if is_number:
        numbers = [n for n in cells if n is not None]
        return len(numbers) >= _LEAST_FLAT and look_like_pixels(np.array(numbers, np.float64))
    rows = [list(row) for row in cells if row]
    if len({len(row) for row in rows}) != 1 or any(n is None for row in rows for n in row):
        return False
    return rows_look_like_pixels(np.array(rows, np.float64))


def _first_cells(table: GroupedTable, column: str, count: int) -> list[float]:
    """The first numbers of a column, empty where some are missing."""
    cells: list[Any] = []
    for piece in table.pieces(0, column):
        cells += piece.to_pylist()
        if len(cells) >= count:
            break
    return cells[:count] if all(isinstance(n, int | float) for n in cells[:count]) else []


def _is_named_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def _first_is_wide(table: GroupedTable, column: str) -> bool:
    """Whether the first array of a column is large enough for a picture."""
    value: Any = next(first_values(table, column, 1), None)
    if value is LARGE:
        return True
    return any(_is_wide(numbers, table) for numbers in _lists_in(value))


def _lists_in(value: Any) -> Iterator[list[Any]]:
    """The outermost lists of numbers in one value."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, dict):
        for each in value.values():
            yield from _lists_in(each)
    elif isinstance(value, list) and value and isinstance(value[0], dict | tuple):
        for each in value:
            yield from _lists_in(each)
    elif isinstance(value, tuple):
        yield from _lists_in(value[1])
    elif isinstance(value, list):
        yield value


def _is_wide(numbers: list[Any], table: GroupedTable) -> bool:
    sides, at = [], numbers
    while isinstance(at, list) and at:
        sides.append(len(at))
        at = at[0]
    if len(sides) == 1:
        return _is_picture_in_a_row(numbers) or len(numbers) in _stated_sizes(table)
    return sum(side >= _SMALLEST_SIDE for side in sides) >= 2


def _stated_sizes(table: GroupedTable) -> set[int]:
    """How many numbers the first picture has, in any form, by the columns that state its sides."""
    sides: dict[str, int] = {}
    for field in table.schema:
        word = re.sub(r"(image|img|_|-|px|pixel|s$)", "", field.name.lower())
        value = next(first_values(table, field.name, 1), None) if word in _SIDES or word in _SHAPES else None
        if isinstance(value, int):
            sides[word] = value
        elif isinstance(value, list) and len(value) >= 2 and all(isinstance(n, int) for n in value):
            return {math.prod(value) * width for width in (1, 2, 4, 8)}
    known = [value for word, value in sides.items() if word in _SIDES]
    if len(known) < 2 or min(known) < _SMALLEST_SIDE:
        return set()
    return {math.prod(known[:2]) * width for width in (1, 2, 3, 4, 6, 8)}


def _is_picture_in_a_row(numbers: list[Any]) -> bool:
    """Whether numbers are likely the pixels of a picture, and no embedding, text or mask."""
    count = len(numbers)
    if count >= _LEAST_FLAT and look_like_pixels(np.array([n if n is not None else 0 for n in numbers])):
        return True
    bytes_only = all(isinstance(n, int) and 0 <= n <= 255 for n in numbers)
    return count >= _LEAST_FLAT and _is_square(count) and bytes_only and len(set(numbers)) > _LEAST_LEVELS


def _is_square(count: int) -> bool:
    """Whether so many numbers may be the pixels of a square picture, grey or in three colours."""
    return any(math.isqrt(n) ** 2 == n for n in ([count] if count % 3 else [count, count // 3]))


def packed_pictures(table: GroupedTable, column: str) -> str:
    """What pictures the first cells of a column hold that is not read there, empty for anything else.

    Args:
        table: The table.
        column: The name of the column.

    Example:
        >>> import gzip
        >>> import pyarrow.parquet as pq
        >>> from leakscan.sources.grouped_tables import open_table
        >>> pq.write_table(pa.table({"i": [gzip.compress(b"pixels")]}), "packed.parquet")
        >>> packed_pictures(open_table("packed.parquet"), "i")
        'compressed files'
    """
    for value in first_values(table, column, SAMPLED):
        if isinstance(value, str) and (kind := pictures_in_text(value)):
            return kind
        if isinstance(value, str):
            text = value[:_MOST_TEXT].encode("utf-8", "replace")
            if spells_image(text, for_people=False) or spelt_otherwise(text, for_people=False):
                return "images as text, or their pixels"
            if lists_pixels(text):
                return "the pixels of pictures as text"
        for file in files_in(value):
            if compression_of(file.data[:16]):
                return "compressed files"
            if file.data[:6] == b"\x93NUMPY" or file.data[:4] == b"PK\3\4":
                return "arrays or archives"
            with contextlib.suppress(zlib.error):
                plain = zlib.decompressobj().decompress(file.data, _MOST_TEXT)
                if any(recognised(plain[:HEAD_BYTES], "")) or bytes_look_like_pixels(plain):
                    return "compressed pictures or pixels"
            if unread_kind("", file.data[:HEAD_BYTES]) is not None:
                return "images of a kind that is not read"
            if bytes_look_like_pixels(file.data):
                return "the bytes of pixels"
            count = len(file.data)
            if count >= _LEAST_FLAT and (
                count in _stated_sizes(table) or (_is_square(count) and _OF_PIXELS.search(column.lower()))
            ):
                return "the bytes of pixels"
    return ""

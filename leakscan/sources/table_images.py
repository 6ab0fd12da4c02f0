"""Pictures inside tables, as Hugging Face data sets keep them: encoded files in columns of Parquet or Arrow.

A picture may stand in a column of bytes, in a structure with bytes and a path, in lists and structures of
these, or as text in base64.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from leakscan.errors import ImageError
from leakscan.sources.archives import Member
from leakscan.sources.contents import STEP
from leakscan.sources.formats import recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.grouped_tables import GroupedTable, damage_is_said, is_too_large, open_table
from leakscan.sources.picture_cells import files_in, is_empty, is_list, may_hold, pictures_in_text
from leakscan.sources.unpacking import compression_of, stamp
from leakscan.types import Status, Tags

_SAMPLED = 32
_SMALLEST_SIDE = 8
_LEAST_FLAT, _LEAST_LEVELS = 196, 16
_SIDES = ("height", "width", "h", "w", "row", "rows", "column", "col", "cols", "nrow", "ncol", "x", "y")
_SHAPES = ("shape", "size", "dim", "dimension")
_OF_PIXELS = re.compile(r"pix|im(?:g|age)|scan|film|slice|frame|raw")
_LARGE = object()
"""Stands for a cell that is larger than what is read."""
_kept: OrderedDict[str, _Cursor] = OrderedDict()


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
        said = {c: [v for cells in table.pieces(group, c) for v in cells.to_pylist()] for c in declared}
        tags = [_tags({c: values[row] for c, values in said.items()}) for row in range(count)]
        for column in columns:
            problem = table.too_large(group, column)
            for row in range(count):
                name, step = f"{column}/{first + row}", f"p{group}:{row}:{{}}:{column}"
                if problem:
                    yield _member(place, name, step.format(0), problem), tags[row]
                    continue
                try:
                    found = files_in(_cursor(place, group, column).value(row))
                except ImageError as error:
                    yield _member(place, name, step.format(0), error.sentence), tags[row]
                    continue
                for k, file in enumerate(found):
                    own = _inside(file.name) or f"{name}{f'.{k}' if len(found) > 1 else ''}"
                    bad = "" if file.is_known else "What the table holds here is damaged, or no image."
                    yield _member(place, own, step.format(k), bad), tags[row]
        first += count
    for field in table.schema:
        if (
            field.name not in columns
            and may_hold(field.type)
            and (kind := _packed_pictures(table, field.name))
        ):
            words = f"This column holds {kind}, which are not read there; save them as files."
            where = f"{place}{STEP}{field.name}{STEP}p0:0:0:{field.name}"
            yield Member(name=field.name, place=where, problem=words, status="unsupported"), Tags()


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
        found = files_in(_cursor(outer, int(group), column).value(int(row)))
    if len(found) <= int(number):
        raise ImageError("unreadable", "The row of the table holds no picture.")
    return found[int(number)].data[:size]


def _inside(name: str) -> str:
    """A name that a table gives to a picture, without what leads out of a folder."""
    parts = name.replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def _member(place: str, name: str, step: str, problem: str = "") -> Member:
    status: Status = "unreadable" if problem else "ok"
    where = f"{place}{STEP}{name}{STEP}{step}"
    return Member(name=name, place=where, problem=problem, status=status)


def _tags(said: dict[str, Any]) -> Tags:
    """What the columns beside the pictures declare of one row."""
    words = {c: "" if value is None else str(value) for c, value in said.items()}
    return Tags(subject=words.get("subject_id", ""), split=words.get("split", ""), kind=words.get("kind", ""))


class _Cursor:
    """The cells of one column in one group of rows, of which a few are in memory; made for going forward."""

    def __init__(self, place: str, group: int, column: str) -> None:
        self._table = open_table(place)
        self._where = (group, column)
        self._restart()

    def _restart(self) -> None:
        self._pieces = self._table.pieces(*self._where)
        self._first, self._cells = 0, next(self._pieces, None)

    def value(self, row: int) -> Any:
        """What stands in a row of the group.

        Raises:
            ImageError: It is larger than what is read, or the group has no such row.
        """
        if row < self._first:
            self._restart()
        while self._cells is not None and row >= self._first + len(self._cells):
            self._first += len(self._cells)
            self._cells = next(self._pieces, None)
        if self._cells is None:
            raise ImageError("unreadable", "The table has no such row any more.")
        if is_too_large(self._cells, row - self._first):
            raise ImageError("unsupported", "Its cell holds more than 256 MB; save it as a file.")
        return self._cells[row - self._first].as_py()


def _cursor(place: str, group: int, column: str) -> _Cursor:
    """Where the last reader of a column stopped, or its beginning; the last two stay open.

    Raises:
        ImageError: The column takes more than is read.
    """
    key = f"{place}|{stamp(place)}|{group}|{column}"
    if key not in _kept:
        if problem := open_table(place).too_large(group, column):
            raise ImageError("unsupported", problem)
        while len(_kept) > 1:
            _kept.popitem(last=False)
        _kept[key] = _Cursor(place, group, column)
    return _kept[key]


def _first_values(table: GroupedTable, column: str, most: int) -> Iterator[Any]:
    """The first cells of a column that are not empty, from whatever group can be read."""
    seen = 0
    for group in range(table.groups):
        if table.too_large(group, column):
            continue
        for cells in table.pieces(group, column):
            if cells.null_count == len(cells):
                continue
            for row in range(len(cells)):
                value = _LARGE if is_too_large(cells, row) else cells[row].as_py()
                if not is_empty(value):
                    yield value
                    seen += 1
                if seen >= most:
                    return


def _holds_pictures(table: GroupedTable, column: str) -> bool:
    for value in _first_values(table, column, _SAMPLED):
        if value is _LARGE or any(any(recognised(f.data[:HEAD_BYTES], f.name)) for f in files_in(value)):
            return True
    # What is not read is not known; its rows will say so.
    return any(table.too_large(group, column) for group in range(table.groups))


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
    value: Any = next(_first_values(table, column, 1), None)
    if value is _LARGE:
        return True
    numbers = value.tolist() if hasattr(value, "tolist") else value
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
        value = next(_first_values(table, field.name, 1), None) if word in _SIDES or word in _SHAPES else None
        if isinstance(value, int):
            sides[word] = value
        elif isinstance(value, list) and len(value) >= 2 and all(isinstance(n, int) for n in value):
            return {math.prod(value) * width for width in (1, 2, 4, 8)}
    known = [value for word, value in sides.items() if word in _SIDES]
    if len(known) < 2 or min(known) < _SMALLEST_SIDE:
        return set()
    return {math.prod(known[:2]) * width for width in (1, 2, 3, 4, 6, 8)}


def _is_picture_in_a_row(numbers: list[Any]) -> bool:
    """Whether numbers are likely the pixels of a square picture, and no embedding, text or mask."""
    count = len(numbers)
    bytes_only = all(isinstance(n, int) and 0 <= n <= 255 for n in numbers)
    return count >= _LEAST_FLAT and _is_square(count) and bytes_only and len(set(numbers)) > _LEAST_LEVELS


def _is_square(count: int) -> bool:
    """Whether so many numbers may be the pixels of a square picture, grey or in three colours."""
    return any(math.isqrt(n) ** 2 == n for n in ([count] if count % 3 else [count, count // 3]))


def _packed_pictures(table: GroupedTable, column: str) -> str:
    """What pictures the first cells of a column hold that is not read there, empty for anything else."""
    for value in _first_values(table, column, _SAMPLED):
        if isinstance(value, str) and (kind := pictures_in_text(value)):
            return kind
        for file in files_in(value):
            if compression_of(file.data[:16]):
                return "compressed files"
            if file.data[:6] == b"\x93NUMPY" or file.data[:4] == b"PK\3\4":
                return "arrays or archives"
            if unread_kind("", file.data[:HEAD_BYTES]) is not None:
                return "images of a kind that is not read"
            count = len(file.data)
            if count >= _LEAST_FLAT and (
                count in _stated_sizes(table) or (_is_square(count) and _OF_PIXELS.search(column.lower()))
            ):
                return "the bytes of pixels"
    return ""

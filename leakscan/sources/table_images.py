"""Pictures inside tables, as Hugging Face data sets keep them: encoded files in columns of Parquet or Arrow.

A picture may stand in a column of bytes, in a structure with bytes and a path, in lists and structures of
these, or as text in base64.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from leakscan.errors import ImageError
from leakscan.sources.archives import Member, packing_of
from leakscan.sources.contents import STEP, open_place, outer_file
from leakscan.sources.formats import recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.unpacking import compression_of, stamp
from leakscan.tables import open_parquet
from leakscan.types import Status, Tags

_MOST_BYTES = 1 << 30
_SAMPLED = 8
_SMALLEST_SIDE = 8
_BASE64 = re.compile(r"(?:data:image/[\w.+-]+;base64,)?([A-Za-z0-9+/\s]{60})")
_HEX = re.compile(r"(?:0x)?(?:89504e470d0a1a0a|ffd8ff(?:e0|e1|db)|49492a00|4d4d002a)", re.IGNORECASE)
"""How PNG, JPEG and TIFF begin in hexadecimal numbers."""
_LEAST_FLAT, _LEAST_LEVELS = 196, 16
_kept: dict[str, Any] = {}


@dataclass(frozen=True)
class _File:
    """What stands in a cell, and the name that stands beside it, if there is one."""

    data: bytes
    name: str = ""

    @property
    def is_known(self) -> bool:
        """Whether its first bytes are those of an image, or of what may hold one."""
        head = self.data[:HEAD_BYTES]
        return any(recognised(head, self.name)) or bool(packing_of(head, self.name) or unread_kind("", head))


class _Table(Protocol):
    """What Parquet and Arrow have in common: columns, in groups of rows."""

    schema: pa.Schema
    groups: int

    def rows(self, group: int) -> int: ...
    def size(self, group: int, column: str) -> int: ...
    def column(self, group: int, column: str) -> Any: ...


class _Parquet:
    def __init__(self, source: Any) -> None:
        self._file = open_parquet(source)
        self.schema, self.groups = self._file.schema_arrow, self._file.num_row_groups

    def rows(self, group: int) -> int:
        return int(self._file.metadata.row_group(group).num_rows)

    def size(self, group: int, column: str) -> int:
        chunks = self._file.metadata.row_group(group)
        each = (chunks.column(i) for i in range(chunks.num_columns))
        return sum(c.total_uncompressed_size for c in each if c.path_in_schema.split(".")[0] == column)

    def column(self, group: int, column: str) -> Any:
        return _whole(self._file.read_row_group(group, columns=[column]).column(0))


class _Arrow:
    def __init__(self, source: Any) -> None:
        try:
            batches = pa.ipc.open_file(source)
            self._batches = [batches.get_batch(i) for i in range(batches.num_record_batches)]
        except pa.ArrowInvalid:  # the kind for streams, which Hugging Face writes to disk
            source.seek(0)
            batches = pa.ipc.open_stream(source)
            self._batches = list(batches)
        self.schema, self.groups = batches.schema, len(self._batches)

    def rows(self, group: int) -> int:
        return int(self._batches[group].num_rows)

    def size(self, group: int, column: str) -> int:
        return int(self._batches[group].column(column).get_total_buffer_size())

    def column(self, group: int, column: str) -> Any:
        return _whole(self._batches[group].column(column))


def _whole(cells: Any) -> Any:
    """Cells that may be read: Arrow follows offsets as they stand, and a wrong one ends the process.

    Raises:
        ImageError: The offsets or texts of the column are damaged.
    """
    try:
        cells.validate(full=True)
    except pa.ArrowException as error:
        raise ImageError("unreadable", "It is a table that is cut short or damaged.") from error
    return cells


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
    table = _opened(place)
    return [f.name for f in table.schema if _may_hold(f.type) and _holds_pictures(table, f.name)]


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
    table = _opened(place)
    for field in table.schema:
        if _is_numbers(field.type, 1) and _first_is_wide(table, field.name):
            words = (
                f"Its column {field.name!r} holds arrays of numbers, which may be pictures and are not read; "
                "save them as PNG or as a NumPy array."
            )
            return ImageError("unsupported", words, left_out="table of arrays")
    for field in table.schema:
        if _may_hold(field.type) and (kind := _packed_pictures(table, field.name)):
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
    table, columns = _opened(place), image_columns(place)
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
                found = _files(_cells(place, group, column)[row].as_py())
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
    found = _files(_cells(outer, int(group), column)[int(row)].as_py())
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


def _opened(place: str) -> _Table:
    try:
        with open_place(place) as stream:
            parquet = stream.read(4) == b"PAR1"
        if STEP in place:
            source: Any = open_place(place)
        else:  # what is mapped takes no memory, however large it is
            source = str(outer_file(place)) if parquet else pa.memory_map(str(outer_file(place)))
        return _Parquet(source) if parquet else _Arrow(source)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ImageError("unreadable", "It is a table that is cut short or damaged.") from error


def _cells(place: str, group: int, column: str) -> Any:
    """The cells of one column in one group of rows; those of the last one asked for stay in memory."""
    key = f"{place}|{stamp(place)}|{group}|{column}"
    if key not in _kept:
        try:
            cells = _opened(place).column(group, column)
        except (pa.ArrowException, OSError, ValueError, IndexError, KeyError) as error:
            raise ImageError("unreadable", "Its table is cut short or damaged.") from error
        _kept.clear()
        _kept[key] = cells
    return _kept[key]


def _holds_pictures(table: _Table, column: str) -> bool:
    for group in range(table.groups):
        if table.size(group, column) > _MOST_BYTES:
            return True  # what it holds is not known, and its rows will say so
        cells = table.column(group, column)
        if cells.null_count == len(cells):
            continue
        seen = 0
        for cell in cells:
            value = cell.as_py()
            if any(any(recognised(f.data[:HEAD_BYTES], f.name)) for f in _files(value)):
                return True
            seen += not _is_empty(value)
            if seen == _SAMPLED:
                return False
    return False


def _is_empty(value: Any) -> bool:
    """Whether a cell holds nothing that could be a picture."""
    if isinstance(value, dict):
        return value.get("bytes", value) in (None, b"") or all(map(_is_empty, value.values()))
    return value in (None, b"", "", [])


def _files(value: Any) -> list[_File]:
    """The files in one cell, in order: whatever bytes it holds, and texts that spell images."""
    if isinstance(value, bytes):
        return [_File(value)] if value else []
    if isinstance(value, str):
        return [_File(data)] if (data := _from_base64(value)) else []
    if isinstance(value, dict):
        if isinstance(value.get("bytes"), bytes | str):
            name = str(value.get("path") or "").replace(STEP, "")
            return [_File(file.data, name) for file in _files(value["bytes"])]
        return [file for each in value.values() for file in _files(each)]
    if isinstance(value, tuple):  # a key and its value
        return _files(list(value))
    if isinstance(value, list) and value and isinstance(value[0], bytes | str | dict | list | tuple):
        return [file for each in value for file in _files(each)]
    return []


def _from_base64(text: str) -> bytes:
    """The file that a text spells in base64, empty where it spells none of a known format."""
    begins = _BASE64.match(text)
    if begins is None:
        return b""
    try:
        if not any(recognised(base64.b64decode(begins[1]), "")):
            return b""
        return base64.b64decode(text[begins.start(1) :])
    except (binascii.Error, ValueError):
        return b""


def _may_hold(kind: pa.DataType) -> bool:
    """Whether values of a type may hold encoded pictures somewhere."""
    if pa.types.is_dictionary(kind):
        return _may_hold(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_may_hold(kind.field(i).type) for i in range(kind.num_fields))
    if pa.types.is_map(kind):
        return _may_hold(kind.item_type)
    if _is_list(kind):
        return _may_hold(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _may_hold(kind.storage_type)
    known = pa.types
    return bool(
        known.is_binary(kind)
        or known.is_large_binary(kind)
        or known.is_fixed_size_binary(kind)
        or known.is_string(kind)
        or known.is_large_string(kind)
        or known.is_binary_view(kind)
        or known.is_string_view(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_numbers(kind: pa.DataType, axes: int) -> bool:
    """Whether a type is lists of lists of numbers, of at least so many axes."""
    if isinstance(kind, pa.FixedShapeTensorType):
        return _is_numbers(kind.value_type, 0) and len(kind.shape) >= axes
    if isinstance(kind, pa.BaseExtensionType):
        return _is_numbers(kind.storage_type, axes)
    if _is_list(kind):
        return _is_numbers(kind.value_type, axes - 1)
    return axes <= 0 and bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_named_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def _first_is_wide(table: _Table, column: str) -> bool:
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


def _packed_pictures(table: _Table, column: str) -> str:
    """What pictures the first cells of a column hold that is not read there, empty for anything else."""
    if not table.groups or table.size(0, column) > _MOST_BYTES:
        return ""
    cells = table.column(0, column)
    for cell in cells[:_SAMPLED]:
        value = cell.as_py()
        if isinstance(value, str) and _HEX.match(value):
            return "images as hexadecimal numbers"
        for file in _files(value):
            if compression_of(file.data[:16]):
                return "compressed files"
            if file.data[:6] == b"\x93NUMPY" or file.data[:4] == b"PK\3\4":
                return "arrays or archives"
            if unread_kind("", file.data[:HEAD_BYTES]) is not None:
                return "images of a kind that is not read"
    return ""

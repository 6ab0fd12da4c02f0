"""Tables of strangers, Parquet and Arrow: their columns in groups of rows, and what the types may hold.

pyarrow reads names, offsets and values only where they are asked for. Whatever is damaged there ends in one
sentence: see :func:`damage_is_said`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa

from leakscan.errors import ImageError, reason
from leakscan.sources.contents import STEP, open_place, outer_file
from leakscan.tables import open_parquet


class Table(Protocol):
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
        pyarrow.ArrowException: The offsets or texts of the column are damaged.
    """
    cells.validate(full=True)
    return cells


@contextlib.contextmanager
def damage_is_said() -> Iterator[None]:
    """Makes one sentence of all that reading a damaged table raises, wherever its damage shows.

    Names that are no text, and dates that Python cannot hold, raise errors of Python's own.

    Raises:
        ImageError: Something inside was damaged, or could not be read.

    Example:
        >>> with damage_is_said():
        ...     pa.ipc.open_stream(b"nothing")
        Traceback (most recent call last):
        leakscan.errors.ImageError: It is a table that is cut short or damaged.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, TypeError) as error:
        why = f"cannot be read: {reason(error)}" if isinstance(error, OSError) and error.errno else ""
        words = f"It {why or 'is a table that is cut short or damaged'}."
        raise ImageError("unreadable", words) from error


def opened_table(place: str) -> Table:
    """Opens a table of either kind.

    Args:
        place: Where it lies.

    Raises:
        OSError: It cannot be read.
        pyarrow.ArrowException: It is damaged.

    Example:
        >>> import pyarrow.parquet as pq
        >>> pq.write_table(pa.table({"age": [31]}), "people.parquet")
        >>> opened_table("people.parquet").groups
        1
    """
    with open_place(place) as stream:
        parquet = stream.read(4) == b"PAR1"
    if STEP in place:
        source: Any = open_place(place)
    else:  # what is mapped takes no memory, however large it is
        source = str(outer_file(place)) if parquet else pa.memory_map(str(outer_file(place)))
    return _Parquet(source) if parquet else _Arrow(source)


def may_hold_files(kind: pa.DataType) -> bool:
    """Whether values of a type may hold encoded pictures somewhere.

    Example:
        >>> may_hold_files(pa.list_(pa.binary())), may_hold_files(pa.int8())
        (True, False)
    """
    if pa.types.is_dictionary(kind):
        return may_hold_files(kind.value_type)
    if pa.types.is_struct(kind):
        return any(may_hold_files(kind.field(i).type) for i in range(kind.num_fields))
    if pa.types.is_map(kind):
        return may_hold_files(kind.item_type)
    if _is_list(kind):
        return may_hold_files(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return may_hold_files(kind.storage_type)
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


def is_numbers(kind: pa.DataType, axes: int) -> bool:
    """Whether a type is lists of lists of numbers, of at least so many axes.

    Example:
        >>> is_numbers(pa.list_(pa.list_(pa.uint8())), 2)
        True
    """
    if isinstance(kind, pa.FixedShapeTensorType):
        return is_numbers(kind.value_type, 0) and len(kind.shape) >= axes
    if isinstance(kind, pa.BaseExtensionType):
        return is_numbers(kind.storage_type, axes)
    if _is_list(kind):
        return is_numbers(kind.value_type, axes - 1)
    return axes <= 0 and bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def is_named_bytes(kind: pa.DataType) -> bool:
    """Whether a type is bytes with more beside them, as Hugging Face keeps pictures.

    Example:
        >>> is_named_bytes(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        True
    """
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)

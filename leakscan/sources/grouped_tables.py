"""Tables of Parquet and Arrow by groups of rows, read column by column."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa

from leakscan.errors import ImageError, reason
from leakscan.sources.contents import STEP, open_place, outer_file
from leakscan.tables import open_parquet


class GroupedTable(Protocol):
    """What Parquet and Arrow have in common: columns, in groups of rows.

    Attributes:
        schema: The names and types of its columns.
        groups: How many groups of rows it has.
    """

    schema: pa.Schema
    groups: int

    def rows(self, group: int) -> int:
        """How many rows a group has."""
        ...

    def size(self, group: int, column: str) -> int:
        """How many bytes a column takes in a group."""
        ...

    def column(self, group: int, column: str) -> Any:
        """The cells of a column in a group, as an Arrow array."""
        ...


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
    with damage_is_said():
        cells.validate(full=True)
    return cells


@contextlib.contextmanager
def damage_is_said() -> Iterator[None]:
    """Makes one sentence of all that reading a damaged table raises, wherever its damage shows.

    pyarrow reads names, offsets and values only where they are asked for. Names that are no text, and dates
    that Python cannot hold, raise errors of Python's own.

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


def open_table(place: str) -> GroupedTable:
    """Opens a table, wherever it lies.

    Args:
        place: Where its bytes are; see :mod:`leakscan.sources.contents`.

    Raises:
        ImageError: ``unreadable``: it is damaged.

    Example:
        >>> import pyarrow.parquet as pq
        >>> pq.write_table(pa.table({"age": [31, 44]}), "people.parquet")
        >>> table = open_table("people.parquet")
        >>> table.groups, table.column(0, "age").to_pylist()
        (1, [31, 44])
    """
    with damage_is_said():
        with open_place(place) as stream:
            parquet = stream.read(4) == b"PAR1"
        if STEP in place:
            source: Any = open_place(place)
        else:  # what is mapped takes no memory, however large it is
            source = str(outer_file(place)) if parquet else pa.memory_map(str(outer_file(place)))
        return _Parquet(source) if parquet else _Arrow(source)

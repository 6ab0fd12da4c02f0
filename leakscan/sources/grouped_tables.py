"""Tables of Parquet and Arrow by groups of rows, of which few rows are in memory at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa

from leakscan.engines.allocator import give_back_cells
from leakscan.errors import ImageError, reason
from leakscan.sources.contents import STEP, open_place, outer_file
from leakscan.sources.table_sizes import batch_sizes, largest_page
from leakscan.tables import open_parquet

_MOST_AT_ONCE = 1 << 28
"""The bytes of the largest page, batch or cell that is read."""
_ROWS_AT_ONCE = 64
_AIM = 1 << 27


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

    def too_large(self, group: int, column: str) -> str:
        """Why a column is not read in a group, in a sentence; empty where it is."""
        ...

    def pieces(self, group: int, column: str) -> Iterator[Any]:
        """The cells of a column in a group, as Arrow arrays of a few rows each, in order."""
        ...


class _Parquet:
    def __init__(self, source: Any, place: str) -> None:
        self._file = open_parquet(source)
        self._place = place
        self._pages: dict[tuple[int, str], int] = {}
        self.schema, self.groups = self._file.schema_arrow, self._file.num_row_groups

    def rows(self, group: int) -> int:
        return int(self._file.metadata.row_group(group).num_rows)

    def too_large(self, group: int, column: str) -> str:
        if self._largest_page(group, column) > _MOST_AT_ONCE:
            return _too_large("page or cell")
        chunks = self._chunks(group, column)
        size = max((c.total_uncompressed_size for c in chunks), default=0)
        many = any(self._file.schema.column(number).max_repetition_level for number in self._numbers(column))
        return _too_large("row group of lists") if many and size > 4 * _MOST_AT_ONCE else ""

    def pieces(self, group: int, column: str) -> Iterator[Any]:
        at_once = _AIM // max(1, self._largest_page(group, column))
        rows = max(1, min(_ROWS_AT_ONCE, at_once))
        for batch in self._file.iter_batches(rows, row_groups=[group], columns=[column], use_threads=False):
            yield _whole(batch.column(0))

    def _largest_page(self, group: int, column: str) -> int:
        if (group, column) not in self._pages:
            largest = 0
            with open_place(self._place) as stream:
                for chunk in self._chunks(group, column):
                    if not chunk.num_values:
                        continue
                    start = chunk.dictionary_page_offset or chunk.data_page_offset
                    start = min(start, chunk.data_page_offset)
                    largest = max(largest, largest_page(stream, start, chunk.total_compressed_size))
            self._pages[group, column] = largest
        return self._pages[group, column]

    def _numbers(self, column: str) -> list[int]:
        names = (self._file.schema.column(i).path.split(".")[0] for i in range(len(self._file.schema.names)))
        return [i for i, name in enumerate(names) if name == column.split(".", maxsplit=1)[0]]

    def _chunks(self, group: int, column: str) -> list[Any]:
        chunks = self._file.metadata.row_group(group)
        return [chunks.column(i) for i in self._numbers(column)]


class _Arrow:
    def __init__(self, source: Any) -> None:
        self._source = source
        self._is_file = source.read(6) == b"ARROW1"
        self._rows: list[int] = []
        self._sizes: list[int] = []
        dictionaries = 0
        source.seek(8 if self._is_file else 0)
        for is_group, rows, size in batch_sizes(pa.ipc.MessageReader.open_stream(source)):
            if is_group:
                self._rows.append(rows)
                self._sizes.append(size)
            else:
                dictionaries += size
        self._dictionaries = dictionaries
        self._is_mapped = isinstance(source, pa.MemoryMappedFile)
        self._reader, self._next = self._opened(), 0
        self.schema, self.groups = self._reader.schema, len(self._rows)
        if self._is_file and self._reader.num_record_batches != self.groups:
            raise pa.ArrowInvalid("Its list of contents is of another file.")

    def _opened(self) -> Any:
        self._source.seek(0)
        return pa.ipc.open_file(self._source) if self._is_file else pa.ipc.open_stream(self._source)

    def rows(self, group: int) -> int:
        return self._rows[group]

    def too_large(self, group: int, column: str) -> str:
        size = self._sizes[group] + self._dictionaries
        return _too_large("batch") if size > 4 * _MOST_AT_ONCE and not self._is_plain(size) else ""

    def _is_plain(self, size: int) -> bool:
        """Whether what is read stays in the file, because nothing in it is packed."""
        return self._is_mapped and size <= self._source.size()

    def pieces(self, group: int, column: str) -> Iterator[Any]:
        if self._is_file:
            batch = self._reader.get_batch(group)
        else:
            if group < self._next:
                self._reader, self._next = self._opened(), 0
            while self._next <= group:
                batch = self._reader.read_next_batch()
                self._next += 1
        cells = batch.column(column)
        for first in range(0, len(cells), _ROWS_AT_ONCE):
            yield _whole(cells.slice(first, _ROWS_AT_ONCE))


def _too_large(what: str) -> str:
    most = (_MOST_AT_ONCE if "list" not in what and what != "batch" else 4 * _MOST_AT_ONCE) >> 20
    return f"It lies in a {what} of more than {most:,} MB; write the table with smaller ones."


def bytes_of_cell(cells: Any, row: int) -> int:
    """What one cell takes, told without a copy of it.

    Args:
        cells: The array.
        row: The row in it.

    Example:
        >>> bytes_of_cell(pa.array([b"pixels", b""]), 0) >= 6
        True
    """
    if isinstance(cells, pa.ExtensionArray):
        return bytes_of_cell(cells.storage, row)
    if isinstance(cells, pa.DictionaryArray):
        number = cells.indices[row].as_py()
        return 0 if number is None else bytes_of_cell(cells.dictionary, number)
    if isinstance(cells, pa.RunEndEncodedArray):
        return bytes_of_cell(cells.values, cells.slice(row, 1).find_physical_offset())
    return int(cells.slice(row, 1).nbytes)


def is_too_large(cells: Any, row: int) -> bool:
    """Whether one cell takes more than is read.

    Args:
        cells: The array.
        row: The row in it.

    Example:
        >>> is_too_large(pa.array([b"pixels"]), 0)
        False
    """
    return bytes_of_cell(cells, row) > _MOST_AT_ONCE


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
        >>> table.groups, [cells.to_pylist() for cells in table.pieces(0, "age")]
        (1, [[31, 44]])
    """
    give_back_cells()
    with damage_is_said():
        with open_place(place) as stream:
            parquet = stream.read(4) == b"PAR1"
        if STEP in place:
            source: Any = open_place(place) if parquet else pa.PythonFile(open_place(place), mode="r")
        else:  # what is mapped takes no memory, however large it is
            source = str(outer_file(place)) if parquet else pa.memory_map(str(outer_file(place)))
        return _Parquet(source, place) if parquet else _Arrow(source)

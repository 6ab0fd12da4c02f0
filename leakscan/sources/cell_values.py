"""The values of columns: those of one row after the other, and the first that are not empty."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from leakscan.errors import ImageError
from leakscan.sources.grouped_tables import GroupedTable, is_too_large, open_table
from leakscan.sources.picture_cells import is_empty
from leakscan.sources.unpacking import stamp

SAMPLED = 32
"""How many values of a column that are not empty tell what it holds."""
_KEPT_BYTES = 1 << 28
LARGE = object()
"""Stands for a cell that is larger than what is read."""
_kept: OrderedDict[str, CellCursor] = OrderedDict()


class CellCursor:
    """The cells of one column in one group of rows, of which a few are in memory; made for going forward.

    Args:
        place: Where the table lies; see :mod:`leakscan.sources.contents`.
        group: The group.
        column: The name of the column.

    Raises:
        ImageError: The table is damaged.

    Example:
        >>> import pyarrow as pa
        >>> import pyarrow.parquet as pq
        >>> pq.write_table(pa.table({"age": [31, 44]}), "people.parquet")
        >>> cursor = CellCursor("people.parquet", 0, "age")
        >>> cursor.value(1), cursor.value(0)
        (44, 31)
    """

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


def cell_cursor(place: str, group: int, column: str) -> CellCursor:
    """Where the last reader of a column stopped, or its beginning; the last two stay open if they are small.

    Args:
        place: Where the table lies.
        group: The group of rows.
        column: The name of the column.

    Raises:
        ImageError: The column takes more than is read.

    Example:
        ``cell_cursor("films.parquet", 0, "image").value(17)``
    """
    key = f"{place}|{stamp(place)}|{group}|{column}"
    if key not in _kept:
        if problem := open_table(place).too_large(group, column):
            raise ImageError("unsupported", problem)
        most = 1 if pa.total_allocated_bytes() <= _KEPT_BYTES else 0
        while len(_kept) > most:
            _kept.popitem(last=False)
        _kept[key] = CellCursor(place, group, column)
    return _kept[key]


def close_cursors() -> None:
    """Lets go the tables that are open.

    Example:
        >>> close_cursors()
    """
    _kept.clear()


def first_values(table: GroupedTable, column: str, most: int) -> Iterator[Any]:
    """The first cells of a column that are not empty, from whatever group can be read.

    Args:
        table: The table.
        column: The name of the column.
        most: How many at most.

    Example:
        >>> import pyarrow as pa
        >>> import pyarrow.parquet as pq
        >>> pq.write_table(pa.table({"name": [None, "A", "B"]}), "people.parquet")
        >>> list(first_values(open_table("people.parquet"), "name", 1))
        ['A']
    """
    seen = 0
    for group in range(table.groups):
        if table.too_large(group, column):
            continue
        for cells in table.pieces(group, column):
            if cells.null_count == len(cells):
                continue
            for row in range(len(cells)):
                value = LARGE if is_too_large(cells, row) else cells[row].as_py()
                if not is_empty(value):
                    yield value
                    seen += 1
                if seen >= most:
                    return

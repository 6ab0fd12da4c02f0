"""How much memory the pieces of a table will take, told before any of it is read.

Parquet states the size of each page in the page's header, Arrow that of each buffer in front of it. Both are
read here without the values, so that a small file that swells like a bomb costs nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

_MOST_OF_HEADER = 1 << 16
_DICTIONARY_PAGE = 2
_RECORD_BATCH, _DICTIONARY_BATCH = 3, 2


def largest_page(stream: BinaryIO, start: int, length: int) -> int:
    """The size of the largest page of one column in one group of rows of a Parquet file, unpacked.

    A page of a dictionary is among them: each of its values is no larger.

    Args:
        stream: The file.
        start: Where the column's first page begins.
        length: How many bytes its pages take in the file.

    Raises:
        ValueError: A header is damaged.

    Example:
        ``largest_page(stream, 4, 1200)``
    """
    largest, at, end = 0, start, start + length
    while at < end:
        stream.seek(at)
        header = _CompactReader(stream.read(_MOST_OF_HEADER))
        try:
            fields = header.struct()
        except RecursionError as error:
            raise ValueError("a header in headers without end") from error
        unpacked, packed = fields.get(2), fields.get(3)
        if not isinstance(unpacked, int) or not isinstance(packed, int) or packed < 0 or unpacked < 0:
            raise ValueError("a page without a size")
        largest = max(largest, unpacked)
        at += header.at + packed
    return largest


class _CompactReader:
    """Thrift's compact protocol, as far as headers of pages need it.

    See https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self) -> dict[int, Any]:
        """The fields of a structure by number; only whole numbers are kept."""
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            fields[number] = self._value(kind & 15)
        return fields

    def _byte(self) -> int:
        if self.at >= len(self._data):
            raise ValueError("a header that does not end")
        self.at += 1
        return self._data[self.at - 1]

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found

    def _signed(self) -> int:
        number = self._varint()
        return number >> 1 ^ -(number & 1)

    def _value(self, kind: int) -> int | None:
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 3:
            self._byte()
        elif kind == 7:
            self.at += 8
        elif kind == 8:
            length = self._varint()
            self.at += length
        elif kind in (9, 10):
            size = self._byte()
            count = size >> 4 if size >> 4 < 15 else self._varint()
            for _ in range(count):
                self._value(3 if size & 15 in (1, 2) else size & 15)
        elif kind == 12:
            self.struct()
        elif kind not in (1, 2):
            raise ValueError("a header of an unknown kind")
        return None


def batch_sizes(messages: Any) -> Iterator[tuple[bool, int, int]]:
    """The pieces of an Arrow file or stream in order, and what each takes once it is unpacked.

    Args:
        messages: What ``pyarrow.ipc.MessageReader`` reads of it.

    Yields:
        Whether it is a group of rows (else it is a dictionary), its rows, and its bytes.

    Raises:
        ValueError: A piece is damaged.

    Example:
        ``[rows for is_group, rows, _ in batch_sizes(messages) if is_group]``
    """
    while True:
        try:
            message = messages.read_next_message()
        except (StopIteration, EOFError):
            return
        if message is None:
            return
        header = memoryview(message.metadata)
        try:
            table = _FlatTable.root(header)
            kind, content = table.number(1, "B"), table.table(2)
            if content is None or kind not in (_RECORD_BATCH, _DICTIONARY_BATCH):
                continue
            rows = content if kind == _RECORD_BATCH else content.table(1)
            if rows is None:
                raise ValueError("a dictionary without values")
            body = memoryview(message.body) if message.body is not None else memoryview(b"")
            yield kind == _RECORD_BATCH, rows.number(0, "q"), _size(rows, body)
        except struct.error as error:
            raise ValueError("a damaged message") from error


def _size(rows: _FlatTable, body: memoryview) -> int:
    """The bytes of all buffers; a packed one states what it unpacks to in its first eight bytes."""
    packed = rows.table(3) is not None
    total = 0
    for offset, length in rows.pairs(2):
        stated = struct.unpack_from("<q", body, offset)[0] if packed and length >= 8 else -1
        total += max(length, stated)
    return total


class _FlatTable:
    """A table of FlatBuffers, as far as messages of Arrow need it; see https://flatbuffers.dev/internals."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self._at = data, at
        self._fields = at - struct.unpack_from("<i", data, at)[0]

    @classmethod
    def root(cls, data: memoryview) -> _FlatTable:
        """The outermost table."""
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def _place(self, field: int) -> int:
        """Where a field stands, 0 where it is absent."""
        size = struct.unpack_from("<H", self._data, self._fields)[0]
        if 4 + 2 * field >= size:
            return 0
        offset: int = struct.unpack_from("<H", self._data, self._fields + 4 + 2 * field)[0]
        return self._at + offset if offset else 0

    def number(self, field: int, form: str) -> int:
        """A number, 0 where it is absent."""
        place = self._place(field)
        found: int = struct.unpack_from(f"<{form}", self._data, place)[0] if place else 0
        return found

    def table(self, field: int) -> _FlatTable | None:
        """A table inside this one."""
        place = self._place(field)
        return _FlatTable(self._data, place + self.number(field, "I")) if place else None

    def pairs(self, field: int) -> list[tuple[int, int]]:
        """A list of structures of two long numbers."""
        place = self._place(field)
        if not place:
            return []
        start = place + self.number(field, "I")
        count = struct.unpack_from("<I", self._data, start)[0]
        data = self._data[start + 4 : start + 4 + 16 * count]
        if len(data) < 16 * count:
            raise ValueError("a list that does not end")
        return list(struct.iter_unpack("<qq", data))

"""Streams that lie otherwise than their file does, and one that refuses to be read without an end."""

from __future__ import annotations

import os
from typing import BinaryIO, cast

from leakscan.errors import ImageError
from leakscan.sources.seekable_stream import SeekableStream

_MOST_HEADER = 1 << 28
"""The bytes that may stand before the pixels of a file. Those of 10,000 frames take some 20 MB."""


class Shifted(SeekableStream):
    """A stream that begins elsewhere than another: behind its first bytes, or with some before them.

    Closing it leaves the other open.

    Args:
        inner: The other stream, which can seek.
        front: Bytes that come before it.
        skip: How many of its first bytes are left out.

    Example:
        >>> import io
        >>> Shifted(io.BytesIO(b"pixels"), front=b"six ").read()
        b'six pixels'
        >>> Shifted(io.BytesIO(b"six pixels"), skip=4).read(3)
        b'pix'
    """

    def __init__(self, inner: BinaryIO, front: bytes = b"", skip: int = 0) -> None:
        self._inner = inner
        self._front = front
        self._moved = skip - len(front)

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes from where the stream stands; all with -1."""
        end = len(self._front) if size < 0 else self._at + size
        data = self._front[self._at : end]
        left = size - len(data)
        if size < 0 or left > 0:
            self._inner.seek(self._at + len(data) + self._moved)
            data += self._inner.read(left if size >= 0 else -1)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a place counted from the beginning (0), from here (1) or from the end (2)."""
        if whence == os.SEEK_END:
            offset += self._inner.seek(0, os.SEEK_END) - self._moved
        self._at = offset + self._at if whence == os.SEEK_CUR else offset
        return self._at


class BoundedStream:
    """A stream for a parser of headers, of which only so much can be read that memory does not suffer.

    An element may claim 4 GB, or have no length and never end; a file without its zeros on disk, or one that
    swells as it is inflated, really holds as much. What is skipped by seeking does not count.

    Args:
        inner: The stream.
        most: How many bytes may be read.

    Example:
        >>> import io
        >>> stream = BoundedStream(io.BytesIO(bytes(10)), most=6)
        >>> len(stream.read(4)), stream.seek(0)
        (4, 0)
        >>> stream.read(4)
        Traceback (most recent call last):
        leakscan.errors.ImageError: What stands before its pixels is longer than the limit of 256 MB.
    """

    def __init__(self, inner: BinaryIO, most: int = _MOST_HEADER) -> None:
        self._inner = inner
        self._left = most
        self.seek = inner.seek
        self.tell = inner.tell

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes.

        Raises:
            ImageError: ``unreadable``: it was more together than a header may hold, or has no end.
        """
        if size < 0 or size > self._left:
            raise ImageError(
                "unreadable",
                f"What stands before its pixels is longer than the limit of {_MOST_HEADER >> 20} MB.",
            )
        self._left -= size
        return self._inner.read(size)

    def as_file(self) -> BinaryIO:
        """Itself, as parsers name the type of what they read."""
        return cast(BinaryIO, self)

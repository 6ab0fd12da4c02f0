"""A compressed stream that can be read from any place, as cheaply as its compression allows."""

from __future__ import annotations

import bz2
import io
import lzma
import os
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from leakscan.errors import ImageError
from leakscan.sources.seekable_stream import SeekableStream

_WINDOW = 1 << 26
_AT_ONCE = 1 << 20
_SUSPECT_BYTES = 1 << 28
_SUSPECT_RATIO = 200
_GZIP = 31
"""The window bits by which zlib reads what gzip wrote."""
_BARE = -15
"""Those for a deflated stream with nothing around it."""
_PACKED_AT_ONCE = 1 << 16


class Inflating(SeekableStream):
    """What a compressed file holds, inflated as it is read.

    Going forward costs what inflating costs. The last 64 MB stay at hand; going back beyond them begins
    anew. A stream that swells like a bomb ends in an error.

    Args:
        open_raw: Opens the compressed bytes.
        compression: ``gzip``, ``deflate`` (with nothing around it), ``bzip2``, ``xz``, ``zstd`` or ``lz4``.

    Raises:
        ImageError: It swells beyond reason.

    Example:
        >>> import gzip
        >>> packed = gzip.compress(b"a film and another film")
        >>> stream = Inflating(lambda: io.BytesIO(packed), "gzip")
        >>> stream.seek(7), stream.read(3), stream.read_from(0, 6)
        (7, b'and', b'a film')
    """

    def __init__(self, open_raw: Callable[[], BinaryIO], compression: str) -> None:
        self._open_raw = open_raw
        self._compression = compression
        self._raw: BinaryIO | None = None
        self._stream: Any = None
        self._window = bytearray()
        self._begins = 0  # where the window begins in what is inflated
        self._packed_size = 0

    def _restart(self) -> None:
        if self._raw is not None:
            self._raw.close()
        self._raw = self._open_raw()
        if isinstance(self._raw, Inflating):
            self._packed_size = _SUSPECT_BYTES  # how long it is nobody knows; it stops bombs by itself
        else:
            self._packed_size = self._raw.seek(0, os.SEEK_END)
            self._raw.seek(0)
        self._stream = _inflater(self._raw, self._compression)
        self._window, self._begins = bytearray(), 0

    @property
    def held(self) -> int:
        """How many inflated bytes are at hand."""
        return len(self._window)

    @property
    def _ends(self) -> int:
        return self._begins + len(self._window)

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes from where the stream stands; all with -1."""
        data = self.read_from(self._at, size if size >= 0 else 1 << 62)
        self._at += len(data)
        return data

    def read_from(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from a place, fewer only at the end.

        Args:
            offset: The first byte.
            size: How many.
        """
        if self._stream is None or offset < self._begins:
            self._restart()
        parts: list[bytes] = []
        wanted = size
        while wanted > 0:
            if offset < self._ends:
                start = offset - self._begins
                parts.append(bytes(memoryview(self._window)[start : start + min(wanted, _AT_ONCE)]))
                offset += len(parts[-1])
                wanted -= len(parts[-1])
            elif not self._more():
                break
        return b"".join(parts)

    def _more(self) -> bool:
        data = self._stream.read(_AT_ONCE)
        if not data:
            return False
        self._window += data
        if len(self._window) > _WINDOW + (_WINDOW >> 1):
            cut = len(self._window) - _WINDOW
            del self._window[:cut]
            self._begins += cut
        if self._ends > _SUSPECT_BYTES and self._ends > _SUSPECT_RATIO * self._packed_size:
            raise ImageError("unsupported", "It unpacks to far more than images do, as a zip bomb would.")
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes to a place counted from the beginning (0) or from here (1)."""
        if whence == 2:
            raise io.UnsupportedOperation("the end is not known")
        self._at = offset if whence == 0 else self._at + offset
        return self._at

    def close(self) -> None:
        """Closes the compressed bytes."""
        if self._raw is not None:
            self._raw.close()
        super().close()


class _Gzip:
    """What gzip packed, one member behind the other.

    Like ``gunzip`` it takes no offence at what stands behind the last member, and what comes before damage is
    given out before an error is raised.
    """

    def __init__(self, raw: BinaryIO, window: int = _GZIP) -> None:
        self._raw = raw
        self._window = window
        self._member = zlib.decompressobj(window)
        self._waiting = b""
        self._has_ended = False
        self._error: Exception | None = None

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes, none only at the end.

        Raises:
            EOFError: It is cut short.
            zlib.error: It is damaged.
        """
        parts: list[bytes] = []
        left = size
        while left > 0 and not self._has_ended and self._error is None:
            try:
                parts.append(self._more(left))
            except (EOFError, zlib.error) as error:
                self._error = error
                break
            left -= len(parts[-1])
        if not any(parts) and self._error is not None:
            raise self._error
        return b"".join(parts)

    def _more(self, size: int) -> bytes:
        if self._member.eof:
            self._next_member()
            return b""
        packed = self._waiting or self._raw.read(_PACKED_AT_ONCE)
        if not packed:
            raise EOFError("Compressed file ended before the end-of-stream marker was reached")
        data = self._member.decompress(packed, size)
        self._waiting = self._member.unconsumed_tail or self._member.unused_data
        return data

    def _next_member(self) -> None:
        if self._window == _BARE:  # it has one only
            self._has_ended = True
            return
        waiting = self._waiting.lstrip(b"\0")
        while len(waiting) < 2 and (more := self._raw.read(_PACKED_AT_ONCE)):
            waiting = (waiting + more).lstrip(b"\0")
        self._waiting, self._member = waiting, zlib.decompressobj(self._window)
        self._has_ended = not waiting.startswith(b"\x1f\x8b")


def _inflater(raw: BinaryIO, compression: str) -> Any:
    if compression == "gzip":
        return _Gzip(raw)
    if compression == "deflate":
        return _Gzip(raw, _BARE)
    if compression == "bzip2":
        return bz2.BZ2File(raw)
    if compression == "xz":
        return lzma.LZMAFile(raw)
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), compression)

"""What all streams that are made of other bytes have in common: they can be read from any place."""

from __future__ import annotations

import io


class SeekableStream(io.RawIOBase):
    """A stream for reading that knows where it stands. Whoever inherits it reads and seeks.

    Example:
        >>> stream = SeekableStream()
        >>> stream.tell(), stream.readable(), stream.seekable(), stream.writable()
        (0, True, True, False)
    """

    _at = 0

    def tell(self) -> int:
        """Where the stream stands."""
        return self._at

    def readable(self) -> bool:
        """It always is."""
        return True

    def seekable(self) -> bool:
        """It always is."""
        return True

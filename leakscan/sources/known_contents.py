"""Which contents were met among the files of a source, so that a copy elsewhere is known for one."""

from __future__ import annotations

import array

import numpy as np

_ODD = 0x9E3779B97F4A7C15
"""Spreads sizes over 64 bits."""


class KnownContents:
    """What the marks of many files say of their content, in eight bytes each.

    Example:
        >>> known = KnownContents()
        >>> known.add("6-1700000000-17-00000000000000ab")
        >>> known.has("6-1800000000-18-00000000000000ab"), known.has("7-1800000000-18-00000000000000ab")
        (True, False)
    """

    def __init__(self) -> None:
        self._numbers = array.array("Q")
        self._sorted = np.empty(0, np.uint64)

    def add(self, mark: str) -> None:
        """Keeps the mark of a file.

        Args:
            mark: What :func:`leakscan.sources.contents.mark_of` says of it.
        """
        self._numbers.append(_content_number(mark))

    def has(self, mark: str) -> bool:
        """Whether a file was kept that agrees in its size and in its first and last 4 kB.

        Args:
            mark: The mark of another file.
        """
        if len(self._sorted) < len(self._numbers):
            self._sorted = np.sort(np.frombuffer(self._numbers, np.uint64))
        number = np.uint64(_content_number(mark))
        at = int(np.searchsorted(self._sorted, number))
        return at < len(self._sorted) and bool(self._sorted[at] == number)


def _content_number(mark: str) -> int:
    size, _, digest = mark.partition("-")
    return (int(digest[-16:], 16) ^ int(size) * _ODD) % (1 << 64)

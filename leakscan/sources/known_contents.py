"""Which contents were met among the files of a source, so that a copy elsewhere is known for one."""

from __future__ import annotations

import array
import os
from pathlib import Path

import numpy as np

_ODD = 0x9E3779B97F4A7C15
"""Spreads sizes over 64 bits."""
_FEW = 16
_PLACES, _SAMPLE = 17, 4096


class KnownContents:
    """What the marks of many files say of their content, in eight bytes each.

    Example:
        >>> known = KnownContents()
        >>> known.add("6-1700000000-17-00000000000000ab")
        >>> known.like("6-1800000000-18-00000000000000ab"), known.like("7-1800000000-18-00000000000000ab")
        ([0], [])
    """

    def __init__(self) -> None:
        self._numbers = array.array("Q")
        self._order = np.empty(0, np.int64)
        self._sorted = np.empty(0, np.uint64)

    def add(self, mark: str) -> None:
        """Keeps the mark of a file.

        Args:
            mark: What :func:`leakscan.sources.contents.mark_of` says of it.
        """
        self._numbers.append(_content_number(mark))

    def like(self, mark: str) -> list[int]:
        """The files, by the order in which they were kept, of equal size and equal first and last 4 kB.

        Args:
            mark: The mark of another file.
        """
        if len(self._order) < len(self._numbers):
            kept = np.array(self._numbers, np.uint64)
            self._order = np.argsort(kept, kind="stable")
            self._sorted = kept[self._order]
        number = np.uint64(_content_number(mark))
        first, last = (int(np.searchsorted(self._sorted, number, side)) for side in ("left", "right"))
        return [int(at) for at in self._order[first : min(last, first + _FEW)]]


def are_copies(one: Path, other: Path) -> bool:
    """Whether two files of equal size and ends agree in sixteen places between as well.

    Raw pictures with black borders agree at their ends, whatever they show.

    Args:
        one: A file.
        other: Another of the same size.

    Raises:
        OSError: One cannot be read.

    Example:
        >>> _ = Path("a.raw").write_bytes(bytes(90_000) + b"a film" + bytes(90_000))
        >>> _ = Path("b.raw").write_bytes(bytes(180_006))
        >>> are_copies(Path("a.raw"), Path("a.raw")), are_copies(Path("a.raw"), Path("b.raw"))
        (True, False)
    """
    with one.open("rb") as a, other.open("rb") as b:
        size = a.seek(0, os.SEEK_END)
        for number in range(_PLACES):
            for stream in (a, b):
                stream.seek(max(0, (size - _SAMPLE) * number // (_PLACES - 1)))
            if a.read(_SAMPLE) != b.read(_SAMPLE):
                return False
    return True


def _content_number(mark: str) -> int:
    size, _, digest = mark.partition("-")
    return (int(digest[-16:], 16) ^ int(size) * _ODD) % (1 << 64)

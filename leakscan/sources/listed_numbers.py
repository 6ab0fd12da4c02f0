"""Texts that are lists of numbers: matrices, one number or one record a line, indices with values.

Only what stands between the numbers counts, so lists of any language and notation are read alike.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from leakscan.sources.pixel_statistics import look_like_pixels, rows_look_like_pixels

_NUMBER = re.compile(rb"0x[0-9a-fA-F]{1,8}|[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d{1,3})?")
_WITH_COMMA = re.compile(rb"(?<![\d,])-?\d+,\d+[;\t ]-?\d+,\d+[;\t \r\n]")
_LEAST = 400
_SHORT = 1200
_OPENING = 4096
"""How much is read first, to see whether a text is a list of numbers at all."""
_MOST = 40_000
"""About how many numbers are read."""
_MOST_SEPARATORS, _LISTED = 14, 0.95
"""So many different things stand between nearly all numbers of a list; between those of prose stand more."""
_LONGEST = 40
_MOST_PARTS = 12
_MOST_PLACES = 1 << 20
_REGULAR = 0.96
_LEAST_SIDE = 14
_STACKED = 16
"""How many flattened pictures are laid under each other."""

Floats = npt.NDArray[np.float64]


def lists_pixels(text: bytes, least: int = _LEAST) -> bool:
    r"""Whether a text is a list of numbers that are likely the pixels of pictures.

    Args:
        text: The text, or a piece of it; its first and last number may be cut.
        least: How many numbers it must have.

    Example:
        >>> rows, columns = np.mgrid[:60, :80]
        >>> film = np.rint(90 + 60 * np.sin(np.hypot(rows - 20, columns - 50) / 6) + columns * rows / 99)
        >>> lists_pixels("\n".join(f"{y} {x} {film[y, x]:.0f}" for y, x in np.ndindex(60, 80)).encode())
        True
        >>> lists_pixels(b"The patient, 60 years old, was seen on 3 May 2020. " * 99)
        False
    """
    if len(text) < _SHORT:  # most labels
        return False
    found = _listed(text) or _listed(text[len(text) // 2 :])  # behind a long header
    if found is None or len(found[0]) < least:
        return False
    numbers, between = found
    parts = _parts(between)
    if parts > 1:
        records = numbers[: len(numbers) // parts * parts].reshape(-1, parts)
        return any(map(look_like_pixels, _columns(records)))
    if (width := _row_length(between)) >= _LEAST_SIDE:
        first = int(np.flatnonzero(between[: width + 1] != _commonest(between))[0]) + 1
        rows = numbers[first:] if first < width else numbers
        return _rows_are_pixels(rows[: len(rows) // width * width].reshape(-1, width))
    return look_like_pixels(numbers)


def _listed(text: bytes) -> tuple[Floats, npt.NDArray[np.int64]] | None:
    """The numbers of a text and, by numbers, what stands behind each; ``None`` where it is no list."""
    if _WITH_COMMA.search(text[:2000]):
        text = text.replace(b",", b".")
    first = _NUMBER.split(text[:_OPENING])[1:-1]
    if (len(text) <= _OPENING and len(first) < _LEAST) or not _is_list(first):
        return None
    text = text[: _MOST * _OPENING // (len(first) + 1)]
    gaps = _NUMBER.split(text)[2:-1]
    found = _NUMBER.findall(text)[1:-1]
    if len(found) < _LEAST or not _is_list(gaps):
        return None
    names = {gap: number for number, gap in enumerate(set(gaps))}
    if b"0x" in text:
        values = np.array([float(int(n, 16)) if _is_hexadecimal(n) else float(n) for n in found])
    else:
        with np.errstate(over="ignore"):
            values = np.array(found).astype(np.float64)
    return values, np.array([names[gap] for gap in gaps[: len(values)]])


def _is_hexadecimal(number: bytes) -> bool:
    return number[:2] == b"0x"


def _is_list(gaps: list[bytes]) -> bool:
    """Whether few different things stand between numbers."""
    usual = Counter(gaps).most_common(_MOST_SEPARATORS)
    return sum(n for gap, n in usual if len(gap) <= _LONGEST) >= _LISTED * max(len(gaps), 1)


def _parts(between: npt.NDArray[np.int64]) -> int:
    """How many numbers a record has, 1 where there are no records."""
    for parts in range(1, _MOST_PARTS + 1):
        if float(np.mean(between[parts:] == between[:-parts])) >= _REGULAR:
            return parts
    return 1


def _commonest(between: npt.NDArray[np.int64]) -> int:
    return int(np.bincount(between).argmax())


def _row_length(between: npt.NDArray[np.int64]) -> int:
    """How many numbers stand in a row, 0 where rows are not all alike: what ends a row is rarer."""
    ends = np.flatnonzero(between != _commonest(between))
    if len(ends) < 2:
        return 0
    lengths = np.diff(ends)
    usual = int(np.bincount(lengths).argmax())
    return usual if float(np.mean(lengths == usual)) >= _REGULAR else 0


def _columns(records: Floats) -> Iterator[Floats]:
    """The columns of records, and where the first is an index, the second at its places."""
    places = records[:, 0]
    falls = np.flatnonzero(np.diff(places) <= 0)
    first = records[: falls[0] + 1] if len(falls) else records
    if records.shape[1] != 2 or len(first) < _LEAST or not np.array_equal(first[:, 0], np.rint(first[:, 0])):
        yield from records.T
    elif first[0, 0] >= 0 and (last := int(first[-1, 0])) < _MOST_PLACES:
        yield first[:, 1]
        dense = np.zeros(last + 1)
        dense[first[:, 0].astype(np.int64)] = first[:, 1]
        yield dense


def _rows_are_pixels(rows: Floats) -> bool:
    """Whether rows of equal length are those of a picture, or a picture each, some behind a label."""
    if len(rows) >= _LEAST_SIDE and any(rows_look_like_pixels(rows[:, start:]) for start in (0, 1)):
        return True
    for start in (0, 1, 2):
        pictures = rows[:_STACKED, start:]
        for channels in (1, 3):
            side = math.isqrt(pictures.shape[1] // channels)
            if side >= _LEAST_SIDE and side**2 * channels == pictures.shape[1]:
                planes = pictures.reshape(-1, side, channels) if channels == 3 else pictures
                stack = planes[..., 1] if channels == 3 else planes
                if rows_look_like_pixels(stack.reshape(-1, side)):
                    return True
        if pictures.size and pictures.shape[1] >= 4 * _LEAST and look_like_pixels(pictures[0]):
            return True
    return False

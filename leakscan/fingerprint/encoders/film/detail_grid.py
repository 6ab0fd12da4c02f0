"""The grid of small vectors that a detail network keeps of a film: its sizes, and its form at 8 bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SIDE = 224
"""Pixels of the canonical films that the network sees."""
GRID = SIDE // 16
"""Places along a side."""
KEYS, KEY_DIM = 3, 24
"""Unit vectors of a place that say where its like is, and their length."""
VALUES = 24
"""Numbers of a place that say how two places differ."""
DETAIL_DIM = KEYS * KEY_DIM + VALUES
"""Numbers that are kept of a place."""

Details = npt.NDArray[np.int8]
"""``(..., places, DETAIL_DIM)``, as they are kept and compared."""

_MOST = 127
_REACH_OF_VALUES = 2.0  # values seldom reach 1.5; what lies beyond counts as this
_STEPS = np.repeat(np.array([1.0, _REACH_OF_VALUES], np.float32), [KEYS * KEY_DIM, VALUES]) / np.float32(
    _MOST
)


def at_8_bits(found: npt.NDArray[np.float32]) -> Details:
    """What a network found, ``(..., DETAIL_DIM)``, as it is kept: equal wherever it was computed, or nearly.

    Example:
        >>> at_8_bits(np.full((1, DETAIL_DIM), 0.5, np.float32))[0, [0, -1]].tolist()
        [64, 32]
    """
    return np.asarray(np.clip(np.rint(found / _STEPS), -_MOST, _MOST), np.int8)


def as_numbers(details: Details) -> npt.NDArray[np.float32]:
    """The numbers that kept details stand for, as a network compares them.

    Example:
        >>> as_numbers(np.full((1, DETAIL_DIM), 127, np.int8))[0, [0, -1]].tolist()
        [1.0, 2.0]
    """
    return np.asarray(details * _STEPS, np.float32)

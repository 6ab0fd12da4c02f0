"""Whether numbers are likely the pixels of pictures, wherever they stand: as pictures vary, and little else.

Neighbours in a row are alike, and so are neighbours in a column, which lie a whole row apart in the numbers.
Compressed data, weights of networks and vectors of features vary otherwise; a slow trend has no rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_LEAST = 196
_MOST = 1 << 16
_LEAST_LEVELS = 16
_LEAST_WIDTH = 14
_ALONG, _ACROSS = 0.65, 0.5
"""How alike neighbours in a row and in a column are at least, as correlations."""
_DIP = 0.08
"""How much less alike numbers are that lie less than a row apart, at the least of them."""
_STEEPER = 6.0
"""How much larger a step from row to row may be than within a row; signals that repeat have large ones."""
_FLATTER = 3.0
"""How much smaller it may be: records of a database are more alike from one to the next than within."""
_FAR = 7
"""How far apart numbers are that are compared with neighbours."""
_MOSTLY = 0.68
"""How often at least a number is more like its neighbour than like one further away."""
_MOST_WIDTHS = 8
_EXACT = 1 - 1e-9
_TYPES = ("<u1", "<u2", ">u2", "<i2", ">i2", "<f4", ">f4", "<f8")
_LEAST_BYTES = 4096


def look_like_pixels(numbers: npt.ArrayLike) -> bool:
    """Whether numbers are likely the pixels of one or more pictures, row after row.

    Args:
        numbers: The numbers in their order, any shape; the first 65,536 count.

    Example:
        >>> film = np.add.outer(np.sin(np.arange(60) / 9), np.cos(np.arange(80) / 11))
        >>> look_like_pixels(film), look_like_pixels(np.random.default_rng(0).random(4800))
        (True, False)
    """
    values = np.asarray(numbers)
    if values.size < _LEAST or values.dtype.kind not in "iuf":
        return False
    values = values.reshape(-1)[:_MOST].astype(np.float64)
    if not np.isfinite(values).all() or float(np.abs(values).max()) > 1e9:
        return False
    if len(np.unique(values)) <= _LEAST_LEVELS:
        return False
    if _have_rows(values):
        return True
    colours = values[: len(values) // 3 * 3].reshape(-1, 3)
    return (
        len(colours) >= _LEAST
        and all(_is_smooth(colour) for colour in colours.T)
        and _have_rows(colours[:, 1])
    )


def bytes_look_like_pixels(data: bytes) -> bool:
    """Whether bytes are likely the pixels of pictures, of 8 or 16 bits or as floating-point numbers.

    Args:
        data: The bytes; pixels may begin anywhere in their first half.

    Example:
        >>> film = np.add.outer(np.sin(np.arange(60) / 9), np.cos(np.arange(80) / 11)) * 60 + 120
        >>> bytes_look_like_pixels(film.astype("u1").tobytes()), bytes_look_like_pixels(bytes(5000))
        (True, False)
    """
    if len(data) < _LEAST_BYTES:
        return False
    for kind in _TYPES:
        width = np.dtype(kind).itemsize
        half = len(data) // 2 // 8 * 8
        piece = data[half : half + _MOST * width]
        values = np.frombuffer(piece[: len(piece) // width * width], kind)
        if _may_be_values(values) and look_like_pixels(values):
            return True
    return False


def _may_be_values(values: npt.NDArray[Any]) -> bool:
    """Whether numbers read from bytes in some type may be meant so: bytes of another type are wild floats."""
    if values.dtype.kind != "f":
        return True
    with np.errstate(all="ignore"):
        size = np.abs(values.astype(np.float64))
        usual = (size == 0) | ((size > 1e-6) & (size < 1e6))
    return bool(usual.all())


def _is_smooth(values: npt.NDArray[np.float64]) -> bool:
    spread = float(values.var())
    return spread > 0 and 1 - float(np.mean(np.diff(values) ** 2)) / (2 * spread) >= _ALONG


def _have_rows(values: npt.NDArray[np.float64]) -> bool:
    """Whether numbers are alike from one to the next, less so further on, and again a row later."""
    furthest = len(values) // 3
    if furthest <= _LEAST_WIDTH + 1 or not _is_smooth(values) or _nearer(values, 1, _FAR) < _MOSTLY:
        return False
    alike = _autocorrelation(values, furthest)
    least = np.minimum.accumulate(alike)
    lags = np.arange(_LEAST_WIDTH, furthest - 1)
    is_peak = (alike[lags] >= alike[lags - 1]) & (alike[lags] >= alike[lags + 1])
    rows = lags[is_peak & (alike[lags] >= _ACROSS) & (alike[lags] - least[lags] >= _DIP)]
    steps, step = 1 - alike[rows], 1 - float(alike[1])
    rows = rows[(steps <= _STEEPER * step + 0.02) & (_FLATTER * steps >= step)][:_MOST_WIDTHS]
    if np.any(alike[rows] > _EXACT):  # what repeats to the last number is a pattern
        return False
    return any(_nearer(values, row, row + row // 2) >= _MOSTLY for row in rows)


def _nearer(values: npt.NDArray[np.float64], near: int, far: int) -> float:
    """How often a number is more like the one ``near`` places on than like the one ``far`` places on.

    Ties do not count; where nearly all are ties, nothing is known. Unlike a correlation this is not moved by
    a few blocks of large numbers among small ones, as programs have them.
    """
    count = len(values) - max(near, far)
    if count < _LEAST // 2:
        return 0.0
    to_near = np.abs(values[near : near + count] - values[:count])
    to_far = np.abs(values[far : far + count] - values[:count])
    differ = int(np.count_nonzero(to_near != to_far))
    return float(np.count_nonzero(to_near < to_far)) / differ if differ > count // 20 else 0.0


def _autocorrelation(values: npt.NDArray[np.float64], furthest: int) -> npt.NDArray[np.float64]:
    """How alike numbers are that lie 0, 1, 2 ... places apart, by the mean square of their differences."""
    centred = values - values.mean()
    count = len(centred)
    size = 1 << (2 * count - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    products = np.fft.irfft(spectrum * spectrum.conj(), size)[:furthest]
    squares = np.concatenate([[0.0], np.cumsum(centred**2)])
    lags = np.arange(furthest)
    both = squares[count - lags] + (squares[count] - squares[lags])
    return np.asarray(2 * products / np.maximum(both, 1e-300))

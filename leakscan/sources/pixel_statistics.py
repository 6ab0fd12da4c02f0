"""Whether numbers are likely the pixels of pictures, wherever they stand: as pictures vary, and little else.

Neighbours in a row are alike, and so are neighbours in a column, which lie a whole row apart in the numbers.
Compressed data, weights of networks and vectors of features vary otherwise; a slow trend has no rows. Signals
that repeat, and tables whose rows or columns are alike, have rows too, but are little more than a few
products of one row and one column: without these nothing smooth is left, while pictures keep their edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_LEAST = 196
_MOST = 1 << 16
_LEAST_LEVELS = 16
_LEAST_SIDE, _LEAST_ROWS = 14, 20
"""How many rows and columns a table of pixels has at least, and rows that are only guessed."""
_ALONG, _ACROSS = 0.55, 0.45
"""How alike neighbours in a row and in a column are at least, as correlations."""
_CENTRED = 0.3
"""The same once the means of rows and columns are taken off."""
_LEFT = 0.12
"""The same once a few products of a row and a column are taken off as well; of noise it is zero."""
_PRODUCTS = 6
"""How many products of a row and a column are taken off, of small pictures one for every ten rows."""
_LEAST_OWN = 0.015
"""How much of the squares is neither of the means of rows nor of those of columns, at least."""
_SYMMETRIC = 0.3
"""By what share of squares a table of pairs differs from itself with rows and columns exchanged, at most."""
_LEAST_LEFT = 0.008
"""How much is left at least, as a share of the squares."""
_NEAR_PEAK = 7
_STRAIGHT = 0.5
"""How many rows at least lie straight under the one before."""
_ALL_ALIKE = 0.9
"""How many rows are shifted alike from which on a shift is one of the whole, and no edge of a picture."""
_ROWS_TRIED, _ROWS_ON, _FURTHEST = 64, 12, 8
_FAR = 7
"""How far apart numbers are that are compared with neighbours."""
_MOSTLY = 0.62
"""How often at least a number is more like its neighbour than like one further away."""
_DIP = 0.04
"""How much less alike numbers are that lie less than a row apart, at the least of them."""
_MOST_WIDTHS = 8
_MOST_SIDE = 192
_EXACT = 1 - 1e-9
_OUTSIDE = (0.5, 99.5)
"""Percentiles beyond which numbers count as these: marks of rows and of what is missing among them."""
_MOST_ODD = 0.1
_TYPES = ("<u1", "<i1", "<u2", ">u2", "<i2", ">i2", "<f4", ">f4", "<f8", ">f8", "<i4", ">i4", "<i8", "<f2")
_LEAST_BYTES = 3600
_SAMPLE, _AT_ALL = 2048, 0.3
"""A few numbers tell nearly always that bytes are not to be read in some type."""


def look_like_pixels(numbers: npt.ArrayLike) -> bool:
    """Whether numbers are likely the pixels of one or more pictures, row after row.

    Args:
        numbers: The numbers in their order, any shape; the first 65,536 count.

    Example:
        >>> rows, columns = np.mgrid[:60, :80]
        >>> film = np.sin(rows / 9) + np.cos(columns / 11) + np.sin(np.hypot(rows - 20, columns - 50) / 6)
        >>> look_like_pixels(film), look_like_pixels(np.random.default_rng(0).random(4800))
        (True, False)
    """
    values = _usable(np.asarray(numbers).reshape(-1)[:_MOST])
    if values is None:
        return False
    for channels in (1, 2, 3, 4):
        pixels = values[: len(values) // channels * channels].reshape(-1, channels)
        if len(pixels) < _LEAST:
            return False
        smooth = [number for number in range(channels) if _along(pixels[:, number]) >= _ALONG]
        if len(smooth) >= max(1, min(channels - 1, 3)) and _have_rows(pixels[:, smooth[len(smooth) // 2]]):
            return True
    return False


def rows_look_like_pixels(grid: npt.ArrayLike) -> bool:
    """Whether a table of numbers is likely a picture: one row of the table is one row of pixels.

    Args:
        grid: ``(rows, columns)``.

    Example:
        >>> noise = np.random.default_rng(0).random((60, 80))
        >>> from scipy import ndimage
        >>> film = ndimage.gaussian_filter(noise, 2)
        >>> rows_look_like_pixels(film), rows_look_like_pixels(noise)
        (True, False)
    """
    values = np.asarray(grid)
    if values.ndim != 2 or min(values.shape) < _LEAST_SIDE:
        return False
    values = values[: _MOST // values.shape[1]]
    usable = _usable(values.reshape(-1))
    return usable is not None and not _is_flat(usable) and _is_picture(usable.reshape(values.shape))


def bytes_look_like_pixels(data: bytes) -> bool:
    """Whether bytes are likely the pixels of pictures, of 8 or 16 bits or as floating-point numbers.

    Args:
        data: The bytes; pixels may begin anywhere in their first half.

    Example:
        >>> rows, columns = np.mgrid[:60, :80]
        >>> film = 120 + 60 * np.sin(np.hypot(rows - 20, columns - 50) / 6) + 9 * np.cos(columns * rows / 300)
        >>> bytes_look_like_pixels(film.astype("u1").tobytes()), bytes_look_like_pixels(bytes(5000))
        (True, False)
    """
    if len(data) < _LEAST_BYTES:
        return False
    half = len(data) // 2 // 8 * 8
    for kind in _TYPES:
        width = np.dtype(kind).itemsize
        for shift in range(width):
            piece = data[half + shift : half + shift + _MOST * width]
            values = np.frombuffer(piece[: len(piece) // width * width], kind)
            if _may_be_smooth(values[:_SAMPLE]) and look_like_pixels(values):
                return True
    return False


def _may_be_smooth(sample: npt.NDArray[Any]) -> bool:
    """Whether some numbers are at all alike with one of the next, which few are that stand for others."""
    values = _usable(sample)
    return values is not None and any(_along(values[::step]) >= _AT_ALL for step in (1, 2, 3, 4))


def _usable(numbers: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
    """Numbers without what lies far from the others; ``None`` where they cannot be pixels.

    Bytes of another type are wild floats.
    """
    if numbers.size < _LEAST or numbers.dtype.kind not in "iuf":
        return None
    with np.errstate(all="ignore"):
        values = numbers.astype(np.float64)
        size = np.abs(values)
        odd = ~(size < 1e9)
        if numbers.dtype.kind == "f":
            odd |= (size > 1e6) | ((size < 1e-6) & (size != 0))
    if np.count_nonzero(odd) > _MOST_ODD * odd.size:
        return None
    if odd.any():
        values[odd] = np.median(values[~odd])
    low, high = np.percentile(values, _OUTSIDE)
    values = np.clip(values, low, high)
    return values if low < high else None


def _is_flat(values: npt.NDArray[np.float64]) -> bool:
    """Whether numbers have few levels, as masks and codes have."""
    return len(np.unique(values[:4096])) <= _LEAST_LEVELS and len(np.unique(values)) <= _LEAST_LEVELS


def _along(values: npt.NDArray[np.float64]) -> float:
    """How alike neighbours are."""
    spread = float(values.var())
    return 1 - float(np.mean(np.diff(values) ** 2)) / (2 * spread) if spread > 0 else 0.0


def _have_rows(values: npt.NDArray[np.float64]) -> bool:
    """Whether numbers are alike again a row later, and make a picture in rows of that length."""
    furthest = len(values) // _LEAST_ROWS + 2
    if furthest <= _LEAST_ROWS + 1 or _is_flat(values) or _nearer(values, 1, _FAR) < _MOSTLY:
        return False
    alike = _autocorrelation(values, furthest)
    least = np.minimum.accumulate(alike)
    lags = np.arange(_LEAST_ROWS, furthest - 1)
    from scipy import ndimage  # whoever has no such file need not wait for it

    highest = ndimage.maximum_filter1d(alike, _NEAR_PEAK)  # a row a little too long shears a signal
    is_peak = alike[lags] >= highest[lags]
    rows = lags[is_peak & (alike[lags] >= _ACROSS) & (alike[lags] - least[lags] >= _DIP)][:_MOST_WIDTHS]
    if np.any(alike[rows] > _EXACT):  # what repeats to the last number is a pattern
        return False
    return any(
        _nearer(values, row, row + row // 2) >= _MOSTLY
        and _is_picture(grid := values[: len(values) // row * row].reshape(-1, row))
        and _rows_lie_straight(grid)
        for row in rows
    )


def _is_picture(grid: npt.NDArray[np.float64]) -> bool:
    """Whether a table is smooth in both directions, and stays so without a few products of row and column."""
    own = grid - grid.mean(axis=0) - grid.mean(axis=1)[:, None] + grid.mean()
    squares = float(np.sum(own**2))
    if squares < _LEAST_OWN * grid.size * float(grid.var()) or min(_alike(own)) < _CENTRED:
        return False
    if len(own) == len(own.T) and float(np.sum((own - own.T) ** 2)) < _SYMMETRIC * squares:
        return False  # distances, correlations, contacts
    own = own[:_MOST_SIDE, :_MOST_SIDE]
    products = max(1, min(_PRODUCTS, min(own.shape) // 10))
    _, columns = np.linalg.eigh(own @ own.T)
    taken = columns[:, -products:]
    rest = own - taken @ (taken.T @ own)
    return float(np.sum(rest**2)) >= _LEAST_LEFT * float(np.sum(own**2)) and min(_alike(rest)) >= _LEFT


def _rows_lie_straight(grid: npt.NDArray[np.float64]) -> bool:
    """Whether rows lie under each other as they are: those of a signal that repeats are shifted.

    Its period changes a little from beat to beat, or is no whole number.
    """
    near = _best_shifts(grid, 1)
    if not len(near) or np.mean(np.abs(near) <= 1) < _STRAIGHT:
        return False
    far = _best_shifts(grid, min(_ROWS_ON, len(grid) // 3))
    slope = np.median(far) if len(far) else 0.0
    return bool(abs(slope) <= 1 or np.mean(np.abs(far - slope) <= 1) < _ALL_ALIKE)


def _best_shifts(grid: npt.NDArray[np.float64], rows_on: int) -> npt.NDArray[np.int64]:
    """By how many places some rows would have to be moved to be most like those so many rows on."""
    furthest = min(_FURTHEST, grid.shape[1] // 4)
    at = np.unique(np.linspace(0, len(grid) - rows_on - 1, _ROWS_TRIED).astype(np.int64))
    row, later = grid[at], grid[at + rows_on]
    inner = row[:, furthest : grid.shape[1] - furthest]
    shifts = np.arange(-furthest, furthest + 1)
    off = np.stack(
        [
            np.mean((inner - later[:, furthest + s : furthest + s + inner.shape[1]]) ** 2, axis=1)
            for s in shifts
        ]
    )
    told = off.max(axis=0) > off.min(axis=0)
    return np.asarray(shifts[off.argmin(axis=0)[told]], np.int64)


def _alike(grid: npt.NDArray[np.float64]) -> tuple[float, float]:
    """How alike neighbours in a row are, and in a column."""
    spread = 2 * float(grid.var())
    if spread <= 1e-12:
        return 0.0, 0.0
    across, down = (float(np.mean(np.diff(grid, axis=axis) ** 2)) for axis in (1, 0))
    return 1 - across / spread, 1 - down / spread


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

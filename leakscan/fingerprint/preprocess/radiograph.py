"""The canonical array of a chest radiograph: what the 2D encoder is shown.

Whatever file a film came in, it becomes a square float picture in 0..1 in which bone is bright,
black or white frames are gone, and the proportions of the chest are kept. Everything here is
decided by the pixels alone, so a film and its altered copy take the same road.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.preprocess.grey_range import grey_range, stretched

VERSION = "radiograph-1"
"""Changes whenever the array changes for any input; part of every encoder's digest."""

_WORKING_SIDE = 512  # px: films are reduced to this before any statistics are taken
_FLAT = 0.02  # a border row whose grey levels span less than this share of the film's is a frame
_MAX_TRIM = 0.3  # of a side's length; a film that is mostly flat is left alone


def canonical_radiograph(pixels: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.float32]:
    """Brings one film to the encoder's canonical form.

    Args:
        pixels: ``(height, width)``, any real dtype and any range, MONOCHROME2 polarity as far as
            the file's tags tell.
        size: The side of the result in pixels.

    Returns:
        ``(size, size)`` float32 in 0..1; a film that is not square is centred on black.

    Example:
        >>> film = np.random.default_rng(0).integers(0, 4096, (300, 240))
        >>> canonical_radiograph(film, 192).shape
        (192, 192)
    """
    film = trim_frame(_stretched(pixels))
    if is_negative(film):
        film = 1.0 - film
    film = _resize(film, size / max(film.shape))
    out = np.zeros((size, size), np.float32)
    top, left = (size - film.shape[0]) // 2, (size - film.shape[1]) // 2
    out[top : top + film.shape[0], left : left + film.shape[1]] = film
    return np.minimum(np.maximum(out, 0.0, out=out), 1.0, out=out)


def canonical_place(pixels: npt.NDArray[np.generic], size: int) -> npt.NDArray[np.float64]:
    """Where the canonical array of a film lies in its file.

    Args:
        pixels: The film, as :func:`canonical_radiograph` takes it.
        size: The side of the canonical array in pixels.

    Returns:
        ``(2, 3)``: from x and y in the canonical array to x and y in the file, corners at 0.

    Example:
        >>> film = np.random.default_rng(0).random((384, 192))
        >>> canonical_place(film, 192).tolist()  # half as large, centred on black
        [[2.0, 0.0, -96.0], [0.0, 2.0, 0.0]]
    """
    film = _stretched(pixels)
    rows, columns = (np.ptp(film, axis=axis) > _FLAT for axis in (1, 0))
    inside = _inner(rows), _inner(columns)
    kept = film[inside]
    small = [max(1, round(side * size / max(kept.shape))) for side in kept.shape]
    out = np.zeros((2, 3))
    for axis, at in ((0, 1), (1, 0)):  # x runs along columns
        scale = kept.shape[at] / small[at] * pixels.shape[at] / film.shape[at]
        out[axis, axis] = scale
        begins = inside[at].indices(film.shape[at])[0] * pixels.shape[at] / film.shape[at]
        out[axis, 2] = begins - (size - small[at]) // 2 * scale
    return out


def _stretched(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """A film at working size, its grey levels stretched to 0..1."""
    film = pixels.astype(np.float32)
    if not np.isfinite(film).all():
        film = np.nan_to_num(film)
    longest = max(film.shape)
    if longest > _WORKING_SIDE:
        film = _resize(film, _WORKING_SIDE / longest)
    low, high = grey_range(film)
    return stretched(film, low, max(high - low, 1e-6))


def trim_frame(film: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Cuts flat rows and columns off the four sides (scanner frames, letterboxes).

    Args:
        film: ``(height, width)`` in 0..1.

    Returns:
        A view of ``film``, at least 40 % of each side.

    Example:
        >>> framed = np.zeros((100, 100), np.float32)
        >>> framed[10:90, 20:80] = np.random.default_rng(0).random((80, 60))
        >>> trim_frame(framed).shape
        (80, 60)
    """
    rows = np.ptp(film, axis=1) > _FLAT
    columns = np.ptp(film, axis=0) > _FLAT
    return film[_inner(rows), _inner(columns)]


def is_negative(film: npt.NDArray[np.float32]) -> bool:
    """Tells whether a frontal chest film is shown with bone dark (an inverted copy).

    The air beside the neck and the two lungs are dark in a normal film, the mediastinum and the
    abdomen between and below them bright; the sign of that difference is the polarity.

    Args:
        film: ``(height, width)`` in 0..1.

    Example:
        >>> film = np.zeros((64, 64), np.float32)
        >>> film[16:, 24:40] = film[48:] = 1.0  # the mediastinum and the abdomen, bright between dark lungs
        >>> is_negative(film), is_negative(1 - film)
        (False, True)
    """
    small = cv2.resize(film, (8, 8), interpolation=cv2.INTER_AREA)
    bright = np.mean([small[2:8, 3:5].mean(), small[6:8, 1:7].mean()])
    dark = np.mean(
        [small[2:5, 1:3].mean(), small[2:5, 5:7].mean(), small[0:2, 0].mean(), small[0:2, 7].mean()]
    )
    return bool(dark > bright)


def _inner(keep: npt.NDArray[np.bool_]) -> slice:
    """The span between the first and last row to keep, never trimming more than allowed."""
    if not keep.any():
        return slice(None)
    n = len(keep)
    first = min(int(np.argmax(keep)), int(n * _MAX_TRIM))
    last = max(n - int(np.argmax(keep[::-1])), n - int(n * _MAX_TRIM))
    return slice(first, last)


def _resize(film: npt.NDArray[np.float32], scale: float) -> npt.NDArray[np.float32]:
    height, width = (max(1, round(side * scale)) for side in film.shape)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(film, (width, height), interpolation=method), np.float32)

"""A picture at the size at which keypoints are found, and the grey levels that it has."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FEW_LEVELS = 4
"""Grey levels up to which a picture is little more than its steps."""

_PERCENTILES = (0.005, 0.995)

Picture = npt.NDArray[np.uint8]


def level_shares(values: npt.NDArray[np.float32]) -> tuple[float, ...]:
    """The share of pixels up to each grey level but the last, where a picture has 2 to 4 levels; else none.

    Args:
        values: ``(height, width)`` in any range.

    Example:
        >>> level_shares(np.array([[0, 0, 0, 7]], np.float32)), level_shares(np.zeros((2, 2), np.float32))
        ((0.75,), ())
    """
    flat = values.ravel()
    if len(np.unique(flat[:: max(1, len(flat) // 2048)])) > FEW_LEVELS:
        return ()
    levels, counts = np.unique(flat, return_counts=True)
    if not 1 < len(levels) <= FEW_LEVELS:
        return ()
    return tuple((np.cumsum(counts)[:-1] / len(flat)).tolist())


def working_picture(values: npt.NDArray[np.float32], side: int) -> tuple[Picture, bool]:
    """A picture at another size, its robust range stretched to 0..255, and whether there is nothing to see.

    Args:
        values: ``(height, width)`` in any range; values that are not finite count as 0.
        side: The longest side of the result in pixels.

    Example:
        >>> picture, blank = working_picture(np.zeros((100, 80), np.float32), 50)
        >>> picture.shape, blank
        ((50, 40), True)
    """
    scale = side / max(values.shape)
    size = (max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale)))
    values = values.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    film = cv2.resize(values, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    some = np.sort(film[::2, ::2], axis=None)
    low, high = (float(some[round(share * (len(some) - 1))]) for share in _PERCENTILES)
    if high <= low:
        low, high = float(film.min()), float(film.max())
    blank = bool(high - low <= 1e-6 * max(abs(low), abs(high), 1e-30))
    span = 255.0 / (high - low) if not blank else 0.0
    return np.clip((film - low) * span + 0.5, 0, 255).astype(np.uint8), blank

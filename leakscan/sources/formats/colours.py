"""Voxels that are colours or complex numbers, as one number each."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def grey_of_colours(colours: Array) -> Array:
    """Colours as their luminance (ITU-R BT.601), and grey that is stored as colours as what it is.

    Args:
        colours: ``(..., 3)``, or ``(..., 4)`` with alpha last, which is left out of account.

    Returns:
        ``(...)``, of the type of ``colours`` where all channels are equal, else float32.

    Example:
        >>> grey_of_colours(np.array([[[9, 9, 9], [7, 7, 7]]], np.uint8)).tolist()
        [[9, 7]]
        >>> grey_of_colours(np.array([[[255, 0, 0]]], np.uint8)).tolist()
        [[76.2449951171875]]
    """
    red = colours[..., 0]
    if all(np.array_equal(red, colours[..., i]) for i in (1, 2)):
        return np.ascontiguousarray(red)
    return np.asarray(colours[..., :3].astype(np.float32) @ _LUMA)


def real_of(stored: Array) -> Array:
    """Voxels as real numbers: the luminance of colours, the magnitude of complex numbers.

    Args:
        stored: Numbers, complex numbers, or records of three or four channels.

    Example:
        >>> real_of(np.array([3 + 4j], np.complex64)).tolist()
        [5.0]
        >>> rgb = np.array([(9, 9, 9)], [("R", "u1"), ("G", "u1"), ("B", "u1")])
        >>> real_of(rgb).tolist()
        [9]
    """
    if stored.dtype.fields:
        return grey_of_colours(np.stack([stored[name] for name in stored.dtype.names or ()], axis=-1))
    return np.abs(stored) if stored.dtype.kind == "c" else stored

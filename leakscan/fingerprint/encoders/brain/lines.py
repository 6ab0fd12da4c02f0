"""Where the edges of a brain run: :mod:`.edges` for one volume in NumPy, as runs use it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.encoders.brain.placing import halved_maps

Floats = npt.NDArray[np.float32]

EDGE_CHANNELS = 6
_SQUARES = 3
_LEAST = 1e-3
_QUIET = 0.3


def edge_tensors(volume: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
    """The lines along which a volume in its place changes, averaged over blocks of two voxels.

    Args:
        volume: Grey levels ``(x, y, z)``; all sides are even.
        inside: The blocks of the brain, ``(x / 2, y / 2, z / 2)``.

    Returns:
        ``(6, x / 2, y / 2, z / 2)``, as :func:`.edges.edge_tensors` gives them.

    Example:
        >>> ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None], (8, 8, 8))
        >>> inside = np.ones((4, 4, 4), bool)
        >>> lines = edge_tensors(ramp, inside)[:, 1, 1, 1]
        >>> [round(float(entry), 2) for entry in lines]  # it changes along the first axis
        [0.92, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    voxels = inside.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    slopes = np.stack([np.gradient(volume, axis=axis) for axis in range(3)]).astype(np.float32)
    size = np.sqrt(np.einsum("cxyz,cxyz->xyz", slopes, slopes))
    own = size[voxels]
    middle = (len(own) - 1) // 2  # of an even number, the lower one, as torch has it
    quiet = _QUIET * float(np.partition(own, middle)[middle]) if len(own) else 0.0
    x, y, z = slopes / np.maximum(np.sqrt(size * size + np.float32(quiet * quiet)), 1e-6)
    root = np.float32(math.sqrt(2))
    return halved_maps(np.stack([x * x, y * y, z * z, x * y * root, x * z * root, y * z * root]))


def beyond_average(edges: Floats, average: Floats) -> Floats:
    """What the lines of a brain ``(6 v,)`` have beyond those of the average brain ``(6 v,)``.

    Example:
        >>> average = np.random.default_rng(0).random(6 * 10, np.float32)
        >>> bool(np.allclose(beyond_average(average, average), 0, atol=1e-6))
        True
    """
    own, mean = edges.reshape(EDGE_CHANNELS, -1), average.reshape(EDGE_CHANNELS, -1)
    share = own[:_SQUARES].sum(axis=0) / np.maximum(mean[:_SQUARES].sum(axis=0), _LEAST)
    return np.asarray((own - share * mean).ravel(), np.float32)

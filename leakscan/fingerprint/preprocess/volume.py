"""The canonical array of a brain volume: what a 3D encoder is shown.

Volumes arrive in RAS+ order (the decoder's work). Here they become isotropic, get robust
intensities, and are shifted so that the head, found by its own mass, stands in the middle.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

VERSION = "volume-1"
SHAPE = (80, 96, 80)
"""Voxels of the canonical array of a brain: left to right, back to front, foot to head."""
STEP_MM = 2.5
"""Edge of its voxels."""

_BACKGROUND = 0.15  # of the 99th percentile: darker voxels are air
_PERCENTILES = (1.0, 99.0)


def canonical_volume(
    values: npt.NDArray[np.float32],
    spacing_mm: tuple[float, ...],
    shape: tuple[int, int, int],
    target_mm: float,
    percentiles: tuple[float, float] = _PERCENTILES,
) -> npt.NDArray[np.float32]:
    """Brings one volume to the encoder's canonical form.

    Args:
        values: ``(x, y, z)`` in RAS+ order, any range; non-finite voxels count as 0.
        spacing_mm: The voxel size along each axis; unknown (empty or not positive) counts as ``target_mm``.
        shape: The shape of the result in voxels.
        target_mm: The voxel size of the result.
        percentiles: The percentiles of the voxels above 0 that become 0 and 1.

    Returns:
        ``shape`` float32 in 0..1; air is 0.

    Example:
        >>> head = np.random.default_rng(0).random((90, 110, 90), np.float32)
        >>> canonical_volume(head, (2.0, 2.0, 2.0), SHAPE, STEP_MM).shape
        (80, 96, 80)
    """
    from scipy import ndimage  # films do not wait for it

    volume = np.nan_to_num(values.astype(np.float32))
    known = len(spacing_mm) == 3 and all(s > 0 for s in spacing_mm)
    zoom = np.array(spacing_mm if known else (target_mm,) * 3) / target_mm
    # Averaging before subsampling: whole voxels first, which is fast, then one Gaussian per axis, of half
    # the reduction factor that is left.
    whole = np.maximum(1, np.floor(1 / zoom + 1e-6)).astype(int)
    whole = np.minimum(whole, volume.shape)
    volume, zoom = _averaged(volume, whole), zoom * whole
    sigma = [0.5 * (1 / z - 1) if z < 1 else 0.0 for z in zoom]
    if any(sigma):
        volume = ndimage.gaussian_filter(volume, sigma)
    centre = head_centre(volume)
    middle = (np.array(shape) - 1) / 2
    out = ndimage.affine_transform(volume, 1 / zoom, centre - middle / zoom, output_shape=shape, order=1)
    inside = out[out > 0]
    if inside.size == 0:
        return np.zeros(shape, np.float32)
    low, high = np.percentile(inside, percentiles)
    grey = (out - min(low, 0.0)) / max(high - min(low, 0.0), 1e-6)
    return np.asarray(np.clip(grey, 0, 1), np.float32)


def _averaged(volume: npt.NDArray[np.float32], factors: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Means of blocks of voxels; what is left over at the far ends is cut off."""
    for axis, factor in enumerate(factors.tolist()):
        if factor > 1:
            length = volume.shape[axis] // factor * factor
            parts = [volume[(slice(None),) * axis + (slice(i, length, factor),)] for i in range(factor)]
            volume = np.asarray(sum(parts[1:], start=parts[0]) / np.float32(factor))
    return volume


def head_centre(volume: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Where the head is: the middle of mass of everything that is not air, in voxels ``(3,)``.

    Every voxel above the threshold weighs the same, so a bright contrast does not pull the centre.

    Example:
        >>> scan = np.zeros((20, 20, 20), np.float32)
        >>> scan[2:9, 4:11, 6:13] = 100.0
        >>> head_centre(scan).tolist()
        [5.0, 7.0, 9.0]
    """
    from scipy import ndimage  # films do not wait for it

    occupied = volume > np.percentile(volume, 99.0) * _BACKGROUND
    if not occupied.any():
        return (np.array(volume.shape) - 1) / 2
    return np.array(ndimage.center_of_mass(occupied))

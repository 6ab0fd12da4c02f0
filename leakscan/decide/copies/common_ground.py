"""What two volumes both show, where one was masked: its skull set to zero, half of its slices blanked.

Header and grid stay as they are when a volume is masked, so the two lie on each other as they stand. What a
mask leaves is compared without its edge: local contrast is taken from what both show, and from nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from leakscan.decide.copies.volume_features import Floats, VolumeFeatures

_LEAST_VOXELS = 500  # of the grid of 4 mm: 32 millilitres
_MOST_SHARED = 0.95  # of what the fuller one shows; beyond it neither was masked
_LEAST_INSIDE = 0.97  # of the emptier one that the fuller one must show as well
_RIM_VOXELS = 3.5  # of what was kept; smoothing has mixed it with the ground beside it
_LOCAL_VOXELS = 2.0
_SPREAD, _NOISE = 40.0, 8.0  # grey levels: to which both are brought, and what is no contrast
_EVEN = 0.1  # share of voxels with one grey level, from which that is ground


@dataclass(frozen=True)
class CommonGround:
    """Two volumes on one grid, inside what both show.

    Attributes:
        mask: ``(x, y, z)`` bool: what both show, without its rim.
        one: ``(x, y, z)``: the local contrast of the one volume, 0 outside.
        other: That of the other.
    """

    mask: npt.NDArray[np.bool_]
    one: Floats
    other: Floats


def common_ground(a: VolumeFeatures, b: VolumeFeatures) -> CommonGround | None:
    """Where two volumes of one shape both show something, and their local contrast there.

    Args:
        a: The features of the one volume.
        b: The features of the other.

    Returns:
        ``None`` where the two were stored in different shapes, where both show the same, each shows what
        the other does not, or too little is shown by both.

    Example:
        >>> from leakscan.decide.copies.volume_features import describe_volume
        >>> noise = np.random.default_rng(0).random((50, 50, 50), np.float32)
        >>> head = ndimage.gaussian_filter(noise, 2.0) * 100
        >>> masked = head * (np.indices(head.shape).sum(axis=0) < 70)
        >>> a, b = (describe_volume(v, (4.0, 4.0, 4.0)) for v in (head, masked))
        >>> ground = common_ground(a, b)
        >>> float(np.corrcoef(ground.one[ground.mask], ground.other[ground.mask])[0, 1]) > 0.99
        True
    """
    if _stored(a) != _stored(b):
        return None
    # Of what is left of a head, the size is not that of one, and it came on a grid of its own.
    shape = min(a.grid.shape, b.grid.shape)
    one, other = (_resized(v.grid, shape) for v in (a, b))
    shown = _shown(one), _shown(other)
    both = shown[0] & shown[1]
    sizes = int(shown[0].sum()), int(shown[1].sum())
    if both.sum() < _LEAST_INSIDE * min(sizes) or both.sum() > _MOST_SHARED * max(sizes):
        return None
    mask = np.asarray(ndimage.distance_transform_edt(both) > _RIM_VOXELS, np.bool_)
    if mask.sum() < _LEAST_VOXELS:
        return None
    return CommonGround(mask, _contrast(one, mask), _contrast(other, mask))


def _stored(features: VolumeFeatures) -> tuple[int, ...]:
    return tuple(np.rint(features.voxels * features.grid.shape).astype(int).tolist())


def _resized(grid: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> Floats:
    """A grid at the shape of a coarser one that covers the same field."""
    if grid.shape == shape:
        return grid.astype(np.float32)
    ratio = np.array(grid.shape) / np.array(shape)
    smooth = ndimage.gaussian_filter(grid.astype(np.float32), 0.4 * np.sqrt(np.maximum(ratio**2 - 1, 0)))
    return np.asarray(
        ndimage.affine_transform(smooth, ratio, (ratio - 1) / 2, shape, order=1, mode="nearest"), np.float32
    )


def _shown(grid: Floats) -> npt.NDArray[np.bool_]:
    """Where a volume shows something: not the one grey level that much of it has, be it black or not."""
    counts = np.bincount(np.rint(grid).astype(np.intp).ravel(), minlength=256)
    even = int(counts.argmax())
    if counts[even] < _EVEN * grid.size:
        return np.asarray(grid > 0.5, np.bool_)
    return np.asarray((np.abs(grid - even) > 0.5) & (grid > 0.5), np.bool_)


def _contrast(grid: Floats, mask: npt.NDArray[np.bool_]) -> Floats:
    """A grid less its local mean, over its local spread, both of what is inside a mask; 0 outside."""
    inside = mask.astype(np.float32)

    def mean(values: Floats) -> Floats:
        return np.asarray(ndimage.gaussian_filter(values * inside, _LOCAL_VOXELS, truncate=3.0) / weight)

    weight = np.maximum(ndimage.gaussian_filter(inside, _LOCAL_VOXELS, truncate=3.0), 1e-3)
    values = grid * (_SPREAD / max(float(grid[mask].std()), 1e-3))
    values = (values - mean(values)) * inside
    spread = np.sqrt(np.maximum(mean(values * values), 0) + _NOISE**2)
    return np.asarray(values / spread, np.float32)

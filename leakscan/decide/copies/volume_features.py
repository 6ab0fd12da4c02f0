"""What a copy check keeps of a volume: one coarse grid in millimetres, and its local contrast."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

STEP_MM = 4.0
THUMB = 16  # voxels a side
_SMOOTH_MM = 2.5  # sigma: what a 4 mm grid can hold, whatever grid the volume came on
_PERCENTILES = (0.5, 99.5)
_LOCAL_VOXELS = 2.0  # sigma of local mean and spread on the grid
_BROAD_VOXELS = 4.0
_NOISE = 8.0  # grey levels of 255
_THUMB_REACH = 2.2  # standard deviations of the mask either way
_HEAD_MM = (30.0, 85.0)  # geometric mean of the mask's standard deviations that a head or body part has
_TYPICAL_MM = 45.0
_FIELD_MM = (60.0, 1000.0)  # longest side of a field that is taken at its word
_TYPICAL_FIELD_MM = 220.0
_LEAST_VOXELS = 6
_MOST_VOXELS = 112


@dataclass(frozen=True, kw_only=True)
class VolumeFeatures:
    """A volume made ready for copy checks. Plain arrays, so that it crosses processes.

    Attributes:
        grid: ``(x, y, z)`` uint8 on an isotropic grid; the robust range is stretched to 0..255.
        mask: ``(x, y, z)`` bool: what is not air (Otsu's threshold, a voxel wider).
        contrast: ``(x, y, z)`` float16: the grid less its local mean, over its local spread; 0 in air.
        broad: ``(x/2, y/2, z/2)`` float16: the same on twice the scale.
        thumb: ``(16, 16, 16)`` float32, centred on the mask, each axis in units of the mask's
            standard deviation along it; zero mean, unit energy.
        centre: ``(3,)``: the centre of the mask, in voxels.
        spread: ``(3,)``: the standard deviations of the mask, in voxels.
        voxels: ``(3,)``: the voxels of the volume's own array per voxel of ``grid``, along each axis.
        blank: Whether there is nothing to align.
        key: A digest of ``grid``. It gives a pair its one order.
    """

    grid: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    contrast: npt.NDArray[np.float16]
    broad: npt.NDArray[np.float16]
    thumb: Floats
    centre: Matrix
    spread: Matrix
    voxels: Matrix
    blank: bool
    key: bytes


def describe_volume(values: npt.NDArray[np.float32], spacing_mm: tuple[float, ...] = ()) -> VolumeFeatures:
    """Brings a volume to the grid on which pairs are compared.

    Args:
        values: ``(x, y, z)`` in RAS+ as far as the header tells, in any range; what is not finite counts
            as 0. Axes of length one beyond the third are dropped; of longer ones the first entry is taken.
        spacing_mm: The spacing along each axis. A missing, non-positive or implausible one (a head of 40 mm
            or of 2 m) is replaced so that the object has the size of a head.

    Example:
        >>> describe_volume(np.zeros((40, 40, 40), np.float32), (1.0, 1.0, 1.0)).blank
        True
    """
    values = np.nan_to_num(values.astype(np.float32, copy=False), posinf=0.0, neginf=0.0)
    while values.ndim > 3:
        values = values[..., 0]
    spacing = np.array(
        spacing_mm[:3] if len(spacing_mm) >= 3 and min(spacing_mm[:3]) > 0 else (1.0, 1.0, 1.0)
    )
    stretched, flat = _stretched(values)
    if flat or min(values.shape) < 3:
        return _blank(np.zeros((1, 1, 1), np.uint8))
    longest = float((spacing * values.shape).max())
    if not _FIELD_MM[0] < longest < _FIELD_MM[1]:
        spacing = spacing * _TYPICAL_FIELD_MM / longest
    grid = _resampled(stretched, spacing, STEP_MM)
    mask = _mask(grid)
    size = float(np.prod(_moments(mask)[1]) ** (1 / 3)) * STEP_MM
    if not _HEAD_MM[0] < size < _HEAD_MM[1] and size > 0:
        spacing = spacing * _TYPICAL_MM / size
        grid = _resampled(stretched, spacing, STEP_MM)
        mask = _mask(grid)
    centre, spread = _moments(mask)
    if min(grid.shape) < _LEAST_VOXELS or spread.min() <= 0.5:
        return _blank(grid)
    contrast = local_contrast(grid, _LOCAL_VOXELS) * mask
    broad = ndimage.uniform_filter(local_contrast(grid, _BROAD_VOXELS) * mask, 2)[::2, ::2, ::2]
    return VolumeFeatures(
        grid=grid,
        mask=mask,
        contrast=contrast.astype(np.float16),
        broad=broad.astype(np.float16),
        thumb=_thumb(grid, centre, spread),
        centre=centre,
        spread=spread,
        voxels=np.array(values.shape) / np.array(grid.shape),
        blank=False,
        key=hashlib.blake2b(grid.tobytes() + str(grid.shape).encode(), digest_size=16).digest(),
    )


def _blank(grid: npt.NDArray[np.uint8]) -> VolumeFeatures:
    none = np.zeros(grid.shape, np.float16)
    three = np.ones(3)
    return VolumeFeatures(
        grid=grid,
        mask=none > 0,
        contrast=none,
        broad=none,
        thumb=np.zeros((THUMB,) * 3, np.float32),
        centre=three,
        spread=three,
        voxels=three,
        blank=True,
        key=b"",
    )


def _stretched(values: Floats) -> tuple[Floats, bool]:
    sample = values[:: max(1, values.shape[0] // 64), :: max(1, values.shape[1] // 64)]
    low, high = np.percentile(sample, _PERCENTILES)
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high - low <= 1e-6 * max(abs(low), abs(high), 1e-30):
        return values, True
    return np.asarray(np.clip((values - low) * (255.0 / (high - low)), 0, 255), np.float32), False


def _resampled(values: Floats, spacing: Matrix, step: float) -> npt.NDArray[np.uint8]:
    """Gaussian-weighted means around the points of the new grid, one axis after the other."""
    for axis in range(3):
        n = values.shape[axis]
        out = int(np.clip(round(n * spacing[axis] / step), 1, _MOST_VOXELS))
        places = (np.arange(n) + 0.5) * spacing[axis]
        points = (np.arange(out) + 0.5) * n * spacing[axis] / out
        sigma = max(_SMOOTH_MM, 0.6 * spacing[axis], 0.6 * n * spacing[axis] / out)
        weights = np.exp(-0.5 * ((points[:, None] - places[None, :]) / sigma) ** 2)
        weights /= weights.sum(axis=1, keepdims=True)
        values = np.moveaxis(np.tensordot(weights.astype(np.float32), values, axes=(1, axis)), 0, axis)
    return np.asarray(np.clip(values + 0.5, 0, 255), np.uint8)


def _mask(grid: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    threshold, _ = cv2.threshold(grid.reshape(grid.shape[0], -1), 0, 255, cv2.THRESH_OTSU)
    # Half of Otsu's level: in a T1 it falls between grey and white matter as easily as at the skin.
    return np.asarray(ndimage.binary_dilation(grid > max(threshold / 2, 1)))


def _moments(mask: npt.NDArray[np.bool_]) -> tuple[Matrix, Matrix]:
    total = max(float(mask.sum()), 1.0)
    centre, spread = np.zeros(3), np.zeros(3)
    for axis in range(3):
        profile = mask.sum(axis=tuple({0, 1, 2} - {axis})) / total
        places = np.arange(len(profile))
        centre[axis] = profile @ places
        spread[axis] = np.sqrt(profile @ (places - centre[axis]) ** 2)
    return centre, spread


def local_contrast(grid: npt.NDArray[np.generic], sigma: float = _LOCAL_VOXELS) -> Floats:
    """A grid less its local mean, over its local spread (above noise): about -2..2.

    Example:
        >>> grid = np.zeros((12, 12, 12), np.uint8)
        >>> grid[4:8, 4:8, 4:8] = 100
        >>> bool(np.abs(local_contrast(grid + 50) - local_contrast(grid)).max() < 1e-3)
        True
    """
    values = grid.astype(np.float32)
    values -= ndimage.gaussian_filter(values, sigma, truncate=3.0)
    spread = np.sqrt(ndimage.gaussian_filter(values * values, sigma, truncate=3.0) + _NOISE**2)
    return np.asarray(values / spread, np.float32)


def _thumb(grid: npt.NDArray[np.uint8], centre: Matrix, spread: Matrix) -> Floats:
    reach = _THUMB_REACH * spread
    scale = 2 * reach / THUMB
    smooth = ndimage.gaussian_filter(grid.astype(np.float32), 0.5 * scale, truncate=3.0)
    offset = centre - reach + 0.5 * scale
    thumb = ndimage.affine_transform(smooth, scale, offset, (THUMB,) * 3, order=1)
    thumb -= thumb.mean()
    return np.asarray(thumb / max(float(np.linalg.norm(thumb)), 1e-6), np.float32)

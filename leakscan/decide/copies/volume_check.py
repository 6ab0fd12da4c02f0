"""Do two volumes show one acquisition? They are aligned whichever way round, then compared.

Measured as correlation of local contrast on a 4 mm grid, and its lower quartile over blocks of 28 mm:

==============================================  ======  ============  =================
pairs                                           number  correlation   where it is weak
==============================================  ======  ============  =================
11 volumes in 21 alterations                       231  0.93 to 1.00  0.93 to 1.00
ixi, T1 of different people                        450  up to 0.73
ds002748, T1 of different people (no skull)        450  up to 0.80    up to 0.67
ixi x ds002748                                     100  up to 0.74
ds000011, T1 and T2, one person or two              91  up to 0.79
tumour, different people                           161  up to 0.78
T1 before and after contrast agent, one session     46  up to 0.96    up to 0.96
==============================================  ======  ============  =================

The last line is the limit: two contrasts that look alike and were brought onto one grid can pass as one
acquisition. They are of one person all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.decide.copies.common_ground import CommonGround, common_ground
from leakscan.decide.copies.transform import inverse
from leakscan.decide.copies.volume_alignment import VolumeFit, align_volumes, orientations, refine
from leakscan.decide.copies.volume_features import (
    Floats,
    Matrix,
    VolumeFeatures,
    describe_volume,
    local_contrast,
)

__all__ = ["VolumeFeatures", "check_volumes", "describe_volume"]

Mask = npt.NDArray[np.bool_]

_LEAST_THUMB = 0.5  # correlation of thumbs; less, in all 48 orientations, is no copy
_SAME = 0.92
_HOPELESS = 0.55  # correlation that no finer comparison brings above that
_SAME_WEAK = 0.9
_LEAST_VOXELS = 500
_BLOCK = 7  # voxels, 28 mm: about four folds of the cortex
_TELLING = 0.02  # variance of local contrast; below it a block is flat
_LEAST_OVERLAP = 0.5  # of the smaller object
_MOST_MOVED_VOXELS = 2.0  # of what was masked in place
_RESAMPLED = 1.1  # ratio of scales from which both are brought to the coarser grid
_MOST_SCALE = 6.0
_MOVED_DEGREES = 1.5
_SCALED = 1.04
_CROPPED = 0.9  # of an object inside the other's field; the rim of the mask takes some
_GREY = 0.97  # resampling of thick slices alone leaves 0.98


def check_volumes(a: VolumeFeatures, b: VolumeFeatures) -> CopyCheck:
    """Aligns two volumes and tells whether they show the same acquisition.

    Axes may be flipped or permuted, spacings lost, parts cut off, grey levels changed. What is found does
    not depend on the order of the two.

    Args:
        a: The features of the first volume, see :func:`describe_volume`.
        b: The features of the second volume.

    Example:
        >>> blank = describe_volume(np.zeros((40, 40, 40), np.float32))
        >>> check_volumes(blank, blank).same_image
        False
    """
    if a.blank or b.blank:
        return NOT_ALIGNED
    found = _checked(a, b)
    if found.same_image or (ground := common_ground(a, b)) is None:
        return found
    return _inside(ground if a.key <= b.key else CommonGround(ground.mask, ground.other, ground.one)) or found


def _inside(ground: CommonGround) -> CopyCheck | None:
    """What the check says of what two volumes both show, ``None`` where it is not the same."""
    here = ground.one[ground.mask], ground.other[ground.mask]
    if float(np.corrcoef(*here)[0, 1]) < _HOPELESS:
        return None
    fit = refine(ground.one, ground.mask, ground.other)
    moved = np.abs(fit.matrix[:3, :3] - np.eye(3)) @ np.array(ground.mask.shape) + np.abs(fit.matrix[:3, 3])
    if fit.correlation < _SAME or moved.max() > _MOST_MOVED_VOXELS:
        return None
    if _weak_part(ground.one, ground.mask, ground.other, fit.matrix) < _SAME_WEAK:
        return None
    return CopyCheck(True, min(fit.correlation, 1.0), 0, "crop", 1.0)


def _checked(a: VolumeFeatures, b: VolumeFeatures) -> CopyCheck:
    found = _compared(a, b) if a.key <= b.key else _turned_round(_compared(b, a))
    if found is None:
        return NOT_ALIGNED
    correlation = min(found.fit.correlation, 1.0)
    if correlation < _SAME or found.weak < _SAME_WEAK:
        return CopyCheck(False, correlation, 0, "", 0.0)
    covered, grey = _overlap(a, b, found.fit.matrix)
    return CopyCheck(
        same_image=max(covered) >= _LEAST_OVERLAP,
        correlation=correlation,
        inliers=0,
        transform=_words(a, b, found.fit.matrix, min(covered), grey),
        overlap=max(covered),
    )


@dataclass(frozen=True)
class _Compared:
    """The alignment of two volumes and their local correlation where it is weak (lower quartile)."""

    fit: VolumeFit
    weak: float


def _compared(a: VolumeFeatures, b: VolumeFeatures) -> _Compared | None:
    likely = orientations(a, b)
    correlation, _ = likely[0]
    if correlation < _LEAST_THUMB:
        return None
    fit = align_volumes(a, b, likely)
    if fit.strangers:
        return _Compared(fit, -1.0)
    scales = np.linalg.svd(fit.matrix[:3, :3])[1]
    if not 1 / _MOST_SCALE < scales[2] <= scales[0] < _MOST_SCALE:
        return None
    if np.prod(scales) < 1:  # b has fewer voxels for the same thing: it is the frame
        return _turned_round(_measured(b, a, VolumeFit(inverse(fit.matrix), fit.correlation), scales))
    return _measured(a, b, fit, scales)


def _measured(a: VolumeFeatures, b: VolumeFeatures, fit: VolumeFit, scales: Matrix) -> _Compared:
    if fit.correlation < _HOPELESS:
        return _Compared(fit, -1.0)
    if not 1 / _RESAMPLED < scales[2] <= scales[0] < _RESAMPLED:
        return _at_one_resolution(a, b, fit)
    if fit.correlation < _SAME:
        return _Compared(fit, -1.0)
    contrasts = a.contrast.astype(np.float32), b.contrast.astype(np.float32)
    return _Compared(fit, _weak_part(contrasts[0], a.mask, contrasts[1], fit.matrix))


def _turned_round(found: _Compared | None) -> _Compared | None:
    if found is None:
        return None
    return _Compared(VolumeFit(inverse(found.fit.matrix), found.fit.correlation), found.weak)


def _at_one_resolution(a: VolumeFeatures, b: VolumeFeatures, fit: VolumeFit) -> _Compared:
    """Compares again where scales differ, as after a lost header: both on a's grid, the coarser one."""
    linear = fit.matrix[:3, :3]
    finer = np.linalg.norm(linear, axis=1)  # voxels of b for one of a, along b's axes
    coarser = np.linalg.norm(inverse(linear), axis=1)  # of a for one of b, along a's axes
    frame = ndimage.gaussian_filter(a.grid.astype(np.float32), _blur(coarser))
    other = ndimage.gaussian_filter(b.grid.astype(np.float32), _blur(finer))
    warped, inside = _warped(other, fit.matrix, frame.shape)
    mask = a.mask & inside
    if mask.sum() < _LEAST_VOXELS:
        return _Compared(fit, -1.0)
    fixed, moving = local_contrast(frame), local_contrast(np.where(inside, warped, frame))
    again = refine(fixed, mask, moving)
    weak = _weak_part(fixed, mask, moving, again.matrix)
    return _Compared(VolumeFit(np.asarray(fit.matrix @ again.matrix), again.correlation), weak)


def _blur(ratio: Matrix) -> Matrix:
    """Sigma that takes a grid's sharpness to that of one whose voxels are ``ratio`` times as wide."""
    return 0.6 * np.sqrt(np.maximum(ratio**2 - 1.0, 0.0))


def _weak_part(fixed: Floats, mask: Mask, moving: Floats, matrix: Matrix) -> float:
    """The lower quartile of the local correlation: a skull that fits does not make up for the brain.

    Args:
        fixed: ``(x, y, z)``: the contrast of one volume.
        mask: ``(x, y, z)``: where it counts.
        moving: The contrast of the other volume on its own grid.
        matrix: ``(4, 4)``: the map from voxels of ``fixed`` to voxels of ``moving``.
    """
    moved, inside = _warped(moving, matrix, fixed.shape)
    joint = (mask & inside).astype(np.float32)

    def mean(values: Floats) -> Floats:
        return np.asarray(ndimage.uniform_filter(values * joint, _BLOCK), np.float32)

    weight = np.maximum(mean(joint), 1e-3)
    mean_a, mean_b = mean(fixed) / weight, mean(moved) / weight
    variance_a = np.maximum(mean(fixed * fixed) / weight - mean_a**2, 1e-4)
    variance_b = np.maximum(mean(moved * moved) / weight - mean_b**2, 1e-4)
    covariance = mean(fixed * moved) / weight - mean_a * mean_b
    telling = (joint > 0) & (np.maximum(variance_a, variance_b) > _TELLING)
    if telling.sum() < _LEAST_VOXELS:
        return -1.0
    return float(np.percentile((covariance / np.sqrt(variance_a * variance_b))[telling], 25))


def _warped(moving: Floats, matrix: Matrix, shape: tuple[int, ...]) -> tuple[Floats, Mask]:
    """A volume on another's grid, and where on that grid it has voxels."""
    linear, shift = matrix[:3, :3], matrix[:3, 3]
    values = ndimage.affine_transform(moving, linear, shift, shape, order=1, mode="nearest")
    field = np.ones(moving.shape, np.float32)
    inside = ndimage.affine_transform(field, linear, shift, shape, order=1) > 0.99
    return np.asarray(values, np.float32), np.asarray(inside, np.bool_)


def _overlap(a: VolumeFeatures, b: VolumeFeatures, matrix: Matrix) -> tuple[tuple[float, float], float]:
    """Shares of a's and of b's object inside the other's field, and the correlation of grey levels."""
    back = inverse(matrix)
    inside_b, values_a, values_b = _sampled(a, b, matrix)
    inside_a, _, _ = _sampled(b, a, back)
    grey = float(np.corrcoef(values_a, values_b)[0, 1]) if len(values_a) > 1 else 0.0
    return (inside_b, inside_a), grey


def _sampled(a: VolumeFeatures, b: VolumeFeatures, matrix: Matrix) -> tuple[float, Floats, Floats]:
    points = np.argwhere(a.mask)
    places = points @ matrix[:3, :3].T + matrix[:3, 3]
    inside = ((places >= -0.5) & (places <= np.array(b.grid.shape) - 0.5)).all(axis=1)
    values_b = ndimage.map_coordinates(b.grid, places[inside].T, np.float32, order=1, mode="nearest")
    return float(inside.mean()), a.grid[tuple(points[inside].T)].astype(np.float32), values_b


def _words(a: VolumeFeatures, b: VolumeFeatures, matrix: Matrix, covered: float, grey: float) -> str:
    linear = matrix[:3, :3]
    u, _, vt = np.linalg.svd(linear)
    rotation = u @ vt
    nearest = max((turn for _, turn in orientations(a, b)), key=lambda turn: float(np.sum(turn * rotation)))
    angle = np.degrees(np.arccos(np.clip((np.trace(rotation @ nearest.T) - 1) / 2, -1, 1)))
    native = np.abs(nearest) @ (1 / a.voxels) * np.linalg.norm(linear, axis=1) * b.voxels
    said = [("permute", not np.allclose(np.abs(nearest), np.eye(3)))]
    said += [(f"flip-{name}", bool(nearest[axis].sum() < 0)) for axis, name in enumerate("xyz")]
    said += [
        ("crop", covered < _CROPPED),
        ("scale", bool(max(native.max(), 1 / native.min()) > _SCALED)),
        ("moved", bool(angle > _MOVED_DEGREES)),
        ("grey", grey < _GREY),
    ]
    return "+".join(word for word, holds in said if holds)

"""Do two volumes show one acquisition? They are aligned whichever way round, then compared."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from leakscan.decide.verify import NOT_ALIGNED, Verification
from leakscan.decide.verify.transform import inverse
from leakscan.decide.verify.volume_alignment import Fit, align, orientations, refine
from leakscan.decide.verify.volume_features import (
    Floats,
    Matrix,
    VolumeFeatures,
    describe_volume,
    local_contrast,
)

__all__ = ["VolumeFeatures", "describe_volume", "verify_volumes"]

_LEAST_THUMB = 0.5  # correlation of thumbs; less, in all 48 orientations, is no copy
_SAME = 0.88
_LEAST_OVERLAP = 0.5  # of the smaller object
_RESAMPLED = 1.1  # ratio of scales from which both are brought to the coarser grid
_MOST_SCALE = 6.0
_MOVED_DEGREES = 1.5
_SCALED = 1.04
_CROPPED = 0.9  # of an object inside the other's field; the rim of the mask takes some
_GREY = 0.97  # resampling of thick slices alone leaves 0.98


def verify_volumes(a: VolumeFeatures, b: VolumeFeatures) -> Verification:
    """Aligns two volumes and tells whether they show the same acquisition.

    Axes may be flipped or permuted, spacings lost, parts cut off, grey levels changed. The verdict does
    not depend on the order of the two.

    Args:
        a: from :func:`describe_volume`.
        b: likewise.
    """
    if a.blank or b.blank:
        return NOT_ALIGNED
    fit = _fitted(a, b) if a.key <= b.key else _turned_round(_fitted(b, a))
    if fit is None:
        return NOT_ALIGNED
    covered, grey = _overlap(a, b, fit.matrix)
    return Verification(
        same_image=fit.correlation >= _SAME and max(covered) >= _LEAST_OVERLAP,
        correlation=fit.correlation,
        inliers=0,
        transform=_words(a, b, fit.matrix, min(covered), grey),
        overlap=max(covered),
    )


def _fitted(a: VolumeFeatures, b: VolumeFeatures) -> Fit | None:
    likely = orientations(a, b)
    if likely[0][0] < _LEAST_THUMB:
        return None
    fit = align(a, b, likely)
    scales = np.linalg.svd(fit.matrix[:3, :3])[1]
    if not 1 / _MOST_SCALE < scales[2] <= scales[0] < _MOST_SCALE:
        return None
    if fit.correlation > _SAME - 0.35 and not 1 / _RESAMPLED < scales[2] <= scales[0] < _RESAMPLED:
        return _at_one_resolution(a, b, fit)
    return fit


def _turned_round(fit: Fit | None) -> Fit | None:
    return None if fit is None else Fit(inverse(fit.matrix), fit.correlation)


def _at_one_resolution(a: VolumeFeatures, b: VolumeFeatures, fit: Fit) -> Fit:
    """Compares again where scales differ, as after a lost header: both on the coarser grid."""
    if np.linalg.det(fit.matrix[:3, :3]) ** 2 < 1:  # b has fewer voxels for the same thing
        back = _at_one_resolution(b, a, Fit(inverse(fit.matrix), fit.correlation))
        return Fit(inverse(back.matrix), back.correlation)
    linear, shift = fit.matrix[:3, :3], fit.matrix[:3, 3]
    finer = np.linalg.norm(linear, axis=1)  # voxels of b for one of a, along b's axes
    coarser = np.linalg.norm(inverse(linear), axis=1)  # of a for one of b, along a's axes
    frame = ndimage.gaussian_filter(a.grid.astype(np.float32), _blur(coarser))
    other = ndimage.gaussian_filter(b.grid.astype(np.float32), _blur(finer))
    warped = ndimage.affine_transform(other, linear, shift, a.grid.shape, order=1, mode="constant")
    inside = ndimage.affine_transform(np.ones(b.grid.shape, np.float32), linear, shift, a.grid.shape, order=1)
    mask = a.mask & (inside > 0.99)
    warped = np.where(inside > 0.99, warped, frame)
    if mask.sum() < 500:
        return fit
    again = refine(local_contrast(frame), mask, local_contrast(warped))
    return Fit(fit.matrix @ again.matrix, again.correlation)


def _blur(ratio: Matrix) -> Matrix:
    """Sigma that takes a grid's sharpness to that of one whose voxels are ``ratio`` times as wide."""
    return 0.6 * np.sqrt(np.maximum(ratio**2 - 1.0, 0.0))


def _overlap(a: VolumeFeatures, b: VolumeFeatures, matrix: Matrix) -> tuple[tuple[float, float], float]:
    """Shares of a's and of b's object inside the other's field, and the correlation of grey levels."""
    back = inverse(matrix)
    inside_b, values_a, values_b = _looked_up(a, b, matrix)
    inside_a, _, _ = _looked_up(b, a, back)
    grey = float(np.corrcoef(values_a, values_b)[0, 1]) if len(values_a) > 1 else 0.0
    return (inside_b, inside_a), grey


def _looked_up(a: VolumeFeatures, b: VolumeFeatures, matrix: Matrix) -> tuple[float, Floats, Floats]:
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

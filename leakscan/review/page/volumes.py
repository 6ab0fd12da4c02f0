"""Two volumes on one grid, so that one cursor shows the same place in both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from leakscan.decide.copies.transform import inverse
from leakscan.decide.copies.volume_alignment import align_volumes, orientations
from leakscan.decide.copies.volume_features import VolumeFeatures, describe_volume
from leakscan.review.page.pictures import pack
from leakscan.types import DecodedImage

_SIDE = 144  # voxels of the longest side: 6 MB of grey levels
_LEAST_MM = 0.8
_LEAST_THUMB = 0.5  # correlation of thumbs, below which the two are only centred
_ALIGNED = 0.35  # correlation of local contrast, from which an alignment is worth showing

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """The grid on which volumes are shown: even steps along the axes of one volume.

    Attributes:
        shape: The voxels along each axis.
        ratio: The voxels of the volume for one voxel of the frame, along each axis.
        step_mm: The step in millimetres, 0 where the spacing is unknown.
    """

    shape: tuple[int, int, int]
    ratio: tuple[float, float, float]
    step_mm: float

    @classmethod
    def of(cls, image: DecodedImage) -> Frame:
        """The frame for a volume."""
        spacing = np.array(image.spacing_mm[:3] if len(image.spacing_mm) >= 3 else (1.0, 1.0, 1.0))
        if not np.isfinite(spacing).all() or spacing.min() <= 0:
            spacing = np.ones(3)
        native = np.array(image.values.shape[:3])
        step = max(float((native * spacing).max()) / _SIDE, float(spacing.min()), _LEAST_MM * spacing.min())
        shape = tuple(int(max(1, n)) for n in np.rint(native * spacing / step))
        ratio = tuple(float(r) for r in native / np.array(shape))
        known = len(image.spacing_mm) >= 3
        return cls((shape[0], shape[1], shape[2]), (ratio[0], ratio[1], ratio[2]), step if known else 0.0)

    def to_voxels(self) -> Matrix:
        """``(4, 4)``: from places on the frame to places in the volume, both in voxel centres."""
        matrix = np.diag([*self.ratio, 1.0])
        matrix[:3, 3] = (np.array(self.ratio) - 1) / 2
        return matrix


def frame_pixels(image: DecodedImage) -> bytes:
    """A volume on its own frame, packed for the page.

    Example:
        >>> from leakscan.review.page.pictures import unpack
        >>> head = DecodedImage(np.zeros((1, 1)), np.ones((40, 40, 20), np.float32), (1.0, 1.0, 2.0))
        >>> unpack(frame_pixels(head))[1].shape
        (40, 40, 40)
    """
    frame = Frame.of(image)
    values = _resampled(_finite(image.values), frame.to_voxels(), frame)
    return pack(values, {"native": list(image.values.shape), "step_mm": round(frame.step_mm, 3)})


def laid_pixels(a: DecodedImage, b: DecodedImage) -> bytes:
    """Volume b on the frame of volume a, as well aligned as can be, packed for the page.

    The header says ``how``: ``aligned`` or ``centred``, the ``correlation`` of local contrast, and ``words``
    for a reader.

    Example:
        >>> from leakscan.review.page.pictures import unpack
        >>> head = DecodedImage(np.zeros((1, 1)), np.ones((40, 40, 40), np.float32), (1.0, 1.0, 1.0))
        >>> unpack(laid_pixels(head, head))[0]["how"]
        'centred'
    """
    values_a, values_b = _finite(a.values), _finite(b.values)
    one, other = describe_volume(values_a, a.spacing_mm), describe_volume(values_b, b.spacing_mm)
    frame = Frame.of(a)
    how, correlation, words = "centred", None, "Not aligned: the middles of the two lie on each other."
    matrix = _centred(values_a, values_b, a.spacing_mm, b.spacing_mm)
    if not one.blank and not other.blank:
        likely = orientations(one, other)
        if likely[0][0] >= _LEAST_THUMB:
            fit = align_volumes(one, other, likely)
            correlation = round(float(fit.correlation), 3)
            if fit.correlation >= _ALIGNED and abs(np.linalg.det(fit.matrix[:3, :3])) > 1e-3:
                how, matrix = "aligned", _between(one, other, fit.matrix)
                words = f"Aligned; local contrast correlates by {correlation:.2f}."
    values = _resampled(values_b, matrix @ frame.to_voxels(), frame)
    about = {"native": list(b.values.shape), "how": how, "correlation": correlation, "words": words}
    return pack(values, {**about, "step_mm": round(frame.step_mm, 3)})


def _between(a: VolumeFeatures, b: VolumeFeatures, grid_to_grid: Matrix) -> Matrix:
    """From voxels of a's file to voxels of b's file, through the grids of the copy check."""
    return _to_file(b) @ grid_to_grid @ inverse(_to_file(a))


def _to_file(features: VolumeFeatures) -> Matrix:
    matrix = np.diag([*features.voxels, 1.0])
    matrix[:3, 3] = (features.voxels - 1) / 2
    return matrix


def _centred(a: Floats, b: Floats, spacing_a: tuple[float, ...], spacing_b: tuple[float, ...]) -> Matrix:
    """The middles on each other, millimetre for millimetre where both spacings are known."""
    known = len(spacing_a) >= 3 and len(spacing_b) >= 3 and min(*spacing_a[:3], *spacing_b[:3]) > 0
    scale = (
        np.array(spacing_a[:3]) / np.array(spacing_b[:3]) if known else np.array(b.shape) / np.array(a.shape)
    )
    matrix = np.diag([*scale, 1.0])
    matrix[:3, 3] = (np.array(b.shape) - 1) / 2 - scale * (np.array(a.shape) - 1) / 2
    return matrix


def _resampled(values: Floats, matrix: Matrix, frame: Frame) -> Floats:
    """The volume on the frame; where it has nothing it is as dark as its darkest voxel."""
    sizes = np.linalg.norm(matrix[:3, :3], axis=1)
    if sizes.max() > 1.5:
        values = ndimage.gaussian_filter(values, 0.4 * np.maximum(sizes - 1.0, 0.0), truncate=2.5)
    out = ndimage.affine_transform(
        values, matrix[:3, :3], matrix[:3, 3], frame.shape, order=1, cval=float(values.min())
    )
    return np.asarray(out, np.float32)


def _finite(values: Floats) -> Floats:
    while values.ndim > 3:
        values = values[..., 0]
    return np.nan_to_num(values.astype(np.float32, copy=False), posinf=0.0, neginf=0.0)

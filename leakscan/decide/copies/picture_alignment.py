"""Refines an affine map between two pictures, and measures how well they agree under it.

Both are compared at the resolution that both have, on a grid of at most ``_GRID`` pixels, as
local-contrast pictures: each pixel less its local mean, over its local spread. That leaves brightness,
contrast, gamma and local equalisation behind and keeps where the edges lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.decide.copies.picture_features import Floats, Picture, PictureFeatures, Proposal
from leakscan.decide.copies.transform import Matrix, inverse

_GRID = 256  # px, longest side of the larger field
_COARSE_GRID = 128
_SMALLEST_GRID = 48
_LOCAL_PX = 4.0  # sigma of the local mean and spread on a grid of 256
_LEAST_LOCAL_PX = 1.5
_NOISE = 8.0  # grey levels of 255: spread below this is noise and is not brought up to full contrast
_SMALLEST_AREA = 400  # px of the grid; less cannot be told apart
_LEAST_GROUND = 0.1  # of a picture, that has one grey level where it was masked on it
_MUCH_MASKED, _LEAST_SHOWN = 0.2, 0.08  # of the overlap: masked in one picture; shown by both
_ECC_STEPS = 40
_ECC_SMOOTH = 3


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two pictures agree under one map.

    Attributes:
        matrix: ``(3, 3)``: the refined map from pixels of b's working picture to pixels of a's.
        correlation: The correlation of the local-contrast pictures on the overlap, -1..1.
        grey_correlation: The correlation of grey levels, after undoing an inversion, -1..1.
        motion: The median and the upper quartile, over the textured part of the overlap, of how far parts
            of one still have to move to lie on the other, in thousandths of the larger field's longest
            side. A copy has none; a second film has ribs, heart and diaphragm elsewhere.
        shared_px: The longest side of the larger field in pixels that both pictures have.
        texture: The share of the overlap in which both have local contrast above noise, 0..1.
    """

    matrix: Matrix
    correlation: float
    grey_correlation: float
    motion: tuple[float, float]
    shared_px: int
    texture: float


def measure_agreement(a: PictureFeatures, b: PictureFeatures, proposal: Proposal) -> Agreement | None:
    """Refines a proposed map and measures the two pictures under it.

    Args:
        a: The features of the one picture.
        b: The features of the other.
        proposal: The map from b to a.

    Returns:
        What was measured, ``None`` where too little is left to measure.

    Example::

        best, *_ = propose(a, b)
        measure_agreement(a, b, best).motion  # of a copy, below two thousandths of the field
    """
    matrix = np.vstack([proposal.matrix, [0.0, 0.0, 1.0]])
    if abs(np.linalg.det(matrix)) > 1.0:
        # The one that shows more per pixel is the frame, so that the other is never enlarged.
        swapped = Proposal(inverse(matrix)[:2], proposal.inliers, proposal.inverted)
        found = measure_agreement(b, a, swapped)
        if found is None:
            return None
        return replace(found, matrix=inverse(found.matrix))
    pair = _Pair.of(a, b, matrix, proposal.inverted)
    return pair.measured()


def coarse_correlation(a: PictureFeatures, b: PictureFeatures, proposal: Proposal) -> float | None:
    """How well two pictures correlate under a map as it stands, on a coarse grid: a twentieth of the work.

    Args:
        a: The features of the one picture; its keypoints are not used.
        b: The features of the other.
        proposal: The map from b to a.

    Returns:
        The correlation of the local-contrast pictures, -1..1; ``None`` where too little is left to measure.

    Example:
        >>> from leakscan.decide.copies.picture_features import describe_picture
        >>> film = np.random.default_rng(0).random((24, 24), np.float32)
        >>> one = describe_picture(cv2.resize(film, (160, 160)), keypoints=0)
        >>> round(coarse_correlation(one, one, Proposal(np.eye(2, 3), 9, inverted=False)), 3)
        1.0
    """
    matrix = np.vstack([proposal.matrix, [0.0, 0.0, 1.0]])
    if abs(np.linalg.det(matrix)) > 1.0:
        a, b, matrix = b, a, inverse(matrix)
    laid = _Pair.of(a, b, matrix, proposal.inverted, _COARSE_GRID).laid()
    return None if laid is None else laid.correlation


@dataclass(frozen=True)
class _Laid:
    """The other picture under one map: as it lies on the frame, its local contrast, and where both are."""

    matrix: Matrix
    picture: Picture
    contrast: Floats
    overlap: npt.NDArray[np.bool_]
    correlation: float


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """The two pictures on one grid's scale.

    Attributes:
        a: ``(h, w)`` uint8: the frame.
        b: ``(h', w')`` uint8 at the same pixels per field, inversion undone.
        local: The sigma of the local mean, in pixels.
        matrix: ``(3, 3)``: the map from pixels of ``b`` to pixels of ``a``.
        to_a: ``(3, 3)``: the map from working pixels of a to the grid.
        to_b: The same for b.
    """

    a: Picture
    b: Picture
    local: float
    matrix: Matrix
    to_a: Matrix
    to_b: Matrix

    @classmethod
    def of(
        cls, a: PictureFeatures, b: PictureFeatures, matrix: Matrix, inverted: bool, longest: int = _GRID
    ) -> _Pair:
        scale = float(np.sqrt(abs(np.linalg.det(matrix))))
        shared = min(a.native_px, b.native_px / scale)
        grid = float(np.clip(shared, _SMALLEST_GRID, longest)) / max(a.picture.shape)
        frame, to_a = _resized(a.picture, grid)
        other, to_b = _resized(b.picture, grid * scale)
        if inverted:
            other = np.asarray(255 - other, np.uint8)
        local = max(_LOCAL_PX * max(frame.shape) / longest, _LEAST_LOCAL_PX)
        between = to_a @ matrix @ inverse(to_b)
        return cls(a=frame, b=other, local=local, matrix=between, to_a=to_a, to_b=to_b)

    def measured(self) -> Agreement | None:
        contrast_a = _local_contrast(self.a, self.local)
        tried = [self._laid(contrast_a, self.matrix)]
        refined = self._refined(contrast_a)
        if refined is not None:
            tried.append(self._laid(contrast_a, refined))
        laid = [one for one in tried if one is not None]
        if not laid:
            return None
        # The first of equals. Motion takes longest, so it is measured of the better one only.
        return self._agreement(contrast_a, max(laid, key=lambda one: one.correlation))

    def laid(self) -> _Laid | None:
        """The other picture under the proposed map, ``None`` where too little of it lies on the frame."""
        return self._laid(_local_contrast(self.a, self.local), self.matrix)

    def _refined(self, contrast_a: Floats) -> Matrix | None:
        """Maximises the enhanced correlation coefficient (Evangelidis and Psarakis, PAMI 2008)."""
        start = inverse(self.matrix)[:2].astype(np.float32)
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ECC_STEPS, 1e-4)
        contrast_b = _local_contrast(self.b, self.local)
        try:
            _, found = cv2.findTransformECC(  # type: ignore[call-overload]
                contrast_a, contrast_b, start, cv2.MOTION_AFFINE, criteria, None, _ECC_SMOOTH
            )
        except cv2.error:  # it gives up where the two do not correlate
            return None
        matrix = np.vstack([np.asarray(found, np.float64), [0.0, 0.0, 1.0]])
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-3:
            return None
        return inverse(matrix)

    def _laid(self, contrast_a: Floats, matrix: Matrix) -> _Laid | None:
        size = (self.a.shape[1], self.a.shape[0])
        warped = cv2.warpAffine(self.b, matrix[:2], size, flags=cv2.INTER_LINEAR)
        inside = cv2.warpAffine(
            np.full(self.b.shape, 255, np.uint8), matrix[:2], size, flags=cv2.INTER_LINEAR
        )
        margin = 2 * max(1, round(self.local / 2)) + 1
        overlap = cv2.erode((inside == 255).astype(np.uint8), np.ones((margin, margin)), borderValue=0) > 0
        overlap &= ~self._ground_of_one(matrix, overlap)
        if overlap.sum() < _SMALLEST_AREA:
            return None
        warped = np.where(inside == 255, warped, self.a)  # no edge where b ends
        contrast_b = _local_contrast(np.asarray(warped, np.uint8), self.local)
        correlation = _correlation(contrast_a[overlap], contrast_b[overlap])
        return _Laid(matrix, np.asarray(warped, np.uint8), contrast_b, overlap, correlation)

    def _agreement(self, contrast_a: Floats, laid: _Laid) -> Agreement:
        (median, upper), texture = _motion(contrast_a, laid.contrast, laid.overlap)
        thousandth = max(self.a.shape) / 1000.0
        return Agreement(
            matrix=inverse(self.to_a) @ laid.matrix @ self.to_b,
            correlation=laid.correlation,
            grey_correlation=_correlation(self.a[laid.overlap], laid.picture[laid.overlap]),
            motion=(median / thousandth, upper / thousandth),
            shared_px=max(self.a.shape),
            texture=texture,
        )

    def _ground_of_one(self, matrix: Matrix, overlap: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """``(h, w)`` where one of the two shows nothing and the other does, with a rim; else nowhere.

        A picture that was masked, to the lungs say, still shows the same inside of its mask. So this
        counts only where much of the overlap is masked in one, and enough of it in neither.
        """
        size = (self.a.shape[1], self.a.shape[0])
        ground = cv2.warpAffine(_ground(self.b), matrix[:2], size, flags=cv2.INTER_NEAREST)
        differs = (ground > 0) != (_ground(self.a) > 0)
        rim = 2 * round(2 * self.local) + 1
        found = cv2.dilate((differs & overlap).astype(np.uint8), np.ones((rim, rim))) > 0
        whole = max(int(overlap.sum()), 1)
        masked, left = int((differs & overlap).sum()) / whole, int((overlap & ~found).sum()) / whole
        return found if masked > _MUCH_MASKED and left > _LEAST_SHOWN else np.zeros_like(found)


def _ground(picture: Picture) -> Picture:
    """1 where a picture shows nothing: as dark as it can be, or the even grey that much of it has.

    Single dark pixels do not count, nor do smooth parts whose grey levels run on.
    """
    empty = (picture <= 1).astype(np.uint8)
    counts = np.bincount(picture.ravel(), minlength=256)
    even = int(counts.argmax())
    if counts[max(even - 1, 0) : even + 2].sum() >= _LEAST_GROUND * picture.size:
        empty |= (np.abs(picture.astype(np.int16) - even) <= 1).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(empty, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), np.uint8)


def _resized(picture: Picture, scale: float) -> tuple[Picture, Matrix]:
    """The picture at another size, and the map from old to new pixel centres."""
    height, width = picture.shape
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    sx, sy = size[0] / width, size[1] / height
    matrix = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1.0]])
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8), matrix


def _local_contrast(picture: Picture, sigma: float) -> Floats:
    film = picture.astype(np.float32)
    film -= cv2.GaussianBlur(film, (0, 0), sigma)
    spread = np.sqrt(cv2.GaussianBlur(film * film, (0, 0), sigma) + _NOISE**2)
    return np.asarray(film / spread, np.float32)


def _correlation(a: npt.NDArray[np.generic], b: npt.NDArray[np.generic]) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    x -= x.mean()
    y -= y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm > 0 else 0.0


def _motion(a: Floats, b: Floats, overlap: npt.NDArray[np.bool_]) -> tuple[tuple[float, float], float]:
    """Median and upper quartile, in pixels, of the optical flow left between two pictures.

    Dense inverse search (Kroeger et al., ECCV 2016), read only where both have local contrast.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow.setFinestScale(1)
    field = flow.calc(_as_grey(a), _as_grey(b), None)  # type: ignore[call-overload]
    shared = cv2.GaussianBlur(np.minimum(a * a, b * b), (0, 0), 4.0)
    textured = overlap & (shared > 0.5 * np.median(shared[overlap]))
    seen = overlap & (shared > 0.02)
    length = np.hypot(field[..., 0], field[..., 1])[textured]
    if not length.size:
        return (float("inf"), float("inf")), 0.0
    median, upper = np.percentile(length, (50, 75))
    return (float(median), float(upper)), float(seen.sum() / overlap.sum())


def _as_grey(contrast: Floats) -> Picture:
    return np.asarray(np.clip(contrast * 50.0 + 128.0, 0, 255), np.uint8)

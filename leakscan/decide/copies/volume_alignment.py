"""Aligns two volumes: which way round, then where, then exactly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from leakscan.decide.copies.volume_features import Floats, Matrix, VolumeFeatures

_TRIED = 4  # orientations
_TRYING_STEPS = 4
_REFINED = 3  # of what was tried
_COARSE_STEPS = 12
_STRANGERS = 0.75  # correlation on the grid of 8 mm; half of the strangers have less, copies 0.9 and more
_PROBING_STEPS = 4
_FINE_STEPS = 25
_STILL = 0.01  # voxels: a step that moves nothing further ends the refinement
_DAMPING = 1e-3
_ENOUGH_POINTS = 5_000  # of a template are enough to find twelve numbers
_LEAST_SHARE = 0.2  # of the template that must stay inside the other
_WORTHWHILE = 0.004  # gain of correlation in four steps
_SCALE_DIFFERS = 1.08  # ratio of spreads from which a lost or wrong spacing is tried


@dataclass(frozen=True)
class VolumeFit:
    """An alignment and how well it does.

    Attributes:
        matrix: ``(4, 4)``: the affine map from voxels of a's grid to voxels of b's.
        correlation: The correlation of the contrasts on the joint mask, -1..1.
        strangers: Whether the coarse grid already told the two apart, so that nothing finer was tried.
    """

    matrix: Matrix
    correlation: float
    strangers: bool = False


def orientations(a: VolumeFeatures, b: VolumeFeatures) -> list[tuple[float, Matrix]]:
    """All 48 flips and permutations of axes with the correlation of the thumbs, -1..1, best first.

    Each is a ``(3, 3)`` signed permutation that takes directions in a to directions in b.

    Example:
        >>> from leakscan.decide.copies.volume_features import describe_volume
        >>> head = np.zeros((20, 24, 20), np.float32)
        >>> head[4:15, 3:20, 4:16] = 1.0
        >>> head[4:7, 3:8, 4:7] = 3.0
        >>> a, b = (describe_volume(v, (10.0, 10.0, 10.0)) for v in (head, head[::-1]))
        >>> orientations(a, b)[0][1].tolist()
        [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    scored = []
    for order in permutations(range(3)):
        turned = a.thumb.transpose(order)
        for signs in product((1, -1), repeat=3):
            linear = np.zeros((3, 3))
            for axis in range(3):
                linear[axis, order[axis]] = signs[axis]
            flipped = turned[:: signs[0], :: signs[1], :: signs[2]]
            scored.append((float(np.vdot(flipped, b.thumb)), linear))
    return sorted(scored, key=lambda entry: -entry[0])


def align_volumes(a: VolumeFeatures, b: VolumeFeatures, likely: list[tuple[float, Matrix]]) -> VolumeFit:
    """The best affine map found from a's grid to b's, tried from the likely orientations.

    Args:
        a: The features of the one volume, the template.
        b: The features of the other.
        likely: The likely orientations, best first, see :func:`orientations`.

    Example::

        fit = align_volumes(a, b, orientations(a, b))
        fit.matrix @ [10, 20, 15, 1]  # where voxel (10, 20, 15) of a's grid lies on b's
    """
    tried = likely[:_TRIED]
    if not any(np.array_equal(linear, np.eye(3)) for _, linear in tried):
        tried = [*tried[:-1], next((c, linear) for c, linear in likely if np.array_equal(linear, np.eye(3)))]
    starts: list[Matrix] = []
    for _, linear in tried:
        starts.append(_placed(a, b, linear))
        ratio = b.spread / (np.abs(linear) @ a.spread)
        if max(ratio.max(), 1 / ratio.min()) > _SCALE_DIFFERS:
            starts.append(_about(ratio[:, None] * linear, a.centre, b.centre))
    half = np.diag([0.5, 0.5, 0.5, 1.0])
    double = np.diag([2.0, 2.0, 2.0, 1.0])
    coarse_a = _Template.of(a.broad, np.abs(a.broad) > 0)
    tried_out = [coarse_a.fit(b.broad, half @ start @ double, _TRYING_STEPS) for start in starts]
    likeliest = sorted(tried_out, key=lambda fit: -fit.correlation)[:_REFINED]
    coarse = [coarse_a.fit(b.broad, fit.matrix, _COARSE_STEPS) for fit in likeliest]
    coarse.sort(key=lambda fit: -fit.correlation)
    if coarse[0].correlation < _STRANGERS:
        return VolumeFit(double @ coarse[0].matrix @ half, coarse[0].correlation, strangers=True)
    fine_a = _Template.of(a.contrast, a.mask)
    # The likelier two show within a few steps which of them is right; only that one goes all the way.
    probed = [
        fine_a.fit(b.contrast, double @ fit.matrix @ half, _PROBING_STEPS)
        for fit in coarse[:2]
        if fit.correlation >= coarse[0].correlation - 0.1
    ]
    best = max(probed, key=lambda fit: fit.correlation)
    return fine_a.measured(b.contrast, fine_a.fit(b.contrast, best.matrix, _FINE_STEPS))


def refine(fixed: Floats, mask: npt.NDArray[np.bool_], moving: Floats) -> VolumeFit:
    """Refines from identity: both contrasts are on one grid already.

    Example:
        >>> noise = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
        >>> fixed = ndimage.gaussian_filter(noise, 2.0)
        >>> moved = refine(fixed, np.ones(fixed.shape, bool), np.roll(fixed, 1, axis=0))
        >>> float(moved.matrix[0, 3].round(1))
        1.0
    """
    template = _Template.of(fixed, mask)
    return template.measured(moving, template.fit(moving, np.eye(4), _FINE_STEPS))


def _about(linear: Matrix, centre_a: Matrix, centre_b: Matrix) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre_b - linear @ centre_a
    return matrix


def _placed(a: VolumeFeatures, b: VolumeFeatures, linear: Matrix) -> Matrix:
    """Slides a, turned, over b: the peak of the cross-correlation of their broad contrasts."""
    order = [int(np.argmax(np.abs(row))) for row in linear]
    signs = [int(linear[axis, order[axis]]) for axis in range(3)]
    turned = a.broad.astype(np.float32).transpose(order)[:: signs[0], :: signs[1], :: signs[2]]
    other = b.broad.astype(np.float32)
    shape = [fft.next_fast_len(m + n - 1, real=True) for m, n in zip(turned.shape, other.shape, strict=True)]
    product_ = fft.rfftn(other, shape) * np.conj(fft.rfftn(turned, shape))
    score = fft.irfftn(product_, shape)
    peak = np.array(np.unravel_index(int(score.argmax()), score.shape))
    shift = np.where(peak < np.array(other.shape), peak, peak - np.array(shape))
    sizes = np.array(turned.shape)
    offset = np.array([0 if sign > 0 else size - 1 for sign, size in zip(signs, sizes, strict=True)]) + shift
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = 2.0 * offset  # broad voxels are two grid voxels wide
    return matrix


@dataclass(frozen=True)
class _Template:
    """The fixed side of a refinement: all that does not change from step to step.

    Attributes:
        points: ``(n, 3)``: the voxels of the template's mask.
        values: ``(n,)``: the contrast there.
        jacobian: ``(n, 12)``: the derivatives of the template by the affine parameters.
        middle: ``(3,)``: the middle of the points.
        reach: The length that brings coordinates to about -1..1.
    """

    points: Floats
    values: Floats
    jacobian: Floats
    middle: Matrix
    reach: float

    @classmethod
    def of(cls, contrast: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> _Template:
        values = contrast.astype(np.float32)
        points = np.argwhere(mask).astype(np.float32)
        gradient = np.stack([np.gradient(values, axis=axis)[mask] for axis in range(3)], axis=1)
        middle = points.mean(axis=0)
        reach = float(max(np.abs(points - middle).max(), 1.0))
        unit = (points - middle) / reach
        products = (gradient[:, :, None] * unit[:, None, :]).reshape(-1, 9)
        jacobian = np.concatenate([products, gradient], axis=1).astype(np.float32)
        return cls(points, values[mask], jacobian, middle.astype(np.float64), reach)

    def fit(self, contrast: npt.NDArray[np.floating], start: Matrix, steps: int) -> VolumeFit:
        """Inverse-compositional Gauss-Newton (Baker and Matthews, IJCV 2004) on normalised contrast.

        The correlation is that of ``_ENOUGH_POINTS`` points.
        """
        moving = contrast.astype(np.float32)
        thin = max(1, len(self.points) // _ENOUGH_POINTS)
        part = _Template(
            self.points[::thin], self.values[::thin], self.jacobian[::thin], self.middle, self.reach
        )
        matrix, best, lately = start, VolumeFit(start, -1.0), -1.0
        for number in range(steps):
            correlation, following, moved = part.step(moving, matrix)
            if correlation > best.correlation:
                best = VolumeFit(matrix, correlation)
            if moved < _STILL:
                break
            if number % 4 == 3:
                if best.correlation < lately + _WORTHWHILE:
                    break
                lately = best.correlation
            matrix = following
        return best

    def measured(self, contrast: npt.NDArray[np.floating], fit: VolumeFit) -> VolumeFit:
        """The fit with its correlation on all points, not only on those that found it."""
        correlation, _, _ = self.step(contrast.astype(np.float32), fit.matrix)
        return VolumeFit(fit.matrix, correlation)

    def step(self, moving: Floats, matrix: Matrix) -> tuple[float, Matrix, float]:
        """Correlation under ``matrix``, the next matrix, and by how many voxels that moves things."""
        inside, sampled = self._sampled(moving, matrix)
        fixed, jacobian = self.values, self.jacobian
        if not inside.all():
            fixed, jacobian = fixed[inside], jacobian[inside]
        if len(fixed) < _LEAST_SHARE * len(self.points) or len(fixed) < 100:
            return -1.0, matrix, 0.0
        fixed, sampled = fixed - fixed.mean(), sampled - sampled.mean()
        norms = float(np.linalg.norm(fixed)), float(np.linalg.norm(sampled))
        if min(norms) <= 0:
            return -1.0, matrix, 0.0
        residual = sampled * (norms[0] / norms[1]) - fixed
        normal = (jacobian.T @ jacobian).astype(np.float64)
        normal += np.eye(12) * _DAMPING * np.trace(normal) / 12
        step = np.linalg.solve(normal, (jacobian.T @ residual).astype(np.float64))
        change = np.eye(4)
        change[:3, :3] += step[:9].reshape(3, 3) / self.reach
        change[:3, 3] = step[9:] - step[:9].reshape(3, 3) @ self.middle / self.reach
        if not np.linalg.det(change[:3, :3]) > 0.1:
            return -1.0, matrix, 0.0
        correlation = float(fixed @ sampled) / (norms[0] * norms[1])
        return correlation, matrix @ np.linalg.inv(change), float(np.abs(step).max())

    def _sampled(self, moving: Floats, matrix: Matrix) -> tuple[npt.NDArray[np.bool_], Floats]:
        places = self.points @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
        inside = np.all((places >= 0) & (places <= np.array(moving.shape) - 1), axis=1)
        sampled = ndimage.map_coordinates(moving, places[inside].T, order=1, mode="nearest")
        return np.asarray(inside, np.bool_), np.asarray(sampled, np.float32)

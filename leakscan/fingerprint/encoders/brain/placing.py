"""Brings a brain to the place of an average brain, without torch: :mod:`.brain_space` for one volume.

Runs use this module; training, whose volumes are tensors, uses the other. A test holds the two together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Pose = npt.NDArray[np.float64]

_STEPS = (12, 10)  # at twice the maps' voxel, then at it
_DAMPING = 1e-3
_SETTLING_STEPS = 12
_GAIN = (0.2, 5.0)
_ALIGNED_BY = [0, 1, 2, 3, 5, 6]
_IN_BRAIN = 0.02


@dataclass(frozen=True)
class _Target:
    """What maps are moved to, at one resolution.

    Attributes:
        maps: ``(c, p)`` the target's values at its points.
        points: ``(p, 3)`` the points, in millimetres from the middle.
        jacobian: ``(c, p, 6)`` how the values change by turns (times the reach) and shifts.
        reach: The largest coordinate of a point.
        step_mm: The edge of a voxel.
    """

    maps: Floats
    points: Pose
    jacobian: npt.NDArray[np.float64]
    reach: float
    step_mm: float

    @classmethod
    def of(cls, fixed: Floats, inside: Mask, step_mm: float) -> _Target:
        points = _grid(fixed.shape[1:], step_mm)[inside]
        slopes = np.stack([np.gradient(fixed, axis=d + 1)[:, inside] for d in range(3)], axis=-1) / step_mm
        reach = float(np.abs(points).max())
        turns = np.cross(np.broadcast_to(points, slopes.shape), slopes) / reach
        jacobian = np.concatenate([turns, slopes], axis=-1).astype(np.float64)
        return cls(fixed[:, inside], points, jacobian, reach, step_mm)

    def solver(self, weight: Floats | None = None) -> npt.NDArray[np.float64]:
        """``(6, c p)`` that turns residuals into motions, damped; places count by their weight ``(p,)``."""
        flat = self.jacobian.reshape(-1, 6)
        weighted = flat if weight is None else (self.jacobian * weight[:, None]).reshape(-1, 6)
        normal = flat.T @ weighted
        normal += np.eye(6) * max(_DAMPING * float(normal.diagonal().mean()), 1e-9)
        return np.asarray(np.linalg.solve(normal, weighted.T))


class AverageBrain:
    """The average brain that volumes are brought to.

    Args:
        template: Its tissue shares ``(7, x, y, z)``, in the middle of the grid.
        edges: Its edge tensors ``(6, x, y, z)``, on the same grid; zeros where there are none.
        step_mm: The edge of a voxel of the grid.

    Example:
        >>> x, y, z = np.meshgrid(*[np.linspace(-2, 2, 16, dtype=np.float32)] * 3, indexing="ij")
        >>> average = np.repeat(np.exp(-(x**2 + 2 * y**2 + 3 * z**2))[None], 7, axis=0) / 7
        >>> brain = AverageBrain(average, np.zeros((6, 16, 16, 16), np.float32), 5.0)
        >>> pose = brain.pose_of(np.roll(average, 2, axis=1))  # two voxels to the right
        >>> round(pose[0, 3])
        10
    """

    def __init__(self, template: Floats, edges: Floats, step_mm: float) -> None:
        self.template, self.step_mm = template, step_mm
        self.inside = template.sum(axis=0) > _IN_BRAIN
        self._centre = _centre(template, step_mm)
        halved = halved_maps(template)
        scales = ((halved, 2.0 * step_mm), (template, step_mm))
        self._scales = [
            _Target.of(maps[_ALIGNED_BY], maps.sum(axis=0) > _IN_BRAIN, step) for maps, step in scales
        ]
        self._solvers = [target.solver() for target in self._scales]
        self.edges = edges if edges.any() else None

    def pose_of(self, maps: Floats) -> Pose:
        """The pose ``(4, 4)`` that brings tissue shares ``(7, x, y, z)`` to the average, for ``resample``.

        Inverse-compositional Gauss-Newton (Baker and Matthews, IJCV 2004).
        """
        pose = np.eye(4)
        pose[:3, 3] = _centre(maps, self.step_mm) - self._centre
        each = zip((halved_maps(maps), maps), self._scales, self._solvers, _STEPS, strict=True)
        for moving, target, solve, steps in each:
            padded = _Padded(moving[_ALIGNED_BY], target.step_mm)
            for _ in range(steps):
                residual = padded.at(target.points, pose) - target.maps
                pose = pose @ np.linalg.inv(_motion(solve @ residual.ravel(), target.reach))
        return pose

    def settled(self, edges: Floats, seen: Floats) -> Pose:
        """How a brain that lies nearly right must still move for its lines to lie on the average ones.

        Args:
            edges: Its edge tensors ``(6, x, y, z)``, in about the average brain's place.
            seen: Where its scan shows more than air, ``(x, y, z)`` 0..1.

        Returns:
            The pose ``(4, 4)``, relative to where the edges lie now.
        """
        return np.eye(4) if self.edges is None else settle(edges, seen, self.edges, self.inside, self.step_mm)

    def fit(self, placed: Floats) -> float:
        """The correlation, -1..1, of tissue shares ``(7, x, y, z)`` in their place with the average."""
        flat, mean = (maps.ravel().astype(np.float64) for maps in (placed, self.template))
        flat, mean = flat - flat.mean(), mean - mean.mean()
        return float(flat @ mean) / max(float(np.linalg.norm(flat) * np.linalg.norm(mean)), 1e-6)


def settle(edges: Floats, seen: Floats, wanted: Floats, inside: Mask, step_mm: float) -> Pose:
    """:func:`.brain_space.settle` of one volume.

    Args:
        edges: The edge tensors ``(6, x, y, z)`` that move.
        seen: Where their scan shows more than air, ``(x, y, z)`` 0..1.
        wanted: The edge tensors to bring them to.
        inside: The voxels that count, ``(x, y, z)``.
        step_mm: The edge of a voxel.

    Returns:
        The pose ``(4, 4)`` for :func:`resample`.

    Example:
        >>> lines = np.random.default_rng(0).random((6, 8, 8, 8), np.float32)
        >>> everywhere = np.ones((8, 8, 8), bool)
        >>> pose = settle(lines, everywhere.astype(np.float32), lines, everywhere, 5.0)
        >>> bool(np.allclose(pose, np.eye(4), atol=1e-3))
        True
    """
    target = _Target.of(wanted, inside, step_mm)
    padded = _Padded(np.concatenate([edges, seen[None]]), step_mm)
    pose = np.eye(4)
    solve = weight = np.empty(0)
    for step in range(_SETTLING_STEPS):
        found = padded.at(target.points, pose)
        lines = found[:-1]
        if step == 0:
            weight = (found[-1] > 0.5).astype(np.float32)
            solve = target.solver(weight)
        power = max(float((lines * lines * weight).sum()), 1e-6)
        gain = float(np.clip((lines * target.maps * weight).sum() / power, *_GAIN))
        residual = gain * lines - target.maps
        pose = pose @ np.linalg.inv(_motion(solve @ residual.ravel(), target.reach))
    return pose


def resample(maps: Floats, pose: Pose, step_mm: float) -> Floats:
    """Maps ``(c, x, y, z)`` as they are where ``pose`` sends each voxel, in millimetres from the middle.

    Example:
        >>> line = np.array([0.0, 0.5, 1.0], np.float32).reshape(1, 3, 1, 1)
        >>> pose = np.eye(4)
        >>> pose[0, 3] = 5.0  # each voxel takes what lies 5 mm to its right
        >>> resample(line, pose, step_mm=5.0).ravel().tolist()
        [0.5, 1.0, 0.0]
    """
    middle = (np.array(maps.shape[1:]) - 1) / 2
    shift = pose[:3, 3] / step_mm + middle - pose[:3, :3] @ middle
    out = np.empty_like(maps)
    for own, into in zip(maps, out, strict=True):
        ndimage.affine_transform(own, pose[:3, :3], shift, output=into, order=1, mode="grid-constant")
    return out


def halved_maps(maps: Floats) -> Floats:
    """Means over blocks of two voxels; ``(c, x, y, z)``, each side even.

    Example:
        >>> halved_maps(np.ones((1, 4, 2, 2), np.float32)).shape
        (1, 2, 1, 1)
    """
    c, x, y, z = maps.shape
    blocks = maps[:, : x // 2 * 2, : y // 2 * 2, : z // 2 * 2].reshape(c, x // 2, 2, y // 2, 2, z // 2, 2)
    return np.asarray(blocks.mean(axis=(2, 4, 6)), np.float32)


class _Padded:
    """Maps with a rim of zeros, which give their values anywhere, 0 outside."""

    def __init__(self, maps: Floats, step_mm: float) -> None:
        padded = np.pad(np.moveaxis(maps, 0, -1), ((1, 2), (1, 2), (1, 2), (0, 0)))
        self._shape = np.array(maps.shape[1:])
        self._strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
        self._flat = padded.reshape(-1, len(maps))
        self._step = step_mm

    def at(self, points: Pose, pose: Pose) -> Floats:
        """Values ``(c, p)`` where ``pose`` sends ``points`` ``(p, 3)``, between the eight voxels around."""
        at = (points @ pose[:3, :3].T + pose[:3, 3]) / self._step + (self._shape - 1) / 2
        at = np.clip(at, -1.0, self._shape) + 1.0  # in the padded grid
        low = at.astype(np.int64)
        share = (at - low).astype(np.float32)
        first = low @ self._strides
        out = np.zeros((len(points), self._flat.shape[1]), np.float32)
        for corner in range(8):
            bits = [(corner >> (2 - axis)) & 1 for axis in range(3)]
            weight = np.ones(len(points), np.float32)
            for axis, bit in enumerate(bits):
                weight = weight * (share[:, axis] if bit else 1.0 - share[:, axis])
            out += self._flat[first + int(self._strides @ bits)] * weight[:, None]
        return out.T


def _grid(shape: tuple[int, ...], step_mm: float) -> Pose:
    axes = [(np.arange(k) - (k - 1) / 2) * step_mm for k in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _centre(maps: Floats, step_mm: float) -> npt.NDArray[np.float64]:
    """The middle of mass of the brain ``(3,)``, in millimetres from the middle of the grid."""
    brain = maps.sum(axis=0, dtype=np.float64)
    return np.asarray(np.tensordot(brain, _grid(brain.shape, step_mm), axes=3) / max(float(brain.sum()), 1.0))


def _motion(change: npt.NDArray[np.float64], reach: float) -> Pose:
    """The rigid motion ``(4, 4)`` of a rotation vector (times ``reach``) and a shift, ``(6,)``."""
    turn = np.clip(change[:3] / reach, -0.3, 0.3)
    x, y, z = turn
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = float(np.linalg.norm(turn))
    # Rodrigues' formula; both factors have finite limits at 0.
    sine = math.sin(angle) / angle if angle > 1e-8 else 1.0
    cosine = (1.0 - math.cos(angle)) / angle**2 if angle > 1e-8 else 0.5
    motion = np.eye(4)
    motion[:3, :3] += sine * skew + cosine * (skew @ skew)
    motion[:3, 3] = change[3:]
    return motion

"""Where things are: smooth deformations that make another person, and the pose of a head in a scanner.

A place is given in the coordinates of ``grid_sample``: ``(n, x, y, z, 3)``, the last axis in reversed
order (z, y, x), each running from -1 to 1 over the grid of :data:`~.people.GRID`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM
from leakscan.synthetic.brains.people import GRID, GRID_MM

_EXTENT_MM = tuple(n * GRID_MM for n in GRID)


@dataclass(frozen=True)
class Pose:
    """How much a head may be moved; standard deviations, cut at twice their value.

    Attributes:
        degrees: The rotation about each axis.
        shift_mm: The shift along each axis.
        zoom: The logarithm of the scale common to all axes.
        stretch: The logarithm of the scale of each axis, and the shear.
    """

    degrees: float = 8.0
    shift_mm: float = 8.0
    zoom: float = 0.05
    stretch: float = 0.03


def poses(n: int, pose: Pose, device: torch.device | None = None) -> torch.Tensor:
    """Random affine maps ``(n, 3, 4)`` from millimetres of the view to millimetres of the head.

    Example:
        >>> poses(5, Pose()).shape
        torch.Size([5, 3, 4])
        >>> still = poses(1, Pose(degrees=0, shift_mm=0, zoom=0, stretch=0))
        >>> torch.equal(still[0], torch.eye(3, 4))
        True
    """

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device).clamp(-2, 2)

    angle = normal(n, 3) * math.radians(pose.degrees)
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.eye(3, device=device).repeat(n, 1, 1)
    for axis in range(3):
        one = torch.eye(3, device=device).repeat(n, 1, 1)
        i, j = (axis + 1) % 3, (axis + 2) % 3
        one[:, i, i], one[:, j, j] = cos[:, axis], cos[:, axis]
        one[:, i, j], one[:, j, i] = -sin[:, axis], sin[:, axis]
        turn = turn @ one
    scale = torch.eye(3, device=device) * torch.exp(normal(n, 1, 1) * pose.zoom)
    scale = scale + normal(n, 3, 3) * pose.stretch
    return torch.cat([turn @ scale, normal(n, 3, 1) * pose.shift_mm], dim=2)


def places(maps: torch.Tensor, shape: tuple[int, int, int] = SHAPE, step_mm: float = STEP_MM) -> torch.Tensor:
    """Where the voxels of a view lie in the head.

    Args:
        maps: ``(n, 3, 4)`` from :func:`poses`.
        shape: The shape of the view in voxels.
        step_mm: The edge of its voxels.

    Returns:
        ``(n, x, y, z, 3)`` for ``grid_sample``.

    Example:
        >>> unmoved = torch.eye(3, 4)[None]
        >>> at = places(unmoved, shape=(3, 3, 3), step_mm=28.0)
        >>> at.shape, at[0, 1, 1, 1].tolist(), at[0, 2, 1, 1].tolist()
        (torch.Size([1, 3, 3, 3, 3]), [0.0, 0.0, 0.0], [0.0, 0.0, 0.25])
    """
    axes = [(torch.arange(k, device=maps.device) - (k - 1) / 2) * step_mm for k in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    head = torch.einsum("nij,xyzj->nxyzi", maps[:, :, :3], grid) + maps[:, None, None, None, :, 3]
    half = torch.tensor([e / 2 for e in _EXTENT_MM], device=maps.device)
    return (head / half).flip(-1)


def _smooth_field(n: int, knots: int, channels: int = 1, device: torch.device | None = None) -> torch.Tensor:
    """Normal noise on ``knots`` points along each axis, ``(n, channels, knots, knots, knots)``."""
    return torch.randn(n, channels, knots, knots, knots, device=device)


def deformation(
    n: int, amount_mm: float, knots: int, at: torch.Tensor, device: torch.device | None = None
) -> torch.Tensor:
    """A smooth displacement, taken at ``at``: another anatomy of about the same size.

    Args:
        n: The number of people.
        amount_mm: The standard deviation of the displacement at a knot.
        knots: The number of knots along each axis of the head; 9 are 28 mm apart.
        at: ``(m, x, y, z, 3)`` places, with ``m`` equal to ``n``.
        device: The device of the result.

    Returns:
        ``(n, x, y, z, 3)`` to be added to places.

    Example:
        >>> at = places(torch.eye(3, 4).expand(2, 3, 4), shape=(8, 8, 8), step_mm=20.0)
        >>> two_anatomies = at + deformation(2, amount_mm=4.0, knots=3, at=at)
        >>> two_anatomies.shape, bool((two_anatomies[0] != two_anatomies[1]).any())
        (torch.Size([2, 8, 8, 8, 3]), True)
    """
    field = _smooth_field(n, knots, 3, device)
    half = torch.tensor([e / 2 for e in _EXTENT_MM], device=device).flip(0).view(1, 3, 1, 1, 1)
    # Cubic where it is cheap (on the knots), linear to the voxels.
    fine = F.interpolate(field, size=(4 * knots,) * 3, mode="trilinear", align_corners=True)
    fine = F.avg_pool3d(F.pad(fine, (2,) * 6, mode="replicate"), 5, 1)
    moved = F.grid_sample(fine * (amount_mm / half), at, align_corners=True, padding_mode="border")
    return moved.permute(0, 2, 3, 4, 1)

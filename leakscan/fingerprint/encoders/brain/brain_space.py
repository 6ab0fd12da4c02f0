"""Brings a brain to the place of an average brain, by turning and shifting alone.

Its tissues bring it near, from anywhere; the lines along which grey levels change bring it home
(:func:`settle`), because tissues named in a poor scan are off by some degrees. Size and shape stay: they
are part of who it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_STEPS = (12, 10)  # at twice the maps' voxel, then at it
_DAMPING = 1e-3
_SETTLING_STEPS = 12
_GAIN = (0.2, 5.0)  # how much weaker or stronger than the average the lines of a volume may be
_ALIGNED_BY = (0, 1, 2, 3, 5, 6)  # all tissues but CSF, of which a stripped volume keeps what it likes


def align_to_average(
    maps: torch.Tensor, template: torch.Tensor, step_mm: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Aligns brains rigidly, by inverse-compositional Gauss-Newton (Baker and Matthews, IJCV 2004).

    Args:
        maps: The shares of the tissues ``(n, c, x, y, z)``, 0..1, without what is no brain.
        template: The average brain ``(c, x, y, z)``, in the middle of its grid.
        step_mm: The edge of a voxel.

    Returns:
        The maps on the template's grid ``(n, c, x, y, z)``, the pose of each ``(n, 4, 4)`` for
        :func:`resample`, and its correlation with the template ``(n,)``, -1..1: low where no brain was
        found, or one that lies wrong.

    Example:
        >>> x, y, z = torch.meshgrid(*[torch.linspace(-2, 2, 16)] * 3, indexing="ij")
        >>> average = torch.exp(-(x**2 + 2 * y**2 + 3 * z**2)).expand(7, 16, 16, 16) / 7
        >>> two_voxels_to_the_right = average[None].roll(2, dims=2)
        >>> _, pose, fit = align_to_average(two_voxels_to_the_right, average, step_mm=5.0)
        >>> round(float(pose[0, 0, 3])), bool(fit > 0.99)
        (10, True)
    """
    pose = torch.eye(4).repeat(len(maps), 1, 1)
    pose[:, :3, 3] = _centre(maps, step_mm) - _centre(template[None], step_mm)
    for scale, steps in zip((2, 1), _STEPS, strict=True):
        small = F.avg_pool3d(maps, scale) if scale > 1 else maps
        fixed = F.avg_pool3d(template[None], scale)[0] if scale > 1 else template
        pose = _refined(small, fixed, pose, step_mm * scale, steps)
    moved = resample(maps, pose, step_mm)
    return moved, pose, fit_of(moved, template)


def fit_of(maps: torch.Tensor, template: torch.Tensor) -> torch.Tensor:
    """Correlation ``(n,)``, -1..1, of maps in their place with the average brain.

    Example:
        >>> template = torch.rand(7, 4, 4, 4)
        >>> [round(float(fit_of(maps[None], template)), 3) for maps in (template, -template)]
        [1.0, -1.0]
    """
    flat, mean = maps.flatten(1), template.flatten()
    flat, mean = flat - flat.mean(dim=1, keepdim=True), mean - mean.mean()
    fit: torch.Tensor = (flat @ mean) / (flat.norm(dim=1) * mean.norm()).clamp(min=1e-6)
    return fit


def settle(
    edges: torch.Tensor, seen: torch.Tensor, average: torch.Tensor, inside: torch.Tensor, step_mm: float
) -> torch.Tensor:
    """How brains that lie nearly right must still move for their lines to lie on the average ones.

    Gauss-Newton as in :func:`align_to_average`, with two differences: places that a scan did not reach have
    no say, and the lines of a poor scan may be weaker throughout.

    Args:
        edges: The edge tensors ``(n, c, x, y, z)``, in about the average brain's place.
        seen: Where the scan shows more than air, ``(n, 1, x, y, z)`` 0..1.
        average: The edge tensors ``(c, x, y, z)`` of the average brain.
        inside: The voxels of the brain, ``(x, y, z)`` bool.
        step_mm: The edge of a voxel.

    Returns:
        Poses ``(n, 4, 4)`` for :func:`resample`, relative to where the edges lie now.

    Example::

        edges = edge_tensors(placed, inside)
        pose = settle(edges, seen, average_edges, inside, step_mm=5.0)
        at_home = resample(edges, pose, step_mm=5.0)
    """
    points = _grid(average.shape[1:], step_mm)[inside]
    jacobian, reach = _jacobian(average, inside, points, step_mm)
    wanted = average[:, inside]
    poses = []
    for own in torch.cat([edges, seen], dim=1):
        pose, solve, weight = torch.eye(4)[None], torch.empty(0), torch.empty(0)
        for step in range(_SETTLING_STEPS):
            *found, reached = _sampled(own[None], points, pose, step_mm)[0]
            lines = torch.stack(found)
            if step == 0:
                weight = (reached > 0.5).float()
                weighted = (jacobian.view(len(wanted), -1, 6) * weight[None, :, None]).flatten(0, 1)
                solve = _solver(jacobian, weighted)
            gain = (lines * wanted * weight).sum() / (lines * lines * weight).sum().clamp(min=1e-6)
            residual = gain.clamp(*_GAIN) * lines - wanted
            pose = pose @ torch.linalg.inv(_motion((solve @ residual.flatten())[None], reach))
        poses.append(pose)
    return torch.cat(poses)


def resample(maps: torch.Tensor, pose: torch.Tensor, step_mm: float) -> torch.Tensor:
    """Maps as they are where ``pose`` ``(n, 4, 4)`` sends each voxel, in millimetres from the middle.

    Example:
        >>> line = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3, 1, 1)
        >>> pose = torch.eye(4)[None].clone()
        >>> pose[0, 0, 3] = 5.0  # each voxel takes what lies 5 mm to its right
        >>> resample(line, pose, step_mm=5.0).flatten().tolist()
        [0.5, 1.0, 0.0]
    """
    grid = _grid(maps.shape[2:], step_mm)
    return _sampled(maps, grid.view(-1, 3), pose, step_mm).view(maps.shape)


def _grid(shape: torch.Size, step_mm: float) -> torch.Tensor:
    axes = [(torch.arange(k, dtype=torch.float32) - (k - 1) / 2) * step_mm for k in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def _sampled(maps: torch.Tensor, points: torch.Tensor, pose: torch.Tensor, step_mm: float) -> torch.Tensor:
    """Values ``(n, c, points)`` at ``pose`` applied to ``points`` ``(p, 3)``."""
    half = torch.tensor([k * step_mm / 2 for k in maps.shape[2:]])
    at = points @ pose[:, :3, :3].transpose(1, 2) + pose[:, None, :3, 3]
    at = (at / half).flip(-1)[:, :, None, None]
    return F.grid_sample(maps, at, align_corners=False)[..., 0, 0]


def _centre(maps: torch.Tensor, step_mm: float) -> torch.Tensor:
    """Middle of mass of the brain ``(n, 3)``, millimetres from the middle of the grid."""
    brain = maps.sum(dim=1).flatten(1)
    return (brain @ _grid(maps.shape[2:], step_mm).view(-1, 3)) / brain.sum(dim=1, keepdim=True).clamp(
        min=1.0
    )


def _refined(
    maps: torch.Tensor, template: torch.Tensor, pose: torch.Tensor, step_mm: float, steps: int
) -> torch.Tensor:
    inside = template.sum(dim=0) > 0.02
    points = _grid(template.shape[1:], step_mm)[inside]
    by = list(_ALIGNED_BY)
    jacobian, reach = _jacobian(template[by], inside, points, step_mm)
    solve = _solver(jacobian, jacobian)
    wanted = template[by][:, inside]
    for _ in range(steps):
        residual = _sampled(maps[:, by], points, pose, step_mm) - wanted
        change = residual.flatten(1) @ solve.T
        pose = pose @ torch.linalg.inv(_motion(change, reach))
    return pose


def _jacobian(
    fixed: torch.Tensor, inside: torch.Tensor, points: torch.Tensor, step_mm: float
) -> tuple[torch.Tensor, float]:
    """How maps ``(c, x, y, z)`` change at ``p`` points by turns (times a reach) and shifts ``(c * p, 6)``."""
    slopes = torch.stack([torch.gradient(fixed, dim=d + 1)[0][:, inside] for d in range(3)], dim=-1)
    slopes = slopes / step_mm
    reach = float(points.abs().max())
    turns = torch.cross(points.expand_as(slopes), slopes, dim=-1) / reach
    return torch.cat([turns, slopes], dim=-1).flatten(0, 1), reach


def _solver(jacobian: torch.Tensor, weighted: torch.Tensor) -> torch.Tensor:
    """``(6, c * p)`` that turns residuals into motions, damped."""
    normal = jacobian.T @ weighted
    normal += torch.eye(6) * (_DAMPING * normal.diagonal().mean()).clamp(min=1e-9)
    solved: torch.Tensor = torch.linalg.solve(normal, weighted.T)
    return solved


def _motion(change: torch.Tensor, reach: float) -> torch.Tensor:
    """Rigid motions ``(n, 4, 4)`` from rotation vectors (times ``reach``) and shifts, ``(n, 6)``."""
    x, y, z = (change[:, :3] / reach).clamp(-0.3, 0.3).unbind(dim=1)
    none = torch.zeros_like(x)
    skew = torch.stack([none, -z, y, z, none, -x, -y, x, none], dim=1).view(-1, 3, 3)
    motion = torch.eye(4).repeat(len(change), 1, 1)
    motion[:, :3, :3] = torch.linalg.matrix_exp(skew)
    motion[:, :3, 3] = change[:, 3:]
    return motion


def _moved(maps: torch.Tensor, template: torch.Tensor, step_mm: float) -> torch.Tensor:
    moved, _, _ = align_to_average(maps, template, step_mm)
    return moved


def average_brain(maps: torch.Tensor, step_mm: float, rounds: int = 3) -> torch.Tensor:
    """The mean of maps after aligning all to their own mean, ``(c, x, y, z)``.

    Args:
        maps: The shares of the tissues ``(n, c, x, y, z)``, 0..1.
        step_mm: The edge of a voxel.
        rounds: The number of times that maps are aligned and averaged.

    Example::

        template = average_brain(torch.stack(maps), step_mm=5.0)  # (7, 40, 48, 40), from one such map a head
    """
    start = torch.eye(4).repeat(len(maps), 1, 1)
    start[:, :3, 3] = _centre(maps, step_mm)
    mean = resample(maps, start, step_mm).mean(dim=0)
    for _ in range(rounds):
        mean = torch.cat([_moved(m[None], mean, step_mm) for m in maps]).mean(dim=0)
        middle = torch.eye(4)[None].clone()
        middle[:, :3, 3] = _centre(mean[None], step_mm)
        mean = resample(mean[None], middle, step_mm)[0]
    return mean

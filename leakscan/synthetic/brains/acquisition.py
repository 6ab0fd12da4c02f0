"""What scanners, protocols and de-identification do to a view; each function takes and returns batches.

Views are ``(n, 1, x, y, z)`` float32 in about 0..1. Every function draws anew for every view.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def _chance(views: torch.Tensor, probability: float) -> torch.Tensor:
    return torch.rand(views.shape[0], 1, 1, 1, 1, device=views.device) < probability


def _uniform(views: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return torch.rand(views.shape[0], 1, 1, 1, 1, device=views.device) * (high - low) + low


def _interpolated_noise(views: torch.Tensor, knots: int) -> torch.Tensor:
    """Normal noise on ``knots`` points along each axis, linear between them, in the shape of ``views``."""
    field = torch.randn(views.shape[0], 1, knots, knots, knots, device=views.device)
    return F.interpolate(field, size=views.shape[2:], mode="trilinear", align_corners=True)


def bias_field(views: torch.Tensor, strength: float) -> torch.Tensor:
    """Multiplies by a smooth field of logarithmic spread up to ``strength``: uneven coils.

    Example:
        >>> even = torch.ones(2, 1, 16, 16, 16)
        >>> shaded = bias_field(even, strength=0.4)
        >>> bool((shaded > 0).all()), bool((shaded != even).any())
        (True, True)
    """
    return views * torch.exp(_interpolated_noise(views, 4) * _uniform(views, 0.0, strength))


def texture(views: torch.Tensor, strength: float) -> torch.Tensor:
    """Grey differs a little within a tissue, on scales of 1 and 3 cm.

    Example:
        >>> textured = texture(torch.ones(2, 1, 32, 32, 32), strength=0.06)
        >>> textured.shape, bool(textured.std() > 0)
        (torch.Size([2, 1, 32, 32, 32]), True)
    """
    waves = _interpolated_noise(views, 8) + _interpolated_noise(views, 20)
    return views * (1.0 + waves * _uniform(views, 0.0, strength))


def noise(views: torch.Tensor, strength: float) -> torch.Tensor:
    """Magnitude noise (Rician): the modulus of a signal with noise in both channels.

    Example:
        >>> air = noise(torch.zeros(1, 1, 16, 16, 16), strength=0.08)
        >>> bool(air.min() >= 0), bool(air.mean() > 0)  # a magnitude is never negative, so air turns grey
        (True, True)
    """
    sigma = _uniform(views, 0.0, strength)
    real, imaginary = views + torch.randn_like(views) * sigma, torch.randn_like(views) * sigma
    return torch.sqrt(real**2 + imaginary**2)


def thick_slices(views: torch.Tensor, step_mm: float, thickest_mm: float, probability: float) -> torch.Tensor:
    """Averages slices along one axis of each chosen view up to ``thickest_mm``, and back by lines.

    Example:
        >>> point = torch.zeros(1, 1, 16, 16, 16)
        >>> point[..., 8, 8, 8] = 1.0
        >>> thick = thick_slices(point, step_mm=2.5, thickest_mm=6.0, probability=1.0)
        >>> thick.shape, bool(thick.max() < 1)
        (torch.Size([1, 1, 16, 16, 16]), True)
    """
    out = []
    for i in range(len(views)):
        view = views[i : i + 1]
        if torch.rand(()) >= probability:
            out.append(view)
            continue
        axis = int(torch.randint(3, ()))
        thick = step_mm + float(torch.rand(())) * (thickest_mm - step_mm)
        size = list(view.shape[2:])
        fine = size[axis]
        size[axis] = max(4, round(fine * step_mm / thick))
        smooth = _blurred(view, [0.42 * thick / step_mm if a == axis else 0.0 for a in range(3)])
        small = F.interpolate(smooth, size=size, mode="trilinear", align_corners=False)
        out.append(F.interpolate(small, size=view.shape[2:], mode="trilinear", align_corners=False))
    return torch.cat(out)


def _blurred(views: torch.Tensor, sigma: list[float]) -> torch.Tensor:
    """Gaussian blur; ``sigma`` in voxels for each axis, 0 leaves an axis alone."""
    for axis, s in enumerate(sigma):
        if s < 0.2:
            continue
        # As one matrix product along the axis: several times faster than a convolution of one channel.
        at = torch.arange(views.shape[2 + axis], device=views.device, dtype=views.dtype)
        kernel = torch.exp(-0.5 * ((at[:, None] - at[None, :]) / s) ** 2)
        kernel = kernel / kernel.sum(dim=1, keepdim=True)
        views = (views.movedim(2 + axis, -1) @ kernel.T).movedim(-1, 2 + axis).contiguous()
    return views


def unsharp(views: torch.Tensor, most_voxels: float) -> torch.Tensor:
    """Blurs the batch by one random width, up to ``most_voxels``.

    Example:
        >>> even = torch.full((1, 1, 16, 16, 16), 0.5)
        >>> torch.allclose(unsharp(even, most_voxels=0.8), even)  # there is nothing to blur
        True
    """
    sigma = float(torch.rand(())) * most_voxels
    return _blurred(views, [sigma] * 3)


def stripped(views: torch.Tensor, brain: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Blackens what is not brain, with the errors of a skull-stripping tool: here wider, there tighter.

    Args:
        views: ``(n, 1, x, y, z)``, as everywhere in this module.
        brain: ``(n, 1, x, y, z)`` how much of each voxel is brain, 0..1.
        chosen: ``(n,)`` bool, the views to strip.

    Example:
        >>> heads, brain = torch.ones(2, 1, 24, 24, 24), torch.zeros(2, 1, 24, 24, 24)
        >>> brain[..., 6:18, 6:18, 6:18] = 1.0
        >>> one, other = stripped(heads, brain, chosen=torch.tensor([True, False]))
        >>> bool(one.mean() < 1), float(other.mean())
        (True, 1.0)
    """
    soft = F.avg_pool3d(brain, 5, 1, 2)
    level = _uniform(views, 0.15, 0.55) + 0.12 * _interpolated_noise(views, 5)
    keep = (soft > level) | ~chosen.view(-1, 1, 1, 1, 1)
    return views * keep


def defaced(views: torch.Tensor, probability: float) -> torch.Tensor:
    """Cuts the face off by a random plane in front of and below the brain.

    Example:
        >>> head = defaced(torch.ones(1, 1, 16, 16, 16), probability=1.0)
        >>> chin, neck = float(head[0, 0, 8, -1, 0]), float(head[0, 0, 8, 0, 0])
        >>> chin, neck
        (0.0, 1.0)
    """
    ny, nz = views.shape[3:]
    y = torch.linspace(-1, 1, ny, device=views.device).view(1, 1, 1, -1, 1)
    z = torch.linspace(-1, 1, nz, device=views.device).view(1, 1, 1, 1, -1)
    slope, start = _uniform(views, 0.4, 1.0), _uniform(views, 0.75, 1.0)
    cut = (y - slope * (z + 0.1) > start) & _chance(views, probability)
    return views * ~cut


def cropped(views: torch.Tensor, most: float, probability: float) -> torch.Tensor:
    """Blackens slabs at the ends of one or two axes: a field of view that ends early.

    Example:
        >>> head = cropped(torch.ones(1, 1, 16, 16, 16), most=0.15, probability=1.0)
        >>> edge, middle = float(head[0, 0, 0, 8, 8]), float(head[0, 0, 8, 8, 8])
        >>> edge, middle
        (0.0, 1.0)
    """
    for axis in range(3):
        size = views.shape[2 + axis]
        shape = [1, 1, 1, 1, 1]
        shape[2 + axis] = size
        at = torch.linspace(0, 1, size, device=views.device).view(shape)
        chosen = _chance(views, probability)
        low, high = _uniform(views, 0.0, most), _uniform(views, 1.0 - most, 1.0)
        views = views * ~(chosen & ((at < low) | (at > high)))
    return views


def blobs(views: torch.Tensor, brain: torch.Tensor, probability: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Puts a swelling of random grey, size and outline into the brain: a tumour, an infarct, a cavity.

    Returns:
        The views, and where the swelling is ``(n, 1, x, y, z)`` bool.

    Example:
        >>> head, brain = torch.full((1, 1, 24, 24, 24), 0.5), torch.zeros(1, 1, 24, 24, 24)
        >>> brain[..., 4:20, 4:20, 4:20] = 1.0
        >>> ill, where = blobs(head, brain, probability=1.0)
        >>> torch.equal(ill[~where], head[~where]), bool(where[brain == 0].any())
        (True, False)
    """
    n, _, *shape = views.shape
    axes = [torch.arange(k, device=views.device, dtype=torch.float32) for k in shape]
    grid = torch.meshgrid(*axes, indexing="ij")
    middle = torch.stack([(k - 1) / 2 + torch.randn(n, device=views.device) * 0.16 * k for k in shape])
    radius = _uniform(views, 2.0, 11.0)
    distance = sum((g - m.view(-1, 1, 1, 1)) ** 2 for g, m in zip(grid, middle, strict=True))
    rough = torch.sqrt(torch.as_tensor(distance))[:, None] + 2.5 * _interpolated_noise(views, 9)
    where = (rough < radius) & (brain > 0.5) & _chance(views, probability)
    rim = (rough > radius - 2.0) & _chance(views, 0.4)
    grey = torch.where(rim, _uniform(views, 0.0, 1.2), _uniform(views, 0.0, 1.2))
    return torch.where(where, grey + 0.05 * _interpolated_noise(views, 20), views), where


def stretched(views: torch.Tensor) -> torch.Tensor:
    """Brings the 1st and 99th percentile of what is not air to 0 and 1, as the canonical array has it.

    Like :func:`leakscan.fingerprint.preprocess.volume.canonical_volume`: the low end is at most 0.

    Example:
        >>> dim = torch.linspace(0, 0.2, 64).view(1, 1, 4, 4, 4)
        >>> float(stretched(dim).max())
        1.0
    """
    out = []
    for i in range(len(views)):
        view = views[i : i + 1]
        inside = view[view > 1e-4]
        high = torch.quantile(inside[:: max(1, len(inside) // 50_000)], 0.99) if len(inside) else 1.0
        out.append((view / max(float(high), 1e-4)).clamp(0, 1))
    return torch.cat(out)

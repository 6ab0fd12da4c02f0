"""What a scanner makes of tissues: a grey for every shade, or another curve over a T1."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from leakscan.synthetic.brains.tissue_labels import SHADES

# Typical greys of (air, white matter, cortex, deep grey, ventricles, CSF, cerebellar cortex, hindbrain
# white; thalamus, caudate, putamen, pallidum, hippocampus, brainstem, choroid plexus). Rough by
# intent: they are drawn with a wide spread, and half of all views take random greys instead.
_TYPICAL = {
    "T1": (0.0, 0.80, 0.55, 0.62, 0.15, 0.12, 0.55, 0.78, 0.66, 0.58, 0.62, 0.72, 0.55, 0.75, 0.40),
    "T2": (0.0, 0.38, 0.55, 0.48, 0.92, 0.95, 0.55, 0.40, 0.45, 0.52, 0.45, 0.33, 0.58, 0.42, 0.75),
    "FLAIR": (0.0, 0.50, 0.65, 0.60, 0.15, 0.18, 0.62, 0.50, 0.58, 0.62, 0.58, 0.48, 0.68, 0.52, 0.45),
    "PD": (0.0, 0.55, 0.75, 0.68, 0.70, 0.72, 0.75, 0.58, 0.66, 0.72, 0.68, 0.58, 0.75, 0.58, 0.72),
    "T1c": (0.0, 0.75, 0.58, 0.62, 0.15, 0.15, 0.58, 0.74, 0.64, 0.58, 0.62, 0.68, 0.56, 0.72, 0.90),
}
_SPREAD = 0.07
_RANDOM = 0.4
_BLACK_OUTSIDE = 0.12  # bone and fat suppression: how often a shade outside the brain is nearly black


def random_greys(n: int, device: torch.device | None = None) -> torch.Tensor:
    """``(n, 256)`` grey of every shade in 0..1, one contrast for each of ``n`` views.

    Example:
        >>> greys = random_greys(3)  # three scanners
        >>> greys.shape, bool((greys[:, 0] < 0.5).all())  # air is dark in all of them
        (torch.Size([3, 256]), True)
    """
    typical = torch.tensor(list(_TYPICAL.values()), device=device)
    greys = torch.rand(n, 256, device=device)
    drawn = typical[torch.randint(len(typical), (n,), device=device)]
    drawn = drawn + torch.randn(n, SHADES, device=device) * _SPREAD
    chance = torch.rand(n, 1, device=device) < _RANDOM
    greys[:, :SHADES] = torch.where(chance, _related(n, device), drawn)
    dark = torch.rand(n, 256 - SHADES, device=device) < _BLACK_OUTSIDE
    greys[:, SHADES:] = torch.where(dark, greys[:, SHADES:] * 0.08, greys[:, SHADES:])
    greys[:, 0] = torch.where(
        torch.rand(n, device=device) < 0.8, torch.zeros(n, device=device), 0.15 * greys[:, 0]
    )
    return greys.clamp(0.0, 1.0)


def _related(n: int, device: torch.device | None) -> torch.Tensor:
    """Random greys in which structures stay near the tissue that they belong to."""
    tissue = torch.rand(n, 8, device=device)
    of = torch.tensor([0, 1, 2, 3, 4, 5, 2, 1, 3, 3, 3, 3, 2, 1, 4], device=device)
    apart = torch.randn(n, SHADES, device=device) * 0.06
    return tissue[:, of] + apart


def random_curves(values: torch.Tensor, knots: int = 7) -> torch.Tensor:
    """Sends the greys of each T1 through a random smooth curve; black stays black half of the time.

    A third of the curves rise throughout (another T1), a third fall (T2-like), a third do neither.

    Args:
        values: ``(n, 1, x, y, z)`` in 0..1.
        knots: The number of points that each curve goes through.

    Example:
        >>> t1 = torch.tensor([0.0, 0.5, 0.5, 1.0]).view(1, 1, 4, 1, 1)
        >>> black, grey, same_grey, white = random_curves(t1).flatten().tolist()
        >>> grey == same_grey
        True
    """
    n, device = values.shape[0], values.device
    steps = torch.rand(n, knots, device=device) + 0.05
    rising = torch.cumsum(steps, dim=1) / steps.sum(dim=1, keepdim=True)
    kind = torch.randint(3, (n, 1), device=device)
    curve = torch.where(kind == 0, rising, torch.where(kind == 1, rising.flip(1), torch.rand_like(rising)))
    curve = F.interpolate(curve[:, None], size=64, mode="linear", align_corners=True)[:, 0]
    black = (torch.rand(n, 1, device=device) < 0.7).float()
    ramp = (torch.arange(64, device=device) / 4.0).clamp(max=1.0)
    curve = curve * (1 - black) + curve * ramp * black
    at = values.clamp(0, 1) * 62.999
    low = at.long()
    flat = low.view(n, -1)
    left, right = curve.gather(1, flat), curve.gather(1, flat + 1)
    out = left + (right - left) * (at.view(n, -1) - flat)
    return out.view_as(values)


def paint(shades: torch.Tensor, greys: torch.Tensor) -> torch.Tensor:
    """Gives every voxel the grey of its shade.

    Args:
        shades: ``(n, x, y, z)`` uint8, the shade of every voxel.
        greys: ``(n, 256)`` the grey of every shade.

    Returns:
        ``(n, 1, x, y, z)`` float32.

    Example:
        >>> shades = torch.tensor([0, 2, 1], dtype=torch.uint8).view(1, 3, 1, 1)
        >>> greys = torch.zeros(1, 256)
        >>> greys[0, :3] = torch.tensor([0.0, 0.75, 0.5])
        >>> paint(shades, greys).flatten().tolist()
        [0.0, 0.5, 0.75]
    """
    n = shades.shape[0]
    return greys.gather(1, shades.view(n, -1).long()).view(n, 1, *shades.shape[1:])

"""Imitates on a batch of films what another hospital's machine, viewer or camera would have made of them.

The tones and the strength of fine and coarse structure are taken from other films of the batch, so a batch
that holds films of many hospitals shows every one of them in the others' manner. All of it runs on the
batch's device, on float tensors ``(n, 1, side, side)`` in 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F

_QUANTILES = 33
_SPARSE = 5  # every fifth pixel of every fifth row tells how grey levels are distributed
_BANDS = 4  # octaves whose strength is changed: one machine sharpens, another one flattens
_LEAST_GAIN, _MOST_GAIN = 0.4, 2.5
_PHOTOGRAPHED, _BANDED, _COLLIMATED = 0.2, 0.1, 0.2  # shares of the films that are chosen


def of_another_machine(films: torch.Tensor, probability: float) -> torch.Tensor:
    """A share of the films as another hospital would show them.

    Args:
        films: ``(n, 1, s, s)`` in 0..1. Each may lend its tones to the others.
        probability: The share of the films, 0..1, that are altered.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> films = torch.rand(4, 1, 64, 64)
        >>> shown = of_another_machine(films, probability=1.0)
        >>> shown.shape, bool(shown.min() >= 0), bool(shown.max() <= 1), bool((shown != films).any())
        (torch.Size([4, 1, 64, 64]), True, True, True)
    """
    chosen = (torch.rand(len(films), device=films.device) < probability).nonzero().flatten()
    if not len(chosen):
        return films
    further = torch.randint(1, max(2, len(films)), (len(chosen),), device=films.device)
    donors = films[(chosen + further) % len(films)]  # none lends to itself
    some = with_tones_of(films[chosen], donors, _between(len(chosen), 0.0, 1.0, films))
    some = _with_bands_of(some, donors)
    some = _some_of(some, _PHOTOGRAPHED, _photographed)
    some = _some_of(some, _BANDED, _banded)
    some = _some_of(some, _COLLIMATED, _collimated)
    return films.index_copy(0, chosen, some)


def with_tones_of(films: torch.Tensor, donors: torch.Tensor, amount: torch.Tensor) -> torch.Tensor:
    """Films whose grey levels are distributed as those of other films: a tone curve for each.

    Args:
        films: ``(n, 1, s, s)`` in 0..1.
        donors: ``(n, 1, s, s)``, the films whose grey levels are wanted.
        amount: ``(n,)``, 0 (the film as it is) to 1 (all of the donor's distribution).

    Example:
        >>> dark = torch.linspace(0, 0.5, 64 * 64).view(1, 1, 64, 64)
        >>> bright = with_tones_of(dark, 0.5 + dark, torch.ones(1))
        >>> round(bright.mean().item(), 2)
        0.75
    """
    n = len(films)
    at = torch.linspace(0, 1, _QUANTILES, device=films.device)
    own, wanted = (
        torch.quantile(x[..., ::_SPARSE, ::_SPARSE].flatten(1), at, dim=1).T.contiguous()
        for x in (films, donors)
    )
    own[:, 0], own[:, -1] = films.amin(dim=(1, 2, 3)), films.amax(dim=(1, 2, 3))
    # A black ground makes equal quantiles; they are held apart, so that every level has one place.
    own = own + torch.arange(_QUANTILES, device=films.device) * 1e-5
    target = own + amount[:, None] * (wanted - own)
    flat = films.flatten(1).contiguous()
    above = torch.searchsorted(own, flat).clamp(1, _QUANTILES - 1)
    low, high = own.gather(1, above - 1), own.gather(1, above)
    share = ((flat - low) / (high - low)).clamp(0.0, 1.0)
    start, end = target.gather(1, above - 1), target.gather(1, above)
    return (start + share * (end - start)).view(n, *films.shape[1:]).clamp(0.0, 1.0)


def _with_bands_of(films: torch.Tensor, donors: torch.Tensor) -> torch.Tensor:
    """Films with their octaves (Laplacian pyramid) as strong as a donor's, or as chance has it, half each."""
    bands, rest = _pyramid(films)
    wanted, _ = _pyramid(donors)
    n = len(films)
    by_chance = torch.rand(n, 1, 1, 1, device=films.device) < 0.5
    amount = _between(n, 0.0, 1.0, films).view(-1, 1, 1, 1)
    for band, other in zip(reversed(bands), reversed(wanted), strict=True):
        own, theirs = (b.std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-3) for b in (band, other))
        as_donor = (theirs / own) ** amount
        at_random = torch.exp(torch.randn(n, 1, 1, 1, device=films.device) * 0.4)
        gain = torch.where(by_chance, at_random, as_donor).clamp(_LEAST_GAIN, _MOST_GAIN)
        rest = _enlarged(rest, band) + band * gain
    return rest.clamp(0.0, 1.0)


def _pyramid(films: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The octaves of films, finest first, and what is left below the coarsest."""
    bands, rest = [], films
    for _ in range(_BANDS):
        half = F.avg_pool2d(rest, 2, ceil_mode=True, count_include_pad=False)
        bands.append(rest - _enlarged(half, rest))
        rest = half
    return bands, rest


def _enlarged(films: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(films, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _photographed(films: torch.Tensor) -> torch.Tensor:
    """Films as a camera sees them on a screen or a light box: askew, unevenly lit, with moire."""
    n, _, height, width = films.shape
    theta = torch.eye(2, 3, device=films.device).expand(n, 2, 3)
    grid = F.affine_grid(theta, list(films.shape), align_corners=False)
    tilt = (torch.rand(n, 2, device=films.device) - 0.5) * 0.16
    grid = grid / (1 + (grid * tilt[:, None, None]).sum(dim=3, keepdim=True))
    films = F.grid_sample(films, grid, align_corners=False)
    light = F.interpolate(
        0.65 + 0.5 * torch.rand(n, 1, 3, 3, device=films.device),
        size=(height, width),
        mode="bicubic",
        align_corners=False,
    )
    across = torch.arange(width, device=films.device) * _between(n, 0.3, 2.5, films)[:, None]
    down = torch.arange(height, device=films.device) * _between(n, 0.3, 2.5, films)[:, None]
    moire = torch.sin(across[:, None, None, :] + down[:, None, :, None])
    haze = _between(n, 0.0, 0.1, films).view(-1, 1, 1, 1)
    strength = _between(n, 0.0, 0.04, films).view(-1, 1, 1, 1)
    return (haze + films * light * (1 - haze) + moire * strength).clamp(0.0, 1.0)


def _banded(films: torch.Tensor) -> torch.Tensor:
    """Films of 8 to 48 grey levels."""
    levels = _between(len(films), 8, 48, films).round().view(-1, 1, 1, 1)
    return (films * levels).round() / levels


def _collimated(films: torch.Tensor) -> torch.Tensor:
    """Films that are black, or white, outside a rectangle that may stand askew."""
    n, _, height, width = films.shape
    angle = torch.randn(n, device=films.device).clamp(-2, 2) * math.radians(4)
    rows = torch.linspace(-1, 1, height, device=films.device).view(1, -1, 1)
    columns = torch.linspace(-1, 1, width, device=films.device).view(1, 1, -1)
    cos, sin = torch.cos(angle).view(-1, 1, 1), torch.sin(angle).view(-1, 1, 1)
    x, y = cos * columns - sin * rows, sin * columns + cos * rows
    left, right, top, bottom = (_between(n, 0.78, 1.1, films).view(-1, 1, 1) for _ in range(4))
    inside = (x > -left) & (x < right) & (y > -top) & (y < bottom)
    ground = (torch.rand(n, 1, 1, 1, device=films.device) < 0.1).float()
    return torch.where(inside[:, None], films, ground)


def _some_of(
    films: torch.Tensor, probability: float, alter: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Alters a share of the films."""
    chosen = (torch.rand(len(films), device=films.device) < probability).nonzero().flatten()
    if not len(chosen):
        return films
    return films.index_copy(0, chosen, alter(films[chosen]))


def _between(n: int, low: float, high: float, like: torch.Tensor) -> torch.Tensor:
    return torch.rand(n, device=like.device) * (high - low) + low

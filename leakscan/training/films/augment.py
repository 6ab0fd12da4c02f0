"""Imitates on a batch what happens to films between hospitals and public datasets.

All of it runs on the batch's device, on float tensors ``(n, 1, side, side)`` in 0..1, with one
random draw per film.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from leakscan.training.films.config import TrainConfig
from leakscan.training.films.machines import of_another_machine

_AT_ONCE = {"cpu": 64, "cuda": 256}


def at_once(device: torch.device) -> int:
    """Films to alter at a time.

    Some alterations are drawn once for all of them, and several times their memory is needed. A GPU waits
    for the processor where they are few.

    Example:
        >>> at_once(torch.device("cpu"))
        64
    """
    return _AT_ONCE.get(device.type, 64)


_LETTER_ROWS, _LETTERS_WIDTH = 7, 23  # four letters of 5 x 7 dots, one apart

# Steps of the luminance, 8 rows of 8: table K.1 of ITU-T T.81.
_LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)


def _uniform(n: int, low: float, high: float, like: torch.Tensor) -> torch.Tensor:
    return torch.rand(n, device=like.device) * (high - low) + low


def _where(films: torch.Tensor, probability: float) -> torch.Tensor:
    return torch.rand(films.shape[0], 1, 1, 1, device=films.device) < probability


def slightly_moved(films: torch.Tensor, side: int) -> torch.Tensor:
    """Turns films by up to 5 degrees, shifts by up to 5 % of a side, zooms by up to 5 %; no more.

    The paper (arXiv 2512.16685) says only that its affine augmentation is small.

    Args:
        films: ``(n, 1, s, s)``.
        side: The side of the result in pixels.

    Returns:
        ``(n, 1, side, side)``; outside the film it is black.

    Example:
        >>> slightly_moved(torch.rand(2, 1, 32, 32), side=24).shape
        torch.Size([2, 1, 24, 24])
    """
    n = films.shape[0]
    angle = _uniform(n, -math.radians(5), math.radians(5), films)
    zoom = _uniform(n, 0.95, 1.05, films)
    # The grid runs from -1 to 1, so a shift of 0.1 is 5 % of a side.
    x, y = _uniform(2 * n, -0.1, 0.1, films).view(2, n).unbind()
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    rows = [torch.stack([cos, -sin, x], dim=1), torch.stack([sin, cos, y], dim=1)]
    grid = F.affine_grid(torch.stack(rows, dim=1), [n, 1, side, side], align_corners=False)
    return F.grid_sample(films, grid, align_corners=False)


def _small_affine_3d(volumes: torch.Tensor) -> torch.Tensor:
    """As :func:`slightly_moved`, about each axis of volumes ``(n, 1, x, y, z)``."""
    n = volumes.shape[0]
    turn = _uniform(3 * n, -math.radians(5), math.radians(5), volumes).view(n, 3)
    zoom = _uniform(n, 0.95, 1.05, volumes)
    shift = _uniform(3 * n, -0.1, 0.1, volumes).view(n, 3, 1)
    x, y, z = turn.unbind(dim=1)
    none = torch.zeros_like(x)
    skew = torch.stack([none, -z, y, z, none, -x, -y, x, none], dim=1).view(n, 3, 3)
    # The grid runs from -1 to 1 along axes of unlike length: turns are made in voxels.
    size = torch.tensor(volumes.shape[:1:-1], dtype=volumes.dtype, device=volumes.device)
    linear = torch.linalg.matrix_exp(skew) * zoom.view(n, 1, 1) * size / size[:, None]
    grid = F.affine_grid(torch.cat([linear, shift], dim=2), list(volumes.shape), align_corners=False)
    return F.grid_sample(volumes, grid, align_corners=False)


def _random_affine(films: torch.Tensor, side: int) -> torch.Tensor:
    """Turns (12 degrees), zooms (crops to 70 % or pads by 20 %), squashes and shifts films.

    Args:
        films: ``(n, 1, s, s)``.
        side: The side of the result in pixels.

    Returns:
        ``(n, 1, side, side)``; outside the film it is black.
    """
    n = films.shape[0]
    angle = torch.randn(n, device=films.device).clamp(-2, 2) * math.radians(6)
    zoom = torch.exp(_uniform(n, math.log(0.72), math.log(1.2), films))
    aspect = torch.exp(torch.randn(n, device=films.device).clamp(-2, 2) * 0.06)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    # A crop may lie anywhere in the film: the tighter it is, the further off the middle.
    reach = 0.12 + 0.8 * (1 - zoom).clamp(min=0.0)
    x, y = (_uniform(2 * n, -1.0, 1.0, films).view(2, n) * reach).unbind()
    theta = torch.stack(
        [
            torch.stack([cos * aspect, -sin, x], dim=1),
            torch.stack([sin, cos / aspect, y], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [n, 1, side, side], align_corners=False)
    return F.grid_sample(films, grid, align_corners=False)


def _random_grey_levels(films: torch.Tensor) -> torch.Tensor:
    """Windowing and gamma: the same film on another viewer."""
    n = films.shape[0]
    gamma = torch.exp(torch.randn(n, 1, 1, 1, device=films.device) * 0.35).clamp(0.4, 2.5)
    films = films.clamp(1e-4, 1.0) ** gamma
    low = _uniform(n, -0.12, 0.15, films).view(-1, 1, 1, 1)
    high = _uniform(n, 0.8, 1.15, films).view(-1, 1, 1, 1)
    return ((films - low) / (high - low)).clamp(0.0, 1.0)


def _random_local_contrast(films: torch.Tensor) -> torch.Tensor:
    """Divides out the local mean and spread of 30 % of the films on a random scale.

    CLAHE and vendors' processing do the like.
    """
    chosen = _where(films, 0.3).flatten().nonzero().flatten()
    if not len(chosen):
        return films
    some = films[chosen]
    kernel = int(torch.randint(4, 17, ()).item()) * 2 + 1
    mean = _box_mean(some, kernel)
    spread = (_box_mean(some**2, kernel) - mean**2).clamp(min=0.0)
    local = 0.5 + 0.22 * (some - mean) / (spread.sqrt() + 0.04)
    amount = _uniform(len(some), 0.2, 0.9, films).view(-1, 1, 1, 1)
    return films.index_copy(0, chosen, (some * (1 - amount) + local * amount).clamp(0.0, 1.0))


def _box_mean(films: torch.Tensor, kernel: int) -> torch.Tensor:
    """Mean over a square, one side after the other: the cost grows with its side, not its area."""
    half = kernel // 2
    rows = F.avg_pool2d(films, (kernel, 1), 1, (half, 0), count_include_pad=False)
    return F.avg_pool2d(rows, (1, kernel), 1, (0, half), count_include_pad=False)


def _random_resolution(films: torch.Tensor) -> torch.Tensor:
    """Brings 40 % of the films down to 48 to 112 px and back, so that blur tells nobody apart."""
    chosen = _where(films, 0.4).flatten().nonzero().flatten()
    if not len(chosen):
        return films
    side = films.shape[-1]
    small = int(torch.randint(48, 113, ()).item())
    low = F.interpolate(films[chosen], size=(small, small), mode="bilinear", antialias=True)
    return films.index_copy(0, chosen, F.interpolate(low, size=(side, side), mode="bilinear"))


def _random_noise(films: torch.Tensor) -> torch.Tensor:
    """Grain, up to 4 % of the range."""
    sigma = _uniform(films.shape[0], 0.0, 0.04, films).view(-1, 1, 1, 1)
    return (films + torch.randn_like(films) * sigma).clamp(0.0, 1.0)


def _random_patches(films: torch.Tensor) -> torch.Tensor:
    """Burns in a bright marker or blanks a patch: text, arrows, de-identification boxes."""
    n, _, height, width = films.shape
    rows = torch.arange(height, device=films.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=films.device).view(1, 1, 1, -1)
    for probability, largest in ((0.5, 0.12), (0.25, 0.3)):
        size = _uniform(2 * n, 0.03, largest, films).view(2, n, 1, 1, 1) * height
        centre = _uniform(2 * n, 0.0, 1.0, films).view(2, n, 1, 1, 1) * height
        inside = ((rows - centre[0]).abs() < size[0] / 2) & ((columns - centre[1]).abs() < size[1] / 2)
        value = torch.rand(n, 1, 1, 1, device=films.device).round()
        films = torch.where(inside & _where(films, probability), value, films)
    return films


def random_letters(films: torch.Tensor, probability: float) -> torch.Tensor:
    """Burns four letters of an unknown alphabet into a share of the films: side markers, dates, names.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> films = torch.zeros(2, 1, 64, 64)
        >>> marked = random_letters(films, probability=1.0)
        >>> (marked.amax(dim=(1, 2, 3)) > 0.6).tolist()  # white letters on black
        [True, True]
    """
    chosen = _where(films, probability).flatten().nonzero().flatten()
    if not len(chosen):
        return films
    some, n = films[chosen], len(chosen)
    letters = (torch.rand(n, 1, _LETTER_ROWS, _LETTERS_WIDTH, device=films.device) < 0.55).float()
    letters[..., 5::6] = 0.0  # between letters
    # Of a side, which the grid counts as 2: a width of 0.1 to 0.3, anywhere in the film.
    width = _uniform(n, 0.1, 0.3, films)
    height = width * _LETTER_ROWS / _LETTERS_WIDTH
    x, y = _uniform(2 * n, -0.9, 0.9, films).view(2, n).unbind()
    none = torch.zeros_like(x)
    rows = [torch.stack([1 / width, none, -x / width], 1), torch.stack([none, 1 / height, -y / height], 1)]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(some.shape), align_corners=False)
    white = _uniform(n, 0.7, 1.0, films).view(-1, 1, 1, 1)
    return films.index_copy(
        0, chosen, some.maximum(white * F.grid_sample(letters, grid, align_corners=False))
    )


def random_negatives(films: torch.Tensor, probability: float) -> torch.Tensor:
    """Shows a share of the films as negatives, as where nothing told that they are (MONOCHROME1).

    Example:
        >>> film = torch.tensor([[[[0.0, 0.25, 1.0]]]])
        >>> random_negatives(film, probability=1.0).flatten().tolist()
        [1.0, 0.75, 0.0]
    """
    return torch.where(_where(films, probability), 1 - films, films)


def some_as_jpeg(films: torch.Tensor, probability: float) -> torch.Tensor:
    """Compresses a share of the films as JPEG does, at qualities of 20 to 90.

    Args:
        films: ``(n, 1, s, s)`` float in 0..1.
        probability: The share of the films, 0..1.

    Example:
        >>> some_as_jpeg(torch.rand(2, 1, 32, 32), 1.0).shape
        torch.Size([2, 1, 32, 32])
    """
    chosen = _where(films, probability).flatten().nonzero().flatten()
    if not len(chosen):
        return films
    return films.index_copy(0, chosen, jpeg(films[chosen], _uniform(len(chosen), 20, 90, films)))


def jpeg(films: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """What is left of films after JPEG: the cosines of each square of 8 pixels, rounded (ITU-T T.81).

    Args:
        films: ``(n, 1, side, side)`` in 0..1.
        quality: ``(n,)`` qualities of 1 to 100, as the Independent JPEG Group scales the tables.

    Example:
        >>> film = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)
        >>> fine, coarse = (jpeg(film, torch.tensor([quality])) for quality in (90.0, 10.0))
        >>> bool((fine - film).abs().mean() < (coarse - film).abs().mean())
        True
    """
    side = films.shape[-1]
    beyond = -side % 8
    padded = F.pad(films, (0, beyond, 0, beyond), mode="replicate")
    k = padded.shape[-1] // 8
    squares = padded.reshape(-1, k, 8, k, 8).transpose(2, 3) * 255 - 128
    at = torch.arange(8, dtype=films.dtype, device=films.device)
    cosines = torch.cos((2 * at + 1) * at[:, None] * math.pi / 16) / 2
    cosines[0] /= math.sqrt(2)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1, 1, 1)
    steps = torch.tensor(_LUMINANCE, dtype=films.dtype, device=films.device).view(8, 8)
    steps = ((steps * scale + 50) / 100).floor().clamp(1, 255)
    kept = ((cosines @ squares @ cosines.T) / steps).round() * steps
    back = (cosines.T @ kept @ cosines).transpose(2, 3).reshape(padded.shape)
    return ((back + 128) / 255).clamp(0.0, 1.0)[..., :side, :side]


def augment(films: torch.Tensor, config: TrainConfig) -> torch.Tensor:
    """One random view of every film.

    Args:
        films: ``(n, 1, s, s)`` float in 0..1, or volumes ``(n, 1, x, y, z)``, which keep their shape.
        config: Which alterations, of which share of the films, and the side of the result.

    Example:
        >>> films = torch.rand(2, 1, 160, 160)
        >>> augment(films, TrainConfig(side=128, letters=0.2)).shape
        torch.Size([2, 1, 128, 128])
    """
    if films.ndim == 5:
        return _small_affine_3d(films)
    if config.augmentation == "affine":
        return slightly_moved(films, config.side)
    if config.machines:
        films = of_another_machine(films, config.machines)
    films = public_view(films, config.side, config.mild)
    if config.negatives:
        films = random_negatives(films, config.negatives)
    if config.letters:
        films = random_letters(films, config.letters)
    return some_as_jpeg(films, config.jpeg) if config.jpeg else films


def public_view(films: torch.Tensor, side: int, mild: float = 0.0) -> torch.Tensor:
    """Films placed, windowed, blurred and marked otherwise, as most public ones are.

    Args:
        films: ``(n, 1, s, s)`` float in 0..1.
        side: The side of the result in pixels.
        mild: The share of the films, 0..1, that are turned, shifted and zoomed by 5 % at most.

    Example:
        >>> film = torch.rand(1, 1, 160, 160)
        >>> views = public_view(film.expand(4, 1, 160, 160), side=128)  # four unlike views of one film
        >>> views.shape, bool(views.min() >= 0), bool(views.max() <= 1)
        (torch.Size([4, 1, 128, 128]), True, True)
    """
    views = _random_affine(films, side)
    if mild:
        views = torch.where(_where(films, mild), slightly_moved(films, side), views)
    films = _random_local_contrast(views)
    films = _random_grey_levels(films)
    films = _random_resolution(films)
    return _random_patches(_random_noise(films))

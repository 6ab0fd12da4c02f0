"""The network that describes the details of chest films and holds those of two against each other.

A fingerprint sums a film up in one vector, so two people of one build filmed alike come out alike. Here
every film keeps a grid of small vectors, and each place of the one seeks its like near the same place
of the other (a windowed cost volume, as in optical flow: PWC-Net, arXiv 1709.02371). Convolutions over what
was found there, and how it differs, say whether the ribs, clavicles and hila of two films are one person's.
"""

from __future__ import annotations

import torch
from torch import nn

from leakscan.fingerprint.encoders.film.detail_grid import GRID, KEY_DIM, KEYS, VALUES
from leakscan.fingerprint.encoders.film.trunk_maps import COARSE, FINE, JoinedMaps
from leakscan.fingerprint.encoders.networks import EfficientNetLite0

_REACH = 2  # places: a seventh of the film either way
_WIDTH = 40
_DROPPED = 0.1


class DetailNet(nn.Module):
    """Details of films, and whether two films' details are of one person.

    The trunk is the first 18 layers of EfficientNet-Lite0. Of every place, three unit vectors (keys) say
    where its like is, and one vector (values) how the two differ.

    Shape:
        :meth:`describe`: ``(n, 1, SIDE, SIDE)`` in 0..1 -> ``(n, GRID * GRID, DETAIL_DIM)``;
        :meth:`compare`: two of those -> ``(n,)`` logits, the same either way round.
    """

    window: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0().trunk[: COARSE + 1]
        self.join = JoinedMaps()
        self.keys, self.values = (nn.Conv2d(JoinedMaps.CHANNELS, n, 1) for n in (KEYS * KEY_DIM, VALUES))
        size = (2 * _REACH + 1) ** 2
        self.log_sharpness = nn.Parameter(torch.tensor(2.3))
        self.place = nn.Parameter(torch.zeros(size))
        self.drop = nn.Dropout2d(_DROPPED)
        self.costs = nn.Sequential(nn.Conv2d(KEYS * size, _WIDTH, 1), nn.GELU())
        self.differences = nn.Sequential(nn.Conv2d(2 * VALUES, _WIDTH, 1), nn.GELU())
        self.body = nn.Sequential(
            nn.Conv2d(2 * _WIDTH, _WIDTH, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(_WIDTH, 2, 1),
        )
        self.register_buffer("window", _window(), persistent=False)

    def maps(self, films: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the trunk makes of films: ``(n, 112, GRID, GRID)`` and ``(n, 192, GRID / 2, GRID / 2)``."""
        x = films * 2.0 - 1.0
        fine = self.trunk[: FINE + 1](x)
        return fine, self.trunk[FINE + 1 :](fine)

    def details(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Details of films from :meth:`maps`."""
        x = self.join(fine, coarse)
        keys, values = (head(x).flatten(2).transpose(1, 2) for head in (self.keys, self.values))
        return torch.cat([nn.functional.normalize(_by_key(keys), dim=3).flatten(2), values], dim=2)

    def describe(self, films: torch.Tensor) -> torch.Tensor:
        """Details of films."""
        return self.details(*self.maps(films))

    def compare(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Logits of pairs of films, from their details."""
        at = KEYS * KEY_DIM
        alike = torch.einsum("nphd,nqhd->nhpq", _by_key(a[..., :at]), _by_key(b[..., :at]))
        there = self._one_way(alike, a[..., at:], b[..., at:])
        back = self._one_way(alike.transpose(2, 3), b[..., at:], a[..., at:])
        return (there + back) / 2

    def _one_way(self, alike: torch.Tensor, own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """``(n,)``: every place of the one film seeks its like around itself in the other.

        Args:
            alike: The cosines of the keys of all places, ``(n, keys, places, places)``.
            own: The values ``(n, places, values)`` of the one film.
            other: Those of the other film.
        """
        n, keys, places, _ = alike.shape
        outside = self.window == places
        costs = nn.functional.pad(alike, (0, 1)).gather(3, self.window.expand(n, keys, -1, -1))
        weights = costs.mean(1) * self.log_sharpness.exp() + self.place
        weights = weights.masked_fill(outside, -30.0).softmax(dim=-1)
        sought = torch.zeros(n, places, places + 1, dtype=weights.dtype, device=weights.device)
        sought = sought.scatter(2, self.window.expand(n, -1, -1), weights)[..., :places]
        found = sought @ other
        differences = torch.cat([(own - found).abs(), own * found], dim=2)
        x = torch.cat(
            [
                self.costs(self.drop(_picture(costs.permute(0, 1, 3, 2).flatten(1, 2)))),
                self.differences(_picture(differences.transpose(1, 2))),
            ],
            dim=1,
        )
        judged: torch.Tensor = self.body(x).flatten(2)
        return (judged[:, 0] * judged[:, 1].softmax(dim=1)).sum(dim=1)


def _picture(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(*x.shape[:2], GRID, GRID)


def _by_key(keys: torch.Tensor) -> torch.Tensor:
    return keys.reshape(*keys.shape[:2], KEYS, KEY_DIM)


def _window() -> torch.Tensor:
    """``(places, window)``: the places around each place; ``places`` stands for one outside the film."""
    at = torch.arange(GRID)
    step = torch.arange(-_REACH, _REACH + 1)
    rows = (at[:, None, None, None] + step[:, None]).expand(GRID, GRID, len(step), len(step))
    columns = (at[None, :, None, None] + step).expand(GRID, GRID, len(step), len(step))
    inside = (rows >= 0) & (rows < GRID) & (columns >= 0) & (columns < GRID)
    return torch.where(inside, rows * GRID + columns, GRID * GRID).flatten(2).flatten(0, 1)

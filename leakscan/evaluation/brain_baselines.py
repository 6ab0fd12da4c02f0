"""What stands beside an encoder of brain volumes: the same alignment without what was learned of people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.evaluation.films import Look
from leakscan.evaluation.systems import Role, System, Vectors
from leakscan.fingerprint.encoders.brain_encoder import BrainEncoder
from leakscan.fingerprint.encoders.brain_net import BrainNet
from leakscan.fingerprint.encoders.tissue_net import TISSUE_CHANNELS

Aligned = Callable[[npt.NDArray[np.uint8]], Iterator[tuple[torch.Tensor, torch.Tensor]]]

_TISSUES = TISSUE_CHANNELS - 1
_BATCH = 4
_SEED = 0


def brain_baselines(encoder: BrainEncoder) -> list[System]:
    """Tissue maps without the metric, the silhouette of the brain, and maps of an untrained network."""
    side, template = encoder.card.side, encoder.template
    untrained = _Untrained(template)
    return [
        MapSystem("aligned tissue maps, no metric", "maps", side, template, encoder.aligned),
        MapSystem("silhouette of the brain", "silhouette", side, template, encoder.aligned),
        MapSystem("untrained tissue network", "untrained", side, template, untrained.aligned),
    ]


class MapSystem:
    """Aligned maps less the average brain (untrained ones: their own mean), as vectors; a :class:`System`.

    Args:
        name: in the table.
        role: ``silhouette`` adds up the tissues first.
        side: of the canonical volume.
        template: ``(7, x, y, z)`` the average brain.
        aligned: gives the tissues, and edges, inside it.
    """

    def __init__(self, name: str, role: Role, side: int, template: torch.Tensor, aligned: Aligned) -> None:
        self.name, self.role, self.side = name, role, side
        self._aligned = aligned
        self._net = BrainNet(template)
        self._mean = self._net.inside(template[None])[0]

    def vectors(self, looks: Sequence[Look], reduced: bool) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """See :class:`System`; there are no reduced volumes."""
        canonical = np.stack([look.canonical[self.side] for look in looks])
        maps = torch.cat([self._net.parts(known)[0] for known, _ in self._aligned(canonical)])
        shares = (maps - self._mean).view(len(maps), _TISSUES, -1)
        if self.role == "untrained":  # it has no average brain to differ from
            shares = maps.view(shares.shape)
            shares = shares - shares.mean(dim=2, keepdim=True)
        found = (shares.sum(dim=1) if self.role == "silhouette" else shares).flatten(1)
        vectors = nn.functional.normalize(found.float()).numpy()
        return np.asarray(vectors, np.float32), np.ones(len(looks), bool)


class _Untrained:
    """Tissue maps of random weights, their normalisation fitted to the first volumes that come."""

    def __init__(self, template: torch.Tensor) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(_SEED)
            self._net = BrainNet(template)
        self._fitted = False

    @torch.no_grad()
    def aligned(self, canonical: npt.NDArray[np.uint8]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, len(canonical), _BATCH):
            batch = torch.from_numpy(canonical[start : start + _BATCH])[:, None].float() / 255.0
            if not self._fitted:
                self._net.train()(batch)
                self._net.eval()
                self._fitted = True
            yield self._net.aligned(batch)

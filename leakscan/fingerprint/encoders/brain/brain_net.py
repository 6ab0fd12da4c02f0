"""A brain volume to a fingerprint: name the tissues, bring them to their place, measure.

Contrast is solved by naming tissues, which can be learned from label maps without end; place by
alignment; identity by two vectors side by side: a linear metric on the tissues, which knows how scans of
one person differ, and the lines of the folds (:mod:`.edges`), which need hardly any training and keep
what no small set of training brains can span.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from leakscan.fingerprint.encoders.brain.brain_space import align_to_average, fit_of, resample, settle
from leakscan.fingerprint.encoders.brain.edges import EDGE_CHANNELS, beyond_average, edge_tensors
from leakscan.fingerprint.encoders.brain.tissue_net import TISSUE_CHANNELS, WIDTHS, TissueNet
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM

MAP_MM = 2 * STEP_MM
"""Edge of a voxel of the aligned maps."""
MAP_CHANNELS = TISSUE_CHANNELS - 1
"""Tissues of a map."""
_IN_BRAIN = 0.02  # share of tissue in the average brain from which a voxel belongs to it
_BRAIN = 0.5  # share from which it is hardly ever air
_AIR = 0.02  # grey level up to which a voxel shows nothing
_FLIPS = ((3,), (4,), (3, 4))  # of (n, 1, x, y, z): along y, z, both; along x it is mirrored, and fits
_SURE = 0.8  # fit from which a volume lies as its header says; 95 % of people's originals have 0.83 and more
_FOLDS_COUNT = 16.0  # how much the folds count in a similarity, where the tissues count 1


@dataclass(frozen=True)
class Placed:
    """One volume in the place of the average brain.

    Attributes:
        volume: The volume ``(1, 1, *SHAPE)``, upright, where it was.
        pose: The pose ``(1, 4, 4)`` that brings it to that place, for ``resample``.
        edges: Its edge tensors ``(1, EDGE_CHANNELS, x, y, z)`` on ``MAP_MM``.
        seen: Where it shows more than air, ``(1, 1, x, y, z)`` 0..1.
        lines: The lines of its folds ``(1, EDGE_CHANNELS v)``, beyond the average brain's.
    """

    volume: torch.Tensor
    pose: torch.Tensor
    edges: torch.Tensor
    seen: torch.Tensor
    lines: torch.Tensor


class BrainNet(nn.Module):
    """Tissue network, average brain (its tissues and its edges) and metric.

    What is known of a volume in its place is a vector of ``d = (7 + 6) v`` numbers: tissue shares, then edge
    tensors, of the ``v`` voxels of the average brain.

    Args:
        template: The average tissue maps ``(7, x, y, z)``, ``MAP_MM`` a voxel.
        dim: The length of the part of the fingerprint that the tissues make.
        widths: The channels of each scale of the tissue network.
        folds: The length of the part that the edges make.
        overlooked: The number of directions among the edges in which scans of one person differ most.

    Shape:
        ``(n, 1, *SHAPE)`` in 0..1 -> ``(n, dim + folds)``, of length 1.
    """

    template: torch.Tensor
    edges: torch.Tensor
    mean: torch.Tensor
    axes: torch.Tensor
    overlook: torch.Tensor
    bins: torch.Tensor
    signs: torch.Tensor

    def __init__(
        self,
        template: torch.Tensor | None = None,
        dim: int = 128,
        widths: tuple[int, ...] = WIDTHS,
        folds: int = 4096,
        overlooked: int = 20,
    ) -> None:
        super().__init__()
        if template is None:
            template = torch.zeros(MAP_CHANNELS, *(k // 2 for k in SHAPE))
        self.tissues = TissueNet(widths)
        self.folds = folds
        self.register_buffer("template", template)
        self.register_buffer("edges", torch.zeros(EDGE_CHANNELS, *template.shape[1:]))
        voxels = int((template.sum(dim=0) > _IN_BRAIN).sum())
        self._tissue_size, edge_size = MAP_CHANNELS * voxels, EDGE_CHANNELS * voxels
        self.register_buffer("mean", torch.zeros(self._tissue_size + edge_size))
        self.register_buffer("axes", torch.zeros(dim, self._tissue_size))
        self.register_buffer("overlook", torch.zeros(overlooked, edge_size))
        # Random, but saved with the weights: a fingerprint must not depend on a library's generator.
        chance = torch.Generator().manual_seed(0)
        self.register_buffer("bins", torch.randint(0, folds, (edge_size,), generator=chance).to(torch.int16))
        signs = 2 * torch.randint(0, 2, (edge_size,), generator=chance) - 1
        self.register_buffer("signs", signs.to(torch.int8))

    def tissue_maps(self, volumes: torch.Tensor) -> torch.Tensor:
        """Shares of the tissues ``(n, 7, x, y, z)`` on ``MAP_MM``, where the head lies."""
        with low_precision(volumes.device):
            logits = self.tissues(volumes)
        return F.avg_pool3d(logits.float().softmax(dim=1)[:, 1:], 2)

    def aligned(self, volumes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tissues and edges inside the average brain ``(n, d)``, and how well each fits it ``(n,)``."""
        maps = self.tissue_maps(volumes)
        _, pose, _ = align_to_average(maps, self.template, MAP_MM)
        pose = self.settled(volumes, pose)
        placed = resample(maps, pose, MAP_MM)
        edges = self.edges_of(resample(volumes, pose, STEP_MM))
        return torch.cat([self.inside(placed), self.inside(edges)], dim=1), fit_of(placed, self.template)

    def settled(self, volumes: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
        """Poses ``(n, 4, 4)`` of volumes, made better by their edges; as they are without average edges."""
        if not self.edges.any():
            return pose
        placed = resample(volumes, pose, STEP_MM)
        return pose @ settle(self.edges_of(placed), _seen(placed), self.edges, self.brain, MAP_MM)

    @property
    def brain(self) -> torch.Tensor:
        """``(x, y, z)`` bool, what belongs to the average brain."""
        return self.template.sum(dim=0) > _IN_BRAIN

    def edges_of(self, placed: torch.Tensor) -> torch.Tensor:
        """Edge tensors ``(n, EDGE_CHANNELS, x, y, z)`` on ``MAP_MM`` of volumes in their place."""
        return edge_tensors(placed, self.template.sum(dim=0) > _BRAIN)

    def upright(self, volumes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """:meth:`aligned`; a volume that fits badly counts back to front or upside down if it fits so."""
        known, fit = self.aligned(volumes)
        for axes in _FLIPS:
            doubtful = torch.nonzero(fit < _SURE)[:, 0]
            if len(doubtful):
                turned, turned_fit = self.aligned(volumes[doubtful].flip(axes))
                better = turned_fit >= _SURE
                known[doubtful[better]], fit[doubtful[better]] = turned[better], turned_fit[better]
        return known, fit

    def inside(self, maps: torch.Tensor) -> torch.Tensor:
        """What of aligned maps ``(n, c, x, y, z)`` lies in the average brain, ``(n, c v)``."""
        return maps[:, :, self.brain].flatten(1)

    def parts(self, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tissues ``(n, 7 v)`` and edges ``(n, 6 v)`` of what :meth:`aligned` gives."""
        return known[:, : self._tissue_size], known[:, self._tissue_size :]

    def centred(self, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """:meth:`parts`, each less what the average brain has of it."""
        (tissues, edges), (mean_tissues, mean_edges) = self.parts(known), self.parts(self.mean[None])
        return tissues - mean_tissues, beyond_average(edges, mean_edges[0])

    def project(self, known: torch.Tensor) -> torch.Tensor:
        """Fingerprints ``(n, dim + folds)`` of length 1 of what :meth:`aligned` gives."""
        tissues, lines = self.centred(known)
        left = F.normalize(tissues @ self.axes.T)
        right = F.normalize(self._spread(self._telling(lines)))
        return torch.cat([left, math.sqrt(_FOLDS_COUNT) * right], dim=1) / math.sqrt(1 + _FOLDS_COUNT)

    def _telling(self, lines: torch.Tensor) -> torch.Tensor:
        """Lines beyond the average, less what differs between scans of one person."""
        return lines - (lines @ self.overlook.T) @ self.overlook

    def placed(self, volume: torch.Tensor) -> Placed:
        """What :meth:`agreement` needs of one volume ``(1, 1, *SHAPE)``; upright as in :meth:`upright`."""
        found, fit = self._placed(volume)
        for axes in _FLIPS if fit < _SURE else ():
            turned, fit = self._placed(volume.flip(axes))
            if fit >= _SURE:
                return turned
        return found

    def _placed(self, volume: torch.Tensor) -> tuple[Placed, float]:
        maps = self.tissue_maps(volume)
        _, pose, _ = align_to_average(maps, self.template, MAP_MM)
        pose = self.settled(volume, pose)
        there = resample(volume, pose, STEP_MM)
        edges = self.edges_of(there)
        fit = float(fit_of(resample(maps, pose, MAP_MM), self.template))
        return Placed(volume, pose, edges, _seen(there), self._lines(edges)), fit

    def agreement(self, fixed: Placed, moving: Placed) -> float:
        """How well the folds of two volumes agree, -1..1, after aligning the second to the first.

        Only places that both scans show count.
        """
        pose = moving.pose @ settle(moving.edges, moving.seen, fixed.edges[0], self.brain, MAP_MM)
        there = resample(moving.volume, pose, STEP_MM)
        shared = self.inside((fixed.seen * _seen(there)).expand_as(fixed.edges))
        one, other = fixed.lines * shared, self._lines(self.edges_of(there)) * shared
        return float(F.cosine_similarity(one, other))

    def _lines(self, edges: torch.Tensor) -> torch.Tensor:
        _, mean = self.parts(self.mean[None])
        return self._telling(beyond_average(self.inside(edges), mean[0]))

    def _spread(self, edges: torch.Tensor) -> torch.Tensor:
        """Sums of random signs in random bins, ``(n, folds)``: dot products stay what they are on average.

        Feature hashing (Weinberger et al., ICML 2009).
        """
        out = edges.new_zeros(len(edges), self.folds)
        return out.index_add_(1, self.bins.long(), edges * self.signs)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        known, _ = self.upright(volumes)
        return self.project(known)


def _seen(placed: torch.Tensor) -> torch.Tensor:
    """Where volumes ``(n, 1, x, y, z)`` show more than air, on ``MAP_MM``."""
    return F.avg_pool3d(F.avg_pool3d((placed > _AIR).float(), 2), 3, 1, 1, count_include_pad=False)

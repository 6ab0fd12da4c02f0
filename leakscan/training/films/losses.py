"""Metric-learning losses on a batch of fingerprints.

The triplet margin loss with the paper's choice of negatives (arXiv 2512.16685): for every
anchor-positive pair a random negative among those closer to the anchor than the positive, or,
where there is none, the closest negative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import (
    CosFaceLoss,
    CrossBatchMemory,
    MultiSimilarityLoss,
    NTXentLoss,
    SupConLoss,
    TripletMarginLoss,
)
from torch import nn

from leakscan.training.films.config import TrainConfig

SOFTMAX_MARGIN = 0.2
"""Subtracted from the cosine to a film's own subject."""
SOFTMAX_SCALE = 20.0
"""The factor of the cosines; far below that of face recognition, which has hundreds of images per class."""

_BATCH_WISE = {"contrastive", "multi_similarity", "supcon"}
"""Terms that can see the fingerprints of earlier batches too."""

Triplets = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def mine_closer_negatives(distances: torch.Tensor, labels: torch.Tensor) -> Triplets:
    """Picks one hard negative for every ordered anchor-positive pair.

    Args:
        distances: ``(n, n)`` distances between all fingerprints of the batch.
        labels: ``(n,)`` int subject of each.

    Returns:
        Index tensors ``(anchor, positive, negative)``, one entry per pair that has a negative.

    Example:
        >>> at = torch.tensor([[0.0], [3.0], [1.0], [9.0]])  # films 0 and 1 show one subject
        >>> subjects = torch.tensor([0, 0, 1, 2])
        >>> anchor, positive, negative = mine_closer_negatives(torch.cdist(at, at), subjects)
        >>> list(zip(anchor.tolist(), positive.tolist(), negative.tolist()))
        [(0, 1, 2), (1, 0, 2)]
    """
    same = labels[:, None] == labels[None, :]
    pairs = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    anchor, positive = pairs.nonzero(as_tuple=True)
    row = distances[anchor]
    is_negative = ~same[anchor]
    closer = is_negative & (row < row.gather(1, positive[:, None]))
    # A random score above 1 for closer negatives and minus the distance for the others, so that
    # one argmax makes the paper's choice for every anchor at once.
    random = torch.rand_like(row) + 1.0
    score = torch.where(closer, random, -row).masked_fill(~is_negative, -torch.inf)
    negative = score.argmax(dim=1)
    usable = is_negative.any(dim=1)
    return anchor[usable], positive[usable], negative[usable]


class Memory(CrossBatchMemory):  # type: ignore[misc]
    """Cross-batch memory (arXiv 1912.06798) that a checkpoint can hold whole.

    The library keeps its place in the queue outside the state; without it a resumed run would
    see other fingerprints than the one that was interrupted.
    """

    def get_extra_state(self) -> dict[str, int]:
        """Where the queue stands."""
        return {"at": int(self.queue_idx), "full": int(self.has_been_filled)}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """The inverse of :meth:`get_extra_state`."""
        self.queue_idx, self.has_been_filled = state["at"], bool(state["full"])


class ClosestTriplets(nn.Module):
    """The triplet margin loss on the negatives of :func:`mine_closer_negatives`.

    Args:
        margin: The margin in Euclidean distance.
        normalised: Whether distances are between unit vectors (0..2) or raw embeddings.
    """

    def __init__(self, margin: float, normalised: bool) -> None:
        super().__init__()
        self.normalised = normalised
        self.loss = TripletMarginLoss(margin=margin, distance=LpDistance(normalize_embeddings=normalised))

    def forward(self, fingerprints: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch ``(n, d)`` with subjects ``(n,)``, a scalar."""
        with torch.no_grad():
            points = nn.functional.normalize(fingerprints) if self.normalised else fingerprints
            triplets = mine_closer_negatives(torch.cdist(points, points), labels)
        out: torch.Tensor = self.loss(fingerprints, labels, triplets)
        return out


class IdentityLoss(nn.Module):
    """What a fingerprint is trained to lower: a weighted sum of terms.

    Args:
        terms: The terms by name; each takes ``(n, d)`` fingerprints and ``(n,)`` labels. The margin softmax,
            ``softmax``, alone has parameters.
        weights: The weight of each term, by the same names.
    """

    def __init__(self, terms: dict[str, nn.Module], weights: dict[str, float]) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)
        self.weights = weights

    @property
    def centres(self) -> nn.Parameter | None:
        """``(dim, classes)``, one direction per subject; ``None`` without the margin softmax."""
        return cast(nn.Parameter, self.terms["softmax"].W) if "softmax" in self.terms else None

    def forward(self, fingerprints: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch ``(n, d)`` with subjects ``(n,)``, a scalar."""
        loss = fingerprints.new_zeros(())
        for name, term in self.terms.items():
            loss = loss + self.weights[name] * term(fingerprints, labels)
        return loss


def build_loss(config: TrainConfig, classes: int, dim: int) -> IdentityLoss:
    """The loss that a config asks for; terms of weight 0 are left out.

    * ``triplet``: the triplet margin loss on the paper's hard negatives.
    * ``contrastive``: normalised-temperature cross entropy (arXiv 2002.05709), in which every
      other subject of the batch is a negative. Triplets alone learn slowly from a start at which
      most of them are already right.
    * ``softmax``: a margin softmax with one centre per subject (CosFace, arXiv 1801.09414), in
      which every subject of the training set is a negative, in the batch or not.
    * ``multi_similarity`` (arXiv 1904.06627) and ``supcon`` (arXiv 2004.11362).

    Args:
        config: The weights and settings of the terms.
        classes: The number of subjects in the training set; labels run from 0 to ``classes - 1``.
        dim: The length of the fingerprint.

    Example:
        >>> loss = build_loss(TrainConfig(contrastive=0.0), classes=10, dim=8)
        >>> loss.weights
        {'triplet': 1.0, 'softmax': 0.5}
        >>> loss.centres.shape
        torch.Size([8, 10])
    """
    weights = {
        name: getattr(config, name)
        for name in ("triplet", "contrastive", "softmax", "multi_similarity", "supcon")
        if getattr(config, name)
    }
    build: dict[str, Callable[[], nn.Module]] = {
        "triplet": lambda: ClosestTriplets(config.margin, config.normalised),
        "contrastive": lambda: NTXentLoss(temperature=config.temperature),
        "softmax": lambda: CosFaceLoss(classes, dim, margin=SOFTMAX_MARGIN, scale=SOFTMAX_SCALE),
        "multi_similarity": MultiSimilarityLoss,
        "supcon": lambda: SupConLoss(temperature=config.temperature),
    }
    terms = {name: build[name]() for name in weights}
    if config.memory:
        for name in _BATCH_WISE & terms.keys():
            terms[name] = Memory(terms[name], dim, config.memory)
    return IdentityLoss(terms, weights)

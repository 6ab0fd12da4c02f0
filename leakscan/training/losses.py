"""Metric-learning losses on a batch of fingerprints.

The triplet margin loss with the paper's choice of negatives (arXiv 2512.16685): for every
anchor-positive pair a random negative among those closer to the anchor than the positive, or,
where there is none, the closest negative.
"""

from __future__ import annotations

import torch
from pytorch_metric_learning.losses import NTXentLoss, TripletMarginLoss
from torch import nn

Triplets = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def mine_closer_negatives(distances: torch.Tensor, labels: torch.Tensor) -> Triplets:
    """Picks one hard negative for every ordered anchor-positive pair.

    Args:
        distances: ``(n, n)``, between all fingerprints of the batch.
        labels: ``(n,)`` int, the subject of each.

    Returns:
        Index tensors ``(anchor, positive, negative)``, one entry per pair that has a negative.
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


class TripletContrastiveLoss(nn.Module):
    """Triplet margin loss on hard negatives plus a contrastive loss over the whole batch.

    The contrastive term (normalised-temperature cross entropy, arXiv 2002.05709) sees every other
    subject of the batch as a negative; alone among themselves, triplets learn slowly from a
    start at which most of them are already right.

    Args:
        margin: of the triplet loss, in Euclidean distance between unit vectors (0..2).
        temperature: of the contrastive loss.
        contrastive: weight of the contrastive term; 0 leaves the paper's loss.
    """

    def __init__(self, margin: float = 0.25, temperature: float = 0.07, contrastive: float = 1.0):
        super().__init__()
        self.triplet = TripletMarginLoss(margin=margin)
        self.contrastive = NTXentLoss(temperature=temperature)
        self.weight = contrastive

    def forward(self, fingerprints: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch ``(n, d)`` with subjects ``(n,)``, a scalar."""
        with torch.no_grad():
            unit = nn.functional.normalize(fingerprints)
            triplets = mine_closer_negatives(torch.cdist(unit, unit), labels)
        loss: torch.Tensor = self.triplet(fingerprints, labels, triplets)
        if self.weight:
            loss = loss + self.weight * self.contrastive(fingerprints, labels)
        return loss

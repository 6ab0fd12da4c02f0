"""Metric-learning losses on a batch of fingerprints.

The triplet margin loss with the paper's choice of negatives (arXiv 2512.16685): for every
anchor-positive pair a random negative among those closer to the anchor than the positive, or,
where there is none, the closest negative.
"""

from __future__ import annotations

from typing import cast

import torch
from pytorch_metric_learning.losses import CosFaceLoss, NTXentLoss, TripletMarginLoss
from torch import nn

SOFTMAX_MARGIN = 0.2
"""Subtracted from the cosine to a film's own subject."""
SOFTMAX_SCALE = 20.0
"""Of the cosines; far below that of face recognition, which has hundreds of images per class."""

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


class IdentityLoss(nn.Module):
    """What a fingerprint is trained to lower: a weighted sum of three terms.

    * The triplet margin loss on the paper's hard negatives.
    * A contrastive loss (normalised-temperature cross entropy, arXiv 2002.05709), in which every
      other subject of the batch is a negative. Triplets alone learn slowly from a start at which
      most of them are already right.
    * A margin softmax with one centre per subject (CosFace, arXiv 1801.09414), in which every
      subject of the training set is a negative, in the batch or not.

    Args:
        classes: subjects in the training set; labels run from 0 to ``classes - 1``.
        dim: length of the fingerprint.
        margin: of the triplet loss, in Euclidean distance between unit vectors (0..2).
        triplet: weight of the triplet term.
        contrastive: weight of the contrastive term.
        softmax: weight of the margin softmax.
        temperature: of the contrastive loss.
    """

    def __init__(
        self,
        classes: int,
        dim: int,
        margin: float = 0.25,
        triplet: float = 1.0,
        contrastive: float = 1.0,
        softmax: float = 0.0,
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        self.triplet = TripletMarginLoss(margin=margin)
        self.contrastive = NTXentLoss(temperature=temperature)
        self.softmax = CosFaceLoss(classes, dim, margin=SOFTMAX_MARGIN, scale=SOFTMAX_SCALE)
        self.weights = (triplet, contrastive, softmax)

    @property
    def centres(self) -> nn.Parameter:
        """``(dim, classes)``, one direction per subject."""
        return cast(nn.Parameter, self.softmax.W)

    def forward(self, fingerprints: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of a batch ``(n, d)`` with subjects ``(n,)``, a scalar."""
        triplet, contrastive, softmax = self.weights
        loss = fingerprints.new_zeros(())
        if triplet:
            with torch.no_grad():
                unit = nn.functional.normalize(fingerprints)
                triplets = mine_closer_negatives(torch.cdist(unit, unit), labels)
            loss = loss + triplet * self.triplet(fingerprints, labels, triplets)
        if contrastive:
            loss = loss + contrastive * self.contrastive(fingerprints, labels)
        if softmax:
            loss = loss + softmax * self.softmax(fingerprints, labels)
        return loss

"""What aligning two brain volumes to each other is worth, beside the fingerprint that proposes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from leakscan.fingerprint.encoders.brain.brain_net import BrainNet, Placed

Floats = npt.NDArray[np.float32]
ALIGNED = 5
"""Nearest old scans of a new one that are aligned to it."""


@torch.inference_mode()
def place_all(net: BrainNet, volumes: Iterable[torch.Tensor]) -> list[Placed]:
    """Volumes ``(1, *SHAPE)`` in their place.

    Example::

        first, again = place_all(net, first_scans), place_all(net, new_scans)
        net.agreement(first[0], again[0])  # higher for one person than for two
    """
    return [net.placed(volume[None]) for volume in volumes]


@torch.inference_mode()
def align_nearest(
    net: BrainNet, first: Sequence[Placed], again: Sequence[Placed], scores: Floats
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """What alignment makes of the nearest of every new scan, and the fingerprint of the same ones.

    Args:
        net: The network, with its metric.
        first: Old scans of n people.
        again: New scans of them.
        scores: ``(n, n)`` scores of new against old ones.

    Returns:
        For alignment and for the fingerprint: how often a person's own old scan comes first among the
        nearest, and how many lie above every stranger that was aligned.

    Example::

        by_alignment, by_fingerprint = align_nearest(net, first, again, scores)
        by_alignment["P@1"][0] - by_fingerprint["P@1"][0]  # what alignment adds
    """
    n = len(scores)
    agreed = np.full((n, n), -np.inf, np.float32)
    near = np.argsort(-scores, axis=1)[:, :ALIGNED]
    for i in range(n):
        for j in {i, *near[i].tolist()}:
            agreed[i, j] = net.agreement(first[j], again[i])
    strangers = np.isfinite(agreed) & ~np.eye(n, dtype=bool)

    def figures(values: Floats) -> dict[str, list[float]]:
        best = near[np.arange(n), np.take_along_axis(values, near, axis=1).argmax(axis=1)]
        above = np.diag(values) > values[strangers].max()
        return {
            "P@1": [float((best == np.arange(n)).mean())],
            "above every stranger": [float(above.mean())],
        }

    return figures(agreed), figures(scores)

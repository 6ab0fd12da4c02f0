"""Where the edges of a brain run, whatever its contrast.

The border of white and grey matter lies at the same place in T1, T2 and FLAIR; which side is brighter
and by how much differs. So a voxel keeps the line along which grey levels change, without sign and without
size (normalised gradient fields: Haber and Modersitzki, MICCAI 2006). A line is written as the six
entries of its tensor ``n n^T``, which can be averaged; folds of the cortex, which no two people
share, are what is left when the average person is taken away.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

EDGE_CHANNELS = 6
"""Entries of a symmetric tensor of three axes: three squares, three products."""

_SQUARES = 3  # entries whose sum says how sure it is that there is an edge, 0..1
_LEAST = 1e-3  # of that in the average brain
_QUIET = 0.3  # of the median slope inside the brain: slopes below it are noise and count little


def edge_tensors(volumes: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """The lines along which aligned volumes change, averaged over blocks of two voxels.

    Args:
        volumes: Grey levels ``(n, 1, x, y, z)`` in the place of the average brain; x, y and z are even.
        inside: The blocks of the brain, ``(x / 2, y / 2, z / 2)`` bool.

    Returns:
        ``(n, EDGE_CHANNELS, x / 2, y / 2, z / 2)``. The dot product of two tensors is the squared cosine
        between two lines; where nothing changes, a tensor is 0.

    Example:
        >>> ramp = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(1, 1, 8, 8, 8)
        >>> inside = torch.ones(4, 4, 4, dtype=torch.bool)
        >>> edges, negative = edge_tensors(ramp, inside), edge_tensors(-2 * ramp, inside)
        >>> edges.shape, torch.equal(edges, negative)  # other greys, the same lines
        (torch.Size([1, 6, 4, 4, 4]), True)
    """
    voxels = F.interpolate(inside[None, None].float(), scale_factor=2)[0, 0] > 0
    slopes = torch.stack(torch.gradient(volumes[:, 0], dim=(1, 2, 3)), dim=1)
    size = (slopes * slopes).sum(dim=1).sqrt()  # a third of the time of norm(dim=1)
    quiet = _QUIET * size[:, voxels].median(dim=1).values[:, None, None, None]
    x, y, z = (slopes / torch.sqrt(size**2 + quiet**2).clamp(min=1e-6)[:, None]).unbind(dim=1)
    products = torch.stack([x * y, x * z, y * z], dim=1) * math.sqrt(2)
    return F.avg_pool3d(torch.cat([torch.stack([x * x, y * y, z * z], dim=1), products], dim=1), 2)


def beyond_average(edges: torch.Tensor, average: torch.Tensor) -> torch.Tensor:
    """What the lines of a brain have beyond those of the average brain.

    The average counts at each place as much as there is an edge: where nothing changes (a blank, a part cut
    off) nothing is left, and thick slices, which show fewer edges, do not resemble each other for it.

    Args:
        edges: The tensors of ``v`` places, ``(n, EDGE_CHANNELS * v)``.
        average: The mean of the tensors of many brains, ``(EDGE_CHANNELS * v,)``.

    Returns:
        What is left, ``(n, EDGE_CHANNELS * v)``.

    Example:
        >>> average = torch.rand(6 * 10)
        >>> nobody_in_particular = beyond_average(average[None], average)
        >>> torch.allclose(nobody_in_particular, torch.zeros(1, 60), atol=1e-6)
        True
    """
    own, mean = edges.view(len(edges), EDGE_CHANNELS, -1), average.view(EDGE_CHANNELS, -1)
    share = own[:, :_SQUARES].sum(dim=1) / mean[:_SQUARES].sum(dim=0).clamp(min=_LEAST)
    return (own - share[:, None] * mean).flatten(1)

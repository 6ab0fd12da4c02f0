"""A brain volume to a fingerprint: name the tissues, bring them to their place, measure.

Contrast is solved by naming tissues, which can be learned from label maps without end; place by
alignment; identity by a linear metric that knows how scans of one person differ.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from leakscan.fingerprint.encoders.brain_space import align
from leakscan.fingerprint.encoders.tissue_net import TISSUE_CHANNELS, WIDTHS, TissueNet
from leakscan.fingerprint.preprocess.volume import SHAPE, STEP_MM

MAP_MM = 2 * STEP_MM
"""Edge of a voxel of the aligned maps."""
_IN_BRAIN = 0.02  # share of tissue in the average brain from which a voxel belongs to it


class BrainNet(nn.Module):
    """Tissue network, average brain and linear metric.

    Args:
        template: ``(7, x, y, z)`` average tissue maps, ``MAP_MM`` a voxel.
        dim: length of the fingerprint.
        widths: of the tissue network.

    Shape:
        ``(n, 1, *SHAPE)`` in 0..1 -> ``(n, dim)``, not normalised.
    """

    template: torch.Tensor
    mean: torch.Tensor
    axes: torch.Tensor

    def __init__(
        self, template: torch.Tensor | None = None, dim: int = 128, widths: tuple[int, ...] = WIDTHS
    ) -> None:
        super().__init__()
        if template is None:
            template = torch.zeros(TISSUE_CHANNELS - 1, *(k // 2 for k in SHAPE))
        self.tissues = TissueNet(widths)
        self.register_buffer("template", template)
        size = len(template) * int((template.sum(dim=0) > _IN_BRAIN).sum())
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("axes", torch.zeros(dim, size))

    def tissue_maps(self, volumes: torch.Tensor) -> torch.Tensor:
        """Shares of the tissues ``(n, 7, x, y, z)`` on ``MAP_MM``, where the head lies."""
        with torch.autocast(volumes.device.type, torch.bfloat16):
            logits = self.tissues(volumes)
        return F.avg_pool3d(logits.float().softmax(dim=1)[:, 1:], 2)

    def aligned(self, volumes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Aligned maps inside the average brain ``(n, d)``, and how well each fits it ``(n,)``."""
        maps, fit = align(self.tissue_maps(volumes), self.template, MAP_MM)
        return self.inside(maps), fit

    def inside(self, maps: torch.Tensor) -> torch.Tensor:
        """What of aligned maps ``(n, 7, x, y, z)`` lies in the average brain, ``(n, d)``."""
        return maps[:, :, self.template.sum(dim=0) > _IN_BRAIN].flatten(1)

    def project(self, maps: torch.Tensor) -> torch.Tensor:
        """Fingerprints ``(n, dim)``, not normalised, of aligned maps ``(n, d)``."""
        return (maps - self.mean) @ self.axes.T

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        return self.project(self.aligned(volumes)[0])

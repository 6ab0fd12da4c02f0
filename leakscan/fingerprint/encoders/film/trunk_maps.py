"""What is read from the middle of EfficientNet-Lite0, whose maps still know what stands where on a film."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

FINE, FINE_CHANNELS = 13, 112
"""The layer of EfficientNet-Lite0 whose maps are a sixteenth of the film's side, and its channels."""
COARSE, COARSE_CHANNELS = 17, 192
"""The same at half of that."""


class JoinedMaps(nn.Module):
    """Finer maps of EfficientNet-Lite0 joined with coarser ones, as in feature pyramids (arXiv 1612.03144).

    Shape:
        ``(n, FINE_CHANNELS, h, w)`` and ``(n, COARSE_CHANNELS, h / 2, w / 2)`` -> ``(n, CHANNELS, h, w)``.
    """

    CHANNELS = 96

    def __init__(self) -> None:
        super().__init__()
        self.fine_norm, self.coarse_norm = nn.LayerNorm(FINE_CHANNELS), nn.LayerNorm(COARSE_CHANNELS)
        self.fine, self.coarse = (nn.Linear(n, self.CHANNELS) for n in (FINE_CHANNELS, COARSE_CHANNELS))
        self.mix = nn.Sequential(
            nn.GELU(),
            nn.Conv2d(self.CHANNELS, self.CHANNELS, 3, padding=1, groups=self.CHANNELS),
            nn.Conv2d(self.CHANNELS, self.CHANNELS, 1),
            nn.GELU(),
        )

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        near = self.fine(self.fine_norm(fine.float().permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        far = self.coarse(self.coarse_norm(coarse.float().permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
        far = nn.functional.interpolate(far, size=near.shape[-2:], mode="bilinear")
        return cast(torch.Tensor, self.mix(near + far))


class GridFeatures(nn.Module):
    """What stands where on a film, which pooling forgets: a few numbers at each of 7 x 7 places.

    Shape:
        As :class:`JoinedMaps` -> ``(n, SIZE)``.
    """

    _PLACES, _KEPT = 7, 32  # places along a side, half as many as the maps of 224 px have; numbers of each
    SIZE = _PLACES**2 * _KEPT

    def __init__(self) -> None:
        super().__init__()
        self.join = JoinedMaps()
        self.narrow = nn.Conv2d(JoinedMaps.CHANNELS, self._KEPT, 1)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        x = nn.functional.avg_pool2d(self.narrow(self.join(fine, coarse)), 4, 2, 1)
        return nn.functional.interpolate(x, size=(self._PLACES, self._PLACES), mode="bilinear").flatten(1)

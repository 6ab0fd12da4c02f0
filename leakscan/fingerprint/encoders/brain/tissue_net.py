"""Names the tissue of every voxel of a brain volume, whatever its contrast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

TISSUE_CHANNELS = 8
"""Everything that is no brain, then white matter, cortex, deep grey, ventricles, CSF, cerebellar
cortex, white matter of the hindbrain."""

WIDTHS = (32, 64, 128)
"""Channels of each scale, finest first: what two processor cores apply in an eighth of a second."""


class _Block(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        layers: list[nn.Module] = []
        for i in range(2):
            layers += [
                nn.Conv3d(inputs if i == 0 else outputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm3d(outputs),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class TissueNet(nn.Module):
    """A small 3D U-Net (Cicek et al. 2016, arXiv 1606.06650) that works at half resolution.

    The eight voxels of every cube of two become eight channels, and likewise back at the end
    (Shi et al. 2016, arXiv 1609.05158): no convolution sees full resolution, no voxel is lost, and it
    takes a quarter of the time of one whose finest scale is full.

    Args:
        widths: The channels of each scale, finest first; each scale has half the resolution.

    Shape:
        ``(n, 1, x, y, z)`` in 0..1 -> logits ``(n, TISSUE_CHANNELS, x, y, z)``; sides are multiples
        of ``2 ** len(widths)``.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.down = nn.ModuleList(_Block(i, o) for i, o in zip((8, *widths), widths, strict=False))
        self.up = nn.ModuleList(
            _Block(low + high, high) for low, high in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.last = nn.Conv3d(widths[0], 8 * TISSUE_CHANNELS, 1)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        x, kept = _folded(volumes).contiguous(memory_format=torch.channels_last_3d), []
        for i, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if i else x)
            kept.append(x)
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], dim=1))
        return _unfolded(self.last(x))

    def shares(self, volumes: torch.Tensor) -> torch.Tensor:
        """The shares of the tissues but air, on a grid of half the resolution, of one volume in evaluation.

        It is ``avg_pool3d(forward(volumes).softmax(dim=1)[:, 1:], 2)``, in the form that ONNX Runtime is
        given: its convolutions of planes are faster than those of volumes. So the planes of the volume
        become a batch, and each comes with its two neighbours as further channels.

        Shape:
            ``(1, 1, x, y, z)`` in 0..1 -> ``(1, TISSUE_CHANNELS - 1, x / 2, y / 2, z / 2)``.
        """
        x, kept = _folded(volumes)[0].transpose(0, 1), []
        for i, block in enumerate(self.down):
            x = _by_planes(block, _halved(x) if i else x)
            kept.append(x)
        for block, skip in zip(self.up, kept[-2::-1], strict=True):
            x = _by_planes(block, torch.cat([_doubled(x), skip], dim=1))
        logits = F.conv2d(x, self.last.weight[:, :, 0], self.last.bias)
        planes, _, y, z = logits.shape
        each = logits.view(planes, TISSUE_CHANNELS, 8, y, z).softmax(dim=1)[:, 1:]
        return each.mean(dim=2).transpose(0, 1)[None]


def _by_planes(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A block applied to a volume whose planes are a batch, ``(x, channels, y, z)``."""
    for layer in block.children():
        if isinstance(layer, nn.Conv3d):
            none = torch.zeros_like(x[:1])
            x = torch.cat([torch.cat([none, x[:-1]]), x, torch.cat([x[1:], none])], dim=1)
            x = F.conv2d(x, layer.weight.transpose(1, 2).flatten(1, 2), padding=1)
        elif isinstance(layer, nn.BatchNorm3d):
            x = F.batch_norm(
                x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps
            )
        else:
            x = layer(x)
    return x


def _halved(x: torch.Tensor) -> torch.Tensor:
    x = F.max_pool2d(x, 2)
    return torch.maximum(x[0::2], x[1::2])


def _doubled(x: torch.Tensor) -> torch.Tensor:
    x = F.interpolate(x, scale_factor=2.0, mode="nearest")
    return torch.stack([x, x], dim=1).flatten(0, 1)


def _folded(x: torch.Tensor) -> torch.Tensor:
    n, c, i, j, k = x.shape
    cubes = x.view(n, c, i // 2, 2, j // 2, 2, k // 2, 2).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return cubes.reshape(n, 8 * c, i // 2, j // 2, k // 2)


def _unfolded(x: torch.Tensor) -> torch.Tensor:
    n, c, i, j, k = x.shape
    cubes = x.reshape(n, c // 8, 2, 2, 2, i, j, k).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return cubes.reshape(n, c // 8, 2 * i, 2 * j, 2 * k)

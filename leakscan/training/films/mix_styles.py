"""MixStyle (arXiv 2104.02008): early maps keep their pattern and take the mean and spread of another film's.

What the means and spreads of early maps tell is mostly the machine. Mixed between films in training, they
cannot be learned as a part of who somebody is.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

_CONCENTRATION = 0.1  # of the Beta distribution: mostly one film's statistics or the other's, as published
_AFTER = (3, 5, 7)  # layers of the trunk: the stem's block and the last blocks of 24 and of 40 channels


def mix_styles_of(net: nn.Module, probability: float) -> None:
    """Lets an EfficientNet-Lite0 mix styles while it trains; it computes as before in evaluation mode.

    Args:
        net: The network; its layers get hooks, its weights stay as they are.
        probability: How often each of the layers mixes.

    Example:
        >>> from leakscan.fingerprint.encoders.networks import EfficientNetLite0
        >>> net, film = EfficientNetLite0(8).eval(), torch.rand(2, 1, 64, 64)
        >>> before = net(film)
        >>> mix_styles_of(net, probability=1.0)
        >>> bool((net(film) == before).all())
        True
    """

    def hook(layer: nn.Module, inputs: tuple[torch.Tensor, ...], maps: torch.Tensor) -> torch.Tensor:
        if not layer.training or torch.rand(()) >= probability:
            return maps
        return mixed_styles(maps)

    trunk = cast(nn.Sequential, net.trunk)
    for number in _AFTER:
        trunk[number].register_forward_hook(hook)


def mixed_styles(maps: torch.Tensor) -> torch.Tensor:
    """Maps with means and spreads between their own and those of another film of the batch.

    Args:
        maps: ``(n, c, h, w)``.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> maps = torch.randn(2, 1, 32, 32) + torch.tensor([0.0, 10.0]).view(2, 1, 1, 1)
        >>> mixed_styles(maps).shape
        torch.Size([2, 1, 32, 32])
    """
    n = len(maps)
    mean = maps.mean(dim=(2, 3), keepdim=True).detach()
    spread = (maps.var(dim=(2, 3), keepdim=True) + 1e-6).sqrt().detach()
    other = torch.randperm(n, device=maps.device)
    share = torch.distributions.Beta(_CONCENTRATION, _CONCENTRATION).sample((n, 1, 1, 1)).to(maps)
    mixed_mean = share * mean + (1 - share) * mean[other]
    mixed_spread = share * spread + (1 - share) * spread[other]
    return (maps - mean) / spread * mixed_spread + mixed_mean

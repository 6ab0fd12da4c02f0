"""Networks that only run: their batch normalisations become part of the convolutions before them."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_norms(net: nn.Module) -> None:
    """Folds every batch normalisation into the convolution registered just before it, in place.

    Once a network learns no more, both are one linear map, and a pass over memory is saved: on two cores
    EfficientNet-Lite0 takes a quarter less time. Only for networks that run their layers in the order
    in which they were registered, as those of :mod:`.networks` do; golden fingerprints would tell.

    Args:
        net: The network, in evaluation mode. It computes the same as before up to rounding, but its state
            has other tensors, so it is not for saving.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
        >>> fold_norms(net)
        >>> [type(layer).__name__ for layer in net]
        ['Conv2d', 'Identity', 'ReLU']
    """
    for (_, first), (name, second) in pairwise(list(net.named_children())):
        if isinstance(first, _ConvNd) and isinstance(second, _BatchNorm):
            fused = fuse_conv_bn_eval(first, second)
            first.weight, first.bias = fused.weight, fused.bias
            setattr(net, name, nn.Identity())
    for child in net.children():
        fold_norms(child)

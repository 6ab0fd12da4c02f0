"""Networks that ONNX Runtime runs: graphs without weights, joined to the weights of one model as they load.

The graphs of the networks that leakscan knows lie in ``graphs/``, written by :mod:`.export`. A graph holds no
weights. It is given those of ``weights.safetensors`` by their names, so a new model of a known network needs
no export, and a graph can never belong to other weights than those that its card describes. The graphs of
encoders take films of any side.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from leakscan.engines.threads import threads_here
from leakscan.errors import ModelError

GRAPHS = Path(__file__).with_name("graphs")
"""The folder of the graphs that leakscan comes with."""

TENSORS = "tensors.json"
"""The file among them that says which tensors each graph is given."""

MAPS = ("fine", "coarse")
"""What the graph of an EfficientNet-Lite0 gives beside its features: the maps that details are read from."""

Array = npt.NDArray[Any]


def has_graph(network: str) -> bool:
    """Whether a network can run without torch here: it has a graph, and ONNX Runtime is installed.

    Example:
        >>> has_graph("efficientnet_lite0_placed"), has_graph("perceptron")
        (True, False)
    """
    return (GRAPHS / f"{network}.onnx").is_file() and importlib.util.find_spec("onnxruntime") is not None


def has_graph_of(network: str, weights: Path, prefix: str = "") -> bool:
    """Whether :func:`has_graph`, and it is the graph of the network that a file holds, whose tensors fit.

    Args:
        network: The name of the graph.
        weights: A file of safetensors; only its header is read.
        prefix: What stands before the names of the network's tensors in the file.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> card, folder = cards()["brain-folds"]
        >>> has_graph_of("tissue_net", folder / card.weights, "tissues.")
        True
    """
    if not has_graph(network):
        return False
    try:
        with safe_open(weights, "numpy") as tensors:
            there = set(tensors.keys())
            return all(
                f"{prefix}{name}" in there and tensors.get_slice(f"{prefix}{name}").get_shape() == shape
                for name, shape in _tensors()[network].items()
            )
    except (OSError, SafetensorError):
        return False


def has_nvidia_driver() -> bool:
    """Whether a GPU may be there, for which it is worth loading torch.

    Example:
        >>> isinstance(has_nvidia_driver(), bool)
        True
    """
    return Path("/proc/driver/nvidia/version").exists() or os.environ.get("CUDA_VISIBLE_DEVICES", "") != ""


class Graph:
    """One network with the weights of one model, in float32 on the processor.

    It computes the same for an image whatever else is in the batch, and on any number of threads.

    Args:
        network: The name of a graph in ``GRAPHS``.
        weights: The tensors by the names that the network gives them. Further ones have no effect.
        path: The file that the weights come from, for what is said where they do not fit.

    Raises:
        ModelError: The weights are not those of this network.

    Example:
        >>> from safetensors.numpy import load_file
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> card, folder = cards()["cxr-lite0"]
        >>> path = folder / card.weights
        >>> graph = Graph(card.architecture, load_file(path), path)
        >>> graph.run(films=np.zeros((2, 1, 192, 192), np.float32))[0].shape
        (2, 2848)
    """

    def __init__(self, network: str, weights: Mapping[str, Array], path: Path) -> None:
        import onnxruntime

        wanted = _tensors()[network]
        missing = next(
            (n for n, s in wanted.items() if n not in weights or list(weights[n].shape) != s), None
        )
        if missing is not None:
            raise ModelError(
                f"{{path}} holds the weights of another network than {network}: {missing} is not in it, "
                f"or has another shape than {wanted[missing]}.",
                path=path,
            )
        floats = {name: np.asarray(weights[name], np.float32, order="C") for name in wanted}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads_here()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised
        # Threads that wait busily for the next layer take the processors from the workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The session reads the weights from these for as long as it lives.
        self._weights = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in floats.values()]
        options.add_external_initializers(list(floats), self._weights)
        graph = (GRAPHS / f"{network}.onnx").read_bytes()
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, **inputs: Array) -> list[Array]:
        """What the network makes of its inputs, by their names in :mod:`.export`."""
        found: list[Array] = self._session.run(None, inputs)
        return found


@functools.cache
def _tensors() -> dict[str, dict[str, list[int]]]:
    """The tensors that each graph needs, by name, and their shapes."""
    found: dict[str, dict[str, list[int]]] = json.loads((GRAPHS / TENSORS).read_text(encoding="utf-8"))
    return found

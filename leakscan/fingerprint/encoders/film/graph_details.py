"""One detail network in ONNX Runtime, on a trunk of its own or on that of the encoder beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_safetensors

from leakscan.fingerprint.encoders.card import read_card
from leakscan.fingerprint.encoders.encoder import FilmMaps, GraphEncoder, Tensors
from leakscan.fingerprint.encoders.film.detail_grid import DETAIL_DIM, GRID, SIDE
from leakscan.fingerprint.encoders.graph import Graph, has_graph
from leakscan.fingerprint.encoders.load import DeferredEncoder, encoder_here, has_gpu, runs_in_workers

TRUNK = "trunk."
"""What the names of the tensors of a trunk begin with."""
_COUNTER = ".num_batches_tracked"  # which no network uses once it is taught

Floats = npt.NDArray[np.float32]


class DetailRunner(Protocol):
    """One detail network that runs.

    ``describe`` takes films ``(n, SIDE, SIDE)`` uint8 and gives their details ``(n, places, DETAIL_DIM)``;
    ``of_maps`` gives those of one film from what its trunk made of it; ``compare`` takes the details of two
    films of each pair and gives logits ``(n,)``. All numbers are float32.
    """

    def describe(self, films: npt.NDArray[np.uint8]) -> Floats: ...

    def of_maps(self, maps: FilmMaps) -> Floats: ...

    def compare(self, a: Floats, b: Floats) -> Floats: ...


class GraphDetails:
    """A :class:`DetailRunner` in ONNX Runtime, a film at a time.

    Args:
        state: The tensors of one network.
        path: The file that they come from.

    Raises:
        ModelError: They are those of another network.

    Example::

        GraphDetails(state, folder / "detail.safetensors").describe(films).shape  # (n, 196, DETAIL_DIM)
    """

    def __init__(self, state: Tensors, path: Path) -> None:
        self._state, self._path = state, path

    @cached_property
    def _describe(self) -> Graph:
        return Graph("detail_describe", self._state, self._path)

    @cached_property
    def _of_maps(self) -> Graph:
        return Graph("detail_of_maps", self._state, self._path)

    @cached_property
    def _compare(self) -> Graph:
        return Graph("detail_compare", self._state, self._path)

    def describe(self, films: npt.NDArray[np.uint8]) -> Floats:
        """See :class:`DetailRunner`."""
        out = np.empty((len(films), GRID * GRID, DETAIL_DIM), np.float32)
        for i, film in enumerate(films):
            out[i] = self._describe.run(films=film[None, None].astype(np.float32) / np.float32(255))[0][0]
        return out

    def of_maps(self, maps: FilmMaps) -> Floats:
        """See :class:`DetailRunner`."""
        out: Floats = self._of_maps.run(fine=maps.fine, coarse=maps.coarse)[0]
        return out

    def compare(self, a: Floats, b: Floats) -> Floats:
        """See :class:`DetailRunner`."""
        out: Floats = self._compare.run(a=a, b=b)[0]
        return out


def encoder_below(folder: Path, states: Sequence[Tensors], checked: bool) -> GraphEncoder | None:
    """The encoder of a folder, if it runs in workers and every network of details has its very trunk.

    Args:
        folder: The folder that may hold an encoder.
        states: The tensors of each network.
        checked: Whether another process of this machine has checked the encoder.

    Raises:
        ModelError: The encoder is damaged.

    Example:
        >>> encoder_below(Path("no-models"), [], checked=False) is None
        True
    """
    if not (folder / "card.json").is_file():
        return None
    card = read_card(folder)
    if not has_graph(card.architecture) or not runs_in_workers(card, folder) or card.side != SIDE:
        return None
    weights = load_safetensors((folder / card.weights).read_bytes())
    trunks = (item for state in states for item in state.items() if item[0].startswith(TRUNK))
    own = ((name, tensor) for name, tensor in trunks if not name.endswith(_COUNTER))
    if not all(name in weights and np.array_equal(tensor, weights[name]) for name, tensor in own):
        return None
    found = encoder_here(str(folder)) if checked else DeferredEncoder(card, folder).opened
    return found if isinstance(found, GraphEncoder) else None


def has_graphs() -> bool:
    """Whether detail networks run in ONNX Runtime, in any process, and not on a GPU.

    Example:
        >>> isinstance(has_graphs(), bool)
        True
    """
    return has_graph("detail_describe") and not has_gpu()


def states_of(tensors: Tensors) -> list[Tensors]:
    """The tensors of each network of a file, which names them ``0.NAME``, ``1.NAME`` and so on.

    A network without a trunk has that of the one before it.

    Raises:
        ValueError: There is no network.

    Example:
        >>> one = {"0.trunk.0": np.zeros(1), "0.place": np.zeros(3), "1.place": np.ones(3)}
        >>> [(sorted(state), state["place"].tolist()) for state in states_of(one)]
        [(['place', 'trunk.0'], [0.0, 0.0, 0.0]), (['place', 'trunk.0'], [1.0, 1.0, 1.0])]
    """
    numbers = sorted({int(k.partition(".")[0]) for k in tensors})
    if not numbers:
        raise ValueError("it holds no network")
    states: list[Tensors] = []
    for number in numbers:
        own = {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{number}.")}
        if states and not any(k.startswith(TRUNK) for k in own):
            own |= {k: v for k, v in states[-1].items() if k.startswith(TRUNK)}
        states.append(own)
    return states

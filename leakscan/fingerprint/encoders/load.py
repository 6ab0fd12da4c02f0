"""From a card to a running encoder, whatever its network, as soon as somebody needs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.card import BRAIN_NET, Card, read_card
from leakscan.fingerprint.encoders.encoder import Encoded, Encoder, GraphEncoder
from leakscan.fingerprint.encoders.graph import has_graph, has_graph_of, has_nvidia_driver

Loader = Callable[[Card, Path], Encoder]


def load_encoder(card: Card, folder: Path) -> Encoder:
    """Reads the weights of an encoder and checks that it computes what its card says.

    ONNX Runtime runs what it has a graph for; torch runs the rest, and everything where it finds a GPU.

    Args:
        card: The encoder's card.
        folder: The folder of the card.

    Returns:
        An encoder whose golden fingerprints came out as its card has them.

    Raises:
        ModelError: The encoder computes something else, cannot be read, or needs torch, which is missing.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> card, folder = cards()["cxr-lite0"]
        >>> films = np.zeros((1, card.side, card.side), np.uint8)
        >>> load_encoder(card, folder).encode(films).fingerprints.shape
        (1, 128)
    """
    if runs_in_workers(card, folder):
        return _graph_encoder(card, folder)
    try:
        if card.architecture == BRAIN_NET:
            from leakscan.fingerprint.encoders.brain.brain_encoder import BrainEncoder

            return BrainEncoder(card, folder)
        from leakscan.fingerprint.encoders.torch_encoder import TorchEncoder

        return TorchEncoder(card, folder)
    except ModuleNotFoundError as e:
        raise ModelError(
            f"{card.name} is a {card.architecture}, which needs {e.name} here, and that is not installed.",
            "pip install 'leakscan[train]'",
        ) from e


def runs_in_workers(card: Card, folder: Path) -> bool:
    """Whether an encoder runs in worker processes, each on a processor of its own, and not on a GPU.

    The network of brains is too small a part of the work for a GPU.

    Args:
        card: The encoder's card.
        folder: The folder of the card.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> runs_in_workers(*cards()["brain-folds"])
        True
    """
    if card.architecture == BRAIN_NET:
        return has_graph_of("tissue_net", folder / card.weights, "tissues.")
    return has_graph(card.architecture) and not has_gpu()


def _graph_encoder(card: Card, folder: Path, checked: bool = False) -> Encoder:
    if card.architecture == BRAIN_NET:
        from leakscan.fingerprint.encoders.brain.graph_brain import GraphBrainEncoder  # films do not wait

        return GraphBrainEncoder(card, folder, checked)
    return GraphEncoder(card, folder, checked)


def has_gpu() -> bool:
    """Whether torch finds a GPU; torch takes seconds to load, so it is asked only where there is a driver.

    Example:
        >>> isinstance(has_gpu(), bool)
        True
    """
    if not has_nvidia_driver():
        return False
    try:
        import torch
    except ModuleNotFoundError:
        return False
    return bool(torch.cuda.is_available())


class DeferredEncoder:
    """An encoder that is loaded, and checked, when the first image of its kind is at hand.

    Args:
        card: The encoder's card.
        folder: The folder of the card.
        loader: Loads the encoder.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> encoder = DeferredEncoder(*cards()["cxr-lite0"])
        >>> encoder.card.kind  # nothing is loaded yet
        'chest_radiograph'
        >>> encoder.encode(np.zeros((1, 224, 224), np.uint8)).fingerprints.shape
        (1, 128)
    """

    def __init__(self, card: Card, folder: Path, loader: Loader = load_encoder) -> None:
        self.card, self.folder = card, folder
        self._loader = loader

    @property
    def runs_in_workers(self) -> bool:
        """Whether it may be sent to worker processes, each of which opens it for itself."""
        return runs_in_workers(self.card, self.folder)

    @property
    def opened(self) -> Encoder:
        """The encoder itself.

        Raises:
            ModelError: As :func:`load_encoder` raises it.
        """
        key = str(self.folder)
        known = _here.get(key)
        if known is None or known.card != self.card:
            known = _here[key] = self._loader(self.card, self.folder)
        return known

    def open(self) -> None:
        """Loads and checks it now, so that what is wrong with it is said before hours of work.

        Raises:
            ModelError: As :func:`load_encoder` raises it.
        """
        _ = self.opened

    def encode(self, canonical: npt.NDArray[np.uint8]) -> Encoded:
        """See the protocol ``Encoder``."""
        return self.opened.encode(canonical)

    # What only encoders of brains have; see ``leakscan.decide.persons.folds``.

    def placed(self, canonical: npt.NDArray[np.uint8]) -> Any:
        """What :meth:`agreement` needs of one canonical volume."""
        return self.opened.placed(canonical)  # type: ignore[attr-defined]

    def agreement(self, one: Any, other: Any) -> float:
        """How well the folds of two volumes agree once they are aligned to each other, -1..1."""
        return float(self.opened.agreement(one, other))  # type: ignore[attr-defined]


_here: dict[str, Encoder] = {}
"""Encoders that are open in this process, by their folders."""


def encoder_here(folder: str) -> Encoder:
    """The encoder of a folder in a worker; the process that started the worker has checked it.

    Args:
        folder: The folder of its card.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> _, folder = cards()["cxr-lite0"]
        >>> encoder_here(str(folder)).card.name
        'cxr-lite0'
    """
    if folder not in _here:
        _here[folder] = _graph_encoder(read_card(Path(folder)), Path(folder), checked=True)
    return _here[folder]

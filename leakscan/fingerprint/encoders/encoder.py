"""Canonical arrays in, fingerprints out: the ``Encoder`` protocol, and the encoder that needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from leakscan.errors import ModelError, reason
from leakscan.fingerprint.encoders.card import Card, weights_digest
from leakscan.fingerprint.encoders.graph import Graph
from leakscan.fingerprint.preprocess import radiograph

GOLDEN_TOLERANCE = 1e-3
"""Largest cosine distance between a golden fingerprint and the one computed here."""

Tensors = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class Encoded:
    """What an encoder says of a batch.

    Attributes:
        fingerprints: ``(n, dim)`` float32, L2-normalised.
        accepted: ``(n,)`` bool, whether the gate takes the image for one of the encoder's kind.
        quality: ``(n,)`` float32, the gate's logit; higher is more typical of the kind.
    """

    fingerprints: npt.NDArray[np.float32]
    accepted: npt.NDArray[np.bool_]
    quality: npt.NDArray[np.float32]


@dataclass(frozen=True)
class FilmMaps:
    """What the trunk of an encoder of films makes of one film on the way to its fingerprint.

    Attributes:
        fine: ``(1, channels, side / 16, side / 16)`` float32.
        coarse: ``(1, channels, side / 32, side / 32)`` float32.
    """

    fine: npt.NDArray[np.float32]
    coarse: npt.NDArray[np.float32]


class Encoder(Protocol):
    """Turns canonical arrays of one kind into fingerprints.

    ``encode`` is deterministic on one machine and agrees between machines to within
    ``GOLDEN_TOLERANCE``; it takes ``(n, side, side)`` uint8 pictures, or volumes of the shape that the
    preprocessing gives them, and any ``n`` of at least 1.
    """

    card: Card
    folder: Path

    def encode(self, canonical: npt.NDArray[np.uint8]) -> Encoded: ...


class GraphEncoder:
    """An encoder of films whose network runs in ONNX Runtime: on the processor, in float32.

    One film is encoded at a time. That is faster than many at once, whose layers do not fit into the
    processor's cache, and a fingerprint does not depend on the films beside it.

    Args:
        card: The encoder's card.
        folder: The folder that holds the weights that the card names.
        checked: Whether this process, or one that it belongs to, has checked the encoder already.

    Raises:
        ModelError: The weights are missing, damaged, not those of the card, or do not reproduce the
            golden fingerprints.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> encoder = GraphEncoder(*cards()["cxr-lite0"])
        >>> encoder.encode(np.zeros((2, 224, 224), np.uint8)).fingerprints.shape
        (2, 128)
    """

    def __init__(self, card: Card, folder: Path, checked: bool = False) -> None:
        self.card, self.folder = card, folder
        state = read_weights(card, folder, radiograph.VERSION)
        self._graph = Graph(card.architecture, state, folder / card.weights)
        names = ("head.weight", "head.bias", "gate.weight", "gate.bias")
        self._head, self._bias, self._gate, self._gate_bias = (
            np.asarray(state[name], np.float32) if name in state else None for name in names
        )
        if self._head is None or self._bias is None:
            raise ModelError(
                f"{{path}} holds the weights of another network than {card.architecture}.",
                path=folder / card.weights,
            )
        if not checked:
            check_golden(self)

    def encode(self, canonical: npt.NDArray[np.uint8]) -> Encoded:
        """See :class:`Encoder`."""
        return joined([self._encode(film) for film in canonical])

    def features(self, film: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The numbers of one film that the fingerprint and the gate are made from.

        Args:
            film: ``(side, side)`` the canonical film.

        Returns:
            ``(1, f)`` float32.
        """
        return self._run(film)[0]

    def encode_with_maps(self, film: npt.NDArray[np.uint8]) -> tuple[Encoded, FilmMaps | None]:
        """The fingerprint of one film, and the maps that it came from.

        Args:
            film: ``(side, side)`` the canonical film.

        Returns:
            ``None`` for the maps where the network has none that details are read from.

        Example:
            >>> from leakscan.fingerprint.encoders.registry import cards
            >>> _, maps = GraphEncoder(*cards()["cxr-lite0"]).encode_with_maps(np.zeros((224, 224), np.uint8))
            >>> maps.fine.shape, maps.coarse.shape
            ((1, 112, 14, 14), (1, 192, 7, 7))
        """
        features, *maps = self._run(film)
        return self._encoded(features), FilmMaps(*maps) if maps else None

    def maps(self, film: npt.NDArray[np.uint8]) -> FilmMaps:
        """The maps alone, of a network that has them; see :meth:`encode_with_maps`."""
        return FilmMaps(*self._run(film)[1:])

    def _run(self, film: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        return self._graph.run(films=film[None, None].astype(np.float32) / np.float32(255))

    def _encode(self, film: npt.NDArray[np.uint8]) -> Encoded:
        return self._encoded(self.features(film))

    def _encoded(self, features: npt.NDArray[np.float32]) -> Encoded:
        assert self._head is not None and self._bias is not None
        # Summed row by row: a product of matrices may round otherwise on another number of threads.
        raw = (self._head * features[0]).sum(axis=1) + self._bias
        prints = raw / max(float(np.linalg.norm(raw)), 1e-12)
        logit = np.float32(0)
        if self._gate is not None and self._gate_bias is not None:
            pooled = features[0, : len(self._gate)]  # those of places come after them
            logit = np.float32((pooled * self._gate).sum() + self._gate_bias)
        quality = np.array([logit], np.float32)
        return Encoded(prints[None], quality >= self.card.gate_threshold, quality)


def joined(parts: Sequence[Encoded]) -> Encoded:
    """What an encoder says of several batches, as if it had been asked about all at once.

    Example:
        >>> one = Encoded(np.ones((1, 2), np.float32), np.array([True]), np.array([0.5], np.float32))
        >>> joined([one, one]).accepted.tolist()
        [True, True]
    """
    return Encoded(
        np.concatenate([part.fingerprints for part in parts]),
        np.concatenate([part.accepted for part in parts]),
        np.concatenate([part.quality for part in parts]),
    )


def read_weights(card: Card, folder: Path, preprocessing: str) -> Tensors:
    """The tensors that a card names, after checking that they are the right ones.

    Args:
        card: The encoder's card.
        folder: The folder that holds the weights.
        preprocessing: The version that this program computes for the encoder's kind.

    Raises:
        ModelError: The weights are missing, damaged, not those of the card, or need another preprocessing,
            or the card has nothing to check the encoder by.

    Example::

        card, folder = cards()["cxr-lite0"]
        state = read_weights(card, folder, radiograph.VERSION)
    """
    path = folder / card.weights
    try:
        raw = path.read_bytes()
        state = load_safetensors(raw)
    except (OSError, SafetensorError, KeyError) as e:
        raise ModelError(
            f"The weights {{path}} cannot be read: {reason(e)}.", "Add the model again.", path=path
        ) from e
    if weights_digest(raw, card.preprocessing, card.side) != card.digest:
        raise ModelError("{path} is not the file that its card describes (the digests differ).", path=path)
    if card.preprocessing != preprocessing:
        raise ModelError(
            f"{card.name} needs the preprocessing {card.preprocessing}; this leakscan has {preprocessing}."
        )
    if not card.golden:
        raise ModelError(f"The card of {card.name} holds no golden fingerprints to check it by.")
    gate = {f"gate.{name}": np.asarray(value, np.float32) for name, value in card.gate.items()}
    return {**state, **gate}


def check_golden(encoder: Encoder) -> None:
    """Refuses an encoder whose results would not mean what its card says.

    Raises:
        ModelError: The encoder does not reproduce the golden fingerprints of its card.

    Example::

        check_golden(load_encoder(card, folder))  # no error: fingerprints made here mean what the card says
    """
    card = encoder.card
    try:
        inputs = card.golden_inputs()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise ModelError(
            f"The golden inputs of the encoder {card.name} are damaged: {reason(e)}.", "Add the model again."
        ) from e
    found = encoder.encode(inputs).fingerprints
    distance = 1.0 - (found * card.golden_fingerprints()).sum(axis=1)
    if not (distance <= GOLDEN_TOLERANCE).all():
        raise ModelError(
            f"The encoder {card.name} does not reproduce its golden fingerprints here (cosine distance "
            f"{distance.max():.4f}); its results would not mean what its card says."
        )

"""Canonical arrays in, fingerprints out: the ``Encoder`` protocol and its torch implementation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import nn

from leakscan.errors import ModelError, reason
from leakscan.fingerprint.encoders.card import Card, weights_digest
from leakscan.fingerprint.encoders.folding import fold_norms
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, Gate
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.fingerprint.preprocess import radiograph

GOLDEN_TOLERANCE = 1e-3
"""Largest cosine distance between a golden fingerprint and the one computed here."""


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


class Encoder(Protocol):
    """Turns canonical arrays of one kind into fingerprints.

    ``encode`` is deterministic on one machine and agrees between machines to within
    ``GOLDEN_TOLERANCE``; it takes ``(n, side, side)`` uint8 pictures, or volumes of the shape that the
    preprocessing gives them, and any ``n`` of at least 1.
    """

    card: Card
    folder: Path

    def encode(self, canonical: npt.NDArray[np.uint8]) -> Encoded: ...


class TorchEncoder:
    """An encoder whose network is one of ``ARCHITECTURES``.

    Runs on CUDA where there is one; in bfloat16 where the processor computes in it.

    Args:
        card: The encoder's card.
        folder: The folder that holds the weights that the card names.

    Raises:
        ModelError: The weights are missing, damaged, not those of the card, or do not reproduce the
            golden fingerprints.
    """

    def __init__(self, card: Card, folder: Path) -> None:
        self.card, self.folder = card, folder
        state = read_weights(card, folder, radiograph.VERSION)
        gate = {k.removeprefix("gate."): state.pop(k).float() for k in list(state) if k.startswith("gate.")}
        self._gate = Gate(**gate) if gate else None
        if card.architecture not in ARCHITECTURES:
            raise ModelError(f"{card.name} is a {card.architecture}, a network this leakscan does not know.")
        net = ARCHITECTURES[card.architecture](card.dim)
        try:
            net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        except RuntimeError as e:
            raise ModelError(
                f"{{path}} holds the weights of another network than {card.architecture}.",
                path=folder / card.weights,
            ) from e
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        fold_norms(net.eval())
        self._net = net.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self._gate:
            self._gate.to(self._device)
        check_golden(self)

    @torch.inference_mode()
    def encode(self, canonical: npt.NDArray[np.uint8]) -> Encoded:
        """See :class:`Encoder`."""
        batch = torch.from_numpy(canonical).to(self._device)[:, None].float() / 255.0
        batch = batch.contiguous(memory_format=torch.channels_last)
        with low_precision(self._device):
            features = self._net.features(batch)
        features = features.float()
        prints = nn.functional.normalize(self._net.head(features)).cpu().numpy()
        if self._gate is None:
            logits = np.zeros(len(canonical), np.float32)
        else:
            logits = self._gate(features).cpu().numpy()
        return Encoded(prints, logits >= self.card.gate_threshold, logits)


def read_weights(card: Card, folder: Path, preprocessing: str) -> dict[str, torch.Tensor]:
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
    except (OSError, SafetensorError) as e:
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
    return dict(state)


def check_golden(encoder: Encoder) -> None:
    """Refuses an encoder whose results would not mean what its card says.

    Raises:
        ModelError: The encoder does not reproduce the golden fingerprints of its card.

    Example::

        check_golden(load_encoder(card, folder))  # no error: fingerprints made here mean what the card says
    """
    card = encoder.card
    found = encoder.encode(card.golden_inputs()).fingerprints
    distance = 1.0 - (found * card.golden_fingerprints()).sum(axis=1)
    if not (distance <= GOLDEN_TOLERANCE).all():
        raise ModelError(
            f"The encoder {card.name} does not reproduce its golden fingerprints here (cosine distance "
            f"{distance.max():.4f}); its results would not mean what its card says."
        )

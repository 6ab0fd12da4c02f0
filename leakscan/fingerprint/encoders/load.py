"""From a card to a running encoder, whatever its network."""

from __future__ import annotations

from pathlib import Path

from leakscan.fingerprint.encoders.brain import brain_encoder
from leakscan.fingerprint.encoders.brain.brain_encoder import BrainEncoder
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.encoders.encoder import Encoder, TorchEncoder


def load_encoder(card: Card, folder: Path) -> Encoder:
    """Reads the weights of an encoder and checks that it computes what its card says.

    Args:
        card: The encoder's card.
        folder: The folder of the card.

    Returns:
        An encoder whose golden fingerprints came out as its card has them.

    Raises:
        ModelError: The encoder computes something else, or cannot be read.

    Example:
        >>> import numpy as np
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> card, folder = cards()["cxr-lite0"]
        >>> films = np.zeros((1, card.side, card.side), np.uint8)
        >>> load_encoder(card, folder).encode(films).fingerprints.shape
        (1, 128)
    """
    if card.architecture == brain_encoder.ARCHITECTURE:
        return BrainEncoder(card, folder)
    return TorchEncoder(card, folder)

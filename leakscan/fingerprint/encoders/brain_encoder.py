"""The encoder of brain volumes: a :class:`BrainNet` that also tells whether it saw a brain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.brain_net import BrainNet
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.encoders.encoder import Encoded, check_golden, read_weights
from leakscan.fingerprint.preprocess import volume

ARCHITECTURE = "brain_net"
_BATCH = 4  # volumes; a tissue map takes some 20 MB on its way


class BrainEncoder:
    """Volumes in, fingerprints out; see the protocol ``Encoder``.

    What is no brain is told by its tissues: brought to their place, they do not look like the average
    brain. ``quality`` is that correlation, -1..1.

    Args:
        card: of the encoder.
        folder: holds the weights that the card names.

    Raises:
        ModelError: weights are missing, damaged, not those of the card, or do not reproduce the
            golden fingerprints.
    """

    def __init__(self, card: Card, folder: Path) -> None:
        self.card, self.folder = card, folder
        state = {k: v.float() if v.is_floating_point() else v for k, v in _weights(card, folder).items()}
        try:
            self._net = BrainNet(state["template"], card.dim)
            self._net.load_state_dict(state)
        except (KeyError, RuntimeError) as e:
            raise ModelError(f"{folder / card.weights} holds the weights of another network.") from e
        self._net.eval()
        check_golden(self)

    @torch.inference_mode()
    def encode(self, canonical: npt.NDArray[np.uint8]) -> Encoded:
        """See the protocol ``Encoder``; ``canonical`` is ``(n, *SHAPE)``."""
        prints, fits = [], []
        for start in range(0, len(canonical), _BATCH):
            batch = torch.from_numpy(canonical[start : start + _BATCH])[:, None].float() / 255.0
            maps, fit = self._net.aligned(batch)
            prints.append(nn.functional.normalize(self._net.project(maps)).numpy())
            fits.append(fit.numpy())
        quality = np.concatenate(fits)
        return Encoded(np.concatenate(prints), quality >= self.card.gate_threshold, quality)


def _weights(card: Card, folder: Path) -> dict[str, torch.Tensor]:
    return read_weights(card, folder, volume.VERSION)

"""The encoder of films that runs in torch: where there is a GPU, and for networks without a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.encoders.encoder import Encoded, Tensors, check_golden, read_weights
from leakscan.fingerprint.encoders.folding import fold_norms
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, Gate
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.fingerprint.preprocess import radiograph


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
        state = as_tensors(read_weights(card, folder, radiograph.VERSION))
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


def as_tensors(arrays: Tensors) -> dict[str, torch.Tensor]:
    """The weights that a card names, for torch.

    Example::

        state = as_tensors(read_weights(card, folder, radiograph.VERSION))
    """
    return {name: torch.from_numpy(array) for name, array in arrays.items()}

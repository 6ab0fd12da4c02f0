"""The encoder of brain volumes: a :class:`BrainNet` that also tells whether it saw a brain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.brain.brain_net import BrainNet, Placed
from leakscan.fingerprint.encoders.card import BRAIN_NET, Card
from leakscan.fingerprint.encoders.encoder import Encoded, check_golden, read_weights
from leakscan.fingerprint.encoders.folding import fold_norms
from leakscan.fingerprint.encoders.torch_encoder import as_tensors
from leakscan.fingerprint.preprocess import volume

ARCHITECTURE = BRAIN_NET
_BATCH = 4  # volumes; a tissue map takes some 20 MB on its way


class BrainEncoder:
    """Volumes in, fingerprints out; see the protocol ``Encoder``.

    What is no brain shows in its tissues: brought to their place, they do not resemble the average
    brain. ``quality`` is that correlation, -1..1. A volume that fits badly is tried flipped along y,
    z or both, as a wrong header leaves it; one flipped along x, a mirror image, fits as well as it is.

    Args:
        card: The encoder's card.
        folder: The folder that holds the weights that the card names.

    Raises:
        ModelError: The weights are missing, damaged, not those of the card, or do not reproduce the
            golden fingerprints.
    """

    def __init__(self, card: Card, folder: Path) -> None:
        self.card, self.folder = card, folder
        try:
            self._net = brain_net(as_tensors(read_weights(card, folder, volume.VERSION)))
        except (KeyError, RuntimeError) as e:
            raise ModelError(
                "{path} holds the weights of another network.", path=folder / card.weights
            ) from e
        fold_norms(self._net.tissues)
        check_golden(self)

    @property
    def template(self) -> torch.Tensor:
        """The average brain ``(7, x, y, z)``."""
        return self._net.template

    def encode(self, canonical: npt.NDArray[np.uint8]) -> Encoded:
        """See the protocol ``Encoder``; ``canonical`` is ``(n, *SHAPE)``."""
        prints, fits = [], []
        for known, fit in self.aligned(canonical):
            prints.append(self._net.project(known).numpy())
            fits.append(fit.numpy())
        quality = np.concatenate(fits)
        return Encoded(np.concatenate(prints), quality >= self.card.gate_threshold, quality)

    @torch.inference_mode()
    def placed(self, canonical: npt.NDArray[np.uint8]) -> Placed:
        """What :meth:`agreement` needs of one canonical volume ``SHAPE``."""
        return self._net.placed(torch.from_numpy(canonical)[None, None].float() / 255.0)

    @torch.inference_mode()
    def agreement(self, one: Placed, other: Placed) -> float:
        """How well the folds of two volumes agree once they are aligned to each other, -1..1."""
        return self._net.agreement(one, other)

    @torch.inference_mode()
    def aligned(self, canonical: npt.NDArray[np.uint8]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """What the metric sees of ``(n, *SHAPE)``, ``(k, d)``, and its fit ``(k,)``, a few at a time."""
        for start in range(0, len(canonical), _BATCH):
            batch = torch.from_numpy(canonical[start : start + _BATCH])[:, None].float() / 255.0
            yield self._net.upright(batch)


def brain_net(state: Mapping[str, torch.Tensor]) -> BrainNet:
    """A network as it was saved, in float32.

    Half precision may move a voxel over the edge of the average brain, so the sizes saved count.

    Raises:
        KeyError: A tensor is missing.
        RuntimeError: The tensors do not fit together.

    Example::

        net = brain_net(load_file("run/brain.safetensors"))
        net.template.shape  # torch.Size([7, 40, 48, 40]), the average brain
    """
    full = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    first = [full[f"tissues.down.{i}.0.weight"] for i in range(_scales(full))]
    widths = tuple(len(weight) for weight in first)
    net = BrainNet(full["template"], len(full["axes"]), widths, overlooked=len(full["overlook"]))
    net.load_state_dict(full)
    return net.eval()


def _scales(state: Mapping[str, torch.Tensor]) -> int:
    return len({name.split(".")[2] for name in state if name.startswith("tissues.down.")})

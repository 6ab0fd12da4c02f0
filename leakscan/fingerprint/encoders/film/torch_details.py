"""Detail networks in torch: where there is a GPU, and to write the file that they ship in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save

from leakscan.fingerprint.encoders.encoder import FilmMaps, Tensors
from leakscan.fingerprint.encoders.film.detail_grid import as_numbers, at_8_bits
from leakscan.fingerprint.encoders.film.detail_matcher import FORMAT, probe_films
from leakscan.fingerprint.encoders.film.detail_net import DetailNet
from leakscan.fingerprint.encoders.film.graph_details import TRUNK, Floats, states_of
from leakscan.fingerprint.encoders.folding import fold_norms
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.fingerprint.preprocess import radiograph


class TorchDetails:
    """A :class:`~leakscan.fingerprint.encoders.film.graph_details.DetailRunner` in torch.

    Args:
        state: The tensors of one network.

    Raises:
        RuntimeError: They are those of another network.
    """

    def __init__(self, state: Tensors) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._net = detail_net(state).eval()
        fold_norms(self._net.trunk)
        self._net.to(self._device)
        self._net.trunk.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def describe(self, films: npt.NDArray[np.uint8]) -> Floats:
        """The details of films ``(n, SIDE, SIDE)``."""
        batch = torch.from_numpy(films).to(self._device)[:, None].float() / 255.0
        with low_precision(self._device):
            fine, coarse = self._net.maps(batch.contiguous(memory_format=torch.channels_last))
        return np.asarray(self._net.details(fine, coarse).float().cpu().numpy())

    @torch.inference_mode()
    def of_maps(self, maps: FilmMaps) -> Floats:
        """The details of one film, from the maps of its trunk."""
        fine, coarse = (torch.from_numpy(x).to(self._device) for x in (maps.fine, maps.coarse))
        return np.asarray(self._net.details(fine, coarse).cpu().numpy())

    @torch.inference_mode()
    def compare(self, a: Floats, b: Floats) -> Floats:
        """How well the details of pairs agree, as logits ``(n,)``."""
        one, other = (torch.from_numpy(x).to(self._device) for x in (a, b))
        return np.asarray(self._net.compare(one, other).cpu().numpy())


def detail_net(state: Tensors) -> DetailNet:
    """A network as it was saved, in float32.

    Raises:
        RuntimeError: The tensors are those of another network.

    Example::

        net = detail_net(states_of(load_file(folder / FILE))[0])
    """
    net = DetailNet()
    tensors = {name: torch.from_numpy(np.asarray(array)) for name, array in state.items()}
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    return net


def save_detail_matcher(nets: Sequence[DetailNet], path: Path) -> None:
    """Writes networks in float16, with what they find of a probe in float32.

    Args:
        nets: The trained networks, one or more.
        path: The file to write.

    Example::

        save_detail_matcher([first, second], folder / FILE)  # two networks, taught apart
        FilmDetailMatcher(folder / FILE).describe(films).shape  # (n, 2, places, DETAIL_DIM)
    """
    state: dict[str, torch.Tensor] = {}
    before: dict[str, torch.Tensor] = {}
    for i, net in enumerate(nets):
        own = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in net.state_dict().items()}
        trunk = {k: v for k, v in own.items() if k.startswith(TRUNK)}
        if before and all(torch.equal(v, before[k]) for k, v in trunk.items()):
            own = {k: v for k, v in own.items() if k not in trunk}  # written once
        before = trunk
        state |= {f"{i}.{k}": v for k, v in own.items()}
    films = torch.from_numpy(probe_films())[:, None].float() / 255.0
    found = []
    with torch.inference_mode():
        for rounded in map(detail_net, states_of({name: v.numpy() for name, v in state.items()})):
            details = torch.from_numpy(as_numbers(at_8_bits(rounded.eval().describe(films).numpy())))
            found.append(float(rounded.compare(details[:1], details[1:])[0]))
    probe = round(float(np.mean(found)), 4)
    about = {"format": FORMAT, "preprocessing": radiograph.VERSION, "probe": probe}
    path.write_bytes(save(state, {"leakscan": json.dumps(about)}))

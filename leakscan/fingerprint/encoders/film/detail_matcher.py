"""Reads and runs the detail networks that ship with a chest encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from blake3 import blake3
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from safetensors.torch import save

from leakscan.errors import ModelError, reason
from leakscan.fingerprint.encoders.film.detail_net import SIDE, DetailNet
from leakscan.fingerprint.encoders.folding import fold_norms
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.fingerprint.preprocess import radiograph

FILE = "detail.safetensors"
"""The name of the file with an encoder's detail networks, beside its card."""

_FORMAT = 2
_TOLERANCE = 0.05
"""Largest difference, in nats, between the probe's logit in the file and the one computed here."""
_PAIRS_AT_ONCE = 128  # some 100 MB


class FilmDetailMatcher:
    """Describes the details of chest films, and says of pairs how well their details agree.

    Several networks, taught apart, may work side by side; the mean of their logits counts (a deep
    ensemble, arXiv 1612.01474). It runs on CUDA where there is one.

    Args:
        path: A file made by :func:`save_detail_matcher`.

    Raises:
        ModelError: The file is damaged, of another format or preprocessing, or does not compute here what
            it says.
    """

    side = SIDE

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            raw = path.read_bytes()
            with safe_open(path, "numpy") as f:
                about = json.loads((f.metadata() or {})["leakscan"])
            self._nets = _networks(load_safetensors(raw))
            made_for, probe = (about["format"], about["preprocessing"]), float(about["probe"])
        except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as e:
            raise ModelError(
                f"The detail networks {{path}} cannot be read: {reason(e)}.",
                "Add the model again.",
                path=path,
            ) from e
        if made_for != (_FORMAT, radiograph.VERSION):
            raise ModelError(
                f"{{path}} needs format {made_for[0]} and the preprocessing {made_for[1]}; this leakscan has "
                f"{_FORMAT} and {radiograph.VERSION}.",
                path=path,
            )
        self.digest = blake3(raw).hexdigest()[:12]
        """What remembered detail matches and calibrations name these networks by."""
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        for net in self._nets:
            fold_norms(net.eval().trunk)
            net.to(self._device)
            net.trunk.to(memory_format=torch.channels_last)
        found = self._probe()
        if not abs(found - probe) <= _TOLERANCE:
            raise ModelError(
                f"The detail networks {{path}} do not compute here what they should ({found:.3f} instead of "
                f"{probe:.3f}); their findings would not mean what the calibration says.",
                path=path,
            )

    @property
    def networks(self) -> tuple[DetailNet, ...]:
        """The networks as they were taught; those that work here have their normalisations folded."""
        return tuple(_networks(load_safetensors(self.path.read_bytes())))

    @torch.inference_mode()
    def describe(self, canonical: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
        """The details of films, 28 kB a film and network.

        Args:
            canonical: Canonical radiographs ``(n, side, side)``.

        Returns:
            The details ``(n, networks, places, DETAIL_DIM)``.
        """
        films = torch.from_numpy(canonical).to(self._device)[:, None].float() / 255.0
        films = films.contiguous(memory_format=torch.channels_last)
        details = []
        for net in self._nets:
            with low_precision(self._device):
                fine, coarse = net.maps(films)
            details.append(net.details(fine, coarse).half())
        return torch.stack(details, dim=1).cpu().numpy()

    @torch.inference_mode()
    def compare(self, a: npt.NDArray[np.float16], b: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        """How well the details of pairs agree, as logits ``(n,)``: higher for one person, uncalibrated.

        (a, b) and (b, a) agree up to rounding: whoever wants them equal gives a pair one order.

        Args:
            a: The details of one film of each pair, ``(n, networks, places, DETAIL_DIM)``.
            b: Those of the other film.
        """
        out = [
            self._mean(*(torch.from_numpy(x[at : at + _PAIRS_AT_ONCE]).to(self._device) for x in (a, b)))
            for at in range(0, len(a), _PAIRS_AT_ONCE)
        ]
        return torch.cat(out).cpu().numpy() if out else np.zeros(0, np.float32)

    def _mean(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        found = [net.compare(a[:, i].float(), b[:, i].float()) for i, net in enumerate(self._nets)]
        return torch.stack(found).mean(dim=0)

    def _probe(self) -> float:
        details = self.describe(_probe_films())
        return float(self.compare(details[:1], details[1:])[0])


def load_detail_matcher(folder: Path) -> FilmDetailMatcher | None:
    """The detail networks of an encoder, ``None`` where it has none.

    Args:
        folder: The encoder's folder.

    Raises:
        ModelError: The file is one that :class:`FilmDetailMatcher` refuses.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> _, folder = cards()["cxr-lite0"]
        >>> matcher = load_detail_matcher(folder)
        >>> details = matcher.describe(np.zeros((2, SIDE, SIDE), np.uint8))
        >>> matcher.compare(details[:1], details[1:]).shape
        (1,)
    """
    path = folder / FILE
    return FilmDetailMatcher(path) if path.is_file() else None


def save_detail_matcher(nets: Sequence[DetailNet], path: Path) -> None:
    """Writes networks in float16, with what they find of a probe in float32.

    Args:
        nets: The trained networks, one or more.
        path: The file to write.

    Example::

        save_detail_matcher([first, second], folder / FILE)  # two networks, taught apart
        FilmDetailMatcher(folder / FILE).describe(films).shape  # (n, 2, places, DETAIL_DIM)
    """
    state = {
        f"{i}.{k}": v.half().contiguous() if v.is_floating_point() else v
        for i, net in enumerate(nets)
        for k, v in net.state_dict().items()
    }
    films = torch.from_numpy(_probe_films())[:, None].float() / 255.0
    found = []
    with torch.inference_mode():
        for rounded in _networks(state):
            details = rounded.eval().describe(films).half().float()
            found.append(float(rounded.compare(details[:1], details[1:])[0]))
    probe = round(float(np.mean(found)), 4)
    about = {"format": _FORMAT, "preprocessing": radiograph.VERSION, "probe": probe}
    path.write_bytes(save(state, {"leakscan": json.dumps(about)}))


def _networks(state: Mapping[str, torch.Tensor]) -> list[DetailNet]:
    """Networks of the tensors ``0.NAME``, ``1.NAME`` and so on."""
    numbers = sorted({int(k.partition(".")[0]) for k in state})
    nets = []
    for number in numbers:
        net = DetailNet()
        own = {k.partition(".")[2]: v for k, v in state.items() if k.startswith(f"{number}.")}
        net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in own.items()})
        nets.append(net)
    if not nets:
        raise ValueError("it holds no network")
    return nets


def _probe_films() -> npt.NDArray[np.uint8]:
    """Two drawn pictures ``(2, SIDE, SIDE)`` with the rough layout of a chest film."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    out = []
    for tilt in (0.0, 0.1):
        lungs = sum(np.exp(-(((x - c) / 0.13) ** 2 + ((y - 0.45) / 0.28) ** 2)) for c in (0.28, 0.72))
        ribs = 0.12 * np.sin(2 * np.pi * 10.0 * (y + tilt * x + 0.3 * (x - 0.5) ** 2))
        film = np.exp(-(((x - 0.5) / 0.45) ** 4)) * (0.75 + ribs) - 0.5 * lungs
        out.append(np.clip(film * 255, 0, 255))
    return np.stack(out).astype(np.uint8)

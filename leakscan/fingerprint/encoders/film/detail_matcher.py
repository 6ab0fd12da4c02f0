"""Reads and runs the detail networks that ship with a chest encoder."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as load_safetensors

from leakscan.errors import ModelError, reason
from leakscan.fingerprint.encoders.encoder import FilmMaps, GraphEncoder, Tensors
from leakscan.fingerprint.encoders.film.detail_grid import SIDE, Details, as_numbers, at_8_bits
from leakscan.fingerprint.encoders.film.graph_details import (
    DetailRunner,
    Floats,
    GraphDetails,
    encoder_below,
    has_graphs,
    states_of,
)
from leakscan.fingerprint.preprocess import radiograph

if TYPE_CHECKING:
    from leakscan.fingerprint.encoders.film.detail_net import DetailNet

FILE = "detail.safetensors"
"""The name of the file with an encoder's detail networks, beside its card."""

FORMAT = 4
_TOLERANCE = 0.05
"""Largest difference, in nats, between the probe's logit in the file and the one computed here."""
_PAIRS_AT_ONCE = 16  # what fits into a processor's cache


class FilmDetailMatcher:
    """Describes the details of chest films, and says of pairs how well their details agree.

    Several networks, taught apart, may work side by side; the mean of their logits counts (a deep
    ensemble, arXiv 1612.01474). It runs on CUDA where there is one.

    Args:
        path: A file made by :func:`~leakscan.fingerprint.encoders.film.torch_details.save_detail_matcher`.
        checked: Whether another process of this machine has seen that it computes what it says.

    Raises:
        ModelError: The file is damaged, of another format or preprocessing, or does not compute here what
            it says.
    """

    side = SIDE

    def __init__(self, path: Path, checked: bool = False) -> None:
        self.path = path
        try:
            raw = path.read_bytes()
            with safe_open(path, "numpy") as f:
                about = json.loads((f.metadata() or {})["leakscan"])
            self.states = states_of(load_safetensors(raw))
            made_for, probe = (about["format"], about["preprocessing"]), float(about["probe"])
        except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as e:
            raise ModelError(
                f"The detail networks {{path}} cannot be read: {reason(e)}.",
                "Add the model again.",
                path=path,
            ) from e
        if made_for != (FORMAT, radiograph.VERSION):
            raise ModelError(
                f"{{path}} needs format {made_for[0]} and the preprocessing {made_for[1]}; this leakscan has "
                f"{FORMAT} and {radiograph.VERSION}.",
                path=path,
            )
        self.digest = blake3(raw).hexdigest()[:12]
        """What remembered detail matches and calibrations name these networks by."""
        self.encoder = encoder_below(path.parent, self.states, checked)
        """The encoder beside the file, where all networks go on from its maps; ``None`` elsewhere."""
        self._runners = [self._runner(state) for state in self.states]
        found = probe if checked else self._probe()
        if not abs(found - probe) <= _TOLERANCE:
            raise ModelError(
                f"The detail networks {{path}} do not compute here what they should ({found:.3f} instead of "
                f"{probe:.3f}); their findings would not mean what the calibration says.",
                path=path,
            )

    @property
    def networks(self) -> tuple[DetailNet, ...]:
        """The networks as they were taught, for torch."""
        from leakscan.fingerprint.encoders.film.torch_details import detail_net

        return tuple(detail_net(state) for state in self.states)

    @property
    def for_workers(self) -> Path | None:
        """The file for :func:`matcher_here`; ``None`` where films are described in this process."""
        if not has_graphs():
            return None
        _here[str(self.path)] = self
        return self.path

    def describe(self, canonical: npt.NDArray[np.uint8]) -> Details:
        """The details of films, 19 kB a film and network.

        Args:
            canonical: Canonical radiographs ``(n, side, side)``.

        Returns:
            The details ``(n, networks, places, DETAIL_DIM)``.
        """
        if self.encoder is not None:
            return np.concatenate([self.of_maps(self.encoder.maps(film)) for film in canonical])
        return at_8_bits(np.stack([runner.describe(canonical) for runner in self._runners], axis=1))

    def of_maps(self, maps: FilmMaps) -> Details:
        """The details of one film, ``(1, networks, places, DETAIL_DIM)``, for a fraction of the time.

        Args:
            maps: What :attr:`encoder` made of the film.
        """
        return at_8_bits(np.stack([runner.of_maps(maps) for runner in self._runners], axis=1))

    def compare(self, a: Details, b: Details) -> Floats:
        """How well the details of pairs agree, as logits ``(n,)``: higher for one person, uncalibrated.

        (a, b) and (b, a) agree up to rounding: whoever wants them equal gives a pair one order.

        Args:
            a: The details of one film of each pair, ``(n, networks, places, DETAIL_DIM)``.
            b: Those of the other film.
        """
        out = [
            np.mean([r.compare(x[:, i], y[:, i]) for i, r in enumerate(self._runners)], axis=0)
            for at in range(0, len(a), _PAIRS_AT_ONCE)
            for x, y in ([as_numbers(side[at : at + _PAIRS_AT_ONCE]) for side in (a, b)],)
        ]
        return np.concatenate(out).astype(np.float32) if out else np.zeros(0, np.float32)

    def _runner(self, state: Tensors) -> DetailRunner:
        if has_graphs():
            return GraphDetails(state, self.path)
        from leakscan.fingerprint.encoders.film.torch_details import TorchDetails

        try:
            return TorchDetails(state)
        except RuntimeError as e:
            raise ModelError("{path} holds the weights of other networks.", path=self.path) from e

    def _probe(self) -> float:
        details = self.describe(probe_films())
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


class DeferredMatcher:
    """Detail networks that are loaded, and checked, when the first film is at hand.

    Args:
        path: The file of the networks.

    Raises:
        ModelError: It cannot be read.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> matcher = DeferredMatcher(cards()["cxr-lite0"][1] / FILE)
        >>> len(matcher.digest)  # nothing is loaded yet
        12
    """

    side = SIDE

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.digest = blake3(path.read_bytes()).hexdigest()[:12]
        except OSError as e:
            raise ModelError(
                f"The detail networks {{path}} cannot be read: {reason(e)}.",
                "Add the model again.",
                path=path,
            ) from e

    @cached_property
    def opened(self) -> FilmDetailMatcher:
        """The networks themselves.

        Raises:
            ModelError: The file is one that :class:`FilmDetailMatcher` refuses.
        """
        return FilmDetailMatcher(self.path)

    @property
    def for_workers(self) -> Path | None:
        """The file for :func:`matcher_here`, once it is checked; ``None`` where films are described here.

        Raises:
            ModelError: The file is one that :class:`FilmDetailMatcher` refuses.
        """
        return self.opened.for_workers

    @property
    def encoder(self) -> GraphEncoder | None:
        """See :class:`FilmDetailMatcher`."""
        return self.opened.encoder

    def describe(self, canonical: npt.NDArray[np.uint8]) -> Details:
        """See :class:`FilmDetailMatcher`."""
        return self.opened.describe(canonical)

    def compare(self, a: Details, b: Details) -> Floats:
        """See :class:`FilmDetailMatcher`."""
        return self.opened.compare(a, b)


_here: dict[str, FilmDetailMatcher] = {}
"""Detail networks that are open in this process, by their files."""


def matcher_here(path: Path) -> FilmDetailMatcher:
    """The detail networks of a file in a worker; the process that started the worker has checked them.

    Args:
        path: The file.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> path = cards()["cxr-lite0"][1] / FILE
        >>> matcher_here(path) is matcher_here(path)
        True
    """
    if str(path) not in _here:
        _here[str(path)] = FilmDetailMatcher(path, checked=True)
    return _here[str(path)]


def probe_films() -> npt.NDArray[np.uint8]:
    """Two drawn pictures ``(2, SIDE, SIDE)`` with the rough layout of a chest film.

    Example:
        >>> probe_films().shape
        (2, 224, 224)
    """
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    out = []
    for tilt in (0.0, 0.1):
        lungs = sum(np.exp(-(((x - c) / 0.13) ** 2 + ((y - 0.45) / 0.28) ** 2)) for c in (0.28, 0.72))
        ribs = 0.12 * np.sin(2 * np.pi * 10.0 * (y + tilt * x + 0.3 * (x - 0.5) ** 2))
        film = np.exp(-(((x - 0.5) / 0.45) ** 4)) * (0.75 + ribs) - 0.5 * lungs
        out.append(np.clip(film * 255, 0, 255))
    return np.stack(out).astype(np.uint8)

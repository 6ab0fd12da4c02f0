"""The encoder of brain volumes that needs no torch: its tissue network runs in ONNX Runtime.

What it computes is what :class:`.brain_net.BrainNet` computes, which is taught in torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.brain.lines import beyond_average, edge_tensors
from leakscan.fingerprint.encoders.brain.placing import AverageBrain, Pose, halved_maps, resample, settle
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.encoders.encoder import Encoded, Tensors, check_golden, read_weights
from leakscan.fingerprint.encoders.graph import Graph
from leakscan.fingerprint.preprocess import volume
from leakscan.fingerprint.preprocess.head import may_be_a_head
from leakscan.fingerprint.preprocess.volume import STEP_MM

Floats = npt.NDArray[np.float32]

MAP_MM = 2 * STEP_MM
"""Edge of a voxel of the aligned maps."""
_BRAIN = 0.5
_AIR = 0.02
_FLIPS = ((1,), (2,), (1, 2))  # back to front, upside down, both; a mirror image fits as well as it is
_SURE = 0.8
_LEAST_HEAD = 0.4  # below it a volume is not turned: heads that lie wrong have 0.51 and more
_FOLDS_COUNT = 16.0


@dataclass(frozen=True, kw_only=True)
class PlacedArrays:
    """One volume in the place of the average brain.

    Attributes:
        volume: The volume ``SHAPE`` in 0..1, upright, where it was.
        pose: The pose ``(4, 4)`` that brings it to that place.
        edges: Its edge tensors there, ``(6, x, y, z)`` on ``MAP_MM``.
        seen: Where it shows more than air, ``(x, y, z)`` 0..1.
        tissues: Its tissue shares in the average brain, ``(7 v,)``.
        fit: How well these fit the average brain, -1..1.
    """

    volume: Floats
    pose: Pose
    edges: Floats
    seen: Floats
    tissues: Floats
    fit: float


class GraphBrainEncoder:
    """Volumes in, fingerprints out, one volume at a time; see the protocol ``Encoder``.

    What is no brain shows in its tissues: brought to their place, they do not resemble the average brain.
    ``quality`` is that correlation, -1..1. What does not even have the size and build of a head
    (:func:`~leakscan.fingerprint.preprocess.head.may_be_a_head`) is refused before the network sees it, with
    a quality of -1. A head that fits badly is tried flipped along y, z or both, as a wrong header leaves it.

    Args:
        card: The encoder's card.
        folder: The folder that holds the weights that the card names.
        checked: Whether this process, or one that it belongs to, has checked the encoder already.

    Raises:
        ModelError: The weights are missing, damaged, not those of the card, or do not reproduce the golden
            fingerprints.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> encoder = GraphBrainEncoder(*cards()["brain-folds"])
        >>> encoder.encode(encoder.card.golden_inputs()[:1]).fingerprints.shape
        (1, 4224)
    """

    def __init__(self, card: Card, folder: Path, checked: bool = False) -> None:
        self.card, self.folder = card, folder
        state = read_weights(card, folder, volume.VERSION)
        tissues = {n.removeprefix("tissues."): t for n, t in state.items() if n.startswith("tissues.")}
        self._graph = Graph("tissue_net", tissues, folder / card.weights)
        try:
            self._net = _Metric(state, card.dim)
        except (KeyError, ValueError) as e:
            raise ModelError(
                "{path} holds the weights of another network.", path=folder / card.weights
            ) from e
        if not checked:
            check_golden(self)

    def encode(self, canonical: npt.NDArray[np.uint8]) -> Encoded:
        """See the protocol ``Encoder``; ``canonical`` is ``(n, *SHAPE)``."""
        prints = np.zeros((len(canonical), self.card.dim), np.float32)
        quality = np.full(len(canonical), -1.0, np.float32)
        for i, one in enumerate(canonical):
            if may_be_a_head(one):
                placed = self.placed(one)
                prints[i], quality[i] = self._net.project(placed), placed.fit
        accepted = (quality >= self.card.gate_threshold) & (quality > -1.0)
        return Encoded(prints, accepted, quality)

    def placed(self, canonical: npt.NDArray[np.uint8]) -> PlacedArrays:
        """What :meth:`agreement` needs of one canonical volume ``SHAPE``."""
        grey = canonical.astype(np.float32) / np.float32(255)
        found = self._placed(grey)
        if _LEAST_HEAD <= found.fit < _SURE:
            for axes in _FLIPS:
                turned = self._placed(np.flip(grey, axes).copy())
                if turned.fit >= _SURE:
                    return turned
        return found

    def agreement(self, one: PlacedArrays, other: PlacedArrays) -> float:
        """How well the folds of two volumes agree once they are aligned to each other, -1..1.

        Only places that both scans show count.
        """
        net = self._net
        pose = other.pose @ settle(other.edges, other.seen, one.edges, net.average.inside, MAP_MM)
        there = resample(other.volume[None], pose, STEP_MM)[0]
        shared = np.broadcast_to(one.seen * _seen(there), one.edges.shape)[:, net.average.inside].ravel()
        a = net.lines(one.edges) * shared
        b = net.lines(net.edges_of(there)) * shared
        return float(a @ b) / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-8)

    def _placed(self, grey: Floats) -> PlacedArrays:
        net, average = self._net, self._net.average
        (shares,) = self._graph.run(volumes=np.ascontiguousarray(grey)[None, None])
        maps = shares[0]
        pose = average.pose_of(maps)
        if average.edges is not None:
            there = resample(grey[None], pose, STEP_MM)[0]
            pose = pose @ average.settled(net.edges_of(there), _seen(there))
        placed = resample(maps, pose, MAP_MM)
        there = resample(grey[None], pose, STEP_MM)[0]
        return PlacedArrays(
            volume=grey,
            pose=pose,
            edges=net.edges_of(there),
            seen=_seen(there),
            tissues=placed[:, average.inside].ravel(),
            fit=average.fit(placed),
        )


class _Metric:
    """What is known of brains: the average one, and the directions in which people differ.

    Args:
        state: The tensors of a :class:`.brain_net.BrainNet`.
        dim: The length of its fingerprints.

    Raises:
        KeyError: A tensor is missing.
        ValueError: They do not fit together.
    """

    def __init__(self, state: Tensors, dim: int) -> None:
        full = {n: np.asarray(t, np.float32) for n, t in state.items() if not n.startswith("tissues.")}
        self.average = AverageBrain(full["template"], full["edges"], MAP_MM)
        self._brain = full["template"].sum(axis=0) > _BRAIN
        self._axes, self._overlook = full["axes"], full["overlook"]
        places = int(self.average.inside.sum())
        tissues = len(full["template"]) * places
        self._mean_tissues, self._mean_edges = full["mean"][:tissues], full["mean"][tissues:]
        self._bins, self._signs = np.asarray(state["bins"], np.int64), full["signs"]
        self._folds = dim - len(self._axes)
        if self._axes.shape[1] != tissues or len(self._mean_edges) != 6 * places:
            raise ValueError("the tensors do not fit together")

    def edges_of(self, placed: Floats) -> Floats:
        """Edge tensors ``(6, x, y, z)`` on ``MAP_MM`` of a volume in its place."""
        return edge_tensors(placed, self._brain)

    def lines(self, edges: Floats) -> Floats:
        """The lines of the folds ``(6 v,)`` beyond the average, less what scans of one person differ in."""
        own = beyond_average(edges[:, self.average.inside].ravel(), self._mean_edges)
        return np.asarray(own - (self._overlook @ own) @ self._overlook, np.float32)

    def project(self, placed: PlacedArrays) -> Floats:
        """The fingerprint ``(dim,)`` of length 1."""
        left = _unit(self._axes @ (placed.tissues - self._mean_tissues))
        # Sums of random signs in random bins, as :class:`.brain_net.BrainNet` explains.
        right = _unit(np.bincount(self._bins, self.lines(placed.edges) * self._signs, self._folds))
        joined = np.concatenate([left, math.sqrt(_FOLDS_COUNT) * right]) / math.sqrt(1 + _FOLDS_COUNT)
        return np.asarray(joined, np.float32)


def _unit(values: npt.NDArray[Any]) -> Floats:
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-12), np.float32)


def _seen(placed: Floats) -> Floats:
    """Where a volume ``(x, y, z)`` shows more than air, on ``MAP_MM``, with the neighbours of each block."""
    shown = halved_maps((placed > _AIR).astype(np.float32)[None])[0]
    counted = ndimage.uniform_filter(np.ones_like(shown), 3, mode="constant")
    return np.asarray(ndimage.uniform_filter(shown, 3, mode="constant") / counted, np.float32)

"""The systems that are measured beside each other: encoders as users run them, and plain baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.errors import ModelError, UsageError
from leakscan.evaluation.brain_baselines import brain_baselines
from leakscan.evaluation.labelled_images import VOLUMES, LabelledImage, PreparedImage, image_preparer
from leakscan.evaluation.systems import Role, System, Vectors
from leakscan.fingerprint.encoders.brain.brain_encoder import BrainEncoder
from leakscan.fingerprint.encoders.card import BRAIN_NET, Card
from leakscan.fingerprint.encoders.encoder import Encoder
from leakscan.fingerprint.encoders.imagenet import imagenet_weights
from leakscan.fingerprint.encoders.load import load_encoder
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, EfficientNetLite0
from leakscan.fingerprint.encoders.registry import cards
from leakscan.settings import DecodeOptions
from leakscan.types import Engine, Kind, Progress

MakeBaselines = Callable[[Sequence[Encoder]], list[System]]

_BATCH = 64
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What all systems made of all images.

    Attributes:
        kept: The positions of the images that could be read.
        unread: ``(path, sentence)`` of the others.
        images: The images that were kept, without their pixels.
        plain: System -> ``(n, d)`` float32.
        reduced: System -> ``(n, d)`` float32, of the films reduced to 128 px; empty for volumes.
        accepted: System -> ``(n,)`` bool, whether its gate takes the image for one of its kind.
    """

    kept: tuple[int, ...]
    unread: tuple[tuple[str, str], ...]
    images: tuple[PreparedImage, ...]
    plain: dict[str, Vectors]
    reduced: dict[str, Vectors]
    accepted: dict[str, npt.NDArray[np.bool_]]


def systems_for(kind: Kind, encoders: Sequence[str], baselines: bool) -> list[System]:
    """The encoders of a kind, and baselines of the same shape.

    Args:
        kind: The kind of the images.
        encoders: Names of encoders; every encoder of the kind if empty.
        baselines: Whether to add pHash, untrained networks, and ImageNet features where the package
            with their weights is installed.

    Raises:
        ModelError: A name is unknown, or there is no encoder for the kind.
        UsageError: A named encoder is for another kind, or a baseline needs a package that is not
            installed.

    Example::

        systems = systems_for("chest_radiograph", ["cxr-lite0"], baselines=True)
        [system.role for system in systems]  # ['encoder', 'untrained', 'imagenet', 'phash']
    """
    chosen = _chosen(kind, encoders)
    loaded = [load_encoder(card, folder) for card, folder in chosen]
    systems: list[System] = [EncoderSystem(encoder) for encoder in loaded]
    for make in (VOLUME_BASELINES if kind in VOLUMES else FILM_BASELINES) if baselines else ():
        systems += make(loaded)
    return systems


def embed_images(
    labelled: Sequence[LabelledImage],
    systems: Sequence[System],
    kind: Kind,
    engine: Engine,
    options: DecodeOptions,
    progress: Progress,
) -> Embedded:
    """Decodes every image once and puts it through every system; pictures are dropped as they go.

    Args:
        labelled: The images.
        systems: The systems to put them through.
        kind: The kind of the images.
        engine: Runs the decoding.
        options: The limits for reading.
        progress: Receives how far the work is.

    Example::

        films, left = list_images(Path("films.csv"), "test", "chest_radiograph", options, progress)
        systems = systems_for("chest_radiograph", [], baselines=False)
        embedded = embed_images(films, systems, "chest_radiograph", start_engine(None), options, progress)
        embedded.plain[systems[0].name].shape  # (images that could be read, numbers of a fingerprint)
    """
    sides = tuple(sorted({system.side for system in systems if system.side}))
    kept: list[int] = []
    unread: list[tuple[str, str]] = []
    without_pixels: list[PreparedImage] = []
    batch: list[PreparedImage] = []
    found: dict[tuple[str, bool], list[Vectors]] = {(s.name, r): [] for s in systems for r in (False, True)}
    sizes = (False,) if kind in VOLUMES else (False, True)
    taken: dict[str, list[npt.NDArray[np.bool_]]] = {s.name: [] for s in systems}

    def flush() -> None:
        for system in systems if batch else ():
            for small in sizes:
                vectors, accepted = system.vectors(batch, small)
                found[system.name, small].append(vectors)
                if not small:
                    taken[system.name].append(accepted)
        without_pixels.extend(replace(image, canonical={}, reduced={}) for image in batch)
        batch.clear()

    progress.start("Reading and encoding", len(labelled))
    for i, image in enumerate(engine.map(image_preparer(sides, options), labelled)):
        if image.error:
            unread.append((labelled[i].ref.path, image.error))
        else:
            kept.append(i)
            batch.append(image)
        if len(batch) == _BATCH:
            flush()
        progress.advance()
    flush()
    progress.finish()

    def joined(small: bool) -> dict[str, Vectors]:
        return {s.name: np.concatenate(found[s.name, small]) for s in systems if found[s.name, small]}

    accepted = {name: np.concatenate(parts) for name, parts in taken.items() if parts}
    return Embedded(
        kept=tuple(kept),
        unread=tuple(unread),
        images=tuple(without_pixels),
        plain=joined(False),
        reduced=joined(True),
        accepted=accepted,
    )


class EncoderSystem:
    """An installed encoder, its fingerprints rounded as a store holds them; a :class:`System`.

    Args:
        encoder: The encoder.
    """

    role: Role = "encoder"

    def __init__(self, encoder: Encoder) -> None:
        self.name, self.side, self.folder = encoder.card.encoder, encoder.card.side, encoder.folder
        self._encoder = encoder

    def vectors(
        self, images: Sequence[PreparedImage], reduced: bool
    ) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """See :class:`System`."""
        encoded = self._encoder.encode(_pictures(images, self.side, reduced))
        return encoded.fingerprints.astype(np.float16).astype(np.float32), encoded.accepted


class UntrainedSystem:
    """A network with random weights (seed 0). A :class:`System`.

    Its batch normalisation takes its statistics from the first films that it sees. With the statistics
    that it is built with, the activations of a deep network fade to nothing, and every film gives the same
    vector.
    """

    role: Role = "untrained"

    def __init__(self, name: str, architecture: str, dim: int, side: int) -> None:
        self.name, self.side = name, side
        with torch.random.fork_rng():
            torch.manual_seed(_SEED)
            self._net = ARCHITECTURES[architecture](dim)
        self._fitted = False

    @torch.no_grad()
    def vectors(
        self, images: Sequence[PreparedImage], reduced: bool
    ) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """See :class:`System`."""
        batch = _tensor(_pictures(images, self.side, reduced))
        if not self._fitted:
            self._fit(batch)
        return _unit(self._net(batch)), np.ones(len(images), bool)

    def _fit(self, batch: torch.Tensor) -> None:
        for layer in self._net.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.momentum = None  # the plain average of what is seen, which is one batch
                layer.reset_running_stats()
        self._net.train()(batch if len(batch) > 1 else batch.repeat(2, 1, 1, 1))
        self._net.eval()
        self._fitted = True


class ImageNetSystem:
    """Pooled features of an EfficientNet-Lite0 trained on ImageNet. A :class:`System`."""

    role: Role = "imagenet"

    def __init__(self, state: dict[str, torch.Tensor], side: int) -> None:
        self.name, self.side = "ImageNet efficientnet_lite0", side
        self._net = EfficientNetLite0().eval()
        self._net.load_imagenet(state)

    @classmethod
    def load(cls, side: int) -> ImageNetSystem | None:
        """``None`` where the package with the weights is not installed."""
        state = imagenet_weights()
        return None if state is None else cls(state, side)

    @torch.inference_mode()
    def vectors(
        self, images: Sequence[PreparedImage], reduced: bool
    ) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """See :class:`System`."""
        features = self._net.features(_tensor(_pictures(images, self.side, reduced)))
        return _unit(features), np.ones(len(images), bool)


class PHashSystem:
    """leakscan's perceptual hash as signs, so that similarity falls with the Hamming distance."""

    name, side = "pHash", 0
    role: Role = "phash"

    def vectors(
        self, images: Sequence[PreparedImage], reduced: bool
    ) -> tuple[Vectors, npt.NDArray[np.bool_]]:
        """See :class:`System`."""
        hashes = np.array([image.phash[int(reduced)] for image in images], np.uint64)
        return _phash_signs(hashes), np.ones(len(images), bool)


def _untrained(encoders: Sequence[Encoder]) -> list[System]:
    """A network of every shape that the encoders have."""
    shapes = sorted({(e.card.architecture, e.card.dim, e.card.side) for e in encoders})
    once = len({architecture for architecture, _, _ in shapes}) == len(shapes)
    return [
        UntrainedSystem(
            f"untrained {architecture}" + ("" if once else f" at {side} px"), architecture, dim, side
        )
        for architecture, dim, side in shapes
    ]


def _imagenet(encoders: Sequence[Encoder]) -> list[System]:
    """ImageNet features at the largest side of the encoders of their shape, where the package is there."""
    sides = [e.card.side for e in encoders if e.card.architecture.startswith("efficientnet_lite0")]
    found = ImageNetSystem.load(max(sides)) if sides else None
    return [] if found is None else [found]


def _registered_brains(encoders: Sequence[Encoder]) -> list[System]:
    # Those of several encoders would differ little: the first one's alignment serves.
    brain = next((encoder for encoder in encoders if encoder.card.architecture == BRAIN_NET), None)
    return [] if brain is None else brain_baselines(BrainEncoder(brain.card, brain.folder))


FILM_BASELINES: tuple[MakeBaselines, ...] = (_untrained, _imagenet, lambda encoders: [PHashSystem()])
"""What is measured beside encoders of films, in this order; each makes its systems from the encoders."""

VOLUME_BASELINES: tuple[MakeBaselines, ...] = (_registered_brains,)
"""What is measured beside encoders of volumes."""


def _phash_signs(hashes: npt.NDArray[np.uint64]) -> Vectors:
    """Hashes ``(n,)`` as unit vectors ``(n, 64)``: their inner product is 1 - Hamming / 32."""
    bits = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1)
    return ((bits * 2.0 - 1.0) / 8.0).astype(np.float32)


def _chosen(kind: Kind, names: Sequence[str]) -> list[tuple[Card, Path]]:
    known = cards()
    if unknown := [name for name in names if name not in known]:
        raise ModelError(
            f"There is no encoder {unknown[0]!r}; known are: {', '.join(known) or 'none'}.",
            "leakscan.fingerprint.encoders.registry.cards() lists the encoders.",
            code="no_encoder",
        )
    if other := [name for name in names if known[name][0].kind != kind]:
        raise UsageError(f"The encoder {other[0]} is for {known[other[0]][0].kind}, not for {kind}.")
    chosen = [known[name] for name in dict.fromkeys(names)] or [
        e for e in known.values() if e[0].kind == kind
    ]
    if not chosen:
        raise ModelError(f"There is no encoder for {kind}.", "Add one.", code="no_encoder_of_kind")
    return chosen


def _pictures(images: Sequence[PreparedImage], side: int, reduced: bool) -> npt.NDArray[np.uint8]:
    return np.stack([(image.reduced if reduced else image.canonical)[side] for image in images])


def _tensor(pictures: npt.NDArray[np.uint8]) -> torch.Tensor:
    batch = torch.from_numpy(pictures)[:, None].float() / 255.0
    return batch.contiguous(memory_format=torch.channels_last)


def _unit(vectors: torch.Tensor) -> Vectors:
    return np.asarray(nn.functional.normalize(vectors.float()).numpy(), np.float32)

"""An encoder's card: everything about a model that a machine reads.

``models/<name>/card.json`` names the network, the preprocessing, the digest of both, golden inputs
with their fingerprints, the gate's threshold, and the scores of known impostors.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from PIL import Image

from leakscan.errors import ModelError, reason
from leakscan.fingerprint.encoders.card_flaws import flaw_of_card
from leakscan.fingerprint.preprocess.volume import SHAPE
from leakscan.types import KINDS, Kind

FORMAT = 1
BRAIN_NET = "brain_net"
"""The architecture of encoders of brain volumes."""


@dataclass(frozen=True, kw_only=True)
class ImpostorScores:
    """False match rate as a function of the score, from subjects known to differ.

    Attributes:
        source: The images in words.
        n_images: The number of images compared.
        n_subjects: The number of subjects that they show.
        n_pairs: The number of impostor pairs counted.
        fmr: False match rates, descending; the last is 1 / ``n_pairs``.
        score: The cosine similarity that each share of impostor pairs exceeds, ascending.
    """

    source: str = ""
    n_images: int = 0
    n_subjects: int = 0
    n_pairs: int = 0
    fmr: tuple[float, ...] = ()
    score: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """One encoder.

    Attributes:
        name: The name of its folder under ``models/``.
        kind: The kind of images that it was made for.
        architecture: A key of ``networks.ARCHITECTURES``, or ``brain_net``.
        dim: The length of the fingerprint.
        preprocessing: ``radiograph-1``...; must be the version this program computes.
        side: The side of the canonical array in pixels; that of a volume is its extent from left to right.
        weights: The name of the file with the weights, beside the card.
        digest: The first 12 hex digits of blake3 over weights and preprocessing.
        gate_threshold: Images whose gate logit is below it are not of ``kind``.
        gate: A gate in place of the one in the weights: its ``weight``, a list, and ``bias``. It judges by
            the same features and changes no fingerprint, so the digest does not depend on it.
        golden: Inputs as base64 PNG, and their fingerprints.
        impostors: The scores of the calibration's impostor pairs.
        measured: Figures for readers, each with the data it was measured on.
    """

    name: str
    kind: Kind
    architecture: str
    dim: int
    preprocessing: str
    side: int
    weights: str
    digest: str
    gate_threshold: float
    golden: tuple[Mapping[str, Any], ...]
    impostors: ImpostorScores
    measured: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)

    @property
    def encoder(self) -> str:
        """What tables call the encoder: ``name@digest``."""
        return f"{self.name}@{self.digest}"

    @cached_property
    def judged_by(self) -> str:
        """The encoder, its gate's threshold, and the gate itself where it is not the one in the weights.

        What a gate says of an image holds as long as this does.
        """
        gate = json.dumps(dict(self.gate), sort_keys=True)
        own = f"|{blake3(gate.encode()).hexdigest(length=6)}" if self.gate else ""
        return f"{self.encoder}>{self.gate_threshold}{own}"

    def golden_inputs(self) -> npt.NDArray[np.uint8]:
        """``(n, side, side)`` uint8 canonical arrays; of volumes ``(n, side, y, z)``."""
        pictures = [Image.open(io.BytesIO(base64.b64decode(g["png"]))) for g in self.golden]
        arrays = np.stack([np.asarray(p, np.uint8) for p in pictures])
        # The slices of a volume lie below one another in its picture.
        return arrays.reshape(len(arrays), *SHAPE) if self.kind == "brain_mri" else arrays

    def golden_fingerprints(self) -> npt.NDArray[np.float32]:
        """``(n, dim)`` float32."""
        return np.array([g["fingerprint"] for g in self.golden], np.float32)


def weights_digest(weights: bytes, preprocessing: str, side: int) -> str:
    """The digest a card must state for these weights and this preprocessing.

    Example:
        >>> weights_digest(b"weights", "radiograph-1", 192) == weights_digest(b"weights", "radiograph-2", 192)
        False
    """
    return blake3(weights + f"|{preprocessing}|{side}".encode()).hexdigest()[:12]


def read_card(folder: Path) -> Card:
    """Reads and checks ``card.json``; the weights are not touched.

    Raises:
        ModelError: The card is missing, damaged, or of another format.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> _, folder = cards()["cxr-lite0"]
        >>> card = read_card(folder)
        >>> card.kind, card.dim, card.preprocessing
        ('chest_radiograph', 128, 'radiograph-1')
    """
    path = folder / "card.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.pop("format") != FORMAT:
            raise ModelError(
                f"{{path}} is written in another card format than {FORMAT}.", "Update leakscan.", path=path
            )
        impostors = raw.pop("impostors")
        impostors = ImpostorScores(
            **{**impostors, "fmr": tuple(impostors["fmr"]), "score": tuple(impostors["score"])}
        )
        card = Card(**{**raw, "golden": tuple(raw["golden"]), "impostors": impostors})
        flaw = flaw_of_card(card)
    except FileNotFoundError:
        raise ModelError("{path} holds no card.json, so it is no encoder.", path=folder) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as e:
        raise ModelError(
            f"{{path}} is damaged: {reason(e)}.", "Restore it, or add the model again.", path=path
        ) from e
    if flaw:
        raise ModelError(
            f"{{path}} is damaged or was altered: {flaw}.", "Restore it, or add the model again.", path=path
        )
    if card.kind not in KINDS:
        raise ModelError(f"{{path}} names the kind {card.kind!r}, which leakscan does not know.", path=path)
    return card


def write_card(card: Card, folder: Path) -> None:
    """Writes ``card.json``.

    Example:
        >>> from leakscan.fingerprint.encoders.registry import cards
        >>> card, _ = cards()["cxr-lite0"]
        >>> write_card(card, Path("."))
        >>> read_card(Path(".")) == card
        True
    """
    raw = {"format": FORMAT, **card.__dict__, "impostors": card.impostors.__dict__}
    (folder / "card.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")

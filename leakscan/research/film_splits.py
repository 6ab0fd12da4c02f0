"""Fingerprints of labelled films by split, as the measurements of decisions need them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.encoders.torch_encoder import TorchEncoder
from leakscan.training.films.pack import pack_manifest
from leakscan.training.shipping.figures import encode_pack
from leakscan.types import ImageRef

COHORT = 1000
"""Training subjects, one film each, whose fingerprints can normalise scores."""
_PLACES = {
    "calibration": ("nih", "calibration"),
    "val": ("nih", "val"),
    "nih_test": ("nih", "test"),
    "ieee8023": ("ieee8023", "eval_only"),
}


@dataclass(frozen=True)
class Split:
    """Fingerprints of one split.

    Attributes:
        prints: ``(n, d)`` unit vectors.
        subjects: ``(n,)`` names, none of them empty.
        refs: The files of the ``n`` films, empty where their pixels are not wanted.
    """

    prints: npt.NDArray[np.float32]
    subjects: npt.NDArray[np.str_]
    refs: tuple[ImageRef, ...] = ()

    def of(self, names: npt.NDArray[np.str_]) -> Split:
        """The films of some subjects."""
        wanted = np.isin(self.subjects, names)
        refs = tuple(self.refs[i] for i in np.flatnonzero(wanted)) if self.refs else ()
        return Split(self.prints[wanted], self.subjects[wanted], refs)

    def with_(self, other: Split) -> Split:
        """Both splits as one."""
        refs = self.refs + other.refs if self.refs and other.refs else ()
        return Split(
            np.concatenate([self.prints, other.prints]), np.append(self.subjects, other.subjects), refs
        )


def measured_encoder(name: str | None) -> tuple[TorchEncoder, Path]:
    """The encoder that a measurement is about, and its folder.

    Args:
        name: The name of an encoder for chest radiographs; ``None`` for the shipped one.

    Raises:
        ModelError: There is no such encoder.

    Example::

        encoder, folder = measured_encoder("cxr-lite0")
        encoder.card.kind  # 'chest_radiograph'
    """
    entry = card_for("chest_radiograph", name)
    if entry is None:
        raise ModelError("There is no encoder for chest radiographs.", "leakscan models list")
    return TorchEncoder(*entry), entry[1]


def load_splits(encoder: TorchEncoder, data: Path) -> dict[str, Split]:
    """The splits ``calibration``, ``val``, ``nih_test`` and ``ieee8023`` of ``data/cxr``.

    Args:
        encoder: Makes the fingerprints.
        data: The folder that holds ``cxr/``.

    Raises:
        SourceError: A manifest cannot be read.

    Example::

        splits = load_splits(encoder, Path("DATA"))
        splits["nih_test"].prints.shape  # (n, 128)
    """
    out = {}
    for name, (folder, split) in _PLACES.items():
        pack = pack_manifest(data / "cxr" / folder / "manifest.csv", {split}, encoder.card.side)
        out[name] = Split(encode_pack(encoder, pack.films)[0], pack.subjects, pack.refs)
    return out


def load_cohort(encoder: TorchEncoder, data: Path) -> npt.NDArray[np.float32]:
    """``(m, d)`` fingerprints of training subjects, one film each.

    Args:
        encoder: Makes the fingerprints.
        data: The folder that holds ``cxr/``.

    Raises:
        SourceError: The manifest cannot be read.

    Example::

        cohort = load_cohort(encoder, Path("DATA"))
        cohort.shape  # (1000, 128)
    """
    pack = pack_manifest(data / "cxr/nih/manifest.csv", {"train"}, encoder.card.side)
    order = np.random.default_rng(0).permutation(len(pack.subjects))
    _, first = np.unique(pack.subjects[order], return_index=True)
    chosen = np.random.default_rng(1).permutation(order[first])[:COHORT]
    return encode_pack(encoder, pack.films[chosen])[0]


def short(value: float) -> float:
    """Three digits, for JSON that people read.

    Example:
        >>> short(0.00123456), short(98765.4)
        (0.00123, 98800.0)
    """
    return float(f"{value:.3g}")

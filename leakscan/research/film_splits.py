"""Fingerprints of labelled films by split, as the measurements of decisions need them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leakscan.engines.allocator import keep_freed_memory
from leakscan.fingerprint.encoders.encoder import TorchEncoder
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.training.films.pack import pack_manifest
from leakscan.training.shipping.figures import encode_pack
from leakscan.types import ImageRef

COHORT = 1000
"""Training subjects, one film each, against whom scores can be normalised."""
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
        subjects: ``(n,)``, no empty name.
        refs: files of the ``n`` films, empty where nobody can look at them.
    """

    prints: npt.NDArray[np.float32]
    subjects: npt.NDArray[np.str_]
    refs: tuple[ImageRef, ...] = ()

    def of(self, names: npt.NDArray[np.str_]) -> Split:
        """The images of some subjects."""
        wanted = np.isin(self.subjects, names)
        refs = tuple(self.refs[i] for i in np.flatnonzero(wanted)) if self.refs else ()
        return Split(self.prints[wanted], self.subjects[wanted], refs)

    def with_(self, other: Split) -> Split:
        """Both splits as one."""
        refs = self.refs + other.refs if self.refs and other.refs else ()
        return Split(
            np.concatenate([self.prints, other.prints]), np.append(self.subjects, other.subjects), refs
        )


def measured_encoder(description: str | None) -> tuple[TorchEncoder, Path, argparse.Namespace]:
    """Reads the arguments of a measurement: the folder of films, and the encoder.

    Args:
        description: for ``--help``.

    Returns:
        The encoder, its folder, and the arguments.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with cxr/")
    parser.add_argument(
        "--encoder", help="name of an encoder for chest radiographs (default: the shipped one)"
    )
    parser.add_argument(
        "--merges", type=int, default=200, help="simulated merges, where the measurement makes any"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that decode and look")
    arguments = parser.parse_args()
    keep_freed_memory()
    entry = card_for("chest_radiograph", arguments.encoder)
    if entry is None:
        parser.error("there is no encoder for chest radiographs")
    return TorchEncoder(*entry), entry[1], arguments


def load_splits(encoder: TorchEncoder, data: Path) -> dict[str, Split]:
    """The splits ``calibration``, ``val``, ``nih_test`` and ``ieee8023`` of ``data/cxr``.

    Raises:
        SourceError: a manifest cannot be read.
    """
    out = {}
    for name, (folder, split) in _PLACES.items():
        pack = pack_manifest(data / "cxr" / folder / "manifest.csv", {split}, encoder.card.side)
        out[name] = Split(encode_pack(encoder, pack.films)[0], pack.subjects, pack.refs)
    return out


def load_cohort(encoder: TorchEncoder, data: Path) -> npt.NDArray[np.float32]:
    """``(m, d)`` fingerprints of training subjects, one film each.

    Raises:
        SourceError: the manifest cannot be read.
    """
    pack = pack_manifest(data / "cxr/nih/manifest.csv", {"train"}, encoder.card.side)
    order = np.random.default_rng(0).permutation(len(pack.subjects))
    _, first = np.unique(pack.subjects[order], return_index=True)
    chosen = np.random.default_rng(1).permutation(order[first])[:COHORT]
    return encode_pack(encoder, pack.films[chosen])[0]


def short(value: float) -> float:
    """Three digits, for JSON that people read."""
    return float(f"{value:.3g}")

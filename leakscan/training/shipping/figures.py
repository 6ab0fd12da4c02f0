"""What an encoder is worth on packed films, for training; and what its gate refuses.

``python -m leakscan.training.shipping.figures DATA`` prints the share of pictures that are no frontal
film which the gate of the shipped chest encoder refuses. ``leakscan evaluate`` measures everything else.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from leakscan.error_rates import (
    LEAST_BEHIND_RATE,
    RATES,
    PairScores,
    auc,
    bootstrap_interval,
    n_way_one_shot,
    pair_scores,
    precision_at_1,
    tar_at_fmr,
)
from leakscan.fingerprint.encoders.encoder import Encoder, TorchEncoder
from leakscan.fingerprint.encoders.imagenet import imagenet_weights
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph

__all__ = ["encode_pack", "figures", "gate_report", "imagenet_weights", "photographs"]

_BATCH = 64
_CROPS = 8  # of every photograph


def figures(prints: npt.NDArray[np.float32], subjects: npt.NDArray[np.str_]) -> dict[str, Any]:
    """Subject-weighted verification and identification figures.

    Args:
        prints: ``(n, d)``, L2-normalised.
        subjects: ``(n,)``.
    """
    pairs = pair_scores(prints, subjects)
    low, high = bootstrap_interval(pairs, 1e-3)
    several = np.unique(subjects, return_counts=True)[1] > 1
    return {
        "films": len(prints),
        "subjects": len(several),
        "subjects_with_two_or_more": int(several.sum()),
        "impostor_pairs": len(pairs.impostor),
        "auc": round(auc(pairs), 4),
        "tar_at_fmr": {f"{f:g}": round(tar_at_fmr(pairs, f), 4) for f in _rates(pairs)},
        "tar_at_fmr_0.001_interval_95": [round(low, 4), round(high, 4)],
        "precision_at_1": round(precision_at_1(prints, subjects), 4),
        "20_way_1_shot": round(n_way_one_shot(prints, subjects, 20), 4),
    }


def encode_pack(
    encoder: Encoder, films: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Fingerprints ``(n, d)`` as a store holds them (rounded to float16), and whether the gate agrees."""
    # Copies, because torch warns of read-only memory maps.
    blocks = [encoder.encode(np.array(films[i : i + _BATCH])) for i in range(0, len(films), _BATCH)]
    prints = np.concatenate([b.fingerprints for b in blocks]).astype(np.float16).astype(np.float32)
    return prints, np.concatenate([b.accepted for b in blocks])


def photographs(folder: Path, side: int, seed: int = 2) -> npt.NDArray[np.uint8]:
    """Canonical arrays of every picture in a folder and of random crops of it."""
    rng = np.random.default_rng(seed)
    out = []
    for path in sorted(folder.rglob("*")):
        try:
            with Image.open(path) as image:
                grey = np.asarray(image.convert("L"), np.float32)
        except (UnidentifiedImageError, OSError):
            continue
        if min(grey.shape) < side // 2 or np.ptp(grey) == 0:
            continue
        for number in range(_CROPS):
            share = 1.0 if number == 0 else rng.uniform(0.4, 0.9)
            height, width = (int(n * share) for n in grey.shape)
            top, left = (
                rng.integers(0, grey.shape[0] - height + 1),
                rng.integers(0, grey.shape[1] - width + 1),
            )
            piece = grey[top : top + height, left : left + width]
            out.append(np.rint(canonical_radiograph(piece, side) * 255).astype(np.uint8))
    return np.stack(out)


def gate_report(data: Path, encoder: Encoder, photos: Path | None) -> dict[str, Any]:
    """The share of pictures that are no frontal film which the gate refuses.

    Args:
        data: holds ``cxr`` and ``mri`` with their manifests.
        encoder: for chest radiographs.
        photos: folder of photographs, or ``None``.
    """
    from leakscan.training.films.pack import pack_manifest
    from leakscan.training.shipping.gate import brain_slices

    side = encoder.card.side
    refused = {
        "not_frontal": pack_manifest(data / "cxr/not_frontal/manifest.csv", {"eval_only"}, side).films,
        "brain_slices": brain_slices([data / "mri/ixi", data / "mri/ds002748"], "test", side),
    }
    if photos is not None:
        refused["photographs"] = photographs(photos, side)
    return {
        name: {"pictures": len(films), "share": round(1 - float(encode_pack(encoder, films)[1].mean()), 4)}
        for name, films in refused.items()
    }


def _rates(pairs: PairScores) -> list[float]:
    return [f for f in RATES if f * len(pairs.impostor) >= LEAST_BEHIND_RATE]


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with cxr/ and mri/")
    parser.add_argument("--photographs", type=Path, help="folder of photographs the gate should refuse")
    arguments = parser.parse_args()
    entry = card_for("chest_radiograph")
    if entry is None:
        parser.error("there is no encoder for chest radiographs")
    result = gate_report(arguments.data, TorchEncoder(*entry), arguments.photographs)
    print(json.dumps({"encoder": entry[0].encoder, "refused_by_gate": result}, indent=1))


if __name__ == "__main__":
    main()

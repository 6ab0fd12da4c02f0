"""What an encoder is worth on packed films, for its card."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.error_rates import (
    LEAST_BEHIND_RATE,
    RATES,
    auc,
    bootstrap_interval,
    n_way_one_shot,
    pair_scores,
    precision_at_1,
    tar_at_fmr,
)
from leakscan.fingerprint.encoders.encoder import Encoder

_BATCH = 64
_INTERVAL_AT = 1e-3
_WAYS = 20


def figures(prints: npt.NDArray[np.float32], subjects: npt.NDArray[np.str_]) -> dict[str, Any]:
    """Subject-weighted verification and identification figures; ``None`` where the films are too few for one.

    Args:
        prints: ``(n, d)`` unit fingerprints.
        subjects: ``(n,)`` subject of each.

    Example:
        >>> prints = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
        >>> told = figures(prints, np.array(["Ann", "Ann", "Bea", "Bea"]))
        >>> told["impostor_pairs"], told["precision_at_1"], told["20_way_1_shot"]
        (4, 1.0, None)
    """
    pairs = pair_scores(prints, subjects)
    counts = np.unique(subjects, return_counts=True)[1]
    impostors, several = len(pairs.impostor), int((counts > 1).sum())
    comparable = several > 0 and impostors > 0
    rates = [rate for rate in RATES if comparable and rate * impostors >= LEAST_BEHIND_RATE]
    interval = None
    if comparable and _INTERVAL_AT * impostors >= 1:
        interval = [round(end, 4) for end in bootstrap_interval(pairs, _INTERVAL_AT)]
    ways = several > 0 and len(counts) >= _WAYS
    return {
        "films": len(prints),
        "subjects": len(counts),
        "subjects_with_two_or_more": several,
        "impostor_pairs": impostors,
        "auc": round(auc(pairs), 4) if comparable else None,
        "tar_at_fmr": {f"{rate:g}": round(tar_at_fmr(pairs, rate), 4) for rate in rates},
        f"tar_at_fmr_{_INTERVAL_AT:g}_interval_95": interval,
        "precision_at_1": round(precision_at_1(prints, subjects), 4) if comparable else None,
        "20_way_1_shot": round(n_way_one_shot(prints, subjects, _WAYS), 4) if ways else None,
    }


def encode_pack(
    encoder: Encoder, films: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Fingerprints ``(n, d)`` as a store holds them (rounded to float16), and whether the gate agrees.

    Args:
        encoder: The encoder, as users run it.
        films: ``(n, side, side)`` packed films of the encoder's side.

    Example::

        prints, accepted = encode_pack(TorchEncoder(card, folder), pack.films)
        print(figures(prints, pack.subjects), accepted.mean())
    """
    # Copies, because torch warns of read-only memory maps.
    blocks = [encoder.encode(np.array(films[i : i + _BATCH])) for i in range(0, len(films), _BATCH)]
    prints = np.concatenate([b.fingerprints for b in blocks]).astype(np.float16).astype(np.float32)
    return prints, np.concatenate([b.accepted for b in blocks])

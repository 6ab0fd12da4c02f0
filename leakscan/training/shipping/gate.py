"""Fits the gate that refuses what a chest encoder was not made for.

It never sees a lateral film, a CT slice or a photograph. Its negatives are slices of brain volumes
and *broken* frontal films: a half stretched to the whole, a turned film, shuffled quarters, a
small detail. To tell those from whole films it must learn the layout of a frontal chest, which is
what all other pictures lack.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph

Films = npt.NDArray[np.uint8]
Features = npt.NDArray[np.float32]

_KEEP = 0.99  # of the validation films pass the gate
_SPECKLE_SIDES = (60, 150)  # px of 192, of what is shown with speckle
_REGULARISATION = 1e-3  # scikit-learn's C: strong, because the negatives are not the real ones


@dataclass(frozen=True)
class GateFilms:
    """What a gate learns from: ``(n, side, side)`` uint8 canonical pictures of three sorts.

    Attributes:
        kept: Frontal films of people that the network was trained on.
        refused: Pictures of anything else.
        held_out: Frontal films of other people, which set the threshold.
    """

    kept: Films
    refused: Films
    held_out: Films

    def fitted(self, features: Callable[[Films], Features]) -> tuple[dict[str, Any], float]:
        """The gate as a card holds it, and its threshold.

        Args:
            features: Gives ``(n, f)`` what the network pools of ``(n, side, side)`` films.

        Example::

            gate, threshold = films.fitted(lambda shown: np.concatenate([encoder.features(f) for f in shown]))
        """
        weight, bias, threshold = fit_gate(*(features(x) for x in (self.kept, self.refused, self.held_out)))
        return {"weight": [round(float(w), 6) for w in weight], "bias": float(bias)}, threshold


def break_films(films: Films, seed: int = 0) -> Films:
    """One broken copy of every film.

    Args:
        films: ``(n, side, side)`` canonical films.
        seed: The seed of the draws.

    Example:
        >>> films = np.arange(2 * 64 * 64, dtype=np.uint8).reshape(2, 64, 64)
        >>> broken = break_films(films)
        >>> broken.shape, bool((broken != films).any(axis=(1, 2)).all())
        ((2, 64, 64), True)
    """
    rng = np.random.default_rng(seed)
    return np.stack([_break(film, rng) for film in films])


def _break(film: Films, rng: np.random.Generator) -> Films:
    side = len(film)
    half = side // 2
    way = rng.integers(5)
    if way == 0:  # one half, stretched to the whole
        return _stretch(film[:, :half] if rng.random() < 0.5 else film[:, half:], side, side)
    if way == 1:  # turned by 90, 180 or 270 degrees
        return np.ascontiguousarray(np.rot90(film, int(rng.integers(1, 4))))
    if way == 2:  # quarters in another order
        quarters = [film[:half, :half], film[:half, half:], film[half:, :half], film[half:, half:]]
        order = rng.permutation(4)
        while (order == np.arange(4)).all():
            order = rng.permutation(4)
        a, b, c, d = (quarters[i] for i in order)
        return np.vstack([np.hstack([a, b]), np.hstack([c, d])])
    if way == 3:  # a detail
        size = int(rng.integers(side // 4, side // 2))
        top, left = rng.integers(0, side - size, 2)
        return _stretch(film[top : top + size, left : left + size], side, side)
    # One half as narrow as a lateral film, on black.
    width = int(rng.integers(side // 2, side * 7 // 8))
    narrow = _stretch(
        film[:, : half + side // 16] if rng.random() < 0.5 else film[:, half - side // 16 :], width, side
    )
    out = np.zeros_like(film)
    out[:, (side - width) // 2 : (side - width) // 2 + width] = narrow
    return out


def _stretch(picture: Films, width: int, height: int) -> Films:
    return np.asarray(cv2.resize(picture, (width, height)), np.uint8)


def brain_slices(folders: Sequence[Path], split: str, side: int, per_volume: int = 6, seed: int = 1) -> Films:
    """Canonical arrays of random axial, coronal and sagittal slices.

    Args:
        folders: Folders that hold ``manifest.csv`` with ``path``, ``split`` and ``contrast``.
        split: The split to take.
        side: The side of the arrays in pixels.
        per_volume: The number of slices from each volume.
        seed: The seed of the draws.

    Example::

        refused = brain_slices([Path("data/ixi")], "train", side=192, per_volume=6)
    """
    import nibabel

    rng = np.random.default_rng(seed)
    out = []
    for folder in folders:
        with (folder / "manifest.csv").open(newline="") as f:
            rows = [r for r in csv.DictReader(f) if r["split"] == split and r["contrast"] != "labels"]
        for row in rows:
            image = nibabel.as_closest_canonical(nibabel.load(folder / row["path"]))  # type: ignore[no-untyped-call]
            volume = np.asarray(image.dataobj).astype(np.float32)
            for _ in range(per_volume):
                axis = int(rng.integers(3))
                at = int(rng.uniform(0.25, 0.75) * volume.shape[axis])
                piece = np.rot90(volume.take(at, axis))
                if np.ptp(piece) > 0:
                    out.append(np.rint(canonical_radiograph(piece, side) * 255).astype(np.uint8))
    return np.stack(out)


def speckled(films: Films, seed: int = 0) -> Films:
    """Details with the speckle of ultrasound, stretched as such pictures are.

    Args:
        films: ``(n, side, side)`` canonical pictures of anything.
        seed: The seed of the draws.

    Example:
        >>> films = np.random.default_rng(0).integers(0, 256, (2, 192, 192), dtype=np.uint8)
        >>> speckled(films).shape
        (2, 192, 192)
    """
    rng = np.random.default_rng(seed)
    out = []
    for film in films:
        side = len(film)
        size = int(rng.integers(*_SPECKLE_SIDES) * side / 192)
        top, left = rng.integers(0, side - size, 2)
        piece = film[top : top + size, left : left + size].astype(np.float32)
        grain = cv2.GaussianBlur(
            rng.rayleigh(0.8, piece.shape).astype(np.float32), (0, 0), rng.uniform(0.6, 2.0)
        )
        shown = cv2.resize(np.clip(piece * grain, 0, 255), (int(side * rng.uniform(0.8, 1.6)), side))
        out.append(np.rint(canonical_radiograph(np.asarray(shown), side) * 255).astype(np.uint8))
    return np.stack(out)


def fit_gate(positives: Features, negatives: Features, held_out: Features) -> tuple[Features, float, float]:
    """Logistic regression on trunk features.

    Args:
        positives: ``(p, f)`` features of frontal training films.
        negatives: ``(m, f)`` features of everything else.
        held_out: ``(v, f)`` features of frontal films of other subjects, which set the threshold.

    Returns:
        Weight ``(f,)``, bias, and the logit that 99 % of ``held_out`` reach.

    Example::

        weight, bias, threshold = fit_gate(features_of_films, features_of_others, features_of_other_films)
        accepted = features @ weight + bias >= threshold
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x = np.concatenate([positives, negatives])
    y = np.r_[np.ones(len(positives)), np.zeros(len(negatives))]
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=_REGULARISATION, max_iter=1000, class_weight="balanced")
    model.fit(scaler.transform(x), y)
    weight = (model.coef_[0] / scaler.scale_).astype(np.float32)
    bias = float(model.intercept_[0] - (model.coef_[0] * scaler.mean_ / scaler.scale_).sum())
    threshold = float(np.quantile(held_out @ weight + bias, 1 - _KEEP))
    return weight, bias, threshold

"""People as directions, and datasets of their films. Who leaks is known, and look-alikes are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.pipeline import Dataset
from support.makers import store_rows

Floats = npt.NDArray[np.float64]

APART = 0.25
"""The tangent between a film and its person, as in the made-up calibration."""


def unit(vectors: npt.ArrayLike) -> Floats:
    """Rows of length 1."""
    rows = np.asarray(vectors, np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float64)


def people(seed: int, n: int, dim: int = 128) -> Floats:
    """``(n, 128)``: random directions, of which the first ``dim`` numbers count."""
    drawn = np.zeros((n, 128))
    drawn[:, :dim] = np.random.default_rng((17, seed)).normal(size=(n, dim))
    return unit(drawn)


def films(seed: int, persons: Floats, apart: float = APART) -> Floats:
    """A film of each person."""
    return unit(persons + apart * unit(np.random.default_rng((18, seed)).normal(size=persons.shape)))


def alike(seed: int, persons: Floats, cosine: float | Floats) -> Floats:
    """Strangers who are exactly so alike to these persons."""
    other = np.random.default_rng((19, seed)).normal(size=persons.shape)
    other = unit(other - (other * persons).sum(axis=1, keepdims=True) * persons)
    return np.asarray(cosine * persons + np.sqrt(1 - cosine**2) * other, np.float64)


def dataset(
    name: str, prints: Floats, subjects: Sequence[str] | None = None, pixels: Sequence[str] | None = None
) -> Dataset:
    """A dataset of films, of which only fingerprints are at hand.

    Args:
        name: of the dataset; film ``i`` is called ``NAMEi``.
        prints: of its films.
        subjects: whom each declares.
        pixels: the hash of each film's pixels; by default no two are equal.
    """
    rows: list[dict[str, Any]] = [
        {
            "fingerprint": print_,
            "image_id": f"{name}{i}",
            "path": f"{name}{i}",
            "pixel_hash": pixels[i] if pixels else f"{name} {i}",
            "subject": subjects[i] if subjects else None,
        }
        for i, print_ in enumerate(prints)
    ]
    return Dataset(name, store_rows(rows), {}, {}, "k1")


def pairs_of(
    rows: Sequence[dict[str, Any]], decision: str, relation: str = "same_subject"
) -> set[tuple[str, str]]:
    """The films of the pairs that were decided so."""
    return {
        (r["path_a"], r["path_b"]) for r in rows if (r["decision"], r["relation"]) == (decision, relation)
    }

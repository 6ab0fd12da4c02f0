"""Made-up fingerprints of subjects who have different numbers of images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def labelled_prints(
    seed: int, subjects: int = 8, most: int = 5, spread: float = 0.5
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
    """``(n, 6)`` unit vectors near their subjects' centres, and the names of their subjects."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(subjects), rng.integers(1, most + 1, subjects))
    owners = np.concatenate([owners, [0, 0]])
    centres = rng.normal(size=(subjects, 6))
    prints = centres[owners] + rng.normal(size=(len(owners), 6)) * spread
    return prints / np.linalg.norm(prints, axis=1, keepdims=True), np.array([f"s{o}" for o in owners])


def coded_prints(
    seed: int, subjects: int = 8, spread: float = 0.5
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """:func:`labelled_prints` with codes from 0 in place of names."""
    prints, names = labelled_prints(seed, subjects, spread=spread)
    return prints, np.unique(names, return_inverse=True)[1].astype(np.int64)

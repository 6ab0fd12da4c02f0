"""Nearest-neighbour search. What kind of index serves a run is chosen here and nowhere else.

Example:
    >>> import numpy as np
    >>> index = build_index(np.eye(3, dtype=np.float32))
    >>> index.range_search(np.eye(3, dtype=np.float32), threshold=0.5, limit=100).found.tolist()
    [0, 1, 2]
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.hashing import PHASH_BITS
from leakscan.match.index.exact import ExactIndex
from leakscan.match.index.hashes import HashIndex
from leakscan.match.index.protocol import HashSearch, Hits, Index

__all__ = ["HashSearch", "Hits", "Index", "build_hash_index", "build_index"]


def build_index(vectors: npt.NDArray[np.float32]) -> Index:
    """An index of fingerprints.

    Args:
        vectors: ``(n, d)`` float32, L2-normalised.

    Example:
        >>> films = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
        >>> build_index(films).nearest(np.array([[0, 1]], np.float32), k=2).found.tolist()
        [2, 1]
    """
    return ExactIndex(vectors)


def build_hash_index(variants: npt.NDArray[np.uint64]) -> HashSearch:
    """An index of perceptual hashes.

    Args:
        variants: ``(n, 8)`` uint64 hashes of every picture in all orientations.

    Example:
        >>> index = build_hash_index(np.full((1, 8), 0b1111, np.uint64))
        >>> index.range_search(np.array([0b0111], np.uint64), radius=8, limit=10).score.tolist()
        [1.0]
    """
    return HashIndex(variants, PHASH_BITS)

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
from leakscan.match.index.approximate import ApproximateIndex
from leakscan.match.index.exact import ExactIndex
from leakscan.match.index.film_hashes import FilmHashIndex
from leakscan.match.index.hashes import HashIndex
from leakscan.match.index.protocol import HashSearch, Hits, Index, Reach
from leakscan.match.products import Vectors
from leakscan.types import Engine

__all__ = [
    "EXACT_COMPARISONS",
    "HashSearch",
    "Hits",
    "Index",
    "Reach",
    "build_hash_index",
    "build_index",
]

EXACT_COMPARISONS = 50_000**2
"""Up to so many comparisons of fingerprints all are made; beyond them an approximate index serves."""
EXACT_HASHES = 20_000**2
"""Likewise for perceptual hashes of films."""


def build_index(vectors: Vectors, queries: int = 1, engine: Engine | None = None) -> Index:
    """An index of fingerprints.

    Args:
        vectors: ``(n, d)`` float32 or float16, L2-normalised.
        queries: About how many queries it is made for.
        engine: Where to search; on this machine unless it is a cluster.

    Example:
        >>> films = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
        >>> build_index(films).nearest(np.array([[0, 1]], np.float32), k=2).found.tolist()
        [2, 1]
    """
    if len(vectors) * queries <= EXACT_COMPARISONS:
        return ExactIndex(vectors, engine)
    return ApproximateIndex(vectors, engine)


def build_hash_index(variants: npt.NDArray[np.uint64], queries: int = 1, ndim: int = 3) -> HashSearch:
    """An index of perceptual hashes.

    Args:
        variants: ``(n, 8)`` uint64 hashes of every picture in all orientations.
        queries: About how many queries it is made for.
        ndim: 2 where all of them are of films, whose orientations are known.

    Example:
        >>> index = build_hash_index(np.full((1, 8), 0b1111, np.uint64))
        >>> index.range_search(np.array([0b0111], np.uint64), radius=8, limit=10).score.tolist()
        [1.0]
    """
    if ndim == 2 and len(variants) * queries > EXACT_HASHES:
        return FilmHashIndex(variants)
    return HashIndex(variants, PHASH_BITS)

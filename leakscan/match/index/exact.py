"""Exact search over inner products with FAISS: every pair above a score, no fixed ``k``."""

from __future__ import annotations

import numpy as np

from leakscan.match.index.protocol import (
    SLACK,
    BestHits,
    Hits,
    Reach,
    blocks,
    load_faiss,
    nearest_hits,
    range_hits,
)
from leakscan.match.products import Vectors

_HITS_AT_ONCE = 1 << 25  # pairs that a block of queries may find at most


class ExactIndex:
    """An :class:`~leakscan.match.index.protocol.Index` that compares every query with every vector.

    Args:
        vectors: ``(n, d)`` float32 or float16, L2-normalised.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._index = load_faiss().IndexFlatIP(vectors.shape[1])
        for _, block in blocks(vectors):
            self._index.add(block)

    def range_search(self, queries: Vectors, threshold: float, limit: int) -> Hits:
        """Every pair whose score is at least ``threshold``, or the ``limit`` best of them."""
        best = BestHits(limit, largest=True)
        least = np.float32(threshold)
        size = max(1, _HITS_AT_ONCE // max(1, len(self._vectors)))
        for start, block in blocks(queries, size):
            rough = range_hits(self._index, block, start, float(least) - SLACK)
            best.add_rescored(queries, self._vectors, rough, least)
        return best.hits(Reach(score=float(threshold), recall=1.0, sampled=0))

    def nearest(self, queries: Vectors, k: int) -> Hits:
        """The ``k`` best of every query."""
        return nearest_hits(self._index, queries, k)

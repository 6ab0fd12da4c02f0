"""Exact search over inner products with FAISS: every pair above a score, no fixed ``k``."""

from __future__ import annotations

import numpy as np

from leakscan.match.index.protocol import QUERY_BLOCK, SLACK, Hits, Reach, blocks, load_faiss
from leakscan.match.index.shared_out import Held, Range, nearest_of, range_best
from leakscan.match.products import Vectors
from leakscan.types import Engine

_HITS_AT_ONCE = 1 << 25  # pairs that a block of queries may find at most


class ExactIndex:
    """An :class:`~leakscan.match.index.protocol.Index` that compares every query with every vector.

    Args:
        vectors: ``(n, d)`` float32 or float16, L2-normalised.
        engine: Where to search; on this machine unless it is a cluster.
    """

    def __init__(self, vectors: Vectors, engine: Engine | None = None) -> None:
        self._vectors, self._engine = vectors, engine
        self._index = load_faiss().IndexFlatIP(vectors.shape[1])
        for _, block in blocks(vectors):
            self._index.add(block)

    def range_search(self, queries: Vectors, threshold: float, limit: int) -> Hits:
        """Every pair whose score is at least ``threshold``, or the ``limit`` best of them."""
        size = min(QUERY_BLOCK, max(1, _HITS_AT_ONCE // max(1, len(self._vectors))))
        wanted = Range(np.float32(threshold), SLACK, limit, size, counts_all=True)
        best = range_best(Held(self._index, self._vectors, queries), wanted, self._engine)
        return best.hits(Reach(score=float(threshold), recall=1.0, sampled=0))

    def nearest(self, queries: Vectors, k: int) -> Hits:
        """The ``k`` best of every query."""
        return nearest_of(Held(self._index, self._vectors, queries), k, self._engine)

"""Exact search over inner products with FAISS: every pair above a score, no fixed ``k``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leakscan.match.index.protocol import QUERY_BLOCK, BestHits, Hits, load_faiss


class ExactIndex:
    """An :class:`~leakscan.match.index.protocol.Index` that compares every query with every vector.

    Args:
        vectors: ``(n, d)`` float32, L2-normalised.
    """

    def __init__(self, vectors: npt.NDArray[np.float32]) -> None:
        self._index = load_faiss().IndexFlatIP(vectors.shape[1])
        self._index.add(np.ascontiguousarray(vectors, np.float32))

    def range_search(self, queries: npt.NDArray[np.float32], threshold: float, limit: int) -> Hits:
        """Every pair whose score is at least ``threshold``, or the ``limit`` best of them."""
        best = BestHits(limit, largest=True)
        # FAISS keeps what is strictly above; a hair below makes the threshold itself count.
        least = float(np.nextafter(np.float32(threshold), -2))
        for start in range(0, len(queries), QUERY_BLOCK):
            block = np.ascontiguousarray(queries[start : start + QUERY_BLOCK], np.float32)
            ends, scores, found = self._index.range_search(block, least)
            query = np.repeat(np.arange(len(block)), np.diff(ends.astype(np.int64))) + start
            best.add(query, found, scores)
        return best.hits()

    def nearest(self, queries: npt.NDArray[np.float32], k: int) -> Hits:
        """The ``k`` best of every query."""
        k = min(k, self._index.ntotal)
        scores, found = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        query = np.repeat(np.arange(len(queries), dtype=np.int64), k)
        return Hits(query, found.ravel().astype(np.int64), scores.ravel())

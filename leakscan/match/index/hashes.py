"""Exact search over perceptual hashes in all their orientations, with FAISS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leakscan.match.index.protocol import QUERY_BLOCK, BestHits, Hits, Parts, joined, load_faiss


class HashIndex:
    """A :class:`~leakscan.match.index.protocol.HashSearch` that compares every hash with every other.

    Args:
        variants: ``(n, 8)`` uint64 hashes in all orientations.
        bits: How many bits a hash uses; the rest are zero.
    """

    def __init__(self, variants: npt.NDArray[np.uint64], bits: int) -> None:
        self._orientations = variants.shape[1]
        self._everything = np.uint64((1 << bits) - 1)
        self._index = load_faiss().IndexBinaryFlat(64)
        self._index.add(_bytes(variants))

    def range_search(self, hashes: npt.NDArray[np.uint64], radius: int, limit: int) -> Hits:
        """Pairs that differ in at most ``radius`` bits, closest first."""
        best = BestHits(limit, largest=False)
        for start in range(0, len(hashes), QUERY_BLOCK):
            block = hashes[start : start + QUERY_BLOCK]
            parts = []
            for sign in (block, block ^ self._everything):
                ends, distances, found = self._index.range_search(_bytes(sign), radius + 1)
                query = np.repeat(np.arange(len(block)), np.diff(ends.astype(np.int64))) + start
                parts.append((query, found // self._orientations, distances))
            best.add(*_closest(parts))
        return best.hits()

    def nearest(self, hashes: npt.NDArray[np.uint64], k: int) -> Hits:
        """The ``k`` closest to each of ``(m,)``, or to the best of ``(m, v)``."""
        variants = hashes.reshape(len(hashes), -1)
        depth = min(k * self._orientations, self._index.ntotal)
        parts = []
        for variant in variants.T:
            for sign in (variant, variant ^ self._everything):
                distances, found = self._index.search(_bytes(sign), depth)
                query = np.repeat(np.arange(len(hashes)), depth)
                parts.append((query, found.ravel() // self._orientations, distances.ravel()))
        query, found, distance = _closest(parts)
        order = np.lexsort((found, distance, query))
        rank = np.arange(len(order)) - np.searchsorted(query[order], query[order])
        keep = order[rank < k]
        return Hits(
            query=query[keep].astype(np.int64),
            found=found[keep].astype(np.int64),
            score=distance[keep].astype(np.float32),
        )


def _bytes(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Hashes as the rows of eight bytes that FAISS wants."""
    return np.ascontiguousarray(hashes).reshape(-1, 1).view(np.uint8)


def _closest(parts: Sequence[Parts]) -> Parts:
    """One entry per query and row, with the smallest of its distances."""
    query, found, distance = joined(parts)
    order = np.lexsort((distance, found, query))
    query, found, distance = query[order], found[order], distance[order]
    first = np.ones(len(query), bool)
    first[1:] = (query[1:] != query[:-1]) | (found[1:] != found[:-1])
    return query[first], found[first], distance[first]

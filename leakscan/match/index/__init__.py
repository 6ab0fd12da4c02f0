"""Nearest-neighbour search with FAISS: every pair above a score, no fixed k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from leakscan.errors import LeakscanError

_QUERY_BLOCK = 1024


@dataclass(frozen=True)
class Hits:
    """Pairs found between queries and an index.

    Attributes:
        query: ``(n,)`` int64 row of the query.
        found: ``(n,)`` int64 row in the index.
        score: ``(n,)`` float32; similarity, or for hashes the Hamming distance.
        cut: how many pairs beyond these were over the loose threshold but past the limit.
        cut_score: score of the weakest pair kept where some were cut, else NaN.
    """

    query: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    cut: int = 0
    cut_score: float = float("nan")


class Index(Protocol):
    """Vectors of one side of a comparison.

    ``range_search`` returns every pair whose score is at least ``threshold``, or the ``limit``
    best of them with the number that was cut; ties are kept or cut without regard to order. Memory
    is bounded by ``limit``, not by the number of pairs. ``nearest`` returns the ``k`` best of every
    query, fewer where the index holds fewer.
    """

    def range_search(self, queries: npt.NDArray[np.float32], threshold: float, limit: int) -> Hits: ...

    def nearest(self, queries: npt.NDArray[np.float32], k: int) -> Hits: ...


def load_faiss() -> Any:
    """The ``faiss`` module.

    Raises:
        LeakscanError: neither extra is installed.
    """
    try:
        import faiss
    except ImportError as e:
        raise LeakscanError(
            "The search library faiss is missing.",
            'Install one: pip install "leakscan[cpu]" or, with an NVIDIA GPU, pip install "leakscan[gpu]".',
        ) from e
    return faiss


class ExactIndex:
    """An :class:`Index` over inner products that compares every query with every vector.

    Args:
        vectors: ``(n, d)`` float32, L2-normalised.
    """

    def __init__(self, vectors: npt.NDArray[np.float32]) -> None:
        self._index = load_faiss().IndexFlatIP(vectors.shape[1])
        self._index.add(np.ascontiguousarray(vectors, np.float32))

    def range_search(self, queries: npt.NDArray[np.float32], threshold: float, limit: int) -> Hits:
        """See :class:`Index`."""
        best = _Best(limit, largest=True)
        for start in range(0, len(queries), _QUERY_BLOCK):
            block = np.ascontiguousarray(queries[start : start + _QUERY_BLOCK], np.float32)
            # FAISS keeps what is strictly above; a hair below makes the threshold itself count.
            ends, scores, found = self._index.range_search(
                block, float(np.nextafter(np.float32(threshold), -2))
            )
            query = np.repeat(np.arange(len(block)), np.diff(ends.astype(np.int64))) + start
            best.add(query, found, scores)
        return best.hits()

    def nearest(self, queries: npt.NDArray[np.float32], k: int) -> Hits:
        """See :class:`Index`."""
        k = min(k, self._index.ntotal)
        scores, found = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        query = np.repeat(np.arange(len(queries), dtype=np.int64), k)
        return Hits(query, found.ravel().astype(np.int64), scores.ravel())


class HashIndex:
    """Perceptual hashes of one side, to be met under any flip, turn or inversion.

    Args:
        variants: ``(n, 8)`` uint64 hashes in all orientations.
        bits: that a hash uses; the rest are zero.
    """

    def __init__(self, variants: npt.NDArray[np.uint64], bits: int) -> None:
        self._orientations = variants.shape[1]
        self._everything = np.uint64((1 << bits) - 1)
        self._index = load_faiss().IndexBinaryFlat(64)
        self._index.add(_bytes(variants))

    def range_search(self, hashes: npt.NDArray[np.uint64], radius: int, limit: int) -> Hits:
        """Pairs of hashes ``(m,)`` with these that differ in at most ``radius`` bits, closest first.

        ``score`` of the result is the number of differing bits.
        """
        best = _Best(limit, largest=False)
        for start in range(0, len(hashes), _QUERY_BLOCK):
            block = hashes[start : start + _QUERY_BLOCK]
            parts = []
            for sign in (block, block ^ self._everything):
                ends, distances, found = self._index.range_search(_bytes(sign), radius + 1)
                query = np.repeat(np.arange(len(block)), np.diff(ends.astype(np.int64))) + start
                parts.append((query, found // self._orientations, distances))
            best.add(*_closest(parts))
        return best.hits()

    def nearest(self, hashes: npt.NDArray[np.uint64], k: int) -> Hits:
        """The ``k`` hashes nearest to each of ``(m,)``, or to the best of ``(m, v)``, by differing bits."""
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
        return Hits(query[keep], found[keep], distance[keep])


def _bytes(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Hashes as the rows of eight bytes that FAISS wants."""
    return np.ascontiguousarray(hashes).reshape(-1, 1).view(np.uint8)


def _closest(
    parts: list[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """One entry per (query, row), with the smallest of its distances."""
    query, found, distance = (np.concatenate([p[i] for p in parts]) for i in range(3))
    order = np.lexsort((distance, found, query))
    query, found, distance = query[order], found[order], distance[order]
    first = np.ones(len(query), bool)
    first[1:] = (query[1:] != query[:-1]) | (found[1:] != found[:-1])
    return query[first].astype(np.int64), found[first].astype(np.int64), distance[first].astype(np.float32)


class _Best:
    """Keeps the ``limit`` best pairs of a stream of blocks."""

    def __init__(self, limit: int, largest: bool) -> None:
        self._limit = limit
        self._sign = -1.0 if largest else 1.0
        self._parts: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]] = []
        self._size = 0
        self._cut = 0

    def add(self, query: npt.NDArray[Any], found: npt.NDArray[Any], score: npt.NDArray[Any]) -> None:
        self._parts.append((query.astype(np.int64), found.astype(np.int64), score.astype(np.float32)))
        self._size += len(query)
        if self._size > 2 * self._limit:
            self._prune()

    def hits(self) -> Hits:
        if self._size > self._limit:
            self._prune()
        if not self._parts:
            empty = np.zeros(0, np.int64)
            return Hits(empty, empty, np.zeros(0, np.float32))
        query, found, score = (np.concatenate([p[i] for p in self._parts]) for i in range(3))
        worst = float(score[np.argmax(self._sign * score)]) if self._cut else float("nan")
        return Hits(query, found, score, self._cut, worst)

    def _prune(self) -> None:
        query, found, score = (np.concatenate([p[i] for p in self._parts]) for i in range(3))
        keep = np.argpartition(self._sign * score, self._limit - 1)[: self._limit]
        self._cut += len(query) - len(keep)
        self._parts = [(query[keep], found[keep], score[keep])]
        self._size = len(keep)

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


def search_hashes(
    variants: npt.NDArray[np.uint64], hashes: npt.NDArray[np.uint64], radius: int, limit: int, bits: int
) -> Hits:
    """Pairs of perceptual hashes that differ in few bits under any flip, turn or inversion.

    Args:
        variants: ``(n, 8)`` hashes of the index side in all orientations.
        hashes: ``(m,)`` upright hashes of the query side.
        radius: largest number of differing bits.
        limit: of pairs returned, closest first.
        bits: that a hash uses; the rest are zero.

    Returns:
        ``query`` counts in ``hashes``, ``found`` in ``variants``' rows; ``score`` is the number of
        differing bits.
    """
    faiss = load_faiss()
    if not len(variants) or not len(hashes):
        empty = np.zeros(0, np.int64)
        return Hits(empty, empty, np.zeros(0, np.float32))
    index = faiss.IndexBinaryFlat(64)
    index.add(np.ascontiguousarray(variants).reshape(-1, 1).view(np.uint8))
    everything = np.uint64((1 << bits) - 1)
    best = _Best(limit, largest=False)
    for start in range(0, len(hashes), _QUERY_BLOCK):
        block = np.ascontiguousarray(hashes[start : start + _QUERY_BLOCK])
        nearest: dict[tuple[int, int], float] = {}
        for sign in (block, block ^ everything):
            ends, distances, found = index.range_search(sign.reshape(-1, 1).view(np.uint8), radius + 1)
            query = np.repeat(np.arange(len(block)), np.diff(ends.astype(np.int64))) + start
            row = found // variants.shape[1]
            for q, r, d in zip(query.tolist(), row.tolist(), distances.tolist(), strict=True):
                nearest[q, r] = min(d, nearest.get((q, r), 65.0))
        if nearest:
            pairs = np.array(list(nearest), np.int64)
            best.add(pairs[:, 0], pairs[:, 1], np.array(list(nearest.values()), np.float32))
    return best.hits()


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

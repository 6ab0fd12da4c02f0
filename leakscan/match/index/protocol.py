"""What a search promises, whatever library does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from leakscan.errors import LeakscanError

QUERY_BLOCK = 1024
"""Queries that are searched for at once."""


@dataclass(frozen=True)
class Hits:
    """Pairs that were found between queries and an index.

    Attributes:
        query: ``(n,)`` int64 row of the query.
        found: ``(n,)`` int64 row in the index.
        score: ``(n,)`` float32 similarity; for hashes, the number of bits that differ.
        cut: How many further pairs passed the threshold but not the limit.
        cut_score: Score of the weakest pair kept where some were cut, else NaN.
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


class HashSearch(Protocol):
    """Perceptual hashes of one side, to be met under any flip, turn or inversion.

    ``range_search`` returns the pairs of hashes ``(m,)`` with these that differ in at most ``radius``
    bits, or the ``limit`` closest of them. ``nearest`` returns the ``k`` closest to each of ``(m,)``, or
    to the best of ``(m, v)``. The score of a hit is the number of bits that differ.
    """

    def range_search(self, hashes: npt.NDArray[np.uint64], radius: int, limit: int) -> Hits: ...

    def nearest(self, hashes: npt.NDArray[np.uint64], k: int) -> Hits: ...


def load_faiss() -> Any:
    """The ``faiss`` module.

    Raises:
        LeakscanError: Neither extra is installed.

    Example:
        >>> load_faiss().IndexFlatIP(512).d
        512
    """
    try:
        import faiss
    except ImportError as e:
        raise LeakscanError(
            "The search library faiss is missing.",
            'Install one: pip install "leakscan[cpu]" or, with an NVIDIA GPU, pip install "leakscan[gpu]".',
            code="faiss_missing",
        ) from e
    return faiss


Parts = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""Queries, rows in the index, and scores of some pairs."""


def joined(parts: Sequence[Parts]) -> Parts:
    """Several parts behind each other.

    Example:
        >>> one = np.array([0]), np.array([4]), np.array([0.9])
        >>> other = np.array([1, 1]), np.array([2, 3]), np.array([0.8, 0.7])
        >>> queries, found, scores = joined([one, other])
        >>> queries.tolist(), found.tolist(), scores.tolist()
        ([0, 1, 1], [4, 2, 3], [0.9, 0.8, 0.7])
    """
    queries, found, scores = zip(*parts, strict=True)
    return np.concatenate(queries), np.concatenate(found), np.concatenate(scores)


class BestHits:
    """Keeps the best pairs of a stream of blocks.

    Args:
        limit: The most pairs to keep.
        largest: Whether the largest scores are the best, or the smallest.
    """

    def __init__(self, limit: int, largest: bool) -> None:
        self._limit = limit
        self._sign = -1.0 if largest else 1.0
        self._parts: list[Parts] = []
        self._size = 0
        self._cut = 0

    def add(self, query: npt.NDArray[Any], found: npt.NDArray[Any], score: npt.NDArray[Any]) -> None:
        """Takes the pairs of one block."""
        self._parts.append((query.astype(np.int64), found.astype(np.int64), score.astype(np.float32)))
        self._size += len(query)
        if self._size > 2 * self._limit:
            self._prune()

    def hits(self) -> Hits:
        """What is left."""
        if self._size > self._limit:
            self._prune()
        if not self._parts:
            empty = np.zeros(0, np.int64)
            return Hits(empty, empty, np.zeros(0, np.float32))
        query, found, score = joined(self._parts)
        worst = float(score[np.argmax(self._sign * score)]) if self._cut else float("nan")
        return Hits(query, found, score, self._cut, worst)

    def _prune(self) -> None:
        query, found, score = joined(self._parts)
        keep = np.argpartition(self._sign * score, self._limit - 1)[: self._limit]
        self._cut += len(query) - len(keep)
        self._parts = [(query[keep], found[keep], score[keep])]
        self._size = len(keep)

"""What a search promises, whatever library does it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from leakscan.errors import LeakscanError
from leakscan.match.products import Vectors, paired_products

QUERY_BLOCK = 1024
"""Queries that are searched for at once."""
SLACK = 1e-5
"""How far below a score pairs are fetched, to be scored again in one fixed order of summation."""


@dataclass(frozen=True)
class Reach:
    """How far a search went, and how much it finds of what lies there.

    Attributes:
        score: The lowest similarity of pairs that it sought.
        recall: The share of such pairs that it finds, 0..1, measured on a sample of its queries.
        sampled: How many pairs the sample had; 0 where nothing can be missed.
    """

    score: float
    recall: float
    sampled: int


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Pairs that were found between queries and an index.

    Attributes:
        query: ``(n,)`` int64 row of the query.
        found: ``(n,)`` int64 row in the index.
        score: ``(n,)`` float32 similarity; for hashes, the number of bits that differ.
        cut: How many further pairs passed the threshold but not the limit.
        cut_score: Score of the weakest pair kept where some were cut, else NaN.
        reach: How far the search for fingerprints went; ``None`` for hashes.
        radius: The most bits that a search for hashes let differ; it may be lower than was asked for.
    """

    query: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    cut: int = 0
    cut_score: float = float("nan")
    reach: Reach | None = None
    radius: int | None = None


class Index(Protocol):
    """Vectors of one side of a comparison.

    ``range_search`` returns every pair whose score is at least ``threshold``, or the ``limit``
    best of them with the number that was cut; of equal ones, those that come first. Its scores are summed in
    one fixed order, so that the result does not depend on the number of threads. Memory is bounded by
    ``limit``, not by the number of pairs. ``nearest`` returns the ``k`` best of every query, fewer where the
    index holds fewer.
    """

    def range_search(self, queries: Vectors, threshold: float, limit: int) -> Hits: ...

    def nearest(self, queries: Vectors, k: int) -> Hits: ...


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


Ints = npt.NDArray[np.int64]
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
    """Keeps the best pairs of a stream of blocks; of equal ones, those whose numbers come first.

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
        self.worst = -math.inf if largest else math.inf

    def add(self, query: npt.NDArray[Any], found: npt.NDArray[Any], score: npt.NDArray[Any]) -> None:
        """Takes the pairs of one block."""
        self._parts.append((query.astype(np.int64), found.astype(np.int64), score.astype(np.float32)))
        self._size += len(query)
        if self._size > 2 * self._limit:
            self._prune()

    def add_rescored(
        self, queries: Vectors, vectors: Vectors, rough: Hits, least: np.float32, slack: float = SLACK
    ) -> None:
        """Takes pairs whose similarity, summed in one fixed order, is at least ``least``.

        Args:
            queries: ``(n, d)`` the vectors that were sought for.
            vectors: ``(n', d)`` the vectors of the index.
            rough: Pairs of their rows, with similarities that are right within ``slack``.
            least: The lowest similarity that counts.
            slack: How far off the similarities may be.
        """
        hopeless = rough.score < self.worst - slack
        self._cut += int(np.count_nonzero(hopeless & (rough.score >= least)))
        query, found = rough.query[~hopeless], rough.found[~hopeless]
        score = paired_products(queries, vectors, query, found)
        keep = score >= least
        self.add(query[keep], found[keep], score[keep])

    def add_hits(self, hits: Hits) -> None:
        """Takes what another search kept of its own blocks, and counts what that one cut."""
        self._cut += hits.cut
        self.add(hits.query, hits.found, hits.score)

    def hits(self, reach: Reach | None = None) -> Hits:
        """What is left.

        Args:
            reach: How far the search went.
        """
        if self._size > self._limit:
            self._prune()
        if not self._parts:
            empty = np.zeros(0, np.int64)
            return Hits(query=empty, found=empty, score=np.zeros(0, np.float32), reach=reach)
        query, found, score = joined(self._parts)
        worst = float(score[np.argmax(self._sign * score)]) if self._cut else float("nan")
        if reach is not None and self._cut:
            reach = replace(reach, score=max(reach.score, worst))
        return Hits(query=query, found=found, score=score, cut=self._cut, cut_score=worst, reach=reach)

    def _prune(self) -> None:
        query, found, score = joined(self._parts)
        rank = self._sign * score
        last = np.partition(rank, self._limit - 1)[self._limit - 1]
        better = np.flatnonzero(rank < last)
        ties = np.flatnonzero(rank == last)
        ties = ties[np.lexsort((found[ties], query[ties]))][: self._limit - len(better)]
        keep = np.sort(np.concatenate([better, ties]))
        self._cut += len(query) - len(keep)
        self._parts = [(query[keep], found[keep], score[keep])]
        self._size = len(keep)
        self.worst = float(self._sign * last)


def blocks(vectors: Vectors, size: int = QUERY_BLOCK) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Vectors in blocks as FAISS wants them, each with the number of its first row.

    Args:
        vectors: ``(n, d)`` float32 or float16.
        size: The most rows of a block; never more than ``QUERY_BLOCK``.

    Example:
        >>> [(start, block.shape) for start, block in blocks(np.zeros((3, 4), np.float16), size=2)]
        [(0, (2, 4)), (2, (1, 4))]
    """
    size = min(size, QUERY_BLOCK)
    for start in range(0, len(vectors), size):
        yield start, np.ascontiguousarray(vectors[start : start + size], np.float32)


def range_hits(index: Any, block: npt.NDArray[np.float32], start: int, least: float) -> Hits:
    """All pairs of a block of queries above a score, in order.

    Args:
        index: An index of FAISS.
        block: ``(n, d)`` queries.
        start: The number of the first of them.
        least: The score that must be exceeded.

    Example::

        range_hits(faiss_index, queries[512:1024], 512, least=0.5).found
    """
    ends, score, found = index.range_search(block, least)
    query = np.repeat(np.arange(len(block)), np.diff(ends.astype(np.int64)))
    order = np.lexsort((found, query))
    return Hits(query=query[order] + start, found=found[order].astype(np.int64), score=score[order])


def nearest_hits(index: Any, queries: Vectors, k: int) -> Hits:
    """The ``k`` best of every query; what an approximate index cannot fill is left out.

    Args:
        index: An index of FAISS.
        queries: ``(n, d)`` vectors.
        k: How many.

    Example::

        nearest_hits(faiss_index, queries, k=3).found
    """
    k = min(k, index.ntotal)
    parts: list[Parts] = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
    for start, block in blocks(queries):
        scores, found = index.search(block, k)
        query = np.repeat(np.arange(len(block), dtype=np.int64), k) + start
        known = found.ravel() >= 0
        parts.append((query[known], found.ravel()[known].astype(np.int64), scores.ravel()[known]))
    query, found, score = joined(parts)
    return Hits(query=query, found=found, score=score)

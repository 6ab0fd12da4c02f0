"""Search over inner products among very many vectors: cells of near vectors, the nearest cells of a query.

The vectors lie in an inverted file of FAISS as float16, which is how stores hold them, so the search scores
them without loss; pairs are scored once more in one fixed order. How many cells a query visits is chosen on a
sample of queries whose pairs are all known, and what that misses is measured on another sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from leakscan.match.index.exact import ExactIndex
from leakscan.match.index.protocol import (
    SLACK,
    Hits,
    Ints,
    Reach,
    blocks,
    load_faiss,
    range_hits,
)
from leakscan.match.index.shared_out import Held, Range, nearest_of, range_best
from leakscan.match.products import Vectors
from leakscan.types import Engine

RECALL = 0.999
"""The share of the pairs that a search must find on the sample that chooses its effort."""
_SAMPLE = 2048  # queries in the two samples together
_PAIRS = 5000  # pairs of a sample that the recall is measured on, where there are as many
_ROOM = 1.25  # pairs that are sought for every one that is kept, since the sample only estimates
_CELLS = 2.0  # cells for every unit of the square root of the number of vectors
_LEARNT_FROM = 32  # vectors of each cell that its centre is learnt from
_ROUNDS = 6
_FIRST_EFFORT = 8
_SLACK_OF_ROUNDING = 2e-3  # of scores of vectors that were rounded to float16
_AT_ONCE = 256  # queries searched for together


class ApproximateIndex:
    """An :class:`~leakscan.match.index.protocol.Index` that compares a query with the vectors near it.

    The effort is set on the index of FAISS, not given to its searches: ``faiss.contrib.torch_utils``, which
    training imports, puts searches in their place that take none.

    Args:
        vectors: ``(n, d)`` float32 or float16, L2-normalised.
        engine: Where to search; on this machine unless it is a cluster. The index is made here.
    """

    def __init__(self, vectors: Vectors, engine: Engine | None = None) -> None:
        faiss = load_faiss()
        self._vectors, self._engine = vectors, engine
        self._slack = SLACK if vectors.dtype == np.float16 else _SLACK_OF_ROUNDING
        dim = vectors.shape[1]
        wanted = min(_CELLS * np.sqrt(len(vectors)), len(vectors) / 4)
        self._cells = 1 << max(0, round(float(np.log2(max(1.0, wanted)))))
        coarse = faiss.IndexFlatIP(dim)
        kind = faiss.ScalarQuantizer.QT_fp16
        self._index = faiss.IndexIVFScalarQuantizer(
            coarse, dim, self._cells, kind, faiss.METRIC_INNER_PRODUCT, False
        )
        self._index.cp.niter, self._index.cp.spherical = _ROUNDS, True
        self._index.cp.min_points_per_centroid = 1
        learnt = _spread(len(vectors), _LEARNT_FROM * self._cells)
        threads = faiss.omp_get_max_threads()
        try:
            # The centres must not depend on the number of threads.
            faiss.omp_set_num_threads(1)
            with threadpool_limits(1):
                self._index.train(np.ascontiguousarray(vectors[learnt], np.float32))
        finally:
            faiss.omp_set_num_threads(threads)
        for _, block in blocks(vectors):
            self._index.add(block)
        self._effort = min(4 * _FIRST_EFFORT, self._cells)

    def range_search(self, queries: Vectors, threshold: float, limit: int) -> Hits:
        """Pairs whose score is at least ``threshold``, or about the ``limit`` best of them.

        Where there are more, the search goes no further than the sample says it must for ``limit`` pairs;
        how many were cut is then estimated.
        """
        chosen = _spread(len(queries), _SAMPLE)
        known = _Known.of(self._vectors, queries, chosen, threshold, limit)
        least = np.float32(known.least)
        self._effort, reach = self._tuned(queries, known)
        self._index.nprobe = self._effort
        wanted = Range(least, self._slack, limit, _AT_ONCE)
        hits = range_best(Held(self._index, self._vectors, queries), wanted, self._engine).hits(reach)
        cut = max(hits.cut, round(known.pairs * len(queries) / max(1, len(chosen))) - len(hits.query))
        if known.least <= threshold and not hits.cut:
            return hits
        weakest = float(hits.score.min(initial=np.inf))
        return replace(hits, cut=cut, cut_score=weakest if np.isfinite(weakest) else float("nan"))

    def nearest(self, queries: Vectors, k: int) -> Hits:
        """The ``k`` best of every query among the cells that it visits."""
        self._index.nprobe = self._effort
        return nearest_of(Held(self._index, self._vectors, queries), k, self._engine)

    def _tuned(self, queries: Vectors, known: _Known) -> tuple[int, Reach]:
        """The least effort that finds what half of the sample has, and what it finds of the other half."""
        tuning, measured = known.half(0), known.half(1)
        effort = min(_FIRST_EFFORT, self._cells)
        while effort < self._cells and self._share(queries, tuning, effort) < RECALL:
            effort = min(2 * effort, self._cells)
        recall = self._share(queries, measured, effort)
        return effort, Reach(score=known.least, recall=recall, sampled=len(measured.query))

    def _share(self, queries: Vectors, known: _Known, effort: int) -> float:
        """The share of known pairs that a search with some effort finds."""
        if not len(known.query):
            return 1.0
        asked = np.unique(known.query)
        self._index.nprobe = effort
        keys = []
        for start, block in blocks(queries[asked], _AT_ONCE):
            hits = range_hits(self._index, block, start, known.measured - self._slack)
            keys.append(asked[hits.query] * len(self._vectors) + hits.found)
        wanted = known.query * len(self._vectors) + known.found
        return float(np.isin(wanted, np.concatenate(keys)).mean())


@dataclass(frozen=True, kw_only=True)
class _Known:
    """All pairs of a sample of queries, by exact search.

    Attributes:
        query: ``(m,)`` rows of queries.
        found: ``(m,)`` rows of the index.
        measured: The lowest score of these pairs.
        least: The score above which the whole search finds about as many pairs as it may keep.
        pairs: How many pairs of the sample pass the threshold.
    """

    query: Ints
    found: Ints
    measured: float
    least: float
    pairs: int

    @classmethod
    def of(cls, vectors: Vectors, queries: Vectors, chosen: Ints, threshold: float, limit: int) -> _Known:
        """Searches for the chosen queries.

        The pairs that the recall is measured on are at least as hard to find as those that are kept: where
        the sample has few of these, weaker ones are added.
        """
        share = len(chosen) / max(1, len(queries))
        kept = max(1, int(np.ceil(_ROOM * limit * share)))
        # The few queries are the index here, so that it takes no memory to speak of.
        found = ExactIndex(queries[chosen]).range_search(vectors, threshold, max(kept, _PAIRS))
        hits = replace(found, query=found.found, found=found.query)
        ranked = np.sort(hits.score)[::-1]
        least = float(ranked[kept - 1]) if len(ranked) >= kept else threshold
        last = min(max(kept, _PAIRS), len(ranked))
        measured = float(ranked[last - 1]) if last else threshold
        use = hits.score >= measured
        return cls(
            query=chosen[hits.query[use]],
            found=hits.found[use],
            measured=measured,
            least=least,
            pairs=len(hits.query) + hits.cut,
        )

    def half(self, number: int) -> _Known:
        """The pairs of every second query."""
        _, place = np.unique(self.query, return_inverse=True)
        own = place % 2 == number
        return replace(self, query=self.query[own], found=self.found[own])


def _spread(n: int, most: int) -> Ints:
    """At most ``most`` of ``n`` numbers, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)) if n else np.zeros(0, np.int64)

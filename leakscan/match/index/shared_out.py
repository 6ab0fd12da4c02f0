"""Searches the blocks of the queries one after the other, or each on a worker of a cluster.

Every worker gets the whole index once and answers for the blocks that it is given. So what is found is what
one machine finds, pair by pair, and a worker that is killed loses its block only.
"""

from __future__ import annotations

import tempfile
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.match.index.protocol import (
    QUERY_BLOCK,
    BestHits,
    Hits,
    Parts,
    joined,
    load_faiss,
    nearest_hits,
    range_hits,
)
from leakscan.match.products import Vectors
from leakscan.types import Engine


@dataclass(frozen=True)
class Range:
    """What a search for all pairs above a score is to find.

    Attributes:
        least: The lowest similarity that counts.
        slack: How far off the similarities of the index may be.
        limit: The most pairs to keep.
        at_once: Queries that are searched for at once.
        counts_all: Whether pairs are counted that are worse than all that are kept.
    """

    least: np.float32
    slack: float
    limit: int
    at_once: int
    counts_all: bool = False


class Held:
    """An index of FAISS with its vectors and the queries, as a process holds it.

    Sent to another process it is built there once, however many blocks that process searches.

    Args:
        index: The index of FAISS.
        vectors: ``(n, d)`` what it holds.
        queries: ``(m, d)`` what is sought.
    """

    def __init__(self, index: Any, vectors: Vectors, queries: Vectors) -> None:
        self.index, self.vectors, self.queries = index, vectors, queries
        self.name = uuid.uuid4().hex
        self._effort = getattr(index, "nprobe", None)

    def __reduce__(self) -> tuple[Any, ...]:
        raw = _written(self.index)
        return _received, (self.name, raw, self.vectors, self.queries, self._effort)

    def in_range(self, wanted: Range, start: int, worst: float = -np.inf) -> Hits:
        """Pairs of the block of queries from ``start`` on; their similarities are right within the slack."""
        block = np.ascontiguousarray(self.queries[start : start + wanted.at_once], np.float32)
        lowest = float(wanted.least) if wanted.counts_all else max(float(wanted.least), worst)
        return range_hits(self.index, block, start, lowest - wanted.slack)

    def keep(self, best: BestHits, rough: Hits, wanted: Range) -> None:
        """Scores pairs once more and keeps the best."""
        best.add_rescored(self.queries, self.vectors, rough, wanted.least, wanted.slack)


def _written(index: Any) -> npt.NDArray[np.uint8]:
    """An index of FAISS as bytes.

    Its ``serialize_index`` fails where SimpleITK is loaded as well: it takes vectors of bytes for those of
    SimpleITK.
    """
    faiss = load_faiss()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "index")
        faiss.write_index(index, path)
        return np.fromfile(path, np.uint8)


def _read(raw: npt.NDArray[np.uint8]) -> Any:
    faiss = load_faiss()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        raw.tofile(path)
        return faiss.read_index(str(path))


def range_best(held: Held, wanted: Range, engine: Engine | None) -> BestHits:
    """The best pairs of all queries above a score.

    Args:
        held: The index, and the queries.
        wanted: What counts.
        engine: Where to search; on this machine unless it is a cluster.

    Example::

        range_best(Held(faiss_index, vectors, queries), wanted, engine=None).hits()
    """
    best = BestHits(wanted.limit, largest=True)
    starts = range(0, len(held.queries), wanted.at_once)
    if engine is not None and engine.is_cluster:
        for hits in engine.map(partial(_range_block, held, wanted), starts, chunk=1):
            best.add_hits(hits)
        return best
    for start in starts:
        held.keep(best, held.in_range(wanted, start, best.worst), wanted)
    return best


def nearest_of(held: Held, k: int, engine: Engine | None) -> Hits:
    """The ``k`` best of every query.

    Args:
        held: The index, and the queries.
        k: How many.
        engine: Where to search; on this machine unless it is a cluster.

    Example::

        nearest_of(Held(faiss_index, vectors, queries), k=3, engine=None).found
    """
    if engine is None or not engine.is_cluster:
        return nearest_hits(held.index, held.queries, k)
    none: Parts = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    starts = range(0, len(held.queries), QUERY_BLOCK)
    found = engine.map(partial(_nearest_block, held, k), starts, chunk=1)
    query, other, score = joined([none, *((hits.query, hits.found, hits.score) for hits in found)])
    return Hits(query=query, found=other, score=score)


def _range_block(held: Held, wanted: Range, start: int) -> Hits:
    best = BestHits(wanted.limit, largest=True)
    held.keep(best, held.in_range(wanted, start), wanted)
    return best.hits()


def _nearest_block(held: Held, k: int, start: int) -> Hits:
    hits = nearest_hits(held.index, held.queries[start : start + QUERY_BLOCK], k)
    return Hits(query=hits.query + start, found=hits.found, score=hits.score)


_held: dict[str, Held] = {}  # the one that this process was sent last


def _received(
    name: str, raw: npt.NDArray[np.uint8], vectors: Vectors, queries: Vectors, effort: int | None
) -> Held:
    if name not in _held:
        _held.clear()
        index = _read(raw)
        if effort is not None:
            index.nprobe = effort
        held = Held(index, vectors, queries)
        held.name = name
        _held[name] = held
    return _held[name]

"""A cluster finds what one machine finds, and builds an index once in every process."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from leakscan.match.index import shared_out
from leakscan.match.index.approximate import ApproximateIndex
from leakscan.match.index.exact import ExactIndex
from leakscan.match.index.protocol import Hits

T = TypeVar("T")
R = TypeVar("R")


class FarAway:
    """A cluster in one process: what it is given and what it gives are pickled."""

    workers, is_cluster = 3, True

    def map(self, function: Callable[[T], R], items: Iterable[T], chunk: int = 8) -> Iterator[R]:
        sent = pickle.dumps(function)
        for item in items:
            yield pickle.loads(pickle.dumps(pickle.loads(sent)(pickle.loads(pickle.dumps(item)))))


@pytest.fixture(scope="module")
def vectors() -> npt.NDArray[np.float16]:
    """Two thousand vectors about eighty directions, so that some pairs are near."""
    rng = np.random.default_rng(5)
    some = rng.normal(size=(80, 32))[rng.integers(0, 80, 2000)] + 0.5 * rng.normal(size=(2000, 32))
    return (some / np.linalg.norm(some, axis=1, keepdims=True)).astype(np.float16)


def rows(hits: Hits) -> list[tuple[int, int, float]]:
    return list(zip(hits.query.tolist(), hits.found.tolist(), hits.score.tolist(), strict=True))


@pytest.mark.parametrize("kind", [ExactIndex, ApproximateIndex])
@pytest.mark.parametrize("limit", [300, 1_000_000])
def test_a_cluster_finds_the_same_pairs(
    vectors: npt.NDArray[np.float16], kind: type[ExactIndex | ApproximateIndex], limit: int
) -> None:
    here, there = kind(vectors[:900]), kind(vectors[:900], FarAway())
    found = here.range_search(vectors[900:], 0.7, limit)
    assert len(found.query) > 200
    assert rows(there.range_search(vectors[900:], 0.7, limit)) == rows(found)
    assert rows(there.nearest(vectors[900:], 3)) == rows(here.nearest(vectors[900:], 3))


def test_what_an_exact_search_on_a_cluster_cuts_is_counted(vectors: npt.NDArray[np.float16]) -> None:
    here, there = ExactIndex(vectors[:900]), ExactIndex(vectors[:900], FarAway())
    one, other = (index.range_search(vectors[900:], 0.6, 100) for index in (here, there))
    assert one.cut > 100
    assert (other.cut, other.cut_score) == (one.cut, one.cut_score)


def test_a_process_builds_the_index_once(
    vectors: npt.NDArray[np.float16], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []
    real = shared_out._read

    def read(raw: npt.NDArray[np.uint8]) -> object:
        built.append(real(raw))
        return built[-1]

    monkeypatch.setattr(shared_out, "_read", read)
    ExactIndex(vectors, FarAway()).range_search(np.repeat(vectors, 3, axis=0), 0.99, 10_000)
    assert len(built) == 1


def test_simple_itk_is_not_in_the_way(vectors: npt.NDArray[np.float16]) -> None:
    """Where both are loaded, vectors of bytes of the one are taken for those of the other."""
    pytest.importorskip("SimpleITK")
    here, there = ExactIndex(vectors[:90]), ExactIndex(vectors[:90], FarAway())
    assert rows(there.nearest(vectors[90:], 3)) == rows(here.nearest(vectors[90:], 3))

"""Among very many vectors the search finds nearly every pair, says how many, and never depends on threads."""

from __future__ import annotations

import subprocess
import sys

import faiss
import numpy as np
import numpy.typing as npt
import pytest

from leakscan.match.index import Hits, build_index
from leakscan.match.index.approximate import RECALL, ApproximateIndex
from leakscan.match.index.exact import ExactIndex
from support.makers import unit_vectors

Floats = npt.NDArray[np.float32]
N = 6000


@pytest.fixture(scope="module")
def people() -> tuple[Floats, Floats]:
    """Vectors of two sides in families, with mates on the other side."""
    rng = np.random.default_rng(0)
    families = unit_vectors(1, 200, 32)

    def side(seed: int) -> Floats:
        own = np.random.default_rng(seed)
        out = families[rng.integers(0, 200, N)] + 0.15 * own.standard_normal((N, 32), np.float32)
        return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True), np.float32)

    a, b = side(2), side(3)
    b[:500] = a[:500] + 0.02 * rng.standard_normal((500, 32), np.float32)
    b[:500] /= np.linalg.norm(b[:500], axis=1, keepdims=True)
    return a.astype(np.float16).astype(np.float32), b.astype(np.float16).astype(np.float32)


def keys(hits: Hits) -> npt.NDArray[np.int64]:
    return hits.query * N + hits.found


def test_it_finds_what_it_says_it_finds(people: tuple[Floats, Floats]) -> None:
    a, b = people
    exact = ExactIndex(b).range_search(a, 0.7, 10**6)
    hits = ApproximateIndex(b).range_search(a, 0.7, 10**6)
    assert np.isin(keys(hits), keys(exact)).all()
    assert hits.reach is not None
    found = len(hits.query) / len(exact.query)
    assert found >= RECALL - 0.002
    assert abs(found - hits.reach.recall) < 0.003
    assert hits.reach.sampled > 1000 and hits.reach.score == pytest.approx(0.7)
    assert (hits.cut, np.isnan(hits.cut_score)) == (0, True)
    at = np.searchsorted(np.sort(keys(exact)), keys(hits))
    assert (exact.score[np.argsort(keys(exact))][at] == hits.score).all()  # no bit of a score differs


def test_a_limit_keeps_the_best_and_estimates_what_it_cut(people: tuple[Floats, Floats]) -> None:
    a, b = people
    everything = ExactIndex(b).range_search(a, 0.7, 10**7)
    best = ExactIndex(b).range_search(a, 0.7, 2000)
    hits = ApproximateIndex(b).range_search(a, 0.7, 2000)
    assert np.isin(keys(best), keys(hits)).mean() >= 0.995
    assert hits.cut_score == hits.score.min()
    assert hits.cut == pytest.approx(len(everything.query) - 2000, rel=0.2)
    assert hits.reach is not None and hits.reach.score == pytest.approx(hits.score.min())


def test_one_thread_and_several_find_the_same(people: tuple[Floats, Floats]) -> None:
    a, b = people
    threads, found = faiss.omp_get_max_threads(), []
    try:
        for number in (1, 4):
            faiss.omp_set_num_threads(number)
            found.append(ApproximateIndex(b).range_search(a, 0.7, 3000))
    finally:
        faiss.omp_set_num_threads(threads)
    one, four = found
    assert (keys(one) == keys(four)).all() and (one.score == four.score).all()
    assert one.reach == four.reach


def test_vectors_in_half_precision_give_the_same(people: tuple[Floats, Floats]) -> None:
    a, b = people
    single = ApproximateIndex(b).range_search(a, 0.7, 10**6)
    half = ApproximateIndex(b.astype(np.float16)).range_search(a.astype(np.float16), 0.7, 10**6)
    assert (keys(single) == keys(half)).all() and (single.score == half.score).all()


def test_the_nearest_of_every_query_are_found(people: tuple[Floats, Floats]) -> None:
    a, b = people
    hits = ApproximateIndex(b).nearest(a[:500], 1)
    exact = ExactIndex(b).nearest(a[:500], 1)
    assert (hits.found == exact.found).mean() > 0.98


def test_few_comparisons_are_all_made_and_many_are_not(people: tuple[Floats, Floats]) -> None:
    _, b = people
    assert isinstance(build_index(b, queries=50_000), ExactIndex)
    assert isinstance(build_index(b, queries=1_000_000), ApproximateIndex)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_very_few_vectors_or_queries_are_no_trouble(n: int) -> None:
    some = unit_vectors(5, max(n, 1), 16)
    index = ApproximateIndex(some)
    hits = index.range_search(some[:n], 0.99, 10)
    assert sorted(zip(hits.query.tolist(), hits.found.tolist(), strict=True)) == [(i, i) for i in range(n)]
    assert len(index.nearest(some[:n], 5).query) == n * len(some)


def test_ties_at_the_limit_are_kept_in_the_order_of_their_numbers() -> None:
    same = np.tile(unit_vectors(5, 1, 16), (40, 1))
    for index in (ExactIndex(same), ApproximateIndex(same)):
        hits = index.range_search(same, 0.5, 50)
        expected = [(query, found) for query in range(2) for found in range(40)][:50]
        assert sorted(zip(hits.query.tolist(), hits.found.tolist(), strict=True)) == expected


def test_a_process_that_trained_first_searches_as_any_other() -> None:
    """Training imports a part of FAISS that replaces the searches of its indexes."""
    code = (
        "import numpy as np\n"
        "from leakscan.match.index.approximate import ApproximateIndex\n"
        "from leakscan.match.index.exact import ExactIndex\n"
        "rows = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)\n"
        "rows /= np.linalg.norm(rows, axis=1, keepdims=True)\n"
        "def found(kind):\n"
        "    index = kind(rows)\n"
        "    near, hits = index.nearest(rows, 3), index.range_search(rows, 0.5, 10**6)\n"
        "    return [(h.query.tolist(), h.found.tolist(), h.score.tolist(), h.reach) for h in (near, hits)]\n"
        "plain = [found(kind) for kind in (ExactIndex, ApproximateIndex)]\n"
        "import faiss.contrib.torch_utils\n"
        "print(plain == [found(kind) for kind in (ExactIndex, ApproximateIndex)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr

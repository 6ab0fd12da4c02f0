"""The search finds every pair that a plain double loop finds, and counts what a limit cuts."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.errors import LeakscanError
from leakscan.fingerprint.hashing import PHASH_BITS, hamming
from leakscan.match.index import Hits, build_hash_index, build_index
from leakscan.match.index.protocol import load_faiss
from support.makers import unit_vectors

Floats = npt.NDArray[np.float32]


def pairs(hits: Hits) -> set[tuple[int, int]]:
    return set(zip(hits.query.tolist(), hits.found.tolist(), strict=True))


@settings(max_examples=20)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 40), st.floats(-0.5, 0.6))
def test_range_search_finds_what_brute_force_finds(seed: int, n: int, m: int, threshold: float) -> None:
    vectors, queries = unit_vectors(seed, n, 8), unit_vectors(seed + 1, m, 8)
    scores = queries @ vectors.T
    hits = build_index(vectors).range_search(queries, threshold, 10_000)
    sure, possible = scores > threshold + 1e-6, scores > threshold - 1e-6
    assert set(zip(*map(list, np.nonzero(sure)), strict=True)) <= pairs(hits)
    assert pairs(hits) <= set(zip(*map(list, np.nonzero(possible)), strict=True))
    assert len(pairs(hits)) == len(hits.query)
    assert np.allclose(hits.score, scores[hits.query, hits.found], atol=1e-5)
    assert (hits.cut, np.isnan(hits.cut_score)) == (0, True)


def test_the_threshold_itself_counts() -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert len(build_index(vectors).range_search(vectors, 1.0, 100).query) == 4


def test_more_queries_than_a_block_keep_their_numbers() -> None:
    vectors = unit_vectors(1, 5, 16)
    queries = np.tile(vectors, (500, 1))
    hits = build_index(vectors).range_search(queries, 0.999, 100_000)
    assert pairs(hits) == {(i, i % 5) for i in range(2500)}


@settings(max_examples=20)
@given(st.integers(0, 999), st.integers(1, 30))
def test_a_limit_keeps_the_best_and_counts_the_rest(seed: int, limit: int) -> None:
    vectors, queries = unit_vectors(seed, 20, 8), unit_vectors(seed + 1, 30, 8)
    everything = np.sort((queries @ vectors.T)[(queries @ vectors.T) > 0.1])[::-1]
    hits = build_index(vectors).range_search(queries, 0.1, limit)
    assert len(hits.query) == min(limit, len(everything))
    assert len(hits.query) + hits.cut == len(everything)
    assert np.allclose(np.sort(hits.score)[::-1], everything[: len(hits.score)], atol=1e-5)
    if hits.cut:
        assert hits.cut_score == pytest.approx(everything[limit - 1], abs=1e-5)


def test_a_limit_holds_over_many_blocks() -> None:
    vectors = unit_vectors(3, 8, 8)
    queries = unit_vectors(4, 5000, 8)
    scores = (queries @ vectors.T).ravel()
    hits = build_index(vectors).range_search(queries, -1.1, 50)
    assert hits.cut == scores.size - 50
    assert np.allclose(np.sort(hits.score), np.sort(scores)[-50:], atol=1e-5)


@settings(max_examples=15)
@given(st.integers(0, 999), st.integers(1, 12), st.integers(1, 5))
def test_nearest_are_the_k_best_of_every_query(seed: int, n: int, k: int) -> None:
    vectors, queries = unit_vectors(seed, n, 8), unit_vectors(seed + 1, 7, 8)
    hits = build_index(vectors).nearest(queries, k)
    best = np.sort(queries @ vectors.T, axis=1)[:, ::-1][:, :k]
    assert len(hits.query) == 7 * min(k, n)
    assert len(pairs(hits)) == len(hits.query)
    for query in range(7):
        assert np.allclose(np.sort(hits.score[hits.query == query])[::-1], best[query], atol=1e-5)


EVERYTHING = np.uint64((1 << PHASH_BITS) - 1)


def flips(hashes: npt.NDArray[np.uint64], seed: int, most: int) -> npt.NDArray[np.uint64]:
    """Each hash with up to ``most`` bits flipped, every other one inverted too."""
    rng = np.random.default_rng(seed)
    out = hashes.copy()
    for i in range(len(out)):
        for bit in rng.choice(PHASH_BITS, rng.integers(0, most + 1), replace=False):
            out[i] ^= np.uint64(1) << np.uint64(bit)
        if i % 2:
            out[i] ^= EVERYTHING
    return out


@settings(max_examples=20)
@given(st.integers(0, 999), st.integers(0, 12))
def test_hash_search_finds_what_brute_force_finds(seed: int, radius: int) -> None:
    rng = np.random.default_rng(seed)
    variants = rng.integers(0, 1 << PHASH_BITS, (9, 8), dtype=np.uint64)
    hashes = np.concatenate([flips(variants[:, seed % 8], seed, 12), variants[:3, 0]])
    hits = build_hash_index(variants).range_search(hashes, radius, 10_000)
    distance = np.array([[hamming(variants[r], h[None]).min() for r in range(9)] for h in hashes])
    assert pairs(hits) == set(zip(*map(list, np.nonzero(distance <= radius)), strict=True))
    assert (hits.score == distance[hits.query, hits.found]).all()


def test_a_limit_on_hashes_keeps_the_closest_and_counts_the_rest() -> None:
    variants = np.zeros((1, 8), np.uint64)
    hashes = np.array([(1 << n) - 1 for n in range(9)], np.uint64)
    hits = build_hash_index(variants).range_search(hashes, 8, 4)
    assert sorted(hits.score.tolist()) == [0, 1, 2, 3]
    assert (hits.cut, hits.cut_score) == (5, 3)


@settings(max_examples=20)
@given(st.integers(0, 999), st.integers(1, 12), st.integers(1, 4))
def test_nearest_hashes_are_the_k_closest_under_any_turn_or_inversion(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    variants = rng.integers(0, 1 << PHASH_BITS, (n, 8), dtype=np.uint64)
    hashes = np.concatenate(
        [flips(variants[:, seed % 8], seed, 12), rng.integers(0, 1 << PHASH_BITS, 3, np.uint64)]
    )
    hits = build_hash_index(variants).nearest(hashes, k)
    distance = np.array([[hamming(v, h[None]).min() for v in variants] for h in hashes])
    assert len(pairs(hits)) == len(hits.query) == len(hashes) * min(k, n)
    assert (hits.score == distance[hits.query, hits.found]).all()
    for query, line in enumerate(distance):
        assert sorted(hits.score[hits.query == query]) == sorted(line)[:k]


def test_more_hashes_than_a_block_keep_their_numbers() -> None:
    variants = np.random.default_rng(1).integers(0, 1 << PHASH_BITS, (5, 8), dtype=np.uint64)
    hits = build_hash_index(variants).range_search(np.tile(variants[:, 0], 500), 0, 10_000)
    assert pairs(hits) == {(i, i % 5) for i in range(2500)}


def test_nothing_is_found_by_nothing() -> None:
    index = build_hash_index(np.zeros((3, 8), np.uint64))
    assert len(index.range_search(np.zeros(0, np.uint64), 8, 9).query) == 0
    assert (
        len(build_index(unit_vectors(1, 3)).range_search(np.zeros((0, 128), np.float32), 0.0, 9).query) == 0
    )


def test_a_missing_search_library_names_the_two_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "faiss":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(LeakscanError) as caught:
        load_faiss()
    assert "leakscan[cpu]" in caught.value.hint
    assert "leakscan[gpu]" in caught.value.hint

"""Looking hashes up by parts finds what comparing each with each finds, as far as it says it goes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.fingerprint.hashing import PHASH_BITS, film_orientations
from leakscan.match.index import Hits, build_hash_index, film_hashes
from leakscan.match.index.film_hashes import FilmHashIndex
from leakscan.match.index.hashes import HashIndex

Hashes = npt.NDArray[np.uint64]


def films(seed: int, n: int, near: int = 0) -> tuple[Hashes, Hashes]:
    """Hashes of films in all orientations; and of others, the first ``near`` altered copies of the former."""
    rng = np.random.default_rng(seed)
    share = rng.uniform(0.1, 0.9, 64)
    signs = rng.random((n, 64)) < share
    signs[:, 0] = False
    asked = rng.random((n, 64)) < share
    for i in range(near):
        asked[i] = signs[i]
        asked[i, rng.choice(np.arange(1, 64), rng.integers(0, 10), replace=False)] ^= True
    asked[:, 0] = False
    turned = film_orientations(asked)[np.arange(n), rng.integers(0, 8, n)]
    turned[::2] ^= np.uint64((1 << PHASH_BITS) - 1)
    return film_orientations(signs), turned


def found(hits: Hits) -> dict[tuple[int, int], float]:
    pairs = list(zip(hits.query.tolist(), hits.found.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    return dict(zip(pairs, hits.score.tolist(), strict=True))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 999), st.integers(0, 6))
def test_it_finds_what_comparing_each_with_each_finds(seed: int, radius: int) -> None:
    variants, asked = films(seed, 60, near=50)
    hits = FilmHashIndex(variants).range_search(asked, radius, 10_000)
    assert found(hits) == found(HashIndex(variants, PHASH_BITS).range_search(asked, radius, 10_000))
    assert hits.radius == radius


def test_a_limit_ends_the_search_with_the_closest() -> None:
    variants, asked = films(1, 300, near=250)
    exact = found(HashIndex(variants, PHASH_BITS).range_search(asked, 8, 10_000))
    hits = FilmHashIndex(variants).range_search(asked, 8, 60)
    assert len(hits.query) == 60
    assert hits.radius is not None and hits.radius < 8
    assert sorted(found(hits).values()) == sorted(exact.values())[:60]


def test_the_radius_shrinks_rather_than_the_time_growing(monkeypatch: pytest.MonkeyPatch) -> None:
    variants, asked = films(2, 300, near=250)
    monkeypatch.setattr(film_hashes, "LOOK_UPS", 300 * 200)
    hits = FilmHashIndex(variants).range_search(asked, 8, 10_000)
    assert hits.radius == 3
    assert found(hits) == found(HashIndex(variants, PHASH_BITS).range_search(asked, 3, 10_000))


def test_equal_hashes_are_kept_in_the_order_of_their_numbers() -> None:
    variants = np.tile(films(3, 1)[0], (40, 1))
    hits = FilmHashIndex(variants).range_search(variants[:, 0], 8, 50)
    expected = [(query, film) for query in range(2) for film in range(40)][:50]
    assert sorted(found(hits)) == expected


def test_the_nearest_are_the_closest_within_reach() -> None:
    variants, asked = films(4, 100, near=100)
    hits = FilmHashIndex(variants).nearest(asked[:20], 1)
    exact = HashIndex(variants, PHASH_BITS).nearest(asked[:20], 1)
    assert hits.radius is not None
    close = exact.score <= hits.radius
    assert set(zip(exact.query[close].tolist(), exact.score[close].tolist(), strict=True)) <= set(
        zip(hits.query.tolist(), hits.score.tolist(), strict=True)
    )


def test_only_very_many_films_are_looked_up_by_parts() -> None:
    variants, _ = films(5, 30)
    assert isinstance(build_hash_index(variants, 30, ndim=2), HashIndex)
    assert isinstance(build_hash_index(variants, 10**8, ndim=2), FilmHashIndex)
    assert isinstance(build_hash_index(variants, 10**8, ndim=3), HashIndex)  # whose flips are others


def test_nothing_is_found_by_nothing() -> None:
    variants, asked = films(6, 5)
    assert len(FilmHashIndex(variants).range_search(asked[:0], 8, 10).query) == 0
    assert len(FilmHashIndex(variants[:0]).range_search(asked, 2, 10).query) == 0

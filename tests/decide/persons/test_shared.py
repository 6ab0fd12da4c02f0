"""How many subjects are shared: the interval holds the truth, certainty is rare by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakscan.decide.persons.shared import GenuineRates, SharedEstimate, SubjectPairs, estimate

SIDE = 400


def genuine(rng: np.random.Generator, n: int) -> np.ndarray:
    """p-values of true pairs: three of four lie far out."""
    return np.exp(-np.where(rng.random(n) < 0.25, rng.uniform(0, 9, n), rng.uniform(9, 18, n)))


def met(shared: int, seed: int, copies: int = 0) -> tuple[SubjectPairs, np.ndarray]:
    """Two datasets of 400 subjects each, with strangers up to 1e-3, and which of the pairs are true."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(SIDE * SIDE * 1e-3)
    who = rng.permutation(SIDE)[:shared]
    p = np.concatenate([rng.random(n) * 1e-3, genuine(rng, shared)])
    a, b = (np.concatenate([rng.integers(0, SIDE, n), who]) for _ in "ab")
    ones, settled = np.ones(SIDE, np.int64), np.arange(copies)
    found = SubjectPairs(
        p=np.maximum(p, 2e-8), a=a, b=b, settled_a=settled, settled_b=settled,
        pictures_a=ones, pictures_b=ones, least=2e-8, reach=1e-3,
    )  # fmt: skip
    return found, np.arange(len(p)) >= n


def rates() -> GenuineRates:
    return GenuineRates(genuine(np.random.default_rng(99), 600), np.arange(600), own=True)


def told(shared: int, seed: int, trusted: bool = True, copies: int = 0) -> SharedEstimate:
    return estimate(met(shared, seed, copies)[0], rates(), spread=0.2, trusted=trusted)


@pytest.mark.parametrize("shared", [0, 3, 30, 120])
def test_the_interval_holds_the_true_number(shared: int) -> None:
    found = [told(shared, seed) for seed in range(40)]
    assert sum(e.low <= shared <= e.high for e in found) >= 36
    assert np.mean([e.value for e in found]) == pytest.approx(shared, abs=1 + 0.1 * shared)


def test_a_leak_is_certain_where_many_are_shared_and_not_by_chance() -> None:
    assert all(told(30, seed).sure for seed in range(20))
    assert not any(told(0, seed).sure for seed in range(60))
    assert not told(30, 0, trusted=False).sure


def test_what_could_have_gone_unnoticed_would_be_noticed_at_that_number() -> None:
    most = told(0, 1).unnoticed
    assert 2 <= most <= 30
    assert np.mean([bool(told(most, seed).sure) for seed in range(40)]) >= 0.9


def test_copies_are_certain() -> None:
    found = told(0, 2, copies=50)
    assert found.certain == 50 and found.low >= 50 and found.sure >= 50


def test_whoever_has_several_pictures_is_found_more_easily() -> None:
    p = np.tile([1e-9, 0.5], 40)
    rates_of_two = GenuineRates(p, np.repeat(np.arange(40), 2), own=False)
    assert rates_of_two.found(1e-6)[0] == pytest.approx(0.5)
    assert rates_of_two.found(1e-6, several=2)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("spread", [5.0, 50.0, 1e4])
def test_where_p_values_say_nothing_everybody_could_have_gone_unnoticed(spread: float) -> None:
    """A number that cannot be noticed was sought without end, until it was too large to count with."""
    nowhere = GenuineRates(np.full(60, 0.5), np.arange(60), own=True)
    found = estimate(met(0, 1)[0], nowhere, spread=spread, trusted=True)
    assert found.unnoticed == SIDE + 1
    assert found.high <= SIDE
    assert not found.sure


def test_pairs_of_a_subject_that_is_not_found_are_all_counted() -> None:
    """Of two pairs of pictures of a person, both lie below what is found, or one makes the person found."""
    rates = GenuineRates(np.array([1e-4, 1e-5, 1e-9, 1e-5]), np.array([0, 0, 1, 1]), own=True)
    left = rates.left(np.array([1e-3, 1e-6]), several=2)
    assert left.tolist() == [1.0]  # two pairs of the first person, none of the second


def test_the_interval_is_wider_where_two_ways_to_the_share_found_disagree_or_people_differ() -> None:
    pairs = met(120, 1)[0]
    plain, doubted = rates(), replace(rates(), doubt=0.15)
    hard = GenuineRates(np.maximum(rates().p, 1e-2 * (np.arange(600) % 3 == 0)), np.arange(600), own=False)
    known, unsure, two_ways = (
        estimate(pairs, genuine, spread=0.2, trusted=True)
        for genuine in (plain, doubted, replace(plain, usual=hard))
    )
    assert known.value == unsure.value == two_ways.value
    for wider in (unsure, two_ways):
        assert wider.high - wider.low > 1.2 * (known.high - known.low)


def test_no_more_are_stated_than_there_are() -> None:
    """Everybody is shared, and hardly anybody of the calibration would be found."""
    hard = GenuineRates(np.where(np.arange(600) % 5 == 0, 1e-8, 0.5), np.arange(600), own=False)
    found = estimate(met(SIDE, 1)[0], hard, spread=0.2, trusted=True)
    assert found.value <= found.high <= SIDE

"""Probabilities come true, whoever a pair hangs on, and the review list ends where it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakscan.decide.persons.probability import PairProbabilities, pair_probabilities, review_list
from leakscan.decide.persons.shared import GenuineRates, SubjectPairs, estimate

SIDE = 400


def genuine(rng: np.random.Generator, n: int) -> np.ndarray:
    """p-values of true pairs."""
    return np.exp(-rng.uniform(0, 18, n))


def rates() -> GenuineRates:
    return GenuineRates(genuine(np.random.default_rng(99), 600), np.arange(600), own=True)


def met(shared: int, seed: int, films: int = 1, more: float = 1.0) -> tuple[SubjectPairs, np.ndarray]:
    """Two datasets of 400 pictures, strangers up to 1e-3, and which pairs are true.

    Whoever is shared has so many pictures a side. Strangers are ``more`` times as many as p-values say.
    """
    rng = np.random.default_rng(seed)
    n = rng.poisson(SIDE * SIDE * 1e-3 * more)
    i, j = (x.ravel() for x in np.meshgrid(np.arange(films), np.arange(films)))
    who = np.repeat(np.arange(shared), films * films) * films
    true_a, true_b = who + np.tile(i, shared), who + np.tile(j, shared)
    a, b = (np.concatenate([rng.integers(0, SIDE, n), true]) for true in (true_a, true_b))
    p = np.maximum(np.concatenate([rng.random(n) * 1e-3, genuine(rng, len(who))]), 2e-8)
    sought = p <= 1e-3
    ones, none = np.ones(SIDE, np.int64), np.zeros(0, np.int64)
    found = SubjectPairs(
        p=p[sought], a=a[sought], b=b[sought], settled_a=none, settled_b=none,
        pictures_a=ones, pictures_b=ones, least=2e-8, reach=1e-3,
    )  # fmt: skip
    return found, (np.arange(len(p)) >= n)[sought]


def told(pairs: SubjectPairs) -> PairProbabilities:
    return pair_probabilities(pairs, rates(), estimate(pairs, rates(), spread=0.2, trusted=True))


@pytest.mark.parametrize(
    ("shared", "films", "more"), [(4, 1, 1.0), (20, 1, 1.0), (120, 1, 1.0), (30, 3, 1.0), (30, 1, 2.5)]
)
def test_probabilities_come_true(shared: int, films: int, more: float) -> None:
    stated, true = [], []
    for seed in range(40):
        pairs, which = met(shared, seed, films, more)
        stated.append(told(pairs).share)
        true.append(which)
    probability, is_true = np.concatenate(stated), np.concatenate(true)
    for low in np.arange(0.0, 1.0, 0.1):
        inside = (probability >= low) & (probability < low + 0.1)
        if inside.sum() >= 100:
            assert is_true[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.15), low


def test_better_pairs_of_one_standing_are_never_less_likely() -> None:
    pairs, _ = met(30, 1)
    found = told(pairs)
    order = np.argsort(-pairs.p[found.first])
    assert (np.diff(found.share[found.first][order]) >= -1e-12).all()


def test_who_has_a_partner_is_hardly_a_second_persons_partner() -> None:
    """Where everybody stands once, another match of somebody found is a stranger."""
    pairs, _ = met(40, 3)
    far = np.full(4, np.exp(-9.0))
    fresh = np.arange(300, 304)
    to_found = replace(
        pairs,
        p=np.concatenate([pairs.p, far]),
        a=np.concatenate([pairs.a, np.resize(pairs.a[pairs.p < 1e-6], 4)]),
        b=np.concatenate([pairs.b, fresh]),
    )
    assert told(to_found).share[-4:].max() < 0.1


def test_a_pair_inside_a_group_is_as_likely_as_the_links_of_the_group() -> None:
    pairs, _ = met(0, 5)
    links = np.array([1e-7, 1e-7, 1e-7, 1e-2])  # films 390 and 391 of each side; the last pair is far apart
    linked = replace(
        pairs,
        p=np.concatenate([pairs.p, links]),
        a=np.concatenate([pairs.a, [390, 390, 391, 391]]),
        b=np.concatenate([pairs.b, [390, 391, 391, 390]]),
    )
    share = told(linked).share[-4:]
    assert share[3] == pytest.approx(share[:3].min(), abs=0.02)
    assert share[3] > 0.5


def test_all_pairs_of_a_further_picture_with_a_person_found_are_as_likely_as_the_best_of_them() -> None:
    """Film 395 of B is like the three films of one person of A, who is found by film 390 of B."""
    pairs, _ = met(30, 1, films=3)
    person, further = np.array([390, 391, 392]), np.array([395, 395, 395])
    p = np.concatenate([np.full(3, 1e-7), np.exp([-10.0, -8.5, -7.2])])
    linked = replace(
        pairs,
        p=np.concatenate([pairs.p, p]),
        a=np.concatenate([pairs.a, person, person]),
        b=np.concatenate([pairs.b, np.full(3, 390), further]),
    )
    best, second, third = told(linked).share[-3:]
    assert best == second == third > 0.1
    alone = replace(linked, p=np.delete(linked.p, -3), a=np.delete(linked.a, -3), b=np.delete(linked.b, -3))
    assert told(alone).share[-1] < 0.8 * best  # without its best pair, the picture is less likely theirs


def test_pictures_that_are_all_like_one_stranger_are_no_further_pictures_of_a_person_found() -> None:
    """Nobody is shared. Five films of one person of B are like a film of A, one of them just beyond the
    level: it is most likely a stranger's, and so are the others.
    """
    pairs, _ = met(0, 5)
    p = np.array([6.0e-6, 8e-6, 1.2e-5, 2e-5, 4e-5])
    alike = replace(
        pairs,
        p=np.concatenate([pairs.p, p]),
        a=np.concatenate([pairs.a, np.full(5, 390)]),
        b=np.concatenate([pairs.b, np.arange(390, 395)]),
    )
    share = told(alike).share[-5:]
    assert share[1:].max() <= share[0] + 0.1
    assert share.max() < 0.5


def test_nobody_shared_leaves_nothing_likely() -> None:
    shares = [told(met(0, seed)[0]).share for seed in range(20)]
    assert np.mean([share.sum() for share in shares]) < 1.0
    assert not any(review_list(share).sum() > 3 for share in shares)


def test_the_review_list_ends_where_the_next_hundred_hold_less_than_one_true_pair() -> None:
    probability = np.sort(np.random.default_rng(0).beta(0.2, 3.0, 2000))[::-1]
    listed = int(review_list(probability).sum())
    assert 0 < listed < 2000
    assert probability[listed : listed + 100].sum() < 1.0 <= probability[listed - 1 : listed + 99].sum()


def test_a_likely_pair_is_listed_however_few_there_are() -> None:
    assert review_list(np.array([0.3, 1e-4])).tolist() == [True, False]
    assert review_list(np.zeros(0)).tolist() == []

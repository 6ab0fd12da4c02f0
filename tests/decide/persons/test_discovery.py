"""Multiple testing: what is found among how many, and how much of it is false."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.decide.persons.discovery import (
    best_of_units,
    groups_found,
    q_values,
    share_false_among_first,
    unit_p_value,
)

shares = st.floats(0, 1)


def slow_q_values(p: list[float], total: int) -> list[float]:
    """Benjamini and Hochberg's definition, word by word."""
    ranked = sorted(p)
    return [min(1.0, *(total * q / (n + 1) for n, q in enumerate(ranked) if q >= value)) for value in p]


@given(st.lists(shares, min_size=1, max_size=30), st.integers(0, 50))
def test_q_values_are_those_of_the_definition(p: list[float], silent: int) -> None:
    total = len(p) + silent
    assert q_values(p, total) == pytest.approx(slow_q_values(p, total))


@given(st.lists(shares, min_size=1, max_size=20), st.integers(1, 20))
def test_units_without_candidates_count_as_p_of_one(p: list[float], silent: int) -> None:
    assert q_values(p, len(p) + silent) == pytest.approx(q_values([*p, *[1.0] * silent])[: len(p)])


def test_fewer_tests_than_p_values_is_refused() -> None:
    with pytest.raises(ValueError, match="only 1"):
        q_values([0.1, 0.2], 1)


def test_false_discoveries_stay_below_the_q_value() -> None:
    rng = np.random.default_rng(0)
    shares_false = []
    for _ in range(200):
        p = rng.uniform(size=400)
        p[:40] = rng.beta(0.1, 60, 40)
        found = q_values(p) <= 0.1
        shares_false.append(found[40:].sum() / max(found.sum(), 1))
    assert np.mean(shares_false) <= 0.1


@given(shares, st.integers(1, 10**6))
def test_the_best_of_n_is_sidaks(p: float, n: int) -> None:
    found = float(unit_p_value(p, n))
    assert p <= found * (1 + 1e-9) + 1e-300
    assert found <= min(1.0, n * p * (1 + 1e-9)) + 1e-300
    assert found == pytest.approx(1 - (1 - p) ** n, abs=1e-9)


def test_the_best_of_n_keeps_tiny_rates() -> None:
    assert float(unit_p_value(1e-20, 1000)) == pytest.approx(1e-17)
    assert unit_p_value([0.0, 1.0], 5).tolist() == [0.0, 1.0]


@given(st.floats(1e-6, 0.5), st.integers(1, 50), st.integers(1, 50))
def test_the_best_of_n_of_m_is_the_best_of_nm(p: float, n: int, m: int) -> None:
    assert float(unit_p_value(unit_p_value(p, n), m)) == pytest.approx(float(unit_p_value(p, n * m)))


def test_the_best_of_uniform_scores_is_uniform() -> None:
    best = np.random.default_rng(1).uniform(size=(2000, 30)).min(axis=1)
    ranks = np.sort(unit_p_value(best, 30))
    assert np.abs(ranks - np.arange(2000) / 2000).max() < 1.63 / np.sqrt(2000)


def test_each_unit_gets_its_smallest_p_and_one_where_it_has_none() -> None:
    assert best_of_units([0.3, 0.1, np.nan, 0.2], [0, 0, 1, 3], 4).tolist() == [0.1, 1.0, 1.0, 0.2]


def test_the_first_of_a_list_hold_as_many_false_pairs_as_its_probabilities_say() -> None:
    probability = np.concatenate([np.full(50, 0.9), np.full(60, 0.1)])
    assert share_false_among_first(probability) == {10: pytest.approx(0.1), 100: pytest.approx(0.5)}


def test_films_of_one_subject_are_one_discovery() -> None:
    """Pairs 0-0, 0-1 and 1-1 hang together, 2-2 stands alone, and 3-1 joins the first group late."""
    p = [1e-6, 1e-5, 2e-5, 1e-4, 1e-3]
    a, b = [0, 0, 1, 2, 3], [0, 1, 1, 2, 1]
    assert groups_found(p, a, b, [1e-7, 1e-6, 1e-5, 2e-5, 1e-4, 1e-3]).tolist() == [0, 1, 1, 1, 2, 2]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.floats(1e-9, 1.0)), max_size=40))
def test_groups_are_the_connected_components(pairs: list[tuple[int, int, float]]) -> None:
    levels = [level for *_, level in pairs]
    found = groups_found(levels, [a for a, *_ in pairs], [b for _, b, _ in pairs], levels)
    for level, count in zip(levels, found.tolist(), strict=True):
        graph = nx.Graph((f"a{a}", f"b{b}") for a, b, other in pairs if other <= level)
        assert count == nx.number_connected_components(graph)


def test_q_values_rise_where_units_share_a_discovery() -> None:
    p = [1e-4, 2e-4, 3e-4]
    assert q_values(p, found=[1, 2, 3]).tolist() == q_values(p).tolist()
    assert q_values(p, found=[1, 1, 1]).tolist() == pytest.approx([3e-4, 6e-4, 9e-4])

"""Made-up fingerprints have the statistics of those they are drawn from, and a run decides about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leakscan.research.made_up_merges import MadeUpMerge, figures, reachable, side_of
from leakscan.research.made_up_prints import GENUINE, LEVELS, PrintStatistics, real_scores
from leakscan.run.reported import decide_and_report
from support.made_up_encoder import ENCODER, made_up_context


@pytest.fixture(scope="module")
def real() -> tuple[np.ndarray, np.ndarray]:
    """Two films each of 500 people in 16 dimensions, some directions of whom vary more than others."""
    rng = np.random.default_rng(0)
    size = np.geomspace(1.0, 0.1, 16)
    centres = 0.2 + rng.normal(size=(500, 16)) * size
    films = np.concatenate([centres + 0.35 * rng.normal(size=(500, 16)) * size for _ in range(2)])
    return films / np.linalg.norm(films, axis=1, keepdims=True), np.tile(np.arange(500), 2)


@pytest.fixture(scope="module")
def statistics(real: tuple[np.ndarray, np.ndarray]) -> PrintStatistics:
    return PrintStatistics.of(*real)


def test_drawn_films_have_the_mean_and_the_covariance_of_real_ones(
    real: tuple[np.ndarray, np.ndarray], statistics: PrintStatistics
) -> None:
    drawn, _ = statistics.draw(2, people=3000, seed=1)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(drawn.mean(axis=0), real[0].mean(axis=0), atol=0.05)
    assert np.corrcoef(np.cov(drawn.T).ravel(), np.cov(real[0].T).ravel())[0, 1] > 0.95


def test_scores_of_drawn_people_lie_as_those_of_real_ones_bulk_and_tail(
    real: tuple[np.ndarray, np.ndarray], statistics: PrintStatistics
) -> None:
    strangers, repeated = real_scores(*real)
    one, other = statistics.draw(2, people=1500, seed=2)
    drawn = np.quantile((one @ one.T)[np.triu_indices(1500, 1)], 1 - np.array(LEVELS))
    np.testing.assert_allclose(drawn[:8], strangers[:8], atol=0.06)  # 12 pairs of real people lie beyond
    np.testing.assert_allclose(np.quantile((one * other).sum(axis=1), GENUINE), repeated, atol=0.08)


def test_the_seed_decides_who_is_drawn_and_one_person_is_alike_on_both_sides(
    statistics: PrintStatistics,
) -> None:
    merge = MadeUpMerge(subjects=300, shared=40, declared=False, seed=3)
    (a, b), (again, _) = merge.sides(statistics), merge.sides(statistics)
    other, _ = MadeUpMerge(subjects=300, shared=40, declared=False, seed=4).sides(statistics)
    assert np.array_equal(a, again)
    assert not np.array_equal(a, other)
    assert a.shape == b.shape == (300, 16)
    alike = (a * b).sum(axis=1)
    assert alike[:40].mean() > alike[40:].mean() + 0.3


def test_the_run_decides_about_them_and_false_leaks_are_counted() -> None:
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(560, 128))
    sides = [centres[:300], np.concatenate([centres[:40], centres[300:]])]
    moved: list[Any] = [c + 0.25 * rng.normal(size=c.shape) for c in sides]
    prints = [(m / np.linalg.norm(m, axis=1, keepdims=True)).astype(np.float32) for m in moved]
    merge = MadeUpMerge(subjects=300, shared=40, declared=True)
    a, b = (side_of(n, p, ENCODER, merge.declared) for n, p in zip("ab", prints, strict=True))
    result = decide_and_report([a, b], made_up_context(), None)
    found = figures(merge, result)
    assert found["recall"] == 1.0
    assert found["false"] <= 1
    assert found["exit_code"] == 1
    nobody = figures(MadeUpMerge(subjects=300, shared=0, declared=True), result)
    assert nobody["false"] == nobody["called"] == found["called"]


def test_no_threshold_finds_more_than_what_lies_above_the_strangers() -> None:
    """One pair of strangers is more alike than two of the four shared people."""
    a = np.eye(6, dtype=np.float32)
    b = np.eye(6, dtype=np.float32)
    b[2:4] = 0.5 * np.eye(6)[2:4] + np.sqrt(0.75) * np.eye(6)[5]
    b[4] = 0.6 * np.eye(6)[5] + 0.8 * np.eye(6)[4]
    b[5] = 0.7 * np.eye(6)[4] + np.sqrt(0.51) * np.eye(6)[5]
    assert reachable(a, b, shared=4, false_share=0.0) == 2
    assert reachable(a, b, shared=4, false_share=0.7) == 4
    assert reachable(a, b, shared=0, false_share=0.0) == 0

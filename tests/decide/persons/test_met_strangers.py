"""How strangers of two datasets fall off is told by the pairs of the two themselves, whoever is shared."""

from __future__ import annotations

import numpy as np
import pytest

from leakscan.decide.persons.met_strangers import MetPairs, fit_met_tail


def met(side: int, slope: float, shared: int = 0, seed: int = 0, cut: float = 0.0) -> MetPairs:
    """Strangers whose excess over the calibration's scale is ``slope``, and shared people far out."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(side * side * np.exp(-6.0 / slope))
    u = np.concatenate([6.0 + rng.exponential(slope, n), rng.uniform(8.0, 25.0, shared)])
    who = rng.permutation(side)[:shared]
    a, b = (np.concatenate([rng.integers(0, side, n), who]) for _ in "ab")
    there = u > cut
    return MetPairs(u=u[there], a=a[there], b=b[there], subjects=(side, side), reach=1e-3)


@pytest.mark.parametrize("slope", [0.8, 1.0, 1.25])
@pytest.mark.parametrize("shared", [0, 30])
def test_the_rate_far_out_is_that_of_strangers(slope: float, shared: int) -> None:
    far = 10.0
    for seed in range(5):
        tail = fit_met_tail(met(2_000, slope, shared, seed))
        assert tail is not None
        assert -0.5 < np.log(tail.rate(far)) + far / slope < 1.2


def test_large_datasets_go_without_the_calibration_and_small_ones_do_not() -> None:
    large, small = fit_met_tail(met(1_500, 1.0)), fit_met_tail(met(1_499, 1.0))
    assert large is not None and small is not None
    assert large.alone and not small.alone


def test_no_rate_is_stated_far_below_one_of_all_pairs() -> None:
    tail = fit_met_tail(met(2_000, 0.8))
    assert tail is not None
    assert tail.rate(400.0) == pytest.approx(1.0 / 2_000**2 / 30.0)


def test_pairs_that_a_search_left_out_do_not_make_strangers_rare() -> None:
    """The weaker half is missing, as a limit of pairs leaves it out."""
    whole, cut = fit_met_tail(met(3_000, 1.0)), fit_met_tail(met(3_000, 1.0, cut=8.3))
    assert whole is not None and cut is not None
    assert cut.rate(13.0) > 0.6 * whole.rate(13.0)


def test_few_pairs_say_nothing() -> None:
    assert fit_met_tail(met(100, 1.0)) is None
    none = np.zeros(0)
    assert (
        fit_met_tail(MetPairs(u=none, a=none.astype(int), b=none.astype(int), subjects=(0, 0), reach=1e-3))
        is None
    )

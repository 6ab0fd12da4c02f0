"""A run's own strangers against the calibration: where it is right, where it falls too fast, where it is
overruled.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leakscan.decide.calibration.own_tail import OwnPairs, OwnTail, fit_own_tail


def own(slope: float, subjects: int = 500, level: float = 1.0, planted: int = 0, seed: int = 0) -> OwnPairs:
    """Strangers beyond ``u = 2`` whose rate is ``level`` times the calibration's there and falls by
    ``slope``.
    """
    i, j = np.triu_indices(subjects, 1)
    rng = np.random.default_rng(seed)
    high = np.flatnonzero(rng.random(len(i)) < level * np.exp(-2.0))
    u = 2.0 + rng.exponential(slope, len(high))
    u[:planted] = 30.0
    return OwnPairs(u=u, first=i[high], second=j[high], pairs=len(i), subjects=subjects, complete=2.0)


def fitted(pairs: OwnPairs) -> OwnTail:
    tail = fit_own_tail(pairs)
    assert tail is not None
    return tail


def test_a_calibration_that_holds_is_left_as_it_is() -> None:
    p = fitted(own(1.0)).p_value([1e-3, 1e-5, 1e-7])
    assert (p / [1e-3, 1e-5, 1e-7]).tolist() == pytest.approx([1, 1, 1], rel=0.8)
    assert (p >= [1e-3, 1e-5, 1e-7]).all()  # below 1,500 subjects the larger rate counts


def test_a_calibration_that_falls_too_fast_is_corrected_more_the_further_out() -> None:
    """Adults with a third of children: the rate is 2 times the stated one at 1e-3, and 8 times at 1e-5."""
    tail = fitted(own(1.4))
    true = np.exp(-2.0) * np.exp(-(-np.log([1e-3, 1e-6]) - 2.0) / 1.4)
    assert tail.p_value([1e-3, 1e-6]).tolist() == pytest.approx(true.tolist(), rel=0.5)


def test_strangers_who_are_counted_overrule_the_fit_and_one_alone_hardly_does() -> None:
    many, one = fitted(own(1.0, planted=10)), fitted(own(1.0, planted=1))
    assert float(many.p_value(1e-9)) > 4 / many.pairs
    assert float(one.p_value(1e-9)) < 0.1 / one.pairs


def test_where_strangers_end_sooner_than_the_fit_says_their_rank_stands() -> None:
    """Whatever is more alike than all strangers of the run is one of all pairs and this one."""
    pairs = own(1.3, subjects=1_600)
    ended = fitted(replace(pairs, u=np.minimum(pairs.u, 9.0 + 0.2 * (pairs.u - 9.0))))
    highest = ended.highest[-1]
    fit = ended.share * np.exp(-(highest + 0.1 - ended.start) / ended.slope)
    assert fit > 3 / ended.pairs
    assert float(ended.p_value(np.exp(-highest - 0.1))) == pytest.approx(1 / ended.pairs)
    assert float(ended.p_value(np.exp(-highest))) == pytest.approx(2 / ended.pairs)


def test_ranks_go_no_further_than_the_pairs_that_are_kept() -> None:
    """Of 80,000 pairs beyond 2, the 10,000 highest are counted one by one."""
    tail = fitted(own(1.0, subjects=1_600, level=0.5))
    assert len(tail.highest) == 10_000
    below = np.exp(-tail.highest[0] + 0.5)
    assert float(tail.p_value(below)) == pytest.approx(0.5 * below, rel=0.1)


def test_from_1500_subjects_on_the_run_decides_alone() -> None:
    lighter = fitted(own(0.8, subjects=1_600))
    assert lighter.alone
    assert float(lighter.p_value(1e-6)) < 1e-6
    assert float(fitted(own(0.8)).p_value(1e-6)) == 1e-6


def test_few_subjects_say_nothing() -> None:
    assert fit_own_tail(own(1.0, subjects=90)) is None


def test_a_slope_that_few_pairs_tell_is_drawn_to_the_usual_one_and_one_that_many_tell_is_not() -> None:
    few, many = own(1.5, subjects=120), own(1.5, subjects=1_200)
    for pairs, least, most in ((few, 1.0, 1.3), (many, 1.35, 1.5)):
        drawn = fit_own_tail(pairs, usual=0.1)
        assert drawn is not None
        assert least < drawn.slope < min(most, fitted(pairs).slope)
        assert drawn.error < fitted(pairs).error * fitted(pairs).slope / drawn.slope


def test_chance_costs_little_where_the_calibration_holds() -> None:
    """The larger of two rates counts, so whatever the fit errs by is lost on average."""
    lost = [
        np.mean([np.log(float(tail.p_value(1e-6)) / 1e-6) for seed in range(20) if (tail := fit(seed))])
        for fit in (
            lambda seed: fit_own_tail(own(1.0, subjects=150, seed=seed)),
            lambda seed: fit_own_tail(own(1.0, subjects=150, seed=seed), usual=0.1),
        )
    ]
    assert lost[1] < 0.8 * lost[0]

"""From a score to a false match rate and to decisions that bound the false pairs of a whole run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.decide.calibration import (
    LEAK_EXPECTED_FALSE,
    REVIEW_EXPECTED_FALSE,
    false_match_rate,
    p_value_floor,
    score_at,
    subject_thresholds,
)
from leakscan.fingerprint.encoders.card import ImpostorScores

CARD = ImpostorScores(
    "made up",
    1000,
    500,
    1_000_000,
    (1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6),
    (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
)


def test_the_card_is_met_at_its_points() -> None:
    assert false_match_rate(CARD, CARD.score[:6]) == pytest.approx(CARD.fmr[:6])
    assert score_at(CARD, 1e-3) == pytest.approx(0.4)


def test_between_points_the_rate_falls_log_linearly() -> None:
    assert false_match_rate(CARD, 0.35) == pytest.approx(10**-2.5)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_a_higher_score_is_never_a_higher_rate(scores: list[float]) -> None:
    rate = false_match_rate(CARD, sorted(scores))
    assert (np.diff(rate) <= 0).all()
    assert (rate >= p_value_floor(CARD)).all()
    assert (rate <= 1).all()


def test_the_floor_is_the_rule_of_three_and_is_never_passed() -> None:
    assert p_value_floor(CARD) == pytest.approx(3e-6)
    assert false_match_rate(CARD, [0.7, 0.99, 1.0]) == pytest.approx(3e-6)


def test_what_was_not_compared_has_no_rate() -> None:
    assert np.isnan(false_match_rate(CARD, [np.nan, 0.5])).tolist() == [True, False]


@given(st.integers(1, 10**10))
def test_thresholds_bound_the_false_pairs_of_the_whole_run(comparisons: int) -> None:
    thresholds = subject_thresholds(CARD, comparisons)
    if thresholds.leak is not None:
        expected = float(false_match_rate(CARD, thresholds.leak)) * comparisons
        assert expected <= LEAK_EXPECTED_FALSE * (1 + 1e-6)
        assert thresholds.leak >= thresholds.review
    else:
        # No score can vouch for so small a rate, so nothing leaks by score alone.
        assert p_value_floor(CARD) * comparisons > LEAK_EXPECTED_FALSE
    reviewed = float(false_match_rate(CARD, thresholds.review)) * comparisons
    allowed = max(REVIEW_EXPECTED_FALSE, p_value_floor(CARD) * comparisons)
    assert reviewed <= allowed * (1 + 1e-6)

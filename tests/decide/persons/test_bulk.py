"""The audit's own bulk: location and scale from it, whatever leaks lie in its tail."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from leakscan.decide.calibration.impostors import sample_of_scores
from leakscan.decide.calibration.tail import Tail, fit_tail
from leakscan.decide.persons.bulk import bulk_map


@cache
def card() -> Tail:
    a, b = np.triu_indices(600, 1)
    return fit_tail(sample_of_scores(np.random.default_rng(0).normal(size=len(a)), a, b), draws=10)


def audit(seed: int, leaked: float, location: float = 0.0, scale: float = 1.0, films: int = 1) -> np.ndarray:
    """300 images a side of 300 / films subjects, a share of whom is on both sides."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(300, 300))
    subject = np.arange(300) // films
    genuine = (subject[:, None] == subject) & (subject[:, None] < leaked * 300 / films)
    scores[genuine] = rng.normal(4, 1.5, genuine.sum())
    return location + scale * scores


@pytest.mark.parametrize("leaked", [0.0, 0.01, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("films", [1, 6])
def test_leaks_do_not_move_location_and_scale(leaked: float, films: int) -> None:
    """With six films a subject, up to 2 % of all pairs are genuine."""
    found = bulk_map(audit(1, leaked, films=films), card(), genuine_share=films / 300)
    assert found.location == pytest.approx(0, abs=0.03)
    assert found.scale == pytest.approx(1, abs=0.03)
    assert not found.out_of_domain


@pytest.mark.parametrize("leaked", [0.0, 1.0])
def test_location_and_scale_are_found_and_undone(leaked: float) -> None:
    found = bulk_map(audit(2, leaked, 3.0, 2.0), card(), genuine_share=1 / 300)
    assert (found.location, found.scale) == (pytest.approx(3, abs=0.05), pytest.approx(2, rel=0.03))
    assert float(found.to_tail(3.0 + 2.0 * 1.5)) == pytest.approx(1.5, abs=0.06)
    assert not found.out_of_domain


@pytest.mark.parametrize(("location", "scale"), [(-0.5, 0.8), (0.4, 1.3)])
def test_without_credit_scores_of_a_run_are_only_taken_down(location: float, scale: float) -> None:
    found = bulk_map(audit(2, 0.0, location, scale), card())
    careful = replace(found, credit=False)
    scores = np.linspace(2.0, 6.0, 9)
    assert (careful.to_tail(scores) <= scores).all()
    lower = found.to_tail(scores) < scores
    assert lower.all() == (scale > 1.0)
    np.testing.assert_array_equal(careful.to_tail(scores)[lower], found.to_tail(scores)[lower])


def test_leaving_the_map_out_changes_rates_as_its_shift_does() -> None:
    here, shifted = (bulk_map(audit(2, 0.0, location), card()) for location in (0.0, 0.4))
    assert here.widened(1e-2, 1e-2, 1e-2, card()) == (
        pytest.approx(1e-2, rel=0.2),
        pytest.approx(1e-2, rel=0.2),
    )
    low, high = shifted.widened(1e-2, 1e-2, 1e-2, card())
    # A normal score that is 0.4 higher: what is taken for 1e-2 counts as 3.2e-3 without the map.
    assert low == pytest.approx(0.32e-2, rel=0.25)
    assert high == pytest.approx(1e-2, rel=0.2)
    assert shifted.widened(1e-3, 1e-3, 1e-3, card())[0] / 1e-3 < low / 1e-2


def test_the_interval_holds_the_error_of_the_map_as_often_as_it_says() -> None:
    """The tail is known here (its interval has no width); only location and scale are guessed."""
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(60, 60)) + 0.3 * rng.normal(size=(60, 1)) + 0.3 * rng.normal(size=(60,))
        scores /= np.sqrt(1.18)
        found = bulk_map(scores, card())
        truth = float(card().p_value(found.to_tail(card().score_at(1e-2))))
        # What is taken for the rate of a mapped score, and the rate that score really has.
        low, high = found.widened(truth, truth, truth, card())
        held.append(low <= 1e-2 <= high)
    assert np.mean(held) >= 0.88


def test_a_heavier_bulk_is_out_of_domain() -> None:
    rng = np.random.default_rng(3)
    mixture = rng.normal(size=(400, 400)) * np.where(rng.random((400, 400)) < 0.15, 4.0, 1.0)
    found = bulk_map(mixture, card(), genuine_share=1 / 400)
    assert found.out_of_domain
    assert max(found.log_ratio) > 0


def test_few_images_are_no_proof_of_disagreement() -> None:
    """Whole rows that resemble everybody: with 12 images a side that may be chance."""
    rng = np.random.default_rng(4)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(12, 12)) * 0.8 + 0.6 * rng.normal(size=(12, 1))
        assert not bulk_map(scores, card(), genuine_share=1 / 12).out_of_domain


def test_scores_that_are_all_equal_give_finite_numbers() -> None:
    found = bulk_map(np.full((20, 20), 0.5), card())
    assert np.isfinite([found.location, found.scale, found.disagreement]).all()


def test_scores_that_stop_short_are_not_taken_for_a_slow_fall() -> None:
    """Many pairs of one score, such as those of traits, lie at the near end of where the fall is measured."""
    scores = audit(1, 0.0)
    scores[scores > card().score_at(0.029)] = card().score_at(0.029)
    found = bulk_map(scores, card())
    assert found.slope == 1.0

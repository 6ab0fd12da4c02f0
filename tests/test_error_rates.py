"""Error rates against slow plain versions and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from leakscan.error_rates import (
    LEAST_BEHIND_RATE,
    auc,
    bootstrap_interval,
    n_way_one_shot,
    pair_scores,
    precision_at_1,
    resampled_mean,
    supported_rates,
    tar_at_fmr,
    threshold_at_fmr,
)
from leakscan.subject_bootstrap import subject_draws
from support.labelled_prints import labelled_prints


@given(st.integers(0, 10_000))
def test_auc_is_scikit_learns_with_subject_weights(seed):
    pairs = pair_scores(*labelled_prints(seed))
    truth = np.r_[np.ones(len(pairs.genuine)), np.zeros(len(pairs.impostor))]
    weights = np.r_[pairs.weight, np.ones(len(pairs.impostor))]
    expected = roc_auc_score(truth, np.r_[pairs.genuine, pairs.impostor], sample_weight=weights)
    assert auc(pairs) == pytest.approx(expected, abs=1e-9)


def test_a_subject_with_many_films_counts_once():
    prints, subjects = labelled_prints(1)
    pairs = pair_scores(prints, subjects)
    totals = [pairs.weight[pairs.owner == o].sum() for o in np.unique(pairs.owner)]
    assert totals == pytest.approx([1.0] * len(totals))


@given(st.integers(0, 1000), st.sampled_from([0.01, 0.05, 0.2]))
def test_no_more_impostors_pass_a_threshold_than_its_rate_allows(seed, fmr):
    scores = np.sort(np.random.default_rng(seed).normal(size=500))
    passing = np.mean(scores > threshold_at_fmr(scores, fmr))
    assert fmr - 1 / 500 <= passing <= fmr


def test_rates_that_the_pairs_cannot_support_are_refused():
    with pytest.raises(ValueError, match="cannot support"):
        threshold_at_fmr(np.zeros(100), 1e-3)


def test_perfect_and_worthless_fingerprints_score_as_such():
    owners = np.repeat([f"s{i}" for i in range(20)], 2)
    perfect = np.repeat(np.eye(20), 2, axis=0)
    assert auc(pair_scores(perfect, owners)) == 1.0
    assert tar_at_fmr(pair_scores(perfect, owners), 0.01) == 1.0
    assert precision_at_1(perfect, owners) == 1.0
    assert n_way_one_shot(perfect, owners, 10, 200) == 1.0
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 64))
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    assert auc(pair_scores(noise, owners)) == pytest.approx(0.5, abs=0.2)
    assert n_way_one_shot(noise, owners, 10, 500) == pytest.approx(0.1, abs=0.1)
    nothing = np.ones((40, 64)) / 8  # all alike: no better than chance
    assert n_way_one_shot(nothing, owners, 10, 50) == pytest.approx(0.1)


def test_the_interval_holds_the_rate_and_narrows_with_subjects():
    few, many = (pair_scores(*labelled_prints(3, subjects=n, spread=0.9)) for n in (10, 60))
    for pairs in (few, many):
        low, high = bootstrap_interval(pairs, 0.05)
        assert low <= tar_at_fmr(pairs, 0.05) <= high
    assert np.diff(bootstrap_interval(many, 0.05)) < np.diff(bootstrap_interval(few, 0.05))


def test_a_rate_is_supported_by_ten_pairs_beyond_it():
    assert supported_rates(LEAST_BEHIND_RATE * 100) == [1e-2]
    assert supported_rates(LEAST_BEHIND_RATE * 100 - 1) == []


def test_a_mean_weighs_subjects_or_values():
    """One subject of three hits, one of a single miss: 3 of 4 values, but a half of the subjects."""
    owner, hit = np.array([0, 0, 0, 2]), np.array([1.0, 1, 1, 0])
    draws = subject_draws(3, 50)
    by_pairs = resampled_mean(owner, hit, "pairs", draws)
    by_subjects = resampled_mean(owner, hit, "subjects", draws)
    assert (by_pairs.value, by_subjects.value) == (0.75, 0.5)
    assert by_subjects.n_subjects == 2, "subject 1 has no value and no say"
    assert by_subjects.low <= 0.5 <= by_subjects.high


def test_weighing_pairs_equally_is_scikit_learns_plain_auc():
    pairs = pair_scores(*labelled_prints(6))
    truth = np.r_[np.ones(len(pairs.genuine)), np.zeros(len(pairs.impostor))]
    expected = roc_auc_score(truth, np.r_[pairs.genuine, pairs.impostor])
    assert auc(pairs, "pairs") == pytest.approx(expected, abs=1e-9)

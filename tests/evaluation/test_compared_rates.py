"""Figures of a compared set against scikit-learn, pytorch-metric-learning and plain means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve, silhouette_score

from leakscan.error_rates import RATES, genuine_weights, pair_scores, tar_at_fmr
from leakscan.evaluation.compared_rates import auc_error, auc_estimate, compared_figures, eer, tar_estimate
from leakscan.evaluation.pairing import BINS, compare_images
from leakscan.evaluation.plots import silhouette
from leakscan.evaluation.protocols import ImageLabels, protocols
from leakscan.subject_bootstrap import subject_draws
from support.labelled_prints import coded_prints, labelled_prints


def _curve(compared, weighting):
    """Everything that scikit-learn wants of a compared set: truth, scores, weights."""
    impostor = compared.tail
    truth = np.r_[np.ones(len(compared.genuine)), np.zeros(len(impostor))]
    weights = np.r_[genuine_weights(compared, weighting), np.ones(len(impostor))]
    return truth, np.r_[compared.genuine, impostor], weights


@given(st.integers(0, 10_000), st.sampled_from(["subjects", "pairs"]))
def test_the_bounded_auc_is_scikit_learns_to_within_the_error_it_states(seed, weighting):
    prints, subjects = labelled_prints(seed)
    compared = compare_images(prints, np.unique(subjects, return_inverse=True)[1])
    draws = subject_draws(compared.n_subjects, 20)
    truth, scores, weights = _curve(compared, weighting)
    expected = roc_auc_score(truth, scores, sample_weight=weights)
    stated = auc_error(compared, weighting)
    assert stated < 0.02
    assert abs(auc_estimate(compared, weighting, draws).value - expected) <= stated + 1e-6


@given(st.integers(0, 10_000), st.sampled_from(["subjects", "pairs"]))
def test_the_eer_is_where_scikit_learns_roc_curve_crosses(seed, weighting):
    compared = compare_images(*coded_prints(seed, subjects=25))
    truth, scores, weights = _curve(compared, weighting)
    fpr, tpr, _ = roc_curve(truth, scores, sample_weight=weights, drop_intermediate=False)
    at = np.argmax(fpr >= 1 - tpr)
    found = eer(compared, weighting, subject_draws(compared.n_subjects, 20)).value
    # Between two thresholds the rates jump by a pair each; the crossing lies in that jump.
    low, high = sorted((max(fpr[at - 1], 1 - tpr[at]), max(fpr[at], 1 - tpr[at])))
    slack = 2 * auc_error(compared, weighting) + 1 / compared.n_impostor
    assert low - slack <= found <= max(high, 1 - tpr[at - 1]) + slack


@given(st.integers(0, 1000), st.sampled_from([0.01, 0.05, 0.2]), st.booleans())
def test_bounded_tar_is_the_plain_one(seed, fmr, short_tail):
    prints, subjects = labelled_prints(seed, subjects=20)  # 100 pairs of strangers at least
    plain = pair_scores(prints, subjects)
    compared = compare_images(
        prints, np.unique(subjects, return_inverse=True)[1], tail=3 if short_tail else 10_000
    )
    found = tar_estimate(compared, fmr, "subjects", subject_draws(compared.n_subjects, 20))
    if short_tail:  # the threshold is then known to within a bin of the histogram
        assert compared.threshold_at_fmr(fmr) == pytest.approx(
            plain.threshold_at_fmr(fmr), abs=2 / BINS + 1e-6
        )
    else:
        assert found.value == pytest.approx(tar_at_fmr(plain, fmr), abs=1e-9)


def test_no_pair_is_counted_twice_or_lost_whatever_the_size_of_a_block(monkeypatch):
    prints, subjects = labelled_prints(5, subjects=30)
    codes = np.unique(subjects, return_inverse=True)[1]
    whole = compare_images(prints, codes)
    monkeypatch.setattr("leakscan.evaluation.pairing._BLOCK", 3 * len(codes))
    blocks = compare_images(prints, codes, tail=50)
    n, per = len(codes), np.bincount(codes)
    assert len(blocks.genuine) == (per * (per - 1) // 2).sum()
    assert len(blocks.genuine) + blocks.n_impostor == n * (n - 1) // 2
    assert np.array_equal(blocks.histogram, whole.histogram)
    assert np.allclose(blocks.tail, whole.tail[:50])
    assert np.allclose(np.sort(blocks.genuine), np.sort(whole.genuine))
    assert np.array_equal(blocks.hit, whole.hit)
    assert blocks.impostor_distance == pytest.approx(whole.impostor_distance)


@pytest.mark.parametrize("equal_subjects", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_p_at_1_and_map_at_r_are_those_of_pytorch_metric_learning(seed, equal_subjects):
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    prints, codes = coded_prints(seed, subjects=15)
    oracle = AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision_at_r"),
        avg_of_avgs=equal_subjects,
        k="max_bin_count",
        device=torch.device("cpu"),
    ).get_accuracy(torch.tensor(prints, dtype=torch.float32), torch.tensor(codes))
    weighting = "subjects" if equal_subjects else "pairs"
    compared = compare_images(prints, codes)
    found = {
        f.metric: f.estimate.value
        for f in compared_figures(compared, subject_draws(compared.n_subjects, 20))
        if f.weighting == weighting
    }
    assert found["p_at_1"] == pytest.approx(oracle["precision_at_1"], abs=1e-6)
    assert found["map_at_r"] == pytest.approx(oracle["mean_average_precision_at_r"], abs=1e-6)


def test_distances_within_and_between_subjects_are_the_plain_means():
    prints, codes = coded_prints(2)
    compared = compare_images(prints, codes)
    apart = np.linalg.norm(prints[:, None] - prints[None], axis=2)
    same = codes[:, None] == codes
    upper = np.triu(np.ones_like(same), 1)
    found = {
        (f.metric, f.weighting): f.estimate.value
        for f in compared_figures(compared, subject_draws(compared.n_subjects, 20))
    }
    assert found["miasd", "pairs"] == pytest.approx(apart[same & upper].mean(), abs=1e-3)
    assert found["miesd", "pairs"] == pytest.approx(apart[~same & upper].mean(), abs=1e-4)


def test_the_silhouette_is_scikit_learns():
    prints, codes = coded_prints(4)
    values, owner = silhouette(prints, codes, seed=0)
    several = np.bincount(codes)[codes] > 1
    expected = silhouette_score(prints[several], codes[several], metric="cosine")
    assert values.mean() == pytest.approx(expected)
    assert set(owner) == set(codes[several])


def _labels(codes, **known):
    """Labels of which only some are known."""
    n = len(codes)
    unknown = dict.fromkeys(("widths", "views", "contrasts", "sexes"), np.full(n, -1))
    nothing = dict.fromkeys(("follow_up", "acquired"), np.full(n, np.nan))
    return ImageLabels(subjects=codes, **{**unknown, **nothing, **known})


def test_a_rule_restricts_genuine_and_impostor_pairs_and_the_gallery():
    """Two subjects, two widths: with unequal widths, only pairs across the widths are left."""
    codes = np.array([0, 0, 0, 1, 1])
    widths = np.array([64, 64, 128, 64, 128])
    labels = _labels(codes, widths=widths)
    (rule,) = [p.rule for p in protocols(labels) if p.name == "unequal_width"]
    compared = compare_images(np.eye(5)[:, :5], codes, rule)
    assert (len(compared.genuine), compared.n_impostor) == (3, 3)
    # Only image 4 has the other width beside 3; image 0 is nearest to nobody but may ask.
    assert compared.asks.tolist() == [True, True, True, True, True]


def test_time_restricts_genuine_pairs_alone():
    codes = np.array([0, 0, 0, 1])
    labels = _labels(codes, follow_up=np.array([0.0, 1, 9, 0]))
    found = {p.name: compare_images(np.eye(4), codes, p.rule) for p in protocols(labels)}
    counts = {name: (len(c.genuine), c.n_impostor) for name, c in found.items()}
    assert counts == {
        "all": (3, 3),
        "gap=0": (0, 3),
        "gap=1": (1, 3),
        "gap=2-4": (0, 3),
        "gap=5-14": (2, 3),
        "gap=15+": (0, 3),
    }


def test_intervals_hold_their_figure_and_narrow_with_subjects():
    width = {}
    for n in (12, 200):
        compared = compare_images(*coded_prints(3, subjects=n, spread=0.9))
        for f in compared_figures(compared, subject_draws(compared.n_subjects, 200)):
            e = f.estimate
            if f.metric != "miesd":
                assert e.low <= e.value <= e.high, f.metric
                width[f.metric, f.weighting, n] = e.high - e.low
    for metric in ("auc", "eer", "p_at_1", "map_at_r", "miasd"):
        assert width[metric, "subjects", 200] < width[metric, "subjects", 12], metric


def test_a_rate_is_reported_only_where_ten_impostor_pairs_stand_behind_it():
    compared = compare_images(*coded_prints(3, subjects=12))
    rates = {
        f.metric
        for f in compared_figures(compared, subject_draws(compared.n_subjects, 20))
        if "tar" in f.metric
    }
    supported = {f"tar@fmr={r:g}" for r in RATES if r * compared.n_impostor >= 10}
    assert rates == supported
    assert len(rates) < len(RATES)


def test_a_subject_with_many_images_does_not_decide_the_headline():
    """One subject of 30 equal images is found perfectly, ten of two images are not found at all."""
    rng = np.random.default_rng(0)
    loners = rng.normal(size=(20, 32))
    prints = np.concatenate([np.tile(rng.normal(size=32), (30, 1)), loners])
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    codes = np.r_[np.zeros(30, int), 1 + np.arange(20) // 2]
    found = {
        f.weighting: f.estimate.value
        for f in compared_figures(compare_images(prints, codes), subject_draws(11, 20))
        if f.metric == "p_at_1"
    }
    assert found["pairs"] >= 0.6
    assert found["subjects"] < 0.35

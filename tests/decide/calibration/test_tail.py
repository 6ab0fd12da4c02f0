"""The impostor tail: held against distributions whose answer is known."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
from scipy import stats

from leakscan.decide.calibration import tail as module
from leakscan.decide.calibration.impostors import ImpostorSample, impostor_pairs, sample_of_scores
from leakscan.decide.calibration.pareto import anderson_darling, fit_p_value, fit_pareto, quantile, survival
from leakscan.decide.calibration.tail import EXTRAPOLATION, Tail, fit_tail, threshold_share
from leakscan.errors import ModelError, SourceError


def strangers(law: str, subjects: int, seed: int, effect: float = 0.3) -> ImpostorSample:
    """All pairs of subjects, with scores of a known marginal law and an effect of each subject."""
    rng = np.random.default_rng(seed)
    a, b = np.triu_indices(subjects, 1)
    own = rng.normal(size=subjects) * effect
    normal = own[a] + own[b] + rng.normal(size=len(a)) * np.sqrt(1 - 2 * effect**2)
    return sample_of_scores(marginal(law).isf(stats.norm.sf(normal)), a, b, law)


def marginal(law: str) -> stats.rv_continuous:
    return {"beta": stats.beta(8, 14), "normal": stats.norm(), "t": stats.t(8)}[law]


@cache
def fitted(law: str) -> Tail:
    return fit_tail(strangers(law, 500, 0), draws=60)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2])
def test_shape_and_scale_are_recovered(shape: float) -> None:
    excess = stats.genpareto(shape, scale=2.0).rvs(20_000, random_state=1)
    assert fit_pareto(excess, np.ones(20_000)) == (pytest.approx(shape, abs=0.03), pytest.approx(2, rel=0.04))


def test_the_fit_is_scipys_maximum_likelihood() -> None:
    excess = stats.genpareto(-0.2, scale=1.0).rvs(500, random_state=2)
    shape, _, scale = stats.genpareto.fit(excess, floc=0)
    assert fit_pareto(excess, np.ones(500)) == (
        pytest.approx(shape, abs=2e-3),
        pytest.approx(scale, rel=2e-3),
    )


def test_a_weight_of_two_is_the_excess_twice() -> None:
    excess = stats.genpareto(-0.1).rvs(300, random_state=3)
    weight = np.arange(300) % 3
    assert fit_pareto(excess, weight) == pytest.approx(
        fit_pareto(np.repeat(excess, weight), np.ones(weight.sum()))
    )


@pytest.mark.parametrize("shape", [-0.4, -1e-12, 0.0, 0.3])
def test_survival_is_scipys_and_quantile_its_inverse(shape: float) -> None:
    x = np.linspace(0, 4, 30)
    assert survival(x, shape, 1.5) == pytest.approx(stats.genpareto(shape, scale=1.5).sf(x), abs=1e-12)
    p = np.geomspace(1, 1e-6, 20)
    assert survival(quantile(p, shape, 1.5), shape, 1.5) == pytest.approx(p)


def test_a_right_model_fits_and_a_wrong_one_does_not() -> None:
    right = stats.genpareto(-0.2).rvs(800, random_state=4)
    wrong = np.concatenate([right, np.full(80, 1.0)])
    verdicts = []
    for excess in (right, wrong):
        ones = np.ones(len(excess))
        model = fit_pareto(excess, ones)
        far = anderson_darling(excess, ones, *model, size=len(excess))
        verdicts.append(fit_p_value(far, *model, size=len(excess), draws=99, seed=0))
    assert verdicts[0] > 0.05 > verdicts[1]


def test_anderson_darling_is_the_textbook_sum() -> None:
    excess = np.sort(stats.genpareto(0.1).rvs(50, random_state=5))
    u = stats.genpareto(0.1).cdf(excess)
    i = np.arange(1, 51)
    textbook = -50 - ((2 * i - 1) / 50 * (np.log(u) + np.log1p(-u[::-1]))).sum()
    assert anderson_darling(excess, np.ones(50), 0.1, 1.0, 50) == pytest.approx(textbook, abs=1e-6)


@pytest.mark.parametrize("law", ["beta", "normal", "t"])
def test_p_values_of_other_subjects_are_uniform(law: str) -> None:
    """Within the supported range; the bound is that of dependent pairs, 500 subjects a side."""
    p = np.sort(fitted(law).p_value(strangers(law, 500, 1).score))
    assert np.abs(p - np.arange(len(p)) / len(p)).max() < 0.03
    far = np.sort(fitted(law).p_value(strangers(law, 500, 2).score))[:124]  # FMR 1e-3
    assert far[-1] == pytest.approx(1e-3, rel=0.5)


@pytest.mark.parametrize("law", ["beta", "normal", "t"])
def test_the_stated_rate_is_the_true_one_down_to_the_floor(law: str) -> None:
    tail = fitted(law)
    for rate in (0.5, 0.1, 0.01, 1e-3, 1e-4):
        assert 0.5 < marginal(law).sf(tail.score_at(rate)) / rate < 2
    assert 0.1 < marginal(law).sf(tail.score_at(tail.floor)) / tail.floor < 10


@pytest.mark.slow
def test_intervals_hold_the_true_rate_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """60 samples of 150 subjects with strong effects; fewer than 50 of 57 expected would be no chance."""
    monkeypatch.setattr(module, "_FIT_DRAWS", 1)  # The goodness of fit is not in any interval.
    held = {0.01: 0, 1e-3: 0, 0.1: 0}
    independent = 0
    for seed in range(60):
        sample = strangers("normal", 150, 100 + seed, effect=0.5)
        tail = fit_tail(sample, draws=60, seed=seed)
        for rate in held:
            score = stats.norm.isf(rate)
            low, high = tail.interval(score)
            held[rate] += bool(low <= rate <= high)
        wide = 1.96 * np.sqrt(0.1 / sample.n_subject_pairs)
        independent += bool(abs((sample.score > stats.norm.isf(0.1)).mean() - 0.1) <= wide)
    assert min(held.values()) >= 50, held
    assert independent < 40  # Intervals that take pairs for independent do not.


def test_an_interval_for_other_subjects_is_wider() -> None:
    tail = fitted("normal")
    at = tail.score_at(1e-3)
    low, high = tail.interval(at)
    lower, higher = tail.interval(at, subjects=200)
    assert lower < low < high < higher


def test_the_rate_is_continuous_falls_and_stays_between_floor_and_one() -> None:
    tail = fitted("beta")
    p = tail.p_value(np.linspace(-1, 1, 20_001))
    assert (np.diff(p) <= 1e-15).all()
    assert p[0] == 1.0
    assert tail.least <= p[-1] <= tail.floor
    near = tail.p_value([tail.threshold - 1e-9, tail.threshold + 1e-9])
    assert near[0] == pytest.approx(near[1], rel=1e-4)


def test_beyond_one_pair_of_all_the_rate_is_careful_and_ends() -> None:
    tail = fitted("normal")
    assert tail.floor == pytest.approx(1 / (500 * 499 / 2))
    assert min(tail.interval(99.0)) >= tail.floor
    beyond = tail.score_at(tail.floor) + np.linspace(0.1, 3.0, 30)
    fitted_rate = tail.share * survival(beyond - tail.threshold, tail.shape, tail.scale)
    assert (tail.p_value(beyond) >= fitted_rate).all()
    assert tail.p_value(beyond)[-1] < tail.floor
    assert tail.p_value(1e9) >= tail.floor / EXTRAPOLATION


def test_what_was_not_compared_has_no_rate() -> None:
    assert np.isnan(fitted("normal").p_value([np.nan, 0.0])).tolist() == [True, False]
    assert np.isnan(fitted("normal").interval([np.nan, 0.0])[0]).tolist() == [True, False]


@pytest.mark.parametrize("rate", [0.7, 0.2, 0.01, 1e-3, 1e-4])
def test_score_at_is_the_inverse_of_the_p_value(rate: float) -> None:
    tail = fitted("t")
    assert float(tail.p_value(tail.score_at(rate))) == pytest.approx(rate, rel=1e-6)


def test_a_tail_survives_json_and_damage_is_told() -> None:
    tail = fitted("beta")
    assert Tail.from_json(tail.to_json()) == tail
    for text in ("{", "[]", "{}", json.dumps({**json.loads(tail.to_json()), "format": 99})):
        with pytest.raises(ModelError):
            Tail.from_json(text)


def test_subjects_with_many_images_count_once() -> None:
    """One odd subject with 60 images among 99 with one: by images it would be a third of all pairs."""
    rng = np.random.default_rng(6)
    prints = rng.normal(size=(159, 32)).astype(np.float32)
    prints[99:] = np.abs(prints[99:])
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    names = np.array([f"s{min(n, 99)}" for n in range(159)])
    tail = fit_tail(impostor_pairs(prints, names), draws=20)
    one_each = fit_tail(impostor_pairs(prints[:100], names[:100]), draws=20)
    assert tail.score_at(0.2) == pytest.approx(one_each.score_at(0.2), abs=0.01)
    assert tail.n_effective == 100 * 99 // 2


def test_the_threshold_rises_with_the_data_and_never_takes_more_than_a_tenth() -> None:
    assert threshold_share(100_000) == pytest.approx(0.01)
    assert threshold_share(10_000_000) == pytest.approx(0.001)
    assert threshold_share(100) == 0.1


def test_the_same_seed_gives_the_same_tail() -> None:
    sample = strangers("normal", 100, 0)
    assert fit_tail(sample, draws=10, seed=3) == fit_tail(sample, draws=10, seed=3)


def test_too_few_subjects_are_refused() -> None:
    with pytest.raises(SourceError, match="39 subjects, too few"):
        fit_tail(strangers("normal", 39, 0))


def test_scores_that_do_not_vary_are_refused() -> None:
    a, b = np.triu_indices(60, 1)
    with pytest.raises(SourceError, match="hardly vary"):
        fit_tail(sample_of_scores(np.ones(len(a)), a, b))

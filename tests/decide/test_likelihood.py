"""What the joint log-likelihood ratio promises."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.decide.likelihood import JointEvidence, fit_joint, visibility
from leakscan.errors import ModelError

Floats = npt.NDArray[np.float64]
N = 4000


def candidates(seed: int = 0, gain: float = 2.0) -> tuple[Floats, Floats, npt.NDArray[np.bool_], Floats]:
    """Scores of a tenth genuine pairs; half of the films are too small to show anatomy."""
    rng = np.random.default_rng(seed)
    genuine = np.arange(N) < N // 10
    z = rng.normal(3.0, 0.7, N) + genuine
    px = np.where(rng.random(N) < 0.5, 300.0, 64.0)
    score = (rng.gamma(4.0, 0.2, N) + gain * genuine * (px > 200) * rng.random(N)).clip(0)
    return z, np.stack([score, px], axis=1), genuine, np.where(genuine, 0.5, 1.0)


@pytest.fixture(scope="module")
def joint() -> JointEvidence:
    return fit_joint(*candidates())


def test_anatomy_tells_pairs_apart_that_the_fingerprint_cannot(joint: JointEvidence) -> None:
    z, anatomy, genuine, _ = candidates(seed=1)
    scores = {"alone": z, "joint": joint.llr(z, anatomy)}
    missed = {k: np.mean(s[genuine] <= np.quantile(s[~genuine], 0.99)) for k, s in scores.items()}
    assert missed["joint"] < missed["alone"] - 0.1


def test_the_ratio_means_what_it_says(joint: JointEvidence) -> None:
    """Among pairs of a ratio near L, genuine are exp(L) times as frequent as their share would have it."""
    z, anatomy, genuine, _ = candidates(seed=2)
    llr = joint.llr(z, anatomy)
    band = np.abs(llr - 2.0) < 0.5
    rate = genuine[band].sum() / genuine.sum() / ((~genuine)[band].sum() / (~genuine).sum())
    assert np.exp(1.0) < rate < np.exp(3.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 20),
    z=st.floats(-10, 20),
    step=st.floats(0.001, 5),
    score=st.floats(0, 20),
    px=st.integers(1, 4000),
)
def test_a_better_match_never_makes_a_worse_ratio(
    seed: int, z: float, step: float, score: float, px: int
) -> None:
    z_fit, anatomy, genuine, weight = candidates(seed, gain=-0.4)
    fitted = fit_joint(z_fit[::20], anatomy[::20], genuine[::20], weight[::20])
    base, better_z, better_anatomy = fitted.llr(
        [z, z + step, z], [[score, px], [score, px], [score + step, px]]
    )
    assert better_z >= base
    assert better_anatomy >= base - 1e-9


def test_pairs_without_any_match_are_ordered_by_the_fingerprint(joint: JointEvidence) -> None:
    llr = joint.llr(np.linspace(0, 6, 50), np.tile([0.0, 300.0], (50, 1)))
    assert (np.diff(llr) > 0).all()


def test_small_films_are_judged_by_the_fingerprint_alone(joint: JointEvidence) -> None:
    none, much, unseen = joint.llr([3.0, 3.0, 3.0], [[0.0, 64], [9.0, 64], [np.nan, 300]])
    assert none == much == unseen


def test_finding_nothing_on_large_films_counts_against_a_pair(joint: JointEvidence) -> None:
    large, small = joint.llr([3.0, 3.0], [[0.0, 300], [0.0, 64]])
    assert large < small


def test_useless_anatomy_gets_no_say() -> None:
    z, anatomy, genuine, weight = candidates()
    anatomy[:, 0] = np.random.default_rng(5).permutation(anatomy[:, 0])
    joint = fit_joint(z, anatomy, genuine, weight)
    spread = joint.llr(np.full(N, 3.0), anatomy).std()
    assert spread < 0.25 * joint.score * z.std()


def test_the_scale_of_the_weights_does_not_matter() -> None:
    z, anatomy, genuine, weight = candidates()
    once = fit_joint(z, anatomy, genuine, weight)
    often = fit_joint(z, anatomy, genuine, np.where(genuine, weight, 7 * weight))
    assert often.llr(z, anatomy) == pytest.approx(once.llr(z, anatomy), abs=1e-3)


def test_data_that_separate_give_finite_numbers() -> None:
    z = np.array([0.0, 0.1, 9.0, 9.1])
    anatomy = np.array([[0.0, 300], [0.1, 300], [9.0, 300], [8.0, 300]])
    llr = fit_joint(z, anatomy, z > 1, np.ones(4)).llr(z, anatomy)
    assert np.isfinite(llr).all()
    assert llr[:2].max() < llr[2:].min()


def test_it_survives_being_written_down(joint: JointEvidence) -> None:
    assert JointEvidence.from_json(joint.to_json()) == joint


@pytest.mark.parametrize(
    "damage",
    [{"score": -1.0}, {"bias": None}, {"seen": 2.0}, {"anatomy": float("inf")}, {"format": 9}, {"what": 1.0}],
    ids=str,
)
def test_a_damaged_text_is_refused(joint: JointEvidence, damage: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        JointEvidence.from_json(json.dumps({**json.loads(joint.to_json()), **damage}))


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        JointEvidence.from_json(text)


def test_both_kinds_of_pairs_are_needed_to_fit() -> None:
    z, anatomy, genuine, weight = candidates()
    with pytest.raises(ModelError, match="Both genuine and impostor"):
        fit_joint(z, anatomy, np.ones(N, bool), weight)
    with pytest.raises(ModelError, match="different lengths"):
        fit_joint(z, anatomy, genuine[:-1], weight)
    with pytest.raises(ModelError, match="finite"):
        fit_joint(np.where(z > 3, np.nan, z), anatomy, genuine, weight)


def test_visibility_rises_with_the_pixels_between_its_ends() -> None:
    assert visibility([0, 64, 224, 4000]).tolist() == [0, 0, 1, 1]
    assert 0 < visibility(100) < visibility(200) < 1

"""What the joint log-likelihood ratio promises."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscan.decide.calibration.likelihood import JointEvidence, fit_joint
from leakscan.errors import ModelError

Floats = npt.NDArray[np.float64]
N = 4000


def candidates(seed: int = 0, gain: float = 2.0) -> tuple[Floats, Floats, npt.NDArray[np.bool_], Floats]:
    """Scores and findings of a tenth genuine pairs."""
    rng = np.random.default_rng(seed)
    genuine = np.arange(N) < N // 10
    z = rng.normal(3.0, 0.7, N) + genuine
    return z, rng.normal(-2.0, 1.5, N) + gain * genuine, genuine, np.where(genuine, 0.5, 1.0)


@pytest.fixture(scope="module")
def joint() -> JointEvidence:
    return fit_joint(*candidates())


def test_a_look_tells_pairs_apart_that_the_fingerprint_cannot(joint: JointEvidence) -> None:
    z, found, genuine, _ = candidates(seed=1)
    scores = {"alone": z, "joint": joint.llr(z, found)}
    missed = {k: np.mean(s[genuine] <= np.quantile(s[~genuine], 0.99)) for k, s in scores.items()}
    assert missed["joint"] < missed["alone"] - 0.1


@pytest.mark.parametrize("looked", [True, False])
def test_the_ratio_means_what_it_says(joint: JointEvidence, looked: bool) -> None:
    """Among pairs of a ratio near L, genuine are exp(L) times as frequent as their share would have it."""
    z, found, genuine, _ = candidates(seed=2)
    llr = joint.llr(z, found if looked else np.full(N, np.nan))
    band = np.abs(llr - 1.0) < 0.5
    rate = genuine[band].sum() / genuine.sum() / ((~genuine)[band].sum() / (~genuine).sum())
    assert 1.0 < rate < np.exp(2.0)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 20),
    z=st.floats(-10, 20),
    step=st.floats(0.001, 5),
    found=st.floats(-20, 20),
)
def test_a_better_match_never_makes_a_worse_ratio(seed: int, z: float, step: float, found: float) -> None:
    z_fit, found_fit, genuine, weight = candidates(seed, gain=-0.4)
    fitted = fit_joint(z_fit[::20], found_fit[::20], genuine[::20], weight[::20])
    base, better_z, better_found = fitted.llr([z, z + step, z], [found, found, found + step])
    assert better_z >= base
    assert better_found >= base - 1e-9
    alone, better_alone = fitted.llr([z, z + step], [np.nan, np.nan])
    assert better_alone >= alone


def test_a_look_counts_for_and_against(joint: JointEvidence) -> None:
    against, unseen, speaks_for = joint.llr([3.5, 3.5, 3.5], [-6.0, np.nan, 6.0])
    assert against < unseen < speaks_for


def test_a_useless_look_gets_no_say() -> None:
    z, found, genuine, weight = candidates()
    joint = fit_joint(z, np.random.default_rng(5).permutation(found), genuine, weight)
    assert joint.detail * found.std() < 0.25 * joint.score * z.std()


def test_the_scale_of_the_weights_does_not_matter() -> None:
    z, found, genuine, weight = candidates()
    once = fit_joint(z, found, genuine, weight)
    often = fit_joint(z, found, genuine, np.where(genuine, weight, 7 * weight))
    assert often.llr(z, found) == pytest.approx(once.llr(z, found), abs=1e-3)


def test_data_that_separate_give_finite_numbers() -> None:
    z = np.array([0.0, 0.1, 9.0, 9.1])
    found = np.array([-3.0, -2.9, 4.0, 3.0])
    llr = fit_joint(z, found, z > 1, np.ones(4)).llr(z, found)
    assert np.isfinite(llr).all()
    assert llr[:2].max() < llr[2:].min()


def test_it_survives_being_written_down(joint: JointEvidence) -> None:
    assert JointEvidence.from_json(joint.to_json()) == joint


@pytest.mark.parametrize(
    "damage",
    [
        {"score": -1.0},
        {"bias": None},
        {"look": -0.1},
        {"alone_score": float("inf")},
        {"format": 9},
        {"what": 1.0},
    ],
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
    z, found, genuine, weight = candidates()
    with pytest.raises(ModelError, match="Both genuine and impostor"):
        fit_joint(z, found, np.ones(N, bool), weight)
    with pytest.raises(ModelError, match="different lengths"):
        fit_joint(z, found, genuine[:-1], weight)
    with pytest.raises(ModelError, match="finite"):
        fit_joint(np.where(z > 3, np.nan, z), found, genuine, weight)

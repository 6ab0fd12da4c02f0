"""AS-norm: scores in standard deviations above the cohort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.decide.calibration import normalise as module
from leakscan.decide.calibration.normalise import cohort_statistics, normalise, soften
from leakscan.errors import ModelError


def unit_vectors(count: int, seed: int, width: int = 16) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_statistics_are_those_of_the_nearest_after_the_trimmed() -> None:
    prints, cohort = unit_vectors(7, 0), unit_vectors(50, 1)
    near = -np.sort(-(prints @ cohort.T), axis=1)[:, 3:13]
    found = cohort_statistics(prints, cohort, top=10, trim=3)
    assert found.mean == pytest.approx(near.mean(axis=1), abs=1e-6)
    assert found.std == pytest.approx(near.std(axis=1), abs=1e-6)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    prints, cohort = unit_vectors(33, 2), unit_vectors(40, 3)
    whole = cohort_statistics(prints, cohort, top=10)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4 * 40 * 5)
    parts = cohort_statistics(prints, cohort, top=10)
    assert parts.mean == pytest.approx(whole.mean, abs=1e-6)
    assert parts.std == pytest.approx(whole.std, abs=1e-6)


def test_mates_in_the_cohort_hardly_move_the_statistics() -> None:
    """Three films of the user's own subject in the cohort take the trimmed ranks."""
    prints, cohort = unit_vectors(20, 4), unit_vectors(300, 5)
    clean = cohort_statistics(prints, cohort, top=50)
    for n in range(20):
        mated = cohort_statistics(prints[n : n + 1], np.concatenate([cohort, prints[[n, n, n]]]), top=50)
        assert abs(mated.mean[0] - clean.mean[n]) < clean.std[n]
        assert mated.std[0] == pytest.approx(clean.std[n], rel=0.35)


@given(st.floats(0.1, 10), st.floats(-5, 5), st.floats(-1, 1))
def test_an_affine_change_of_one_images_scores_changes_nothing_on_its_side(
    scale: float, shift: float, score: float
) -> None:
    plain = normalise(score, 0.2, 0.1, 0.2, 0.1)
    changed = normalise(
        scale * score + shift, scale * 0.2 + shift, scale * 0.1, scale * 0.2 + shift, scale * 0.1
    )
    assert changed == pytest.approx(plain, rel=1e-6, abs=1e-6)


@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), st.floats(-1, 1))
def test_swapping_the_images_changes_nothing(v: list[float], score: float) -> None:
    assert normalise(score, v[0], v[1], v[2], v[3]) == normalise(score, v[2], v[3], v[0], v[1])


def test_softened_spreads_keep_shifts_and_lie_half_way() -> None:
    found = soften(cohort_statistics(unit_vectors(5, 6), unit_vectors(50, 7)), 0.4)
    hard = cohort_statistics(unit_vectors(5, 6), unit_vectors(50, 7))
    assert found.mean.tolist() == hard.mean.tolist()
    assert np.log(found.std) == pytest.approx((np.log(hard.std) + np.log(0.4)) / 2)


def test_a_cohort_that_is_equally_near_everywhere_gives_finite_scores() -> None:
    cohort = np.repeat(unit_vectors(1, 8), 20, axis=0)
    found = cohort_statistics(unit_vectors(3, 9), cohort)
    assert np.isfinite(normalise(0.5, found.mean, found.std, found.mean, found.std)).all()


def test_a_cohort_of_another_encoder_is_refused() -> None:
    with pytest.raises(ModelError, match="length 8"):
        cohort_statistics(unit_vectors(3, 0), unit_vectors(30, 1, width=8))


def test_a_cohort_that_is_too_small_is_refused() -> None:
    with pytest.raises(ModelError, match="too small"):
        cohort_statistics(unit_vectors(3, 0), unit_vectors(4, 1))

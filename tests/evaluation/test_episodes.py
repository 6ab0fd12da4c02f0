"""N-way K-shot episodes: what is drawn, and what is counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.error_rates import n_way_one_shot
from leakscan.evaluation.episodes import Episodes, draw_episodes, episode_figures, score_episodes
from leakscan.subject_bootstrap import subject_draws


def _subjects(seed, subjects=30, most=7):
    rng = np.random.default_rng(seed)
    return rng.permutation(np.repeat(np.arange(subjects), rng.integers(2, most + 1, subjects)))


@given(st.integers(0, 1000), st.integers(2, 8), st.integers(1, 3), st.booleans())
def test_an_episode_has_n_subjects_k_supports_each_and_a_query_that_is_none_of_them(seed, n, k, restricted):
    subjects = _subjects(seed)
    labels = np.random.default_rng(seed).integers(-1, 3, len(subjects)) if restricted else None
    drawn = draw_episodes(subjects, n, k, 25, seed, labels)
    if drawn is None:
        assert restricted or (np.bincount(subjects) > k).sum() < n
        return
    assert drawn.supports.shape[1:] == (n, k)
    for query, supports, right in zip(drawn.query, drawn.supports, drawn.right, strict=True):
        owners = subjects[supports]
        assert (owners == owners[:, :1]).all()
        assert len(set(owners[:, 0])) == n
        assert len(set(supports.ravel())) == n * k
        assert query not in supports
        assert owners[right, 0] == subjects[query]
        assert (np.bincount(subjects)[owners] > k).all()
        if labels is not None:
            assert (labels[supports] != labels[query]).all()
            assert (labels[supports] >= 0).all()


def test_every_subject_that_can_be_asked_about_is_asked_about_equally_often():
    subjects = _subjects(1, subjects=20)
    drawn = draw_episodes(subjects, 5, 1, 60)
    assert (np.bincount(subjects[drawn.query]) == 3).all()


def test_too_few_subjects_make_no_episode():
    assert draw_episodes(np.repeat(np.arange(9), 2), 10, 1) is None
    assert draw_episodes(np.repeat(np.arange(20), 5), 10, 5) is None
    one_width = np.full(40, 128)
    assert draw_episodes(np.repeat(np.arange(20), 2), 10, 1, unlike=one_width) is None


def test_mean_recall_counts_the_share_all_k_the_whole_and_hit_any():
    """Query 0; its two supports rank 1st and 3rd, so one of two is among the two nearest."""
    angles = np.deg2rad([0, 10, 30, 20, 80])
    prints = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    drawn = Episodes(2, 2, np.array([0]), np.array([[[3, 4], [1, 2]]]), np.array([1]))
    scores = score_episodes(prints, drawn)
    assert (scores.recall[0], scores.every[0], scores.hit[0]) == (0.5, False, True)
    nearer = prints.copy()
    nearer[2] = prints[1]
    scores = score_episodes(nearer, drawn)
    assert (scores.recall[0], scores.every[0], scores.hit[0]) == (1.0, True, True)


@given(st.integers(0, 500))
def test_the_strict_share_never_exceeds_the_mean_and_the_mean_never_the_lenient(seed):
    subjects = _subjects(seed)
    prints = np.random.default_rng(seed).normal(size=(len(subjects), 8))
    drawn = draw_episodes(subjects, 6, 2, 30, seed)
    scores = score_episodes(prints, drawn)
    assert (scores.every <= scores.recall).all()
    assert (scores.recall <= scores.hit).all()


@pytest.mark.parametrize("ways", [5, 20])
def test_worthless_fingerprints_are_right_once_in_n_times_even_when_all_scores_are_equal(ways):
    subjects = _subjects(2, subjects=60)
    drawn = draw_episodes(subjects, ways, 1, 4000)
    equal = score_episodes(np.ones((len(subjects), 4)), drawn)
    assert equal.recall.mean() == pytest.approx(1 / ways, abs=0.03)


def test_one_shot_recall_agrees_with_the_plain_loop_used_in_training():
    subjects = _subjects(3, subjects=40)
    rng = np.random.default_rng(3)
    prints = rng.normal(size=(40, 16))[subjects] + 0.9 * rng.normal(size=(len(subjects), 16))
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    drawn = draw_episodes(subjects, 20, 1, 4000)
    plain = n_way_one_shot(prints, subjects.astype(str), 20, 4000)
    assert score_episodes(prints, drawn).recall.mean() == pytest.approx(plain, abs=0.04)


def test_the_figures_weight_subjects_equally_or_by_their_images():
    """A subject of 18 images is always found, five of 3 images never."""
    subjects = np.repeat(np.arange(6), [18, 3, 3, 3, 3, 3])
    prints = np.zeros((len(subjects), 40))
    prints[:18, 0] = 1
    prints[np.arange(18, 33), 1 + np.arange(15)] = 1

    drawn = draw_episodes(subjects, 6, 2, 300)
    found = {
        (f.metric, f.weighting): f.estimate
        for f in episode_figures(score_episodes(prints, drawn), drawn, subjects, subject_draws(6, 50))
    }
    equal = found["6_way_2_shot.all_k", "subjects"]
    by_images = found["6_way_2_shot.all_k", "pairs"]
    assert equal.value == pytest.approx(1 / 6, abs=0.1)
    assert by_images.value == pytest.approx(18 / 33, abs=0.1)
    assert equal.low <= equal.value <= equal.high
    assert equal.n_subjects == 6

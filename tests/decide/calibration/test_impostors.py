"""Impostor pairs: all are counted, only the highest are kept."""

from __future__ import annotations

import numpy as np
import pytest

from leakscan.decide.calibration import impostors as module
from leakscan.decide.calibration.impostors import impostor_pairs, join_samples, raise_cut, sample_of_scores
from leakscan.decide.calibration.normalise import cohort_statistics, normalise
from leakscan.decide.calibration.tail import fit_tail
from leakscan.errors import SourceError


def people(subjects: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Fingerprints and names of subjects with one to three images."""
    rng = np.random.default_rng(seed)
    names = np.repeat([f"s{n}" for n in range(subjects)], rng.integers(1, 4, subjects))
    vectors = rng.normal(size=(len(names), 12))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), names


def test_every_pair_of_different_subjects_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prints, names = people(30)
    monkeypatch.setattr(module, "_BLOCK", 7)
    sample = impostor_pairs(prints, names)
    i, j = np.triu_indices(len(names), 1)
    other = names[i] != names[j]
    assert np.sort(sample.score) == pytest.approx(np.sort((prints @ prints.T)[i, j][other]), abs=1e-6)
    assert sample.n_pairs == other.sum() == len(sample.score)


def test_every_pair_of_subjects_weighs_one() -> None:
    sample = impostor_pairs(*people(30))
    low, high = np.sort([sample.subject_a, sample.subject_b], axis=0)
    per_pair = np.bincount(low * 30 + high, sample.weight)
    assert per_pair[per_pair > 0] == pytest.approx(1.0)
    assert sample.weight.sum() == pytest.approx(sample.n_subject_pairs) == 30 * 29 / 2


def test_scores_are_normalised_where_statistics_are_given() -> None:
    prints, names = people(10)
    statistics = cohort_statistics(prints, people(40, 1)[0])
    sample = impostor_pairs(prints, names, statistics)
    m, s = statistics.mean, statistics.std
    every = normalise(prints @ prints.T, m[:, None], s[:, None], m, s)
    i, j = np.triu_indices(len(names), 1)
    assert np.sort(sample.score) == pytest.approx(np.sort(every[i, j][names[i] != names[j]]), abs=1e-4)


def test_keeping_fewer_scores_gives_the_same_tail() -> None:
    prints, names = people(300)
    plain = fit_tail(impostor_pairs(prints, names), share=0.02, draws=20)
    sample = impostor_pairs(prints, names, keep=10_000)
    assert len(sample.score) < 13_000
    assert sample.weight.sum() + sample.mass.sum() == pytest.approx(sample.n_subject_pairs)
    bounded = fit_tail(sample, share=0.02, draws=20)
    assert bounded.replicates == plain.replicates
    assert (bounded.threshold, bounded.shape) == (plain.threshold, plain.shape)
    at = np.linspace(-0.6, 0.9, 50)
    assert bounded.p_value(at) == pytest.approx(plain.p_value(at), rel=0.02)


def test_images_of_nobody_known_are_left_out() -> None:
    prints, names = people(20)
    sample = impostor_pairs(prints, np.where(names == "s3", "", names))
    assert sample.n_subjects == 19
    assert sample.n_images == (names != "s3").sum()


def test_one_subject_has_no_impostors() -> None:
    prints, names = people(5)
    with pytest.raises(SourceError, match="declares 1 subjects"):
        impostor_pairs(prints, np.full(len(names), "same"))


def test_joined_samples_hold_both_and_no_pair_across() -> None:
    first, second = impostor_pairs(*people(60), source="A"), impostor_pairs(*people(80, 1), keep=2000)
    joined = join_samples([first, second])
    assert joined.n_subjects == 140
    assert joined.n_subject_pairs == first.n_subject_pairs + second.n_subject_pairs
    assert joined.weight.sum() + joined.mass.sum() == pytest.approx(joined.n_subject_pairs)
    assert set(joined.subject_a[joined.subject_a >= 60]).isdisjoint(range(60))
    assert (joined.members[joined.subject_a] == joined.members[joined.subject_b]).all()
    assert (joined.score >= second.cut).all()


def test_a_raised_cut_keeps_the_weight() -> None:
    sample = impostor_pairs(*people(50))
    raised = raise_cut(raise_cut(sample, 0.1), 0.3)
    assert raised.score.min() >= 0.3
    assert raised.weight.sum() + raised.mass.sum() == pytest.approx(sample.n_subject_pairs)


def test_scores_from_elsewhere_weigh_by_subject_pair() -> None:
    sample = sample_of_scores([0.1, 0.3, 0.2, 0.4], ["a", "a", "b", "c"], ["b", "b", "c", "a"])
    assert sample.weight.tolist() == [0.5, 0.5, 1.0, 1.0]


def test_scores_from_elsewhere_must_be_complete_and_of_strangers() -> None:
    with pytest.raises(SourceError, match="lacks the scores"):
        sample_of_scores([0.1, 0.2], ["a", "b"], ["b", "c"])
    with pytest.raises(SourceError, match="one subject"):
        sample_of_scores([0.1], ["a"], ["a"])

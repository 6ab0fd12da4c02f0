"""Pairs are drawn fairly, and the hard negatives are the paper's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leakscan.training.losses import TripletContrastiveLoss, mine_closer_negatives
from leakscan.training.sampler import PairSampler


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 3))
def test_every_negative_is_closer_than_the_positive_or_the_closest_there_is(seed, subjects, films):
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(np.repeat(np.arange(subjects), films))
    points = torch.from_numpy(rng.normal(size=(len(labels), 3)))
    distances = torch.cdist(points, points)
    anchors, positives, negatives = mine_closer_negatives(distances, labels)
    assert len(anchors) == subjects * films * (films - 1)
    for a, p, n in zip(anchors.tolist(), positives.tolist(), negatives.tolist(), strict=True):
        assert labels[a] == labels[p] != labels[n]
        others = distances[a][labels != labels[a]]
        closer = others[others < distances[a, p]]
        assert distances[a, n] < distances[a, p] if len(closer) else distances[a, n] == others.min()


def test_loss_is_small_for_separated_subjects_and_large_for_mixed_ones():
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    apart = torch.eye(3).repeat(2, 1)
    mixed = torch.eye(3).repeat(2, 1)[torch.tensor([0, 1, 2, 1, 2, 0])]
    loss = TripletContrastiveLoss()
    assert loss(apart, labels) < 0.1
    assert loss(mixed, labels) > 1.0


def _pack(counts, widths=None):
    subjects = np.concatenate([np.full(n, f"s{i}") for i, n in enumerate(counts)])
    return subjects, np.zeros(len(subjects), np.int64) if widths is None else np.array(widths)


def test_a_pair_shows_one_subject_twice_and_a_subject_stands_once_in_a_batch():
    subjects, widths = _pack([5, 4, 3, 2, 1, 1, 1, 1])
    sampler = PairSampler(subjects, widths, pairs=4, singles=0.25)
    films, labels = sampler.batch(7)
    first, second = films[:4], films[4:]
    assert (subjects[first] == subjects[second]).all()
    assert len(set(labels[:4].tolist())) == 4
    several = [i for i in range(4) if np.sum(subjects == subjects[first[i]]) > 1]
    assert all(first[i] != second[i] for i in several)


def test_batches_repeat_by_seed_and_step():
    subjects, widths = _pack([3] * 20)
    one, other = (PairSampler(subjects, widths, 8, seed=3) for _ in range(2))
    assert (one.batch(5)[0] == other.batch(5)[0]).all()
    assert (one.batch(5)[0] != one.batch(6)[0]).any()


def test_subjects_with_many_films_do_not_rule():
    subjects, widths = _pack([500] + [2] * 9)
    drawn = [s for step in range(200) for s in subjects[PairSampler(subjects, widths, 5).batch(step)[0]]]
    assert np.mean(np.array(drawn) == "s0") == pytest.approx(0.1, abs=0.03)


def test_pairs_prefer_unequal_source_widths():
    subjects, widths = _pack([4] * 10, [64, 64, 64, 1024] * 10)
    sampler = PairSampler(subjects, widths, 10)
    pairs = np.concatenate([sampler.batch(s)[0].reshape(2, -1).T for s in range(100)])
    assert np.mean(widths[pairs[:, 0]] != widths[pairs[:, 1]]) > 0.7


def test_no_subject_with_two_films_is_an_error_in_words():
    subjects, widths = _pack([1, 1, 1])
    with pytest.raises(ValueError, match="no subject has two films"):
        PairSampler(subjects, widths, 2)

"""Batches are drawn fairly, the hard negatives are the paper's, and the loss is what the config says."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leakscan.errors import SourceError
from leakscan.training.films.config import TrainConfig
from leakscan.training.films.losses import build_loss, mine_closer_negatives
from leakscan.training.films.sampler import SubjectSampler

NO_TERM = {"triplet": 0, "contrastive": 0, "softmax": 0, "hard": 0}


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


def test_any_of_the_closer_negatives_may_be_drawn_and_each_as_often():
    """The paper draws among them; always the closest would be another method."""
    torch.manual_seed(0)
    at = torch.tensor([0.0, 4.0, 1.0, 2.0, 3.0, 9.0])  # on a line: three negatives closer than the positive
    labels = torch.tensor([0, 0, 1, 2, 3, 4])
    distances = (at - at[:, None]).abs()
    drawn = torch.cat([mine_closer_negatives(distances, labels)[2][:1] for _ in range(600)])
    assert torch.bincount(drawn, minlength=6).tolist() == pytest.approx([0, 0, 200, 200, 200, 0], abs=50)


@pytest.mark.parametrize("term", ["triplet", "contrastive", "softmax", "multi_similarity", "supcon"])
def test_each_term_is_small_for_separated_subjects_and_large_for_mixed_ones(term):
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    apart = torch.eye(3).repeat(2, 1)
    mixed = apart[torch.tensor([0, 1, 2, 1, 2, 0])]
    loss = build_loss(TrainConfig(**{**NO_TERM, term: 1.0}), 3, 3)
    if loss.centres is not None:
        loss.centres.data = torch.eye(3)
    assert list(loss.terms) == [term]
    assert loss(apart, labels) < 0.5 * loss(mixed, labels)


def test_the_paper_measures_raw_distances_and_ours_unit_vectors():
    """A triplet of the same directions ten times as long is another one only to the paper's loss."""
    labels = torch.tensor([0, 1, 0, 1])
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [0.6, 0.8]])
    for normalised in (True, False):
        loss = build_loss(
            TrainConfig(**{**NO_TERM, "triplet": 1, "margin": 4, "normalised": normalised}), 2, 2
        )
        near, far = loss(points, labels), loss(points * 10, labels)
        assert torch.isclose(near, far) == normalised


def test_the_triplet_loss_equals_the_formula():
    points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    loss = build_loss(TrainConfig(**{**NO_TERM, "triplet": 2, "margin": 4, "normalised": False}), 2, 2)
    # Anchor 0: 3 - 4 + 4 = 3. Anchor 1: 3 - 5 + 4 = 2. The library takes the mean of those above 0.
    assert loss(points, torch.tensor([0, 0, 1])) == pytest.approx(2 * 2.5, rel=1e-4)


def test_terms_add_up_by_their_weights():
    torch.manual_seed(0)
    points, labels = torch.randn(8, 4), torch.arange(4).repeat(2)
    one = build_loss(TrainConfig(**{**NO_TERM, "contrastive": 1}), 4, 4)(points, labels)
    two = build_loss(TrainConfig(**{**NO_TERM, "supcon": 1}), 4, 4)(points, labels)
    both = build_loss(TrainConfig(**{**NO_TERM, "contrastive": 0.5, "supcon": 3}), 4, 4)(points, labels)
    assert both == pytest.approx(float(0.5 * one + 3 * two), rel=1e-5)


def test_memory_makes_negatives_of_earlier_batches_and_survives_a_checkpoint():
    torch.manual_seed(0)
    config = TrainConfig(**{**NO_TERM, "contrastive": 1, "pairs": 4, "memory": 20})
    batches = [(torch.randn(8, 4), torch.arange(4).repeat(2) + 4 * i) for i in range(5)]
    loss, plain = build_loss(config, 99, 4), build_loss(TrainConfig(**{**NO_TERM, "contrastive": 1}), 99, 4)
    values = [loss(*b) for b in batches[:3]]
    assert values[0] == pytest.approx(float(plain(*batches[0])), rel=1e-5)
    assert values[2] > plain(*batches[2])
    again = build_loss(config, 99, 4)
    again.load_state_dict(loss.state_dict())
    assert [float(again(*b)) for b in batches[3:]] == [float(loss(*b)) for b in batches[3:]]


def _sampler(subjects, widths, pairs, groups=None, **how):
    return SubjectSampler(subjects, widths, TrainConfig(**{"hard": 0, "pairs": pairs, **how}), groups)


def _pack(counts, widths=None):
    subjects = np.concatenate([np.full(n, f"s{i}") for i, n in enumerate(counts)])
    return subjects, np.zeros(len(subjects), np.int64) if widths is None else np.array(widths)


@given(
    counts=st.lists(st.integers(1, 6), min_size=3, max_size=30).filter(lambda c: max(c) > 1),
    pairs=st.integers(2, 12),
    per_subject=st.integers(2, 5),
    step=st.integers(0, 99),
)
def test_a_batch_holds_k_films_of_each_of_its_subjects(counts, pairs, per_subject, step):
    """Different films while there are enough, and labels that name the subjects."""
    subjects, widths = _pack(counts)
    sampler = _sampler(subjects, widths, pairs, films_per_subject=per_subject)
    films, labels = sampler.batch(step)
    columns = films.reshape(per_subject, -1).T
    assert len(films) == len(labels) == pairs * per_subject
    assert (np.unique(subjects)[labels] == subjects[films]).all()
    for of_one in columns:
        assert len(set(subjects[of_one])) == 1
        held = np.sum(subjects == subjects[of_one[0]])
        assert len(set(of_one.tolist())) == min(per_subject, held)


def test_a_subject_stands_once_in_a_batch():
    subjects, widths = _pack([5, 4, 3, 2, 1, 1, 1, 1])
    sampler = _sampler(subjects, widths, 4, singles=0.25)
    assert all(len(set(sampler.batch(step)[1][:4].tolist())) == 4 for step in range(20))


def test_batches_repeat_by_seed_and_step():
    subjects, widths = _pack([3] * 20)
    one, other = (_sampler(subjects, widths, 8, seed=3) for _ in range(2))
    assert (one.batch(5)[0] == other.batch(5)[0]).all()
    assert (one.batch(5)[0] != one.batch(6)[0]).any()


def test_subjects_with_many_films_do_not_rule():
    subjects, widths = _pack([500] + [2] * 9)
    sampler = _sampler(subjects, widths, 5)
    drawn = [s for step in range(200) for s in subjects[sampler.batch(step)[0]]]
    assert np.mean(np.array(drawn) == "s0") == pytest.approx(0.1, abs=0.03)


def test_pairs_prefer_unequal_source_widths():
    subjects, widths = _pack([4] * 10, [64, 64, 64, 1024] * 10)
    sampler = _sampler(subjects, widths, 10)
    pairs = np.concatenate([sampler.batch(s)[0].reshape(2, -1).T for s in range(100)])
    assert np.mean(widths[pairs[:, 0]] != widths[pairs[:, 1]]) > 0.7


def _neighbours(labels):
    """Share of the batch's subjects that have one of their own dozen beside them."""
    dozens = labels[: len(labels) // 2] // 12
    return np.mean(np.bincount(dozens, minlength=10)[dozens] > 1)


def test_look_alikes_come_together_where_centres_say_so():
    subjects, widths = _pack([2] * 120)
    codes = np.unique(subjects, return_inverse=True)[1]
    rng = np.random.default_rng(0)
    dozens = rng.normal(size=(10, 16)).repeat(12, axis=0) + 0.01 * rng.normal(size=(120, 16))
    centres = (dozens / np.linalg.norm(dozens, axis=1, keepdims=True)).astype(np.float32)
    assert len(codes) == 240
    plain, hard = (_sampler(subjects, widths, 8, singles=0, hard=h) for h in (0.0, 1.0))
    alone = np.mean([_neighbours(plain.batch(s, centres)[1]) for s in range(50)])
    together = np.mean([_neighbours(hard.batch(s, centres)[1]) for s in range(50)])
    assert together > 0.9 and alone < 0.7


def test_subjects_of_one_sex_view_and_age_come_together_on_request():
    subjects, widths = _pack([2] * 40)
    groups = np.array([("F PA 50", "M AP 20", "M PA 70", "")[int(s[1:]) % 4] for s in subjects])
    sampler = _sampler(subjects, widths, 8, groups, singles=0, alike=1.0)
    for step in range(20):
        films, labels = sampler.batch(step)
        assert len(set(groups[films])) == 1 and "" not in groups[films]
        assert len(set(labels.tolist())) == 8


def test_no_subject_with_two_films_is_an_error_in_words():
    subjects, widths = _pack([1, 1, 1])
    with pytest.raises(SourceError, match="No subject has two images"):
        _sampler(subjects, widths, 2)


def test_look_alikes_among_subjects_of_one_film_come_together_too():
    """Films of other hospitals, each of another person, are told apart from those that look like them."""
    subjects = np.array([f"pair{i // 2}" for i in range(20)] + [f"one{i:03d}" for i in range(110)])
    names = np.unique(subjects)
    group = np.array([int(name[3:]) // 11 if name.startswith("one") else 99 for name in names])
    centres = np.eye(100, dtype=np.float32)[group]  # singles look alike in groups of eleven
    config = TrainConfig(pairs=18, singles=0.5, hard=1.0)
    sampler = SubjectSampler(subjects, np.ones(130, np.int64), config)

    def together(with_centres):
        found = 0
        for step in range(30):
            _, labels = sampler.batch(step, centres if with_centres else None)
            ones = labels[:18][np.char.startswith(names[labels[:18]], "one")]
            assert len(ones) == len(set(ones.tolist())) == 9
            _, counts = np.unique(group[ones], return_counts=True)
            found += int((counts - 1).sum())
        return found

    assert together(True) > 1.5 * together(False)

"""Simulated merges: who is dealt where, what counts as false, and what a merge of strangers comes to."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pytest

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.research.film_splits import Split
from leakscan.research.merge_cases import MergeOptions, deal, decide_merge, new_names
from leakscan.research.merge_figures import (
    false_discovery,
    falsely_accused,
    recall,
    summed_up,
    with_interval,
)
from leakscan.research.merge_fusion import fusion_by_rule
from support.makers import unit_vectors

CODES = np.repeat(np.arange(100), [3] * 60 + [1] * 40)
ONCE = np.ones(6)
PAIRS = np.array([[0, 0], [1, 1], [2, 3], [4, 1]])
"""Subjects 0 and 1 are found; 2 is taken for 3, and 4 for 1."""
NONE = np.zeros((0, 2), np.int64)


def people(subjects: int, films: int, apart: float = 0.25, seed: int = 31) -> Split:
    """Films of one person lie about ``apart`` (the tangent) from the person's centre; strangers anywhere."""
    centres = unit_vectors(seed, subjects)
    near = np.concatenate([centres + apart * unit_vectors(seed + 1 + i, subjects) for i in range(films)])
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    return Split(near, np.array([f"s{i}" for i in range(subjects)] * films))


@functools.cache
def calibration() -> Calibration:
    """Fitted on other people of the same make."""
    known = people(800, 2, seed=71)
    cohort = unit_vectors(61, 300).astype(np.float16)
    return fit_calibration(
        "made-up@1", "random directions", Cohort(cohort, 200), LabelledPrints(known.prints, known.subjects)
    )


def test_false_discoveries_are_counted_in_pairs_of_subjects() -> None:
    assert false_discovery(PAIRS, ONCE) == 0.5
    assert false_discovery(PAIRS[:2], ONCE) == 0.0
    assert false_discovery(NONE, ONCE) == 0.0


def test_a_subject_found_rightly_and_wrongly_is_not_falsely_accused() -> None:
    """Subject 1 is found by itself and by 4; only 3 is accused for nothing, of three accused."""
    assert falsely_accused(PAIRS, ONCE) == pytest.approx(1 / 3)
    assert falsely_accused(NONE, ONCE) == 0.0


def test_recall_counts_leaked_subjects_found_as_themselves() -> None:
    assert recall(PAIRS, np.array([0, 1, 2, 3]), ONCE) == 0.5
    assert np.isnan(recall(PAIRS, np.zeros(0, np.int64), ONCE))


def test_a_subject_drawn_twice_counts_twice_and_a_false_pair_by_both() -> None:
    twice = np.array([[2.0, 1, 1, 1, 1, 1], [1, 1, 3, 2, 0, 1]])
    assert false_discovery(PAIRS, twice) == pytest.approx([2 / 5, 6 / 8])
    assert recall(PAIRS, np.array([0, 2]), twice) == pytest.approx([2 / 3, 1 / 4])


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6])
def test_only_the_leaked_subjects_stand_on_both_sides(share: float) -> None:
    merge = deal(CODES, share, seed=1)
    both = np.intersect1d(CODES[merge.a], CODES[merge.b])
    assert both.tolist() == merge.leaked.tolist()
    assert len(both) == round(share * 100)
    assert np.intersect1d(merge.a, merge.b).size == 0
    assert len(merge.a) + len(merge.b) == len(CODES)
    assert abs(len(np.unique(CODES[merge.a])) - len(np.unique(CODES[merge.b]))) <= 1


def test_where_everybody_leaks_subjects_with_one_film_are_left_out() -> None:
    merge = deal(CODES, 1.0, seed=1)
    assert merge.leaked.tolist() == list(range(60))
    assert len(merge.a) + len(merge.b) == 180


def test_the_seed_decides_the_merge() -> None:
    one, same, other = (deal(CODES, 0.3, seed) for seed in (5, 5, 6))
    assert (one.a.tolist(), one.b.tolist()) == (same.a.tolist(), same.b.tolist())
    assert one.a.tolist() != other.a.tolist()


def test_new_names_keep_films_together_and_hide_who_it_is() -> None:
    merge = deal(CODES, 1.0, seed=1)
    a, b = new_names(CODES[merge.a], "a", 0), new_names(CODES[merge.b], "b", 1)
    assert not set(a) & set(b)
    for codes, names in ((CODES[merge.a], a), (CODES[merge.b], b)):
        assert (
            len(set(zip(codes.tolist(), names, strict=True))) == len(set(names)) == len(set(codes.tolist()))
        )
    number = {code: name[1:] for code, name in zip(CODES[merge.a].tolist(), a, strict=True)}
    guessed = [number[code] == name[1:] for code, name in zip(CODES[merge.b].tolist(), b, strict=True)]
    assert np.mean(guessed) < 0.2


@pytest.mark.parametrize("declared", [False, True])
def test_a_merge_without_a_leak_has_none(declared: bool) -> None:
    split = people(440, 2)
    _, codes = np.unique(split.subjects, return_inverse=True)
    for seed in range(3):
        found = decide_merge(split, deal(codes, 0.0, seed), calibration(), 0.3, MergeOptions(declared))
        assert len(found.leaks) == 0
        assert found.test.caution == ""
        assert found.false_review < 3 * found.test.review_false[0]


def test_leaked_subjects_that_lie_close_are_found() -> None:
    split = people(440, 2)
    _, codes = np.unique(split.subjects, return_inverse=True)
    found = decide_merge(split, deal(codes, 0.3, 0), calibration(), 0.3)
    assert recall(found.leaks, found.leaked, np.ones(440)) > 0.95
    row = summed_up([found], 440)
    assert row["recall"]["leak"][0] > 0.95
    assert row["false_discovery_pairs_of_subjects"][0] <= 0.05
    assert row["open_units_on_each_side"][0] == len(deal(codes, 0.3, 0).a)


def test_declared_films_decide_together() -> None:
    split = people(440, 4)
    _, codes = np.unique(split.subjects, return_inverse=True)
    merge = deal(codes, 0.3, 0)
    assert decide_merge(split, merge, calibration(), 0.3, MergeOptions(declared=True)).test.subjects == (
        286,
        286,
    )
    assert decide_merge(split, merge, calibration(), 0.3).test.subjects == (len(merge.a), len(merge.b))


def test_an_interval_holds_its_mean_and_is_a_point_where_nothing_varies() -> None:
    split = people(440, 2)
    _, codes = np.unique(split.subjects, return_inverse=True)
    found = [decide_merge(split, deal(codes, 0.1, seed), calibration(), 0.3) for seed in range(2)]
    mean, low, high = with_interval(found, lambda o, t: t[:, 0], 440)
    assert low <= mean == 1.0 <= high
    assert low < high
    assert with_interval(found, lambda o, t: np.ones(len(t)), 440) == [1.0, 1.0, 1.0]


def test_details_that_tell_people_apart_find_more_of_them() -> None:
    """Films so far apart that the score misses most, and a detail match that is always right."""
    split = people(440, 2, apart=1.5)
    names, codes = np.unique(split.subjects, return_inverse=True)
    known = people(800, 2, apart=1.5, seed=71)

    def seen(films: npt.NDArray[np.int64], subjects: npt.NDArray[np.str_]) -> npt.NDArray[np.float64]:
        same = subjects[films[:, 0]] == subjects[films[:, 1]]
        return np.where(same, 4.0, (films.sum(axis=1) % 97) / 97)

    def matches(films: list[tuple[int, int]]) -> list[float | None]:
        found = seen(np.array(films, np.int64).reshape(-1, 2), split.subjects)
        return [float(f) for f in found]

    fitted = fit_calibration(
        "made-up@1",
        "random directions",
        Cohort(np.zeros((0, 128), np.float16), 0),
        LabelledPrints(known.prints, known.subjects, lambda films: seen(films, known.subjects)),
    )
    merge = deal(codes, 0.3, 0)
    alone = decide_merge(split, merge, fitted, 0.2)
    both = decide_merge(split, merge, fitted, 0.2, MergeOptions(matches=matches))
    ones = np.ones(len(names))
    assert recall(both.leaks, both.leaked, ones) > recall(alone.leaks, alone.leaked, ones) + 0.1
    assert false_discovery(both.leaks, ones) <= 0.05
    assert both.test.details_matched == both.test.details_due > 0 == alone.test.details_matched


def test_more_declared_films_find_more() -> None:
    """At 63 degrees from the centre one film tells little, and the mean of five tells much."""
    found = fusion_by_rule(people(300, 6, apart=2.0), calibration())
    assert found["5"]["subjects"] == 300
    assert found["5"]["template"]["0.001"] > found["5"]["one"]["0.001"] + 0.1
    assert set(found["1"]) == {"subjects", "one"}

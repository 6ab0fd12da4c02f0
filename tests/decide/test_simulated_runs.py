"""Whole runs over made-up people: each test is a mistake about who is one person that a run must not make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.decide.pairs import decide_pairs
from leakscan.fingerprint.pipeline import Dataset
from leakscan.run.reported import decide_and_report
from leakscan.run.result import Result
from support.made_up_encoder import ENCODER, MadeUpModels, made_up_context, rows_of
from support.simulated_people import alike, dataset, films, pairs_of, people


def run(*datasets: Dataset, **options: Any) -> Result:
    return decide_and_report(datasets, made_up_context(**options), None)


def named(name: str, numbers: range) -> list[str]:
    return [f"{name} person {i}" for i in numbers]


# Families of tests


def test_many_films_of_one_person_are_one_discovery() -> None:
    """Twenty-four films a side of what may be one person: a good match, but a single one."""
    one = np.repeat(people(1, 1), 24, axis=0)
    other = np.repeat(alike(2, one[:1], 0.45), 24, axis=0)
    a, b = (np.concatenate([films(s, same, 0.02), people(s, 230)]) for s, same in ((3, one), (4, other)))
    (found,) = decide_pairs([dataset("a", a), dataset("b", b)], made_up_context())
    rows = rows_of(found)
    assert found.persons[0].caution == ""
    assert not pairs_of(rows, "leak")
    best = min(r["p_value"] for r in rows)
    assert best * len(a) * len(b) / 24 < 0.01 < min(r["q_value"] for r in rows)


def test_a_match_needs_the_weight_of_both_its_datasets() -> None:
    """B and C share 150 people. That says nothing of the one pair of A and C that is as good."""
    shared, lone = people(1, 150), people(2, 1)
    a = np.concatenate([films(3, lone), people(4, 210)])
    b = np.concatenate([films(5, shared), people(6, 60)])
    c = np.concatenate([films(7, shared), films(8, lone), people(9, 700)])
    result = run(dataset("a", a), dataset("b", b), dataset("c", c))
    leaks = pairs_of(result.pairs.to_pylist(), "leak")
    assert {(f"b{i}", f"c{i}") for i in range(150)} <= leaks
    assert len(leaks) <= 152
    assert ("a0", "c150") not in leaks
    assert ("a0", "c150") in pairs_of(result.pairs.to_pylist(), "review")


def test_copies_make_nobody_a_leak_who_is_none() -> None:
    """Nearly everybody stands on both sides by copies. Look-alikes among them are still among all the others,
    and so are the last few whom no copy links.
    """
    base = people(1, 290)
    base[20:23] = alike(2, base[10:13], 0.42)
    rest = people(4, 10)
    others = np.concatenate([alike(5, rest[:2], 0.405), people(6, 8)])
    pixels = [f"copy {i}" for i in range(290)]
    a, b = (
        dataset(name, np.concatenate([base, own]), pixels=pixels + [f"{name} {i}" for i in range(10)])
        for name, own in (("a", rest), ("b", others))
    )
    rows = run(a, b).pairs.to_pylist()
    assert len(pairs_of(rows, "leak", "same_pixels")) == 290
    assert not pairs_of(rows, "leak")
    look_alikes = {(f"a{i}", f"b{i + 10}") for i in range(10, 13)}
    assert look_alikes | {("a290", "b290"), ("a291", "b291")} <= pairs_of(rows, "review")


# Whether the calibration holds here


def test_images_outside_the_domain_are_never_called_and_the_run_does_not_vouch() -> None:
    """A quarter of each side shares a trait, so that strangers are alike in a way no shift explains."""
    trait = people(1, 1)

    def side(seed: int) -> np.ndarray:
        strangers = people(seed, 240)
        strangers[:60] += 1.2 * trait
        return films(seed, strangers / np.linalg.norm(strangers, axis=1, keepdims=True))

    shared = people(2, 40)
    a, b = (np.concatenate([films(s, shared), side(s)]) for s in (3, 4))
    result = run(dataset("a", a), dataset("b", b))
    rows = result.pairs.to_pylist()
    assert not pairs_of(rows, "leak")
    assert {(f"a{i}", f"b{i}") for i in range(40)} <= pairs_of(rows, "review")
    assert result.exit_code == 3
    assert any("outside the encoder's domain" in reason for reason in result.summary["reasons"])


def test_expected_false_pairs_allow_for_a_tail_that_does_not_follow_the_bulk() -> None:
    """Strangers here are less alike than those of the calibration; whether far out too, nobody knows."""
    known, names = people(1, 800, dim=64), np.array(named("", range(800)) * 2)
    narrow = fit_calibration(
        ENCODER,
        "people in fewer dimensions",
        Cohort(np.zeros((0, 128), np.float16), 0),
        LabelledPrints(np.concatenate([films(2, known), films(3, known)]), names),
    )
    shared = people(6, 40)
    a, b = (
        dataset(name, np.concatenate([films(seed, shared, 1.9), people(seed + 2, 200)]))
        for name, seed in (("a", 4), ("b", 5))
    )
    (found,) = decide_pairs([a, b], made_up_context(MadeUpModels(narrow)))
    (test,) = found.persons
    assert test.bulk is not None and test.bulk.scale < 0.8
    assert test.leak_p is not None and test.leak_score is not None and test.leak_false is not None
    as_it_stands = float(narrow.tail.p_value(test.bulk.location + test.bulk.scale * test.leak_score))
    assert as_it_stands > 2 * test.leak_p
    _, _, high = test.leak_false
    assert high >= as_it_stands * test.comparisons * 0.99


@pytest.mark.parametrize(("number", "each"), [(50, 5), (20, 11), (70, 3)])
def test_many_films_of_few_people_do_not_look_like_another_domain(number: int, each: int) -> None:
    """Nobody declares them, and one pair in twenty to seventy is of one person."""
    everybody = np.repeat(people(1, number), each, axis=0)
    result = run(dataset("a", films(2, everybody)), dataset("b", films(3, everybody)))
    leaks = pairs_of(result.pairs.to_pylist(), "leak")
    assert {(int(a[1:]) // each, int(b[1:]) // each) for a, b in leaks} == {(i, i) for i in range(number)}
    assert result.exit_code == 1
    assert any("a few people with many pictures each" in w for w in result.summary["warnings"])


def test_very_few_people_with_very_many_films_are_for_review_at_least() -> None:
    """Ten people: every film has a tenth of the other side for its person."""
    everybody = np.repeat(people(1, 10), 22, axis=0)
    result = run(dataset("a", films(2, everybody)), dataset("b", films(3, everybody)))
    rows = result.pairs.to_pylist()
    seen = pairs_of(rows, "review") | pairs_of(rows, "leak")
    assert {(int(a[1:]) // 22, int(b[1:]) // 22) for a, b in seen} == {(i, i) for i in range(10)}
    assert result.exit_code in (1, 3)
    assert any("a few people with many pictures each" in w for w in result.summary["warnings"])


# What a run says where no pair is proved


@pytest.mark.parametrize(("shared", "code"), [(30, 3), (0, 0)])
def test_more_pairs_for_review_than_chance_explains_cannot_be_vouched_for(shared: int, code: int) -> None:
    """Sixty people a side are too few to show that the calibration holds, so that nothing is called."""
    same = people(1, shared) if shared else people(1, 1)[:0]
    a, b = (np.concatenate([films(s, same), people(s, 60 - shared)]) for s in (2, 3))
    result = run(dataset("a", a), dataset("b", b))
    assert not pairs_of(result.pairs.to_pylist(), "leak")
    assert result.exit_code == code
    assert any("wait for review, more than" in reason for reason in result.summary["reasons"]) == (code == 3)


# Properties


def _crowded(seed: int, declared: bool, strangers: int = 0) -> tuple[Dataset, Dataset]:
    """Forty shared people among 240 a side, and more strangers in B."""
    shared = people(seed, 40)
    a = np.concatenate([films(seed + 1, shared, 0.4), people(seed + 2, 200)])
    b = np.concatenate([films(seed + 3, shared, 0.4), people(seed + 4, 200 + strangers)])
    return (
        dataset("a", a, named("a", range(len(a))) if declared else None),
        dataset("b", b, named("b", range(len(b))) if declared else None),
    )


@pytest.mark.parametrize("declared", [False, True])
def test_swapping_the_datasets_changes_no_answer(declared: bool) -> None:
    a, b = _crowded(10, declared)
    one, other = run(a, b), run(b, a)
    figures = ("p_value", "q_value", "probability", "relation", "decision")

    def told(result: Result, first: str, second: str) -> set[tuple[Any, ...]]:
        return {
            (r[f"path_{first}"], r[f"path_{second}"], *(r[f] for f in figures))
            for r in result.pairs.to_pylist()
        }

    assert told(one, "a", "b") == told(other, "b", "a")
    assert one.exit_code == other.exit_code == 1
    shared = [result.summary["comparisons"][0]["shared_subjects"] for result in (one, other)]
    assert shared[0] == shared[1]


@pytest.mark.parametrize("declared", [False, True])
def test_more_strangers_add_no_leaks_beyond_the_promise(declared: bool) -> None:
    true = {(f"a{i}", f"b{i}") for i in range(40)}
    called, false = 0, 0
    for seed in range(20, 38, 6):
        few, many = (
            pairs_of(run(*_crowded(seed, declared, more)).pairs.to_pylist(), "leak") for more in (0, 400)
        )
        assert len(few & true) >= 36
        called, false = called + len(many), false + len(many - true)
        assert len((many - few) - true) <= 1
    assert called > 80
    assert false <= 0.01 * called + 1


def test_the_estimate_covers_and_probabilities_hold_over_many_runs() -> None:
    inside, stated, actual = 0, [], []
    true = {(f"a{i}", f"b{i}") for i in range(40)}
    for seed in range(50, 80, 6):
        result = run(*_crowded(seed, declared=True))
        shared = result.summary["comparisons"][0]["shared_subjects"]
        inside += shared["low"] <= 40 <= shared["high"]
        for row in result.pairs.to_pylist():
            stated.append(row["probability"])
            actual.append((row["path_a"], row["path_b"]) in true)
    assert inside >= 4
    assert abs(np.mean(stated) - np.mean(actual)) < 0.1
    sure = np.array(stated) > 0.9
    assert sure.sum() >= 50
    assert np.mean(np.array(actual)[sure]) > 0.9


# What probabilities come to


def test_probabilities_are_not_too_low_where_strangers_fall_off_more_slowly() -> None:
    """A quarter of each side are people of one build. Tests are careful then, and would count many times as
    many strangers as there are.
    """
    stated, true = [], []
    for seed in range(4):
        shared = people(1000 + seed, 40)
        a, b = (
            dataset(
                name,
                np.concatenate([films(own, shared, 1.0), people(own + 1, 300), people(own + 2, 120, dim=48)]),
            )
            for name, own in (("a", 10_000 * seed + 10), ("b", 10_000 * seed + 20))
        )
        for row in run(a, b).pairs.to_pylist():
            stated.append(row["probability"])
            true.append(row["path_a"][1:] == row["path_b"][1:] and int(row["path_a"][1:]) < 40)
    probability, is_true = np.array(stated), np.array(true)
    assert is_true.sum() > 120
    low, high = probability < 0.3, probability >= 0.6
    assert is_true[low].mean() < 0.15
    assert probability[high].mean() == pytest.approx(is_true[high].mean(), abs=0.12)
    assert probability.sum() == pytest.approx(is_true.sum(), rel=0.25)

"""What people declare wrongly, and runs that are too small: a sentence says so, and decisions are careful."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from leakscan.decide.inside import decide_inside
from leakscan.report.sentences import shared_words
from leakscan.run.reported import decide_and_report
from leakscan.run.result import Result
from support.made_up_encoder import decided, made_up_context, rows_of
from support.simulated_people import dataset, films, pairs_of, people

TRUE = {(f"a{i}", f"b{i}") for i in range(20)}
Names = Callable[[int], str] | None


def merged(names_a: Names, names_b: Names, shared: int = 20, **options: Any) -> Result:
    """230 films a side, of 230 people, of whom the first are shared."""
    sides = []
    for name, seed, names in (("a", 3, names_a), ("b", 5, names_b)):
        prints = np.concatenate([films(seed, people(1, 20)[:shared]), people(seed + 1, 230 - shared)])
        sides.append(dataset(name, prints, [names(i) for i in range(230)] if names else None))
    return decide_and_report(sides, made_up_context(**options), None)


def said(result: Result) -> str:
    return " ".join([*result.summary["reasons"], *result.summary["warnings"]])


def words(result: Result) -> str:
    return " ".join(result.summary["comparisons"][0]["words"])


def leaks(result: Result) -> set[tuple[str, str]]:
    return pairs_of(result.pairs.to_pylist(), "leak")


@pytest.mark.parametrize("both", [True, False])
def test_one_subject_for_everything_hides_nobody(both: bool) -> None:
    result = merged(lambda _: "x", (lambda _: "x") if both else None)
    assert leaks(result) == TRUE
    assert result.exit_code == 1
    assert "1 identifier of a stands on 230 pictures that are no more alike than" in said(result)


def test_one_subject_for_everything_vouches_for_nothing_and_proves_nothing() -> None:
    result = merged(lambda _: "x", lambda _: "x", shared=0, same_ids=True)
    assert result.pairs.num_rows == 0
    assert result.exit_code == 3
    assert "such identifiers name no person" in " ".join(result.summary["reasons"])


def test_identifiers_that_many_people_share_inside_a_dataset_hide_nobody() -> None:
    result = merged(lambda i: f"{i % 90}", lambda i: f"{i % 90}")
    assert leaks(result) == TRUE
    assert result.exit_code == 1
    assert "90 identifiers of b stand on" in said(result)


def test_one_identifier_for_whoever_has_none_is_nobody_and_the_others_stay() -> None:
    result = merged(lambda i: "unknown" if i % 10 == 5 else f"a{i}", lambda i: f"b{i}", shared=0)
    assert result.exit_code == 0
    assert "1 identifier of a stands on 23 pictures" in said(result)
    assert "measured on 437 declared subjects" in words(result)


def test_datasets_that_both_number_their_people_share_no_subjects_by_that() -> None:
    result = merged(str, lambda i: f"{(i + 100) % 230}", same_ids=True)
    assert leaks(result) == TRUE
    assert "230 identifiers of a stand in b too" in said(result)
    assert merged(str, lambda i: f"{(i + 100) % 230}", shared=0, same_ids=True).exit_code == 3


def test_identifiers_that_are_right_prove_as_much_as_before() -> None:
    result = merged(str, lambda i: f"{i}" if i < 20 else f"b{i}", same_ids=True)
    assert leaks(result) == TRUE
    assert "identifier" not in said(result)


@pytest.mark.parametrize(("shared", "code"), [(20, 1), (0, 0)])
def test_subjects_that_are_all_declared_once_decide_and_what_is_missed_is_unknown(
    shared: int, code: int
) -> None:
    result = merged(lambda i: f"a{i}", lambda i: f"b{i}", shared=shared)
    assert leaks(result) == (TRUE if shared else set())
    assert result.exit_code == code
    assert "how many shared subjects are missed is unknown for these images" in words(result)


@pytest.mark.parametrize("each", [1, 2])
def test_a_copy_of_a_dataset_is_called_a_copy(each: int) -> None:
    """With two films of everybody there are too few subjects to say more than the copies do."""
    prints, pixels = np.repeat(people(8, 230 // each), each, axis=0), [f"x{i}" for i in range(230)]
    names = [f"s{i // each}" for i in range(230)]
    result = decide_and_report(
        [dataset(name, prints, names, pixels) for name in ("a", "b")], made_up_context(), None
    )
    assert len(pairs_of(result.pairs.to_pylist(), "leak", "same_pixels")) == 230
    assert result.exit_code == 1
    assert "a and b hold the same 230 pictures: one is a copy of the other." in words(result)
    assert f"{230 // each} " in said(result)


def test_a_part_of_a_dataset_is_called_a_part() -> None:
    prints = people(8, 230)
    a, b = (
        dataset(name, prints[:n], pixels=[f"x{i}" for i in range(n)]) for name, n in (("a", 230), ("b", 40))
    )
    result = decide_and_report([a, b], made_up_context(), None)
    assert "All 40 pictures of b are in a too: b is a part of a." in words(result)
    assert "Copies prove that 40 subjects of b stand in a." in said(result)


@pytest.mark.parametrize("declared", [True, False])
def test_three_films_against_very_many(declared: bool) -> None:
    """Declared subjects of the large side show how strangers come out; without them nothing is called."""
    many = people(9, 8_000)
    names = [f"b{i}" for i in range(len(many))] if declared else None
    three = dataset("a", np.concatenate([films(1, many[:1]), people(77, 2)]))
    result = decide_and_report([three, dataset("b", films(2, many), names)], made_up_context(), None)
    rows = result.pairs.to_pylist()
    assert pairs_of(rows, "leak") == ({("a0", "b0")} if declared else set())
    assert pairs_of(rows, "review") >= (set() if declared else {("a0", "b0")})
    assert result.exit_code == (1 if declared else 3)
    assert declared or "with 3 subjects on a side" in words(result)


@pytest.mark.parametrize("names", [(None, None), ("p", "q"), ("p", "p")])
@pytest.mark.parametrize("same", [True, False])
def test_two_datasets_of_one_patient_each(names: tuple[str | None, str | None], same: bool) -> None:
    """Too few to call, but six films a side that are as alike as one person are not passed over."""
    patients = people(11, 2)
    a, b = (
        dataset(name, films(seed, patients[[who] * 6]), [own] * 6 if own else None)
        for name, seed, who, own in (("a", 1, 0, names[0]), ("b", 2, 0 if same else 1, names[1]))
    )
    result = decide_and_report([a, b], made_up_context(), None)
    rows = result.pairs.to_pylist()
    assert not pairs_of(rows, "leak")
    assert len(pairs_of(rows, "review")) == (36 if same else 0)
    assert result.exit_code == (3 if same else 0)
    assert "cannot be said" in said(result)
    assert not same or "look at them" in said(result)


def test_one_identifier_on_everything_hides_no_repeats_inside_a_source() -> None:
    """Pictures of one believed subject are no news; those of an identifier that names nobody are compared."""
    some = people(31, 230)
    prints = np.concatenate([films(32, some), films(33, some[:20])])
    wrong = decide_inside(dataset("a", prints, ["unknown"] * 250), made_up_context())
    right = decide_inside(
        dataset("a", prints, [f"s{i if i < 230 else i - 230}" for i in range(250)]), made_up_context()
    )
    repeats = {(f"a{i}", f"a{i + 230}") for i in range(20)}
    assert wrong.doubts[0].most and not wrong.doubts[1].identifiers
    assert repeats <= pairs_of(rows_of(wrong), "leak")
    assert not right.doubts[0].identifiers
    assert not repeats & pairs_of(rows_of(right), "leak")


def test_identifiers_of_films_and_not_of_people_are_noticed_and_nothing_is_vouched_for() -> None:
    """Every film of 115 people, two a side, has an identifier of its own, as where studies are named."""
    twice = np.repeat(people(1, 115), 2, axis=0)
    sides = [
        dataset(name, films(seed, twice), [f"{name}{i}" for i in range(230)])
        for name, seed in (("a", 3), ("b", 4))
    ]
    result = decide_and_report(sides, made_up_context(), None)
    assert result.exit_code == 3
    assert "subjects declared inside a or inside b are as alike as one person" in said(result)
    usual = merged(lambda i: f"a{i}", lambda i: f"b{i}", shared=0)
    assert "as alike as one person" not in said(usual)


def test_more_than_there_are_cannot_go_unnoticed() -> None:
    comparison = decided([dataset("a", people(1, 230)), dataset("b", people(5, 230))])
    (test,) = comparison.persons
    assert test.shared is not None
    for unnoticed, said_so in ((9, "Fewer than 9"), (230, "Fewer than 230"), (231, "Any number of")):
        known = replace(test, shared=replace(test.shared, unnoticed=unnoticed))
        assert shared_words(comparison, known)[-1].startswith(f"{said_so} shared subjects could have gone")


def test_where_everybody_is_shared_the_number_is_not_below_those_named() -> None:
    them = people(1, 230)
    result = decide_and_report(
        [dataset("a", films(3, them)), dataset("b", films(4, them))], made_up_context(), None
    )
    stated = result.summary["comparisons"][0]["shared_subjects"]
    assert stated["named"] == 230
    assert stated["low"] <= 230 <= stated["high"]
    assert stated["estimate"] >= 0.99 * 230

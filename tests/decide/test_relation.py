"""What a pair is, why, and what is done about it; and the same through two whole datasets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.decide.pairs import Comparison, DecideOptions, compare_datasets
from leakscan.decide.relation import Facts, judge
from leakscan.engines.local import LocalEngine
from leakscan.fingerprint.pipeline import Dataset
from leakscan.report.sentences import comparison_words
from leakscan.run.memory import PairMemory
from leakscan.types import RELATIONS, Silent
from support.made_up_encoder import ENCODER, calibration, made_up
from support.makers import store_rows, unit_vectors

SAME = CopyCheck(True, 0.97, 200, "hflip", 0.9)

FACTS = st.builds(
    Facts,
    same_file=st.booleans(),
    same_pixels=st.booleans(),
    similarity=st.none() | st.floats(-1, 1),
    p_value=st.none() | st.floats(0, 1),
    person=st.sampled_from([None, "leak", "review"]),
    bits=st.none() | st.integers(0, 31),
    verification=st.sampled_from([None, SAME, NOT_ALIGNED]),
    why_unverified=st.just("the time for verification was up"),
    same_subject_id=st.booleans(),
    same_study_uid=st.booleans(),
    ids_are_proof=st.booleans(),
)


@given(FACTS)
def test_the_strongest_fact_names_the_relation(facts: Facts) -> None:
    verdict = judge(facts)
    if facts.same_file:
        expected = "same_file"
    elif facts.same_pixels:
        expected = "same_pixels"
    elif facts.verification is SAME:
        expected = "same_image"
    else:
        assert verdict is None or verdict.relation in ("same_image", "same_subject")
        return
    assert verdict is not None
    assert (verdict.relation, verdict.decision) == (expected, "leak")


@given(FACTS)
def test_nothing_unverified_is_a_leaked_image(facts: Facts) -> None:
    verdict = judge(facts)
    if verdict is not None and verdict.relation == "same_image" and verdict.decision == "leak":
        assert facts.verification is SAME


@given(FACTS)
def test_an_unproven_person_is_at_most_for_review(facts: Facts) -> None:
    verdict = judge(facts)
    if verdict is not None and verdict.relation == "same_subject" and verdict.decision == "leak":
        assert facts.person == "leak" or (facts.same_subject_id and facts.ids_are_proof)


@pytest.mark.parametrize("decision", ["leak", "review", None])
def test_fingerprints_decide_where_nothing_else_does(decision: Any) -> None:
    verdict = judge(Facts(similarity=0.7, p_value=1e-6, person=decision, verification=NOT_ALIGNED))
    assert (verdict.decision if verdict else None) == decision


@pytest.mark.parametrize(("proof", "decision"), [(True, "leak"), (False, None)])
def test_identifiers_are_proof_only_where_they_mean_the_same(proof: bool, decision: str | None) -> None:
    verdict = judge(Facts(same_subject_id=True, ids_are_proof=proof))
    assert (verdict.decision if verdict else None) == decision


def test_a_picture_that_looks_the_same_waits_for_review_until_it_is_seen() -> None:
    unseen = judge(Facts(bits=1, why_unverified="the time for verification was up"))
    assert unseen is not None
    assert (unseen.relation, unseen.decision) == ("same_image", "review")
    assert "the time for verification was up" in unseen.evidence[0]
    assert judge(Facts(bits=1, verification=NOT_ALIGNED)) is None


def test_an_unverified_look_does_not_hide_a_proven_subject() -> None:
    """A shared identifier or a score beyond chance is a leak, whether or not the pictures were aligned."""
    proven = judge(Facts(bits=1, same_subject_id=True, ids_are_proof=True))
    assert proven is not None
    assert proven.decision == "leak"
    near = judge(Facts(bits=1, similarity=0.99, p_value=1e-6, person="leak"))
    assert near is not None
    assert near.decision == "leak"


def test_evidence_is_in_words() -> None:
    verdict = judge(
        Facts(similarity=0.9, p_value=1e-5, comparisons=1000, verification=SAME, bits=3, same_study_uid=True)
    )
    assert verdict is not None
    assert verdict.evidence == [
        "aligned correlation 0.970 on 90% of the picture, 200 matched keypoints",
        "same StudyInstanceUID",
        "fingerprint similarity 0.900: 0.01 false pairs as good expected in 1,000 subject comparisons",
        "perceptual hashes differ in 3 of 63 bits",
    ]


def test_a_rate_at_the_floor_may_be_lower() -> None:
    verdict = judge(Facts(same_pixels=True, similarity=1.0, p_value=1e-6, p_floor=1e-6, comparisons=1000))
    assert verdict is not None
    assert any("about or below 0.001 false pairs as good expected" in words for words in verdict.evidence)


# Two whole datasets


def dataset(name: str, images: list[dict[str, Any]], key: str = "k1") -> Dataset:
    return Dataset(name, store_rows(images), {}, {}, key)


def compared(a: Dataset, b: Dataset, **options: Any) -> Comparison:
    return compare_datasets(
        a, b, *made_up(), DecideOptions(**options), PairMemory(None), LocalEngine(0), Silent()
    )


def people(n: int, seed: int, name: str, pictures: int = 1, first: int = 0) -> list[dict[str, Any]]:
    """Images of ``n`` subjects whose pictures lie close together.

    Args:
        n: subjects.
        seed: decides the angle between pictures of one subject.
        name: of the files.
        pictures: of each.
        first: number of the first subject; equal numbers are one person.
    """
    centres = unit_vectors(1, first + n)[first:]
    out = []
    for picture in range(pictures):
        near = centres + 0.25 * unit_vectors(seed * 100 + picture, n)
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        out += [
            {"fingerprint": v, "image_id": f"{name}{i}-{picture}", "path": f"{name}{i}-{picture}.png"}
            for i, v in enumerate(near, first)
        ]
    return out


def test_the_same_people_leak_and_strangers_do_not() -> None:
    found = compared(dataset("A", people(220, 1, "a")), dataset("B", people(220, 2, "b", first=190)))
    leaks = {(r["path_a"], r["path_b"]) for r in found.pairs if r["decision"] == "leak"}
    mates = {(f"a{i}-0.png", f"b{i}-0.png") for i in range(190, 220)}
    assert mates <= leaks
    assert len(leaks - mates) <= 1  # of a hundred leaks one may be false
    (test,) = found.persons
    assert test.comparisons == 220 * 220
    assert all(r["q_value"] <= 0.01 for r in found.pairs if r["decision"] == "leak")


def test_one_repeated_person_among_many_is_ranked_first_where_the_calibration_cannot_prove_it() -> None:
    found = compared(dataset("A", people(220, 1, "a")), dataset("B", people(220, 2, "b", first=219)))
    assert not any(r["decision"] == "leak" for r in found.pairs)
    assert found.persons[0].leak_p is None
    assert (found.pairs[0]["path_a"], found.pairs[0]["decision"]) == ("a219-0.png", "review")


def test_strangers_who_are_all_more_alike_than_those_of_the_calibration_are_still_strangers() -> None:
    """The run's own bulk sets where its scores lie: a common trait of two datasets is no match."""
    trait = 0.5 * unit_vectors(99, 1)[0]
    a, b = (
        [{**image, "fingerprint": _unit(image["fingerprint"] + trait)} for image in images]
        for images in (people(220, 1, "a"), people(220, 2, "b", first=300))
    )
    found = compared(dataset("A", a), dataset("B", b))
    (test,) = found.persons
    assert test.bulk is not None and test.bulk.location > 0.5
    assert not any(r["decision"] == "leak" for r in found.pairs)
    assert sum(r["decision"] == "review" for r in found.pairs) <= 3 * test.review_false[0]


def test_pictures_of_a_declared_subject_decide_together() -> None:
    """Each picture lies too far out to tell; their mean does not."""
    far = people(1, 3, "a", pictures=8)
    noise = unit_vectors(77, 8)
    several = [
        {**image, "subject": "s", "fingerprint": _unit(image["fingerprint"] + 5.0 * noise[i])}
        for i, image in enumerate(far)
    ]
    strangers = people(230, 4, "x", first=300)
    b = [*people(1, 2, "b"), *people(230, 4, "y", first=600)]
    alone = [{**image, "subject": None} for image in several]
    together = compared(dataset("A", [*several, *strangers]), dataset("B", b))
    apart = compared(dataset("A", [*alone, *strangers]), dataset("B", b))

    def best(found: Comparison) -> float:
        return min(r["p_value"] for r in found.pairs if r["path_b"] == "b0-0.png")

    assert best(together) < best(apart) / 10
    assert together.persons[0].subjects == (231, 231)
    assert apart.persons[0].subjects == (238, 231)


def _unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


def test_rows_come_leaks_first_then_by_strength() -> None:
    a = [*people(3, 1, "a"), {"pixel_hash": "p", "file_hash": "f"}, {"pixel_hash": "q"}]
    b = [*people(3, 2, "b"), {"pixel_hash": "p", "file_hash": "f"}, {"pixel_hash": "q"}]
    rows = compared(dataset("A", a), dataset("B", b)).pairs
    ranks = [(r["decision"] != "leak", RELATIONS.index(r["relation"])) for r in rows]
    assert ranks == sorted(ranks)
    assert [r["relation"] for r in rows[:3]] == ["same_file", "same_pixels", "same_subject"]
    assert rows[2]["decision"] == "review"


def test_swapping_the_datasets_swaps_the_columns_only() -> None:
    a, b = dataset("A", people(5, 1, "a", 2)), dataset("B", people(5, 2, "b", 2))
    one, two = compared(a, b), compared(b, a)
    both = ("image", "dataset", "path", "subject")

    def turned(row: dict[str, Any]) -> dict[str, Any]:
        return row | {f"{n}_{s}": row[f"{n}_{o}"] for n in both for s, o in (("a", "b"), ("b", "a"))}

    assert one.pairs == [turned(row) for row in two.pairs]
    assert one.pictures == two.pictures[::-1]


def test_every_compared_pair_says_how_sure_it_is() -> None:
    rows = compared(dataset("A", people(4, 1, "a")), dataset("B", people(4, 2, "b"))).pairs
    assert rows
    for row in rows:
        assert 0 < row["distance"] < 0.2
        assert row["score"] > 3  # standard deviations above the cohort
        assert 0 < row["p_value"] <= row["q_value"] <= 1


def test_too_few_people_to_check_the_calibration_are_at_most_for_review() -> None:
    found = compared(dataset("A", people(9, 1, "a")), dataset("B", people(9, 2, "b")))
    assert {r["decision"] for r in found.pairs} == {"review"}
    assert "fewer than 200" in found.persons[0].caution


def test_every_pair_of_equal_pictures_is_a_row() -> None:
    a = [{"pixel_hash": "p", "file_hash": f"a{i}"} for i in range(3)]
    b = [{"pixel_hash": "p", "file_hash": f"a{i}"} for i in range(2)]
    rows = compared(dataset("A", a), dataset("B", b)).pairs
    assert len(rows) == 6
    assert sorted(r["relation"] for r in rows) == ["same_file"] * 2 + ["same_pixels"] * 4


def test_rows_past_the_limit_are_counted_and_the_strongest_stay() -> None:
    a = [{"pixel_hash": "p", "file_hash": f"a{i}"} for i in range(6)] + people(4, 1, "a")
    b = [{"pixel_hash": "p", "file_hash": f"b{i}"} for i in range(5)] + people(4, 2, "b")
    found = compared(dataset("A", a), dataset("B", b), max_pairs=20)
    assert len(found.pairs) == 20
    assert {r["relation"] for r in found.pairs} == {"same_pixels"}
    assert found.cut >= 10 + 4


def test_proven_subjects_are_not_cut_in_favour_of_reviews() -> None:
    a = [{"subject": "s", **image} for image in people(1, 1, "a")] + people(9, 3, "x")[1:]
    b = [{"subject": "s", "fingerprint": -people(1, 1, "a")[0]["fingerprint"], "image_id": "far"}]
    b += [{**image, "image_id": f"y{i}"} for i, image in enumerate(people(9, 4, "y")[1:])]
    found = compared(dataset("A", a), dataset("B", b), same_ids=True, max_pairs=9)
    assert any(r["subject_a"] == "s" and r["decision"] == "leak" for r in found.pairs)


def test_keys_that_differ_join_nobody() -> None:
    a = [{"subject": "s", "study_uid_hash": "u", "pixel_hash": "p"}, {"subject": "s"}]
    b = [{"subject": "s", "study_uid_hash": "u", "pixel_hash": "p"}, {"subject": "s"}]
    same = compared(dataset("A", a), dataset("B", b), same_ids=True).pairs
    other = compared(dataset("A", a), dataset("B", b, "k2"), same_ids=True).pairs
    assert len(same) == 4
    assert [r["relation"] for r in other] == ["same_pixels"]
    assert not any("declared" in e or "Study" in e for e in other[0]["evidence"])


class Dying:
    """An engine whose time is up before it starts."""

    workers = 0

    def map(self, function: Any, items: Iterable[Any], chunk: int = 8) -> Iterator[Any]:
        return iter(())


def test_pairs_that_nobody_looked_at_are_counted() -> None:
    a, b = dataset("A", people(3, 1, "a")), dataset("B", people(3, 2, "b"))
    found = compare_datasets(a, b, *made_up(), DecideOptions(), PairMemory(None), Dying(), Silent())
    assert found.verified == 0
    assert found.unverified == found.candidates > 0


def few(a: Dataset, b: Dataset) -> Comparison:
    """Compared by an encoder whose calibration has 60 people and does not decide."""
    cards, _ = made_up()
    small = {ENCODER: replace(calibration(60), decides=False)}
    return compare_datasets(a, b, cards, small, DecideOptions(), PairMemory(None), LocalEngine(0), Silent())


def test_a_calibration_of_few_people_puts_clear_pairs_up_for_review_and_calls_none_a_leak() -> None:
    found = few(dataset("A", people(220, 1, "a")), dataset("B", people(220, 2, "b", first=190)))
    assert {r["decision"] for r in found.pairs} == {"review"}
    mates = {(f"a{i}-0.png", f"b{i}-0.png") for i in range(190, 220)}
    reviewed = {(r["path_a"], r["path_b"]) for r in found.pairs}
    assert len(mates & reviewed) >= 25
    assert len(reviewed - mates) <= 1
    (test,) = found.persons
    assert test.few_people
    assert test.review_false[0] <= 0.1 < test.review_false[2]
    words = " ".join(comparison_words(found))
    assert "too few people" in words
    assert "far beyond what was measured" in words


def test_where_nobody_is_shared_a_calibration_of_few_people_lists_nobody() -> None:
    """However small the comparison: an audit may compare thousands of pairs of splits one by one."""
    a, b = people(220, 1, "a"), people(220, 2, "b", first=300)
    assert few(dataset("A", a), dataset("B", b)).pairs == []
    alone = [few(dataset("A", [x]), dataset("B", [y])).pairs for x, y in zip(a[:40], b[:40], strict=True)]
    assert not any(alone)

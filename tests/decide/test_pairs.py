"""What comes of two whole datasets: who leaks, who waits for review, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from leakscan.decide.comparison import Comparison
from leakscan.fingerprint.pipeline import Dataset
from leakscan.report.sentences import comparison_words
from leakscan.types import RELATIONS
from support.made_up_encoder import MadeUpModels, calibration, decided, made_up_context, rows_of
from support.makers import store_rows, unit_vectors


def dataset(name: str, images: list[dict[str, Any]], key: str = "k1") -> Dataset:
    return Dataset(name, store_rows(images), {}, {}, key)


def compared(a: Dataset, b: Dataset, **options: Any) -> Comparison:
    return decided([a, b], made_up_context(**options))


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
    leaks = {(r["path_a"], r["path_b"]) for r in rows_of(found) if r["decision"] == "leak"}
    mates = {(f"a{i}-0.png", f"b{i}-0.png") for i in range(190, 220)}
    assert mates <= leaks
    assert len(leaks - mates) <= 1  # of a hundred leaks one may be false
    (test,) = found.persons
    assert test.comparisons == 220 * 220
    assert all(r["q_value"] <= 0.01 for r in rows_of(found) if r["decision"] == "leak")


def test_one_repeated_person_is_a_leak_where_strangers_are_known_well_and_first_where_not() -> None:
    a, b = dataset("A", people(220, 1, "a")), dataset("B", people(220, 2, "b", first=219))
    for known, decision in ((800, "leak"), (120, "review")):
        found = decided([a, b], made_up_context(MadeUpModels(calibration(known))))
        first = rows_of(found)[0]
        assert (first["path_a"], first["decision"]) == ("a219-0.png", decision)
        # A pair at the end of what is known of strangers may be one of the few expected there.
        assert (first["probability"] > 0.5) == (decision == "leak")
        assert (found.persons[0].leak_p is None) == (decision == "review")


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
    assert not any(r["decision"] == "leak" for r in rows_of(found))
    assert sum(r["decision"] == "review" for r in rows_of(found)) <= 3 * test.review_false[0]


def test_pictures_of_a_declared_subject_decide_together() -> None:
    """Each picture lies too far out to tell; their mean does not."""
    far = people(1, 3, "a", pictures=8)
    noise = unit_vectors(77, 8)
    several = [
        {**image, "subject": "s", "fingerprint": _unit(image["fingerprint"] + 3.0 * noise[i])}
        for i, image in enumerate(far)
    ]
    strangers = people(230, 4, "x", first=300)
    b = [*people(1, 2, "b"), *people(230, 4, "y", first=600)]
    alone = [{**image, "subject": None} for image in several]
    together = compared(dataset("A", [*several, *strangers]), dataset("B", b))
    apart = compared(dataset("A", [*alone, *strangers]), dataset("B", b))

    def best(found: Comparison) -> float:
        found_with = [r["p_value"] for r in rows_of(found) if r["path_b"] == "b0-0.png"]
        return min(found_with, default=1.0)  # nobody would even be shown the pair

    assert best(together) < best(apart) / 10
    assert together.persons[0].subjects == (231, 231)
    assert apart.persons[0].subjects == (238, 231)


def _unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


def test_rows_come_leaks_first_then_by_strength() -> None:
    a = [*people(3, 1, "a"), {"pixel_hash": "p", "file_hash": "f"}, {"pixel_hash": "q"}]
    b = [*people(3, 2, "b"), {"pixel_hash": "p", "file_hash": "f"}, {"pixel_hash": "q"}]
    rows = rows_of(compared(dataset("A", a), dataset("B", b)))
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

    assert rows_of(one) == [turned(row) for row in rows_of(two)]
    assert one.pictures == two.pictures[::-1]


def test_every_compared_pair_says_how_sure_it_is() -> None:
    rows = rows_of(compared(dataset("A", people(4, 1, "a")), dataset("B", people(4, 2, "b"))))
    assert rows
    for row in rows:
        assert 0 < row["distance"] < 0.2
        assert row["score"] > 3  # standard deviations above the cohort
        assert 0 < row["p_value"] <= row["q_value"] <= 1


def test_too_few_people_to_check_the_calibration_are_at_most_for_review() -> None:
    found = compared(dataset("A", people(9, 1, "a")), dataset("B", people(9, 2, "b")))
    assert {r["decision"] for r in rows_of(found)} == {"review"}
    assert "fewer than 200" in found.persons[0].caution


def test_every_pair_of_equal_pictures_is_a_row() -> None:
    a = [{"pixel_hash": "p", "file_hash": f"a{i}"} for i in range(3)]
    b = [{"pixel_hash": "p", "file_hash": f"a{i}"} for i in range(2)]
    rows = rows_of(compared(dataset("A", a), dataset("B", b)))
    assert len(rows) == 6
    assert sorted(r["relation"] for r in rows) == ["same_file"] * 2 + ["same_pixels"] * 4


def test_rows_past_the_limit_are_counted_and_the_strongest_stay() -> None:
    a = [{"pixel_hash": "p", "file_hash": f"a{i}"} for i in range(6)] + people(4, 1, "a")
    b = [{"pixel_hash": "p", "file_hash": f"b{i}"} for i in range(5)] + people(4, 2, "b")
    found = compared(dataset("A", a), dataset("B", b), max_pairs=20)
    assert len(found.pairs) == 20
    assert {r["relation"] for r in rows_of(found)} == {"same_pixels"}
    assert found.cut >= 10 + 4


def test_proven_subjects_are_not_cut_in_favour_of_reviews() -> None:
    a = [{"subject": "s", **image} for image in people(1, 1, "a")] + people(9, 3, "x")[1:]
    b = [{"subject": "s", "fingerprint": -people(1, 1, "a")[0]["fingerprint"], "image_id": "far"}]
    b += [{**image, "image_id": f"y{i}"} for i, image in enumerate(people(9, 4, "y")[1:])]
    found = compared(dataset("A", a), dataset("B", b), same_ids=True, max_pairs=9)
    assert any(r["subject_a"] == "s" and r["decision"] == "leak" for r in rows_of(found))


def test_keys_that_differ_join_nobody() -> None:
    a = [{"subject": "s", "study_uid_hash": "u", "pixel_hash": "p"}, {"subject": "s"}]
    b = [{"subject": "s", "study_uid_hash": "u", "pixel_hash": "p"}, {"subject": "s"}]
    same = rows_of(compared(dataset("A", a), dataset("B", b), same_ids=True))
    other = rows_of(compared(dataset("A", a), dataset("B", b, "k2"), same_ids=True))
    assert len(same) == 4
    assert [r["relation"] for r in other] == ["same_pixels"]
    assert not any("declared" in e or "Study" in e for e in other[0]["evidence"])


class Dying:
    """An engine whose time is up before it starts."""

    workers, is_cluster = 0, False

    def map(self, function: Any, items: Iterable[Any], chunk: int = 8) -> Iterator[Any]:
        return iter(())


def test_pairs_that_nobody_checked_are_counted() -> None:
    a, b = dataset("A", people(3, 1, "a")), dataset("B", people(3, 2, "b"))
    found = decided([a, b], made_up_context(engine=Dying()))
    assert found.checked == 0
    assert found.unchecked == found.candidates > 0


def few(a: Dataset, b: Dataset) -> Comparison:
    """Compared by an encoder whose calibration has 60 people and does not decide."""
    small = replace(calibration(60), decides=False)
    return decided([a, b], made_up_context(MadeUpModels(small)))


def test_a_calibration_of_few_people_puts_clear_pairs_up_for_review_and_calls_none_a_leak() -> None:
    found = few(dataset("A", people(220, 1, "a")), dataset("B", people(220, 2, "b", first=190)))
    assert {r["decision"] for r in rows_of(found)} == {"review"}
    mates = {(f"a{i}-0.png", f"b{i}-0.png") for i in range(190, 220)}
    reviewed = {(r["path_a"], r["path_b"]) for r in rows_of(found)}
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
    assert rows_of(few(dataset("A", a), dataset("B", b))) == []
    alone = [few(dataset("A", [x]), dataset("B", [y])).pairs for x, y in zip(a[:40], b[:40], strict=True)]
    assert not any(map(len, alone))


def test_a_picture_that_declares_two_subjects_is_joined_to_both_and_listed_once() -> None:
    a = [
        {"subject": "s", "pixel_hash": "p", "image_id": "a0"},
        {"subject": "t", "pixel_hash": "p", "image_id": "a1"},
    ]
    b = [{"subject": s, "image_id": f"b{i}"} for i, s in enumerate(("s", "t", "t", "u"))]
    b += [
        {"subject": "s", "pixel_hash": "q", "image_id": "b4"},
        {"subject": "t", "pixel_hash": "q", "image_id": "b5"},
    ]
    rows = rows_of(compared(dataset("A", a), dataset("B", b), same_ids=True))
    found = [(r["image_a"], r["image_b"]) for r in rows]
    assert sorted(found) == [("a0", "b0"), ("a0", "b4"), ("a1", "b1"), ("a1", "b2"), ("a1", "b5")]
    assert all(r["evidence"] == ["same declared subject", *r["evidence"][1:]] for r in rows)


def test_pairs_of_one_subject_beyond_the_limit_are_counted() -> None:
    a, b = ([{"subject": "s", "image_id": f"{side}{i}"} for i in range(5)] for side in "ab")
    found = compared(dataset("A", a), dataset("B", b), same_ids=True, max_pairs=7)
    assert (len(found.pairs), found.cut) == (7, 18)


def test_other_pictures_of_subjects_whom_a_copy_links_are_leaks_and_nobody_else_is() -> None:
    """Everybody was copied to both sides: pairs of two copied people are tested among all of them."""
    a = [
        {**image, "subject": f"a{i}", "pixel_hash": f"px1:{i}"} for i, image in enumerate(people(230, 1, "a"))
    ]
    b = [{**image, "subject": f"b{i}", "image_id": f"b{i}"} for i, image in enumerate(a)]
    b += [{**people(1, 2, "later")[0], "subject": "b0"}]
    rows = rows_of(compared(dataset("A", a), dataset("B", b)))
    assert len([r for r in rows if r["relation"] in ("same_file", "same_pixels")]) == 230
    others = [r for r in rows if r["relation"] == "same_subject" and r["decision"] == "leak"]
    assert [(r["path_a"], r["path_b"], r["probability"]) for r in others] == [
        ("a0-0.png", "later0-0.png", 1.0)
    ]


def test_a_trait_that_a_part_of_the_images_has_in_common_is_nobody_s_face() -> None:
    """Undeclared, nobody shared: strangers of the part are more alike than the calibration's, mildly or
    much.
    """
    trait = unit_vectors(98, 1)[0]
    for strength in (0.6, 1.2):
        sides = [people(240, 1, "a"), people(240, 2, "b", first=300)]
        for side in sides:
            for image in side[:60]:
                image["fingerprint"] = _unit(image["fingerprint"] + strength * trait)
        found = compared(dataset("A", sides[0]), dataset("B", sides[1]))
        assert not [r for r in rows_of(found) if r["decision"] == "leak"]
        assert not found.persons[0].shared or not found.persons[0].shared.sure


@pytest.mark.parametrize("uid", ["study_uid_hash", "series_uid_hash", "sop_uid_hash"])
def test_one_study_of_two_declared_subjects_is_for_review(uid: str) -> None:
    a = [{"subject": "anna", uid: "one", "image_id": "a0"}, {"subject": "anna", uid: "two", "image_id": "a1"}]
    b = [{"subject": "bert", uid: "one", "image_id": "b0"}, {"subject": "carl", uid: "six", "image_id": "b1"}]
    (row,) = rows_of(compared(dataset("A", a), dataset("B", b), same_ids=True))
    assert (row["image_a"], row["image_b"]) == ("a0", "b0")
    assert (row["relation"], row["decision"]) == ("same_subject", "review")
    assert row["evidence"][-1].endswith("but two declared subjects: one of the three is wrong")
    assert not rows_of(compared(dataset("A", a), dataset("B", b)))

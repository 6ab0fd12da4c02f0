"""Simulated merges: who is dealt where, what counts as false, and that the run's own code is what decides."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from leakscan.research.labelled_films import LabelledFilms
from leakscan.research.merge_deals import MergeKind, deal, reach
from leakscan.research.merge_decisions import KnownPairs, MergeLab, Outcome
from leakscan.research.merge_sums import (
    accused_falsely,
    as_markdown,
    called_falsely,
    found_as_leak,
    found_at_all,
    pooled,
    reliability,
    reliability_as_markdown,
    summed_up,
)
from leakscan.research.simulated_merges import KeptOutcomes, kinds_of
from leakscan.types import ImageRef
from support.made_up_encoder import made_up_context
from support.makers import store_rows, unit_vectors

CODES = np.repeat(np.arange(400), [3] * 200 + [1] * 200)
GROUPS, ALONE = np.arange(400) % 2, np.zeros(400, np.int64)
ONCE = np.ones((1, 6))


def outcome(**parts: object) -> Outcome:
    """Persons 0 and 1 are found as leaks, 2 waits for review, 2 is taken for 3 and 4 for 1."""
    told = {
        "kind": "made up",
        "seed": 0,
        "subjects": (6, 6),
        "films": (6, 6),
        "shared": [0, 1, 2, 5],
        "copied": [],
        "leaks": [(0, 0, 0.99), (1, 1, 0.95), (2, 3, 0.91), (4, 1, None)],
        "review": [(2, 2, 0.35)],
        "stated": [(0.99, True), (0.95, True), (0.91, False), (0.35, True)],
        "copies_found": [],
        "exit_code": 1,
        "estimate": (4.0, 2.0, 6.0),
        "caution": "",
        "seconds": 1.0,
    }
    return Outcome(**{**told, **parts})  # type: ignore[arg-type]


def films(people: int = 500, pictures: int = 2) -> LabelledFilms:
    """Pictures of one person lie 14 degrees from the person's centre; strangers anywhere."""
    centres = unit_vectors(31, people)
    near = np.concatenate([centres + 0.25 * unit_vectors(40 + i, people) for i in range(pictures)])
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    rows = store_rows([{"fingerprint": v, "pixel_hash": f"film {i}"} for i, v in enumerate(near)])
    refs = tuple(ImageRef(image_id=f"{i}", path="", format="png", files=()) for i in range(len(near)))
    codes = np.tile(np.arange(people), pictures)
    return LabelledFilms(rows, codes, np.zeros(people, np.int64), refs, (len(near),))


def lab(known: LabelledFilms) -> MergeLab:
    return MergeLab(known, made_up_context(memory=KnownPairs(None, {}, None, None)))


@pytest.mark.parametrize(
    "kind",
    [
        MergeKind(subjects=100, shared=0),
        MergeKind(subjects=150, shared=45),
        MergeKind(subjects=90, shared=30, mixed=1 / 3),
        MergeKind(subjects=100, shared=10, copies=20),
    ],
    ids=lambda kind: kind.name,
)
def test_the_shared_people_and_no_others_stand_on_both_sides_by_different_films(kind: MergeKind) -> None:
    dealt = deal(kind, CODES, GROUPS if kind.mixed else ALONE, seed=1)
    copies = dealt.copied[:, 1]
    b = np.delete(dealt.b, copies)
    assert np.intersect1d(CODES[dealt.a], CODES[b]).tolist() == dealt.shared.tolist()
    assert len(dealt.shared) == kind.shared
    assert np.intersect1d(dealt.a, b).size == 0
    assert len(np.unique(CODES[dealt.a])) == len(np.unique(CODES[b])) == kind.subjects
    if kind.mixed:
        assert GROUPS[np.unique(CODES[dealt.a])].sum() == round(kind.subjects * kind.mixed)
    assert dealt.a[dealt.copied[:, 0]].tolist() == dealt.b[copies].tolist()
    assert len(copies) == kind.copies
    assert not np.isin(CODES[dealt.b[copies]], dealt.shared).any()


def test_the_seed_decides_the_merge() -> None:
    kind = MergeKind(subjects=100, shared=30)
    one, same, other = (deal(kind, CODES, ALONE, seed) for seed in (5, 5, 6))
    assert (one.a.tolist(), one.b.tolist()) == (same.a.tolist(), same.b.tolist())
    assert one.a.tolist() != other.a.tolist()


def test_sides_are_as_large_as_people_reach_and_no_larger() -> None:
    for shared, most in ((0, 200), (100, 250), (0.5, 267)):
        assert reach(np.bincount(CODES), ALONE, 0.0, shared) == most
        fits = MergeKind(subjects=most, shared=shared if isinstance(shared, int) else 134)
        deal(fits, CODES, ALONE, seed=0)
        with pytest.raises(ValueError, match="too few"):
            deal(replace(fits, subjects=most + 1), CODES, ALONE, seed=0)


def test_false_discoveries_are_counted_in_pairs_of_subjects_and_accusations_in_subjects() -> None:
    assert [float(v[0]) for v in called_falsely(outcome(), ONCE)] == [2, 4]
    # 1 is found by itself and by 4; only 3 is accused for nothing.
    assert [float(v[0]) for v in accused_falsely(outcome(), ONCE)] == [1, 3]
    twice = np.array([[1.0, 1, 3, 2, 0, 1]])
    assert [float(v[0]) for v in called_falsely(outcome(), twice)] == [6, 8]


def test_recall_counts_shared_subjects_found_as_themselves() -> None:
    assert [float(v[0]) for v in found_as_leak(outcome(), ONCE)] == [2, 4]
    assert [float(v[0]) for v in found_at_all(outcome(), ONCE)] == [3, 4]


def test_shares_are_pooled_over_merges_and_nothing_called_is_no_share() -> None:
    clean = outcome(leaks=[(0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0), (5, 5, 1.0)])
    share, low, high = pooled([outcome(), clean], called_falsely, 6) or (0, 0, 0)
    assert share == 0.25
    assert low < share < high
    assert pooled([outcome(leaks=[])], called_falsely, 6) is None


def test_stated_probabilities_are_held_against_what_is_true() -> None:
    rows = {row["from"]: row for row in reliability([outcome(), outcome()])}
    assert rows[0.9] == {"from": 0.9, "pairs": 6, "stated": 0.95, "actual": 0.667, "off": 0.283}
    assert rows[0.3]["actual"] == 1.0
    assert set(rows) == {0.3, 0.9}


def test_an_estimate_covers_where_its_interval_holds_the_shared_and_the_copied() -> None:
    inside, below = outcome(), outcome(copied=[3, 4], estimate=(4.0, 2.0, 5.0), exit_code=0)
    figures = summed_up([inside, below], 6)
    assert figures["estimate_covers"][0] == 0.5
    assert figures["exit_1"][0] == figures["exit_0"][0] == 0.5
    assert summed_up([outcome(estimate=None)], 6)["estimate"] is None


def test_the_tables_have_a_row_for_every_kind_and_say_where_nothing_is_stated() -> None:
    kinds = {
        "one": summed_up([outcome()], 6),
        "two": summed_up([outcome(estimate=None, leaks=[], review=[], stated=[])], 6),
    }
    lines = as_markdown(kinds).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "2 (2)" in lines[2]
    assert "none stated" in lines[3]
    assert reliability_as_markdown(kinds).splitlines()[-1].startswith("| one |")
    assert reliability_as_markdown({"two": kinds["two"]}) == ""


def test_what_was_decided_is_kept_and_a_line_cut_short_is_decided_again(tmp_path: Path) -> None:
    kind = MergeKind(subjects=100, shared=10)
    kept = KeptOutcomes(tmp_path / "merges")
    assert kept.of(kind) == []
    kept.keep(kind, outcome())
    kept.keep(kind, outcome(seed=1))
    (path,) = (tmp_path / "merges").iterdir()
    assert kept.of(kind) == [outcome(), outcome(seed=1)]
    path.write_text(path.read_text()[:-20])
    assert kept.of(kind) == [outcome()]
    kept.keep(kind, outcome(seed=2))
    assert [o.seed for o in kept.of(kind)] == [0, 2]
    assert json.loads(path.read_text().splitlines()[1])["kind"] == "made up"


def test_every_kind_of_merge_can_be_dealt() -> None:
    known = films(300, 2)
    mixed = replace(known, groups=GROUPS[:300])
    for some in (known, mixed):
        kinds = kinds_of(some)
        assert len({kind.name for kind in kinds}) == len(kinds)
        for kind in kinds:
            deal(kind, some.codes, some.groups, seed=0)
    assert {kind.mixed > 0 for kind in kinds_of(mixed)} == {True, False}
    assert not any(kind.mixed for kind in kinds_of(known))


def test_the_runs_own_code_finds_shared_people_and_planted_copies_under_new_names() -> None:
    known = films()
    found = lab(known).decide(MergeKind(subjects=230, shared=80, copies=10), seed=0)
    assert found.exit_code == 1
    assert {a for a, b, _ in found.leaks if a == b} >= set(found.shared)
    assert found.copies_found == found.copied
    assert len(found.copied) == 10
    assert sum(a != b for a, b, _ in found.leaks) <= 1


def test_strangers_alone_are_no_leak_whether_declared_or_not() -> None:
    known = films()
    for declared in (False, True):
        found = lab(known).decide(MergeKind(subjects=230, shared=0, declared=declared), seed=3)
        assert found.leaks == []
        assert found.exit_code == 0
        assert found.subjects == (230, 230)


def test_details_are_matched_once_whichever_way_round_and_copies_have_those_of_their_film() -> None:
    class Matcher:
        digest = "made up"
        asked = 0

        def compare(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
            self.asked += len(a)
            return (a * 10 + b)[:, 0].astype(np.float32)

    class Details:
        def of(self, places: list[int]) -> np.ndarray:
            return np.array(places, float)[:, None]

    matcher = Matcher()
    memory = KnownPairs(None, {"x": 1, "y": 2}, Details(), matcher)  # type: ignore[arg-type]
    assert memory.detail_matches("made up", [("y", "x")]) == {("y", "x"): 12.0}
    assert memory.detail_matches("made up", [("x", "y-altered")]) == {("x", "y-altered"): 12.0}
    assert matcher.asked == 1
    assert memory.copy_checks([("x", "x-altered"), ("x", "y")])["x", "x-altered"].same_image
    assert not memory.copy_checks([("x", "y")])["x", "y"].same_image

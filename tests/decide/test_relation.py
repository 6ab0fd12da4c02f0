"""What a pair of images is, why, and what is done about it, beside the rules told one pair at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakscan.counted import rounded
from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.decide.found import FOUND
from leakscan.decide.relation import DECISIONS, NOTHING, ImagePairs, evidence_of, relate
from leakscan.decide.table import PairTable
from leakscan.report.evidence_words import with_evidence
from leakscan.types import RELATIONS

SAME = CopyCheck(True, 0.97, 200, "hflip", 0.9)
COMPARISONS = 1000


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything known about one pair of images; ``None`` for what is unknown."""

    same_file: bool = False
    same_pixels: bool = False
    similarity: float | None = None
    p_value: float | None = None
    p_floor: float = 0.0
    person: str | None = None
    bits: int | None = None
    check: CopyCheck | None = None
    at_hand: bool = True
    detail_gain: float | None = None
    folds: tuple[float, float, int] | None = None
    same_subject_id: bool = False
    same_study_uid: bool = False
    disputed: bool = False
    ids_are_proof: bool = False


@dataclass(frozen=True)
class Answer:
    """What is said of one pair."""

    relation: str
    decision: str
    evidence: list[str]


FACTS = st.builds(
    Facts,
    same_file=st.booleans(),
    same_pixels=st.booleans(),
    similarity=st.none()
    | st.floats(-1, 1, width=32)
    | st.sampled_from([float(np.float32(0.97)), 0.96875, 0.9765625]),
    p_value=st.none() | st.floats(0, 1),
    p_floor=st.sampled_from([0.0, 0.5]),
    person=st.sampled_from([None, "leak", "review"]),
    bits=st.none() | st.integers(0, 31),
    check=st.sampled_from([None, SAME, NOT_ALIGNED]),
    at_hand=st.booleans(),
    detail_gain=st.none() | st.floats(-30, 30),
    folds=st.none() | st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.integers(0, 8)),
    same_subject_id=st.booleans(),
    same_study_uid=st.booleans(),
    disputed=st.booleans(),
)
SEVERAL = st.lists(FACTS, min_size=1, max_size=8)


def judged(facts: Facts) -> Answer | None:
    """The rules one after the other, as they are meant."""
    support = _support(facts)
    if facts.same_file:
        return Answer("same_file", "leak", ["equal files (blake3)", *support])
    if facts.same_pixels:
        return Answer("same_pixels", "leak", ["equal pixels in another file", *support])
    if facts.check is SAME:
        words = "aligned correlation 0.970 on 90% of the picture, 200 matched keypoints"
        return Answer("same_image", "leak", [words, *support])
    near = facts.bits is not None and facts.bits <= 4
    near = near or (facts.similarity is not None and facts.similarity >= 0.97)
    alike = facts.check is None and near
    if alike:
        why = "only fingerprints were at hand, so the pictures could not be compared"
        why = "the time for copy checks was up" if facts.at_hand else why
        support = [f"perhaps a copy, not checked: {why}", *support]
    same_ids = facts.same_subject_id or facts.same_study_uid
    if (facts.ids_are_proof and same_ids) or facts.person == "leak":
        return Answer("same_subject", "leak", support)
    if alike:
        return Answer("same_image", "review", support)
    disputed = facts.ids_are_proof and facts.disputed
    return Answer("same_subject", "review", support) if facts.person == "review" or disputed else None


def _support(facts: Facts) -> list[str]:
    out = []
    if facts.same_subject_id:
        doubt = " (not proof across sources unless identifiers mean the same in both)"
        out.append("same declared subject" + ("" if facts.ids_are_proof else doubt))
    if facts.same_study_uid:
        out.append("same StudyInstanceUID (or UID of the series or instance)")
    if facts.similarity is not None and facts.p_value is not None:
        false = rounded(facts.p_value * COMPARISONS)
        most = "about or below " if facts.p_value <= facts.p_floor and "less" not in false else ""
        expected = most + false
        rate = f": {expected} false pairs as good expected in 1,000 subject comparisons"
        copy = facts.same_file or facts.same_pixels or facts.check is SAME
        out.append(f"fingerprint similarity {facts.similarity:.3f}" + ("" if copy else rate))
    if facts.detail_gain is not None:
        times = rounded(math.exp(min(abs(facts.detail_gain), 14.0)))
        likelier = "likelier" if facts.detail_gain >= 0 else "less likely"
        out.append(f"the detail match of both films makes one person {times} times {likelier}")
    if facts.folds is not None:
        agreement, strangers, others = facts.folds
        words = f"folds agree by {agreement:.2f} once the two are aligned to each other"
        out.append(
            words + (f"; with {others} others they agree by {strangers:.2f} at most" if others else "")
        )
    if facts.bits is not None:
        out.append(f"perceptual hashes differ in {facts.bits} of 63 bits")
    if facts.disputed:
        words = "same StudyInstanceUID (or UID of the series or instance), but two declared subjects: "
        out.append(words + "one of the three is wrong")
    return out


def answers(several: Sequence[Facts], proof: bool = False) -> list[Answer | None]:
    """What the columns come to, of pairs that have nothing to do with each other."""
    n = len(several)
    each = np.arange(n)

    def column(values: Sequence[Any], kind: Any = np.float64) -> Any:
        return np.array([np.nan if v is None else v for v in values], kind)

    same_file = column([f.same_file for f in several], bool)
    table = PairTable(
        a=each,
        b=each,
        score=column([f.similarity for f in several], np.float32),
        bits=column([f.bits for f in several], np.float32),
        equal=column([f.same_pixels for f in several], bool),
        declared=np.zeros(n, bool),
        to_check=each,
    )
    table.keep_checks(each, [f.check for f in several])
    table.p_value[:] = column([f.p_value for f in several])
    table.person_leak[:] = [f.person == "leak" for f in several]
    table.person_review[:] = [f.person == "review" for f in several]
    table.detail_gain[:] = column([f.detail_gain for f in several])
    folds = [f.folds or (np.nan, np.nan, 0) for f in several]
    table.fold_agreement[:], table.fold_strangers[:], table.fold_others[:] = zip(*folds, strict=True)
    images = ImagePairs(
        row=each,
        image_a=each,
        image_b=each,
        same_file=same_file,
        same_subject=column([f.same_subject_id for f in several], bool),
        same_study=column([f.same_study_uid for f in several], bool),
        disputed=column([f.disputed for f in several], bool),
        at_hand=column([f.at_hand for f in several], bool),
    )
    relation, decision = relate(images, table, proof)
    columns = {
        "reasons": evidence_of(images, table, proof),
        "similarity": table.score,
        "p_value": table.p_value,
        "p_floor": np.array([f.p_floor for f in several]),
        "comparisons": np.full(n, COMPARISONS),
        "correlation": table.correlation,
        "overlap": table.overlap,
        "inliers": table.inliers,
        "detail_gain": table.detail_gain,
        "fold_agreement": table.fold_agreement,
        "fold_strangers": table.fold_strangers,
        "fold_others": table.fold_others,
        "bits": table.bits,
    }
    found = pa.table(
        [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in FOUND],
        schema=FOUND,
    )
    sentences = with_evidence(found)["evidence"].to_pylist()
    return [
        None if r == NOTHING else Answer(RELATIONS[r], DECISIONS[d], words)
        for r, d, words in zip(relation.tolist(), decision.tolist(), sentences, strict=True)
    ]


def answer(**facts: Any) -> Answer | None:
    """What is said of one pair."""
    one = Facts(**facts)
    (found,) = answers([one], one.ids_are_proof)
    return found


@given(SEVERAL, st.booleans())
def test_columns_say_what_the_rules_say_of_each_pair(several: list[Facts], proof: bool) -> None:
    expected = [judged(Facts(**{**vars(facts), "ids_are_proof": proof})) for facts in several]
    assert answers(several, proof) == expected


@given(FACTS)
def test_the_strongest_fact_names_the_relation(facts: Facts) -> None:
    (found,) = answers([facts])
    if facts.same_file:
        expected = "same_file"
    elif facts.same_pixels:
        expected = "same_pixels"
    elif facts.check is SAME:
        expected = "same_image"
    else:
        assert found is None or found.relation in ("same_image", "same_subject")
        return
    assert found is not None
    assert (found.relation, found.decision) == (expected, "leak")


@given(FACTS)
def test_nothing_unchecked_is_a_leaked_image(facts: Facts) -> None:
    (found,) = answers([facts])
    if found is not None and found.relation == "same_image" and found.decision == "leak":
        assert facts.check is SAME


@given(FACTS, st.booleans())
def test_an_unproven_person_is_at_most_for_review(facts: Facts, proof: bool) -> None:
    (found,) = answers([facts], proof)
    if found is not None and found.relation == "same_subject" and found.decision == "leak":
        assert facts.person == "leak" or (proof and (facts.same_subject_id or facts.same_study_uid))


@pytest.mark.parametrize("decision", ["leak", "review", None])
def test_fingerprints_decide_where_nothing_else_does(decision: Any) -> None:
    found = answer(similarity=0.7, p_value=1e-6, person=decision, check=NOT_ALIGNED)
    assert (found.decision if found else None) == decision


@pytest.mark.parametrize("equal", ["same_subject_id", "same_study_uid"])
@pytest.mark.parametrize(("proof", "decision"), [(True, "leak"), (False, None)])
def test_identifiers_are_proof_only_where_they_mean_the_same(
    equal: str, proof: bool, decision: str | None
) -> None:
    found = answer(**{equal: True}, ids_are_proof=proof)
    assert (found.decision if found else None) == decision


def test_a_picture_that_looks_the_same_waits_for_review_until_it_is_seen() -> None:
    unseen = answer(bits=1)
    assert unseen is not None
    assert (unseen.relation, unseen.decision) == ("same_image", "review")
    assert "the time for copy checks was up" in unseen.evidence[0]
    assert answer(bits=1, check=NOT_ALIGNED) is None


def test_a_pair_that_could_not_be_checked_does_not_hide_a_proven_subject() -> None:
    """A shared identifier or a score beyond chance is a leak, whether or not the pictures were aligned."""
    proven = answer(bits=1, same_subject_id=True, ids_are_proof=True)
    assert proven is not None
    assert proven.decision == "leak"
    near = answer(bits=1, similarity=0.99, p_value=1e-6, person="leak")
    assert near is not None
    assert near.decision == "leak"


def test_evidence_is_in_words() -> None:
    found = answer(similarity=0.9, p_value=1e-5, check=SAME, bits=3, same_study_uid=True)
    assert found is not None
    assert found.evidence == [
        "aligned correlation 0.970 on 90% of the picture, 200 matched keypoints",
        "same StudyInstanceUID (or UID of the series or instance)",
        "fingerprint similarity 0.900",
        "perceptual hashes differ in 3 of 63 bits",
    ]


def test_a_copy_is_not_said_to_be_likely_by_chance() -> None:
    for proof in ({"same_pixels": True}, {"check": SAME}):
        found = answer(similarity=0.9, p_value=1e-2, bits=1, **proof)
        assert found is not None
        assert not any("false pairs" in words for words in found.evidence)
    stranger = answer(similarity=0.9, p_value=1e-5, person="leak")
    assert stranger is not None
    assert any("0.01 false pairs as good expected" in words for words in stranger.evidence)


def test_a_rate_at_the_floor_may_be_lower() -> None:
    found = answer(similarity=1.0, p_value=1e-6, p_floor=1e-6, person="leak")
    assert found is not None
    assert any("about or below 0.001 false pairs as good expected" in words for words in found.evidence)

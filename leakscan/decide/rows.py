"""Rows of ``pairs.parquet`` from what was found out about pairs of pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from leakscan.decide.columns import Known
from leakscan.decide.copies import CopyCheck
from leakscan.decide.copies.copy_check import Pixels
from leakscan.decide.gather import Work
from leakscan.decide.persons.folds import FoldMatch
from leakscan.decide.persons.tests import PersonEvidence, PersonTest
from leakscan.decide.relation import Facts, Verdict, judge
from leakscan.types import RELATIONS, Decision


def rows_of(
    work: Work,
    verifications: Mapping[int, CopyCheck],
    folds: Mapping[int, FoldMatch],
    known: Known,
    evidence: PersonEvidence,
    persons: list[PersonTest],
) -> Iterator[dict[str, Any]]:
    """One row for every two images of a pair of pictures that is a leak or for review.

    Args:
        work: the pairs of pictures.
        verifications: position of a pair -> what was seen of its pixels.
        folds: position of a pair -> how its folds agree.
        known: rows of both datasets.
        evidence: what the fingerprints say.
        persons: of every encoder.
    """
    a, b = known.a, known.b
    tests = {test.encoder: test for test in persons}
    for position, (i, j) in enumerate(work.pairs.tolist()):
        test = tests.get(str(a.side.encoder[i]))
        for row_a, row_b in product(a.side.members[i], b.side.members[j]):
            facts = Facts(
                same_file=bool(work.equal[position]) and a.file_hash[row_a] == b.file_hash[row_b],
                same_pixels=bool(work.equal[position]),
                similarity=_known_or_none(work.score[position]),
                score=_known_or_none(evidence.score[position]),
                p_value=_known_or_none(evidence.p_value[position]),
                p_floor=test.floor if test else 0.0,
                q_value=_known_or_none(evidence.q_value[position]),
                comparisons=test.comparisons if test else 0,
                person=_person(evidence, position),
                bits=None if np.isnan(work.bits[position]) else int(work.bits[position]),
                verification=verifications.get(position),
                detail_gain=_known_or_none(evidence.detail_gain[position]),
                folds=folds.get(position),
                why_unverified=_why_unverified(a.pixels(row_a), b.pixels(row_b))
                if position not in verifications
                else "",
                same_subject_id=_agree(a.subject[row_a], b.subject[row_b])
                and a.dataset.key_id == b.dataset.key_id,
                same_study_uid=_agree(a.study[row_a], b.study[row_b])
                and a.dataset.key_id == b.dataset.key_id,
                ids_are_proof=known.ids_are_proof,
            )
            verdict = judge(facts)
            if verdict is not None:
                yield _row(known, row_a, row_b, facts, verdict)


def strongest(rows: Iterator[dict[str, Any]], limit: int) -> tuple[list[dict[str, Any]], int]:
    """The ``limit`` strongest rows in order, and how many there were; memory holds twice as many."""
    kept: list[dict[str, Any]] = []
    total = 0
    for row in rows:
        kept.append(row)
        total += 1
        if len(kept) >= 2 * limit:
            kept = sorted(kept, key=_strength)[:limit]
    return sorted(kept, key=_strength)[:limit], total


def _row(known: Known, row_a: int, row_b: int, facts: Facts, verdict: Verdict) -> dict[str, Any]:
    a, b, seen = known.a, known.b, facts.verification
    return {
        "image_a": a.image_id[row_a],
        "image_b": b.image_id[row_b],
        "dataset_a": a.dataset.name,
        "dataset_b": b.dataset.name,
        "path_a": a.path[row_a],
        "path_b": b.path[row_b],
        "subject_a": a.subject[row_a],
        "subject_b": b.subject[row_b],
        "distance": None if facts.similarity is None else 1.0 - facts.similarity,
        "score": facts.score,
        "p_value": facts.p_value,
        "q_value": facts.q_value,
        "relation": verdict.relation,
        "decision": verdict.decision,
        "correlation": None if seen is None or math.isnan(seen.correlation) else seen.correlation,
        "inliers": None if seen is None else seen.inliers,
        "transform": None if seen is None or not seen.same_image else seen.transform,
        "evidence": verdict.evidence,
    }


def _person(evidence: PersonEvidence, position: int) -> Decision | None:
    if evidence.leak[position]:
        return "leak"
    return "review" if evidence.review[position] else None


def _why_unverified(a: Pixels | None, b: Pixels | None) -> str:
    if a is None or b is None:
        return "only fingerprints were at hand, so the pictures could not be compared"
    return "the time for verification was up"


def _agree(a: str | None, b: str | None) -> bool:
    return a is not None and a == b


def _known_or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _strength(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort key: leaks before reviews, strong relations first, then by p-value; ties by identity."""
    p_value = row["p_value"] if row["p_value"] is not None else 1.0
    distance = row["distance"] if row["distance"] is not None else 2.0
    ids = sorted((row["image_a"], row["image_b"]))
    return row["decision"] != "leak", RELATIONS.index(row["relation"]), p_value, distance, *ids

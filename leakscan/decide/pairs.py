"""The decide stage for two datasets: candidates in, rows of ``pairs.parquet`` out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from leakscan.decide.calibration import Calibration, score_at
from leakscan.decide.columns import Columns, Known
from leakscan.decide.gather import Work, gather
from leakscan.decide.looks import LookCache
from leakscan.decide.persons import LOOSE_FMR, PersonEvidence, PersonTest, decide_persons
from leakscan.decide.relation import Facts, Verdict, judge
from leakscan.decide.scored import score_persons
from leakscan.decide.second_look import look_again
from leakscan.decide.verdicts import VerdictCache
from leakscan.decide.verification import Pixels, Task, verify_tasks
from leakscan.decide.verify import Verification
from leakscan.decide.verify.anatomy import AnatomyMatch
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match.candidates import distinct_pictures, find_candidates
from leakscan.types import RELATIONS, Decision, DecodeOptions, Engine, Progress

HASH_RADIUS = 8
"""Pairs whose perceptual hashes differ in at most this many of 63 bits get one too."""


@dataclass(frozen=True)
class DecideOptions:
    """What the user chose.

    Attributes:
        same_ids: identifiers mean the same on both sides and count as proof.
        max_pairs: most candidate pairs and most rows written for two datasets.
        verify_seconds: wall time for looking at pairs.
        decode: for reading pixels again.
    """

    same_ids: bool = False
    max_pairs: int = 1_000_000
    verify_seconds: float = 600.0
    decode: DecodeOptions = field(default_factory=DecodeOptions)


@dataclass(frozen=True)
class Comparison:
    """What came of two datasets.

    Attributes:
        a: name of the first dataset.
        b: of the second.
        pairs: rows of ``pairs.parquet``, strongest first.
        pictures: distinct pictures on each side.
        persons: what each encoder that compared anything could say of persons.
        candidates: pairs that got a second look or would have.
        verified: pairs whose pixels were compared.
        unverified: candidates that were not, for want of pixels or time.
        cut: pairs dropped by ``max_pairs``.
        cut_score: weakest similarity kept where some were cut, else ``None``.
        ids_unjoinable: identifiers should count as proof, but were hashed with different keys.
        match_seconds: spent searching.
        verify_seconds: spent looking.
    """

    a: str
    b: str
    pairs: list[dict[str, Any]]
    pictures: tuple[int, int]
    persons: list[PersonTest]
    candidates: int
    verified: int
    unverified: int
    cut: int
    cut_score: float | None
    ids_unjoinable: bool
    match_seconds: float
    verify_seconds: float


def compare_datasets(
    a: Dataset,
    b: Dataset,
    cards: Mapping[str, Card],
    calibrations: Mapping[str, Calibration],
    options: DecideOptions,
    verdicts: VerdictCache,
    engine: Engine,
    progress: Progress,
    looks: LookCache | None = None,
) -> Comparison:
    """Decides about every pair of images of two datasets that has anything in common.

    Args:
        a: the dataset named first.
        b: the other.
        cards: encoder (name@digest) -> card.
        calibrations: encoder -> calibration; without one, nothing is said of persons.
        options: the user's choices.
        verdicts: what was verified before; is added to.
        engine: runs the verification.
        progress: is told.
        looks: at whose anatomy was looked before; is added to.
    """
    began = time.monotonic()
    progress.start(f"Matching {a.name} with {b.name}", None)
    side_a, side_b = distinct_pictures(a.rows), distinct_pictures(b.rows)
    loose = {name: score_at(card.impostors, LOOSE_FMR) for name, card in cards.items()}
    found = find_candidates(side_a, side_b, loose, HASH_RADIUS, options.max_pairs)
    known = Known(Columns(a, side_a), Columns(b, side_b), options.same_ids and a.key_id == b.key_id)
    work = gather(side_a, side_b, found, known, options.max_pairs)
    matched = time.monotonic()
    verifications = _verify(work, known, options, verdicts, engine, progress)
    settled = work.equal.copy()
    settled[[at for at, verdict in verifications.items() if verdict.same_image]] = True
    scored = score_persons(
        side_a, side_b, known.a.subjects(), known.b.subjects(), work.pairs, settled, calibrations
    )
    left = max(0.0, options.verify_seconds - (time.monotonic() - matched))
    seen = look_again(
        scored, work.pairs, known, looks or LookCache(None), engine, options.decode, left, progress
    )
    evidence, persons = decide_persons(scored, seen, len(work.pairs))
    judged = time.monotonic()
    rows, n_rows = _strongest(_rows(work, verifications, seen, known, evidence, persons), options.max_pairs)
    too_many = n_rows - len(rows) + work.ids_cut
    return Comparison(
        a.name,
        b.name,
        rows,
        (len(side_a), len(side_b)),
        persons,
        len(work.verifiable),
        len(verifications),
        len(work.verifiable) - len(verifications),
        found.cut + too_many,
        None if math.isnan(found.cut_score) else found.cut_score,
        options.same_ids and a.key_id != b.key_id,
        matched - began,
        judged - matched,
    )


def _verify(
    work: Work,
    known: Known,
    options: DecideOptions,
    verdicts: VerdictCache,
    engine: Engine,
    progress: Progress,
) -> dict[int, Verification]:
    a, b = known.a, known.b
    tasks, positions = [], []
    found: dict[int, Verification] = {}
    for position in work.verifiable:
        i, j = work.pairs[position].tolist()
        row_a, row_b = int(a.side.rows[i]), int(b.side.rows[j])
        pixels_a, pixels_b = a.pixels(row_a), b.pixels(row_b)
        before = verdicts.get(a.look(row_a), b.look(row_b))
        if before is not None:
            found[position] = before
        elif pixels_a is not None and pixels_b is not None:
            key_a = f"{a.dataset.name}/{a.image_id[row_a]}"
            key_b = f"{b.dataset.name}/{b.image_id[row_b]}"
            tasks.append(Task(key_a, key_b, pixels_a, pixels_b, int(a.side.ndim[i])))
            positions.append((position, a.look(row_a), b.look(row_b)))
    if tasks:
        fresh = verify_tasks(tasks, engine, options.decode, options.verify_seconds, progress)
        for (position, look_a, look_b), verification in zip(positions, fresh, strict=True):
            if verification is not None:
                found[position] = verification
                verdicts.add(look_a, look_b, verification)
    return found


def _rows(
    work: Work,
    verifications: Mapping[int, Verification],
    looks: Mapping[int, AnatomyMatch],
    known: Known,
    evidence: PersonEvidence,
    persons: list[PersonTest],
) -> Iterator[dict[str, Any]]:
    a, b = known.a, known.b
    comparisons = {test.encoder: test.comparisons for test in persons}
    for position, (i, j) in enumerate(work.pairs.tolist()):
        encoder = str(a.side.encoder[i])
        for row_a, row_b in product(a.side.members[i], b.side.members[j]):
            facts = Facts(
                same_file=bool(work.equal[position]) and a.file_hash[row_a] == b.file_hash[row_b],
                same_pixels=bool(work.equal[position]),
                similarity=_known_or_none(work.score[position]),
                score=_known_or_none(evidence.score[position]),
                p_value=_known_or_none(evidence.p_value[position]),
                q_value=_known_or_none(evidence.q_value[position]),
                comparisons=comparisons.get(encoder, 0),
                person=_person(evidence, position),
                bits=None if np.isnan(work.bits[position]) else int(work.bits[position]),
                verification=verifications.get(position),
                anatomy=looks.get(position),
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


def _strongest(rows: Iterator[dict[str, Any]], limit: int) -> tuple[list[dict[str, Any]], int]:
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

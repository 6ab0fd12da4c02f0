"""The decide stage for two datasets: candidates in, rows of ``pairs.parquet`` out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration import SubjectThresholds, false_match_rate, score_at, subject_thresholds
from leakscan.decide.relation import Facts, Verdict, judge
from leakscan.decide.verdicts import VerdictCache
from leakscan.decide.verification import Pixels, Task, verify_tasks
from leakscan.decide.verify import Verification
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match.candidates import (
    Candidates,
    Side,
    distinct_pictures,
    equal_pixels,
    find_candidates,
    scores,
)
from leakscan.types import RELATIONS, DecodeOptions, Engine, Progress

LOOSE_FMR = 1e-3
"""Pairs of fingerprints nearer than this share of impostor pairs get a second look."""
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
        thresholds: encoder -> scores that decided.
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
    thresholds: dict[str, SubjectThresholds]
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
    options: DecideOptions,
    verdicts: VerdictCache,
    engine: Engine,
    progress: Progress,
) -> Comparison:
    """Decides about every pair of images of two datasets that has anything in common.

    Args:
        a: the dataset named first.
        b: the other.
        cards: encoder (name@digest) -> card.
        options: the user's choices.
        verdicts: what was verified before; is added to.
        engine: runs the verification.
        progress: is told.
    """
    began = time.monotonic()
    progress.start(f"Matching {a.name} with {b.name}", None)
    side_a, side_b = distinct_pictures(a.rows), distinct_pictures(b.rows)
    loose = {name: score_at(card.impostors, LOOSE_FMR) for name, card in cards.items()}
    found = find_candidates(side_a, side_b, loose, HASH_RADIUS, options.max_pairs)
    known = _Known(_Columns(a, side_a), _Columns(b, side_b), options.same_ids and a.key_id == b.key_id)
    work = _gather(side_a, side_b, found, known, options)
    matched = time.monotonic()
    verifications = _verify(work, known, options, verdicts, engine, progress)
    thresholds = {
        name: subject_thresholds(cards[name].impostors, n) for name, n in found.comparisons.items() if n
    }
    judged = time.monotonic()
    rows, n_rows = _strongest(_rows(work, verifications, known, cards, thresholds), options.max_pairs)
    too_many = n_rows - len(rows) + work.ids_cut
    return Comparison(
        a.name,
        b.name,
        rows,
        (len(side_a), len(side_b)),
        thresholds,
        len(work.verifiable),
        len(verifications),
        len(work.verifiable) - len(verifications),
        found.cut + too_many,
        None if math.isnan(found.cut_score) else found.cut_score,
        options.same_ids and a.key_id != b.key_id,
        matched - began,
        judged - matched,
    )


class _Columns:
    """The columns of one dataset that deciding needs, as plain lists by row."""

    def __init__(self, dataset: Dataset, side: Side) -> None:
        self.dataset = dataset
        self.side = side
        rows = dataset.rows
        self.image_id: list[str] = rows["image_id"].to_pylist()
        self.path: list[str] = rows["path"].to_pylist()
        self.file_hash: list[str] = rows["file_hash"].to_pylist()
        self.subject: list[str | None] = rows["subject"].to_pylist()
        self.study: list[str | None] = rows["study_uid_hash"].to_pylist()
        self._preview = rows["preview"]
        self._pixel_hash: list[str] = rows["pixel_hash"].to_pylist()
        self._spacing: list[list[float]] = rows["spacing_mm"].to_pylist()
        self._volume = [kind in ("brain_mri", "other_3d") for kind in rows["kind"].to_pylist()]

    def look(self, row: int) -> str:
        """Names what verification sees: the pixels and, of volumes, the size of a voxel."""
        spacing = self._spacing[row] if self._volume[row] else None
        return self._pixel_hash[row] + (f"|{spacing}" if spacing else "")

    def pixels(self, row: int) -> Pixels | None:
        ref = self.dataset.refs.get(self.image_id[row])
        preview: bytes | None = self._preview[row].as_py()
        return ref if ref is not None else preview


@dataclass(frozen=True)
class _Known:
    a: _Columns
    b: _Columns
    ids_are_proof: bool


@dataclass(frozen=True)
class _Work:
    """Pairs of distinct pictures to decide about.

    Attributes:
        pairs: ``(n, 2)`` indices into the sides, strongest candidates first.
        score: ``(n,)`` NaN where unknown.
        bits: ``(n,)`` NaN where unknown.
        equal: ``(n,)`` whether their pixels are equal.
        verifiable: positions in ``pairs`` that deserve a look, best first.
        ids_cut: pairs with equal identifiers beyond the limit.
    """

    pairs: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    bits: npt.NDArray[np.float32]
    equal: npt.NDArray[np.bool_]
    verifiable: list[int]
    ids_cut: int


def _gather(side_a: Side, side_b: Side, found: Candidates, known: _Known, options: DecideOptions) -> _Work:
    equal_a, equal_b = equal_pixels(side_a, side_b)
    look = {pair: i for i, pair in enumerate(zip(found.a.tolist(), found.b.tolist(), strict=True))}
    everything = dict.fromkeys(zip(equal_a.tolist(), equal_b.tolist(), strict=True))
    n_equal = len(everything)
    everything.update(dict.fromkeys(look))
    ids_cut = 0
    if known.ids_are_proof:
        for number, pair in enumerate(_same_subject_pairs(known)):
            if number < options.max_pairs or pair in everything:
                everything[pair] = None
            else:
                ids_cut += 1
    pairs = np.array(list(everything), np.int64).reshape(-1, 2)
    at = np.array([look.get(pair, -1) for pair in everything], np.int64)
    bits = np.where(at >= 0, found.bits[at], np.nan) if len(found.bits) else np.full(len(pairs), np.nan)
    equal = np.arange(len(pairs)) < n_equal
    score = scores(side_a, side_b, pairs)
    # Best first by either measure: the n-th nearest fingerprint beside the n-th nearest look.
    open_pairs = np.flatnonzero(~equal & (at >= 0))
    by_score = np.argsort(np.argsort(-np.nan_to_num(score[open_pairs], nan=-2.0), kind="stable"))
    by_bits = np.argsort(np.argsort(np.nan_to_num(bits[open_pairs], nan=99.0), kind="stable"))
    verifiable = open_pairs[np.argsort(np.minimum(by_score, by_bits), kind="stable")]
    return _Work(pairs, score, bits.astype(np.float32), equal, verifiable.tolist(), ids_cut)


def _same_subject_pairs(known: _Known) -> Iterator[tuple[int, int]]:
    """Pictures of every subject that both datasets declare."""
    by_subject: dict[str, list[int]] = {}
    for index, members in enumerate(known.b.side.members):
        for subject in {known.b.subject[row] for row in members} - {None}:
            by_subject.setdefault(str(subject), []).append(index)
    for index, members in enumerate(known.a.side.members):
        for subject in {known.a.subject[row] for row in members} - {None}:
            yield from ((index, other) for other in by_subject.get(str(subject), []))


def _verify(
    work: _Work,
    known: _Known,
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
    work: _Work,
    verifications: Mapping[int, Verification],
    known: _Known,
    cards: Mapping[str, Card],
    thresholds: Mapping[str, SubjectThresholds],
) -> Iterator[dict[str, Any]]:
    a, b = known.a, known.b
    p_values = _p_values(work, a.side, cards, thresholds)
    for position, (i, j) in enumerate(work.pairs.tolist()):
        encoder = str(a.side.encoder[i])
        for row_a, row_b in product(a.side.members[i], b.side.members[j]):
            facts = Facts(
                same_file=bool(work.equal[position]) and a.file_hash[row_a] == b.file_hash[row_b],
                same_pixels=bool(work.equal[position]),
                score=_known_or_none(work.score[position]),
                p_value=_known_or_none(p_values[position]),
                bits=None if np.isnan(work.bits[position]) else int(work.bits[position]),
                verification=verifications.get(position),
                why_unverified=_why_unverified(a.pixels(row_a), b.pixels(row_b))
                if position not in verifications
                else "",
                same_subject_id=_agree(a.subject[row_a], b.subject[row_b])
                and a.dataset.key_id == b.dataset.key_id,
                same_study_uid=_agree(a.study[row_a], b.study[row_b])
                and a.dataset.key_id == b.dataset.key_id,
                ids_are_proof=known.ids_are_proof,
            )
            verdict = judge(facts, thresholds.get(encoder))
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


def _row(known: _Known, row_a: int, row_b: int, facts: Facts, verdict: Verdict) -> dict[str, Any]:
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
        "distance": None if facts.score is None else 1.0 - facts.score,
        "score": facts.score,
        "p_value": facts.p_value,
        "q_value": None,
        "relation": verdict.relation,
        "decision": verdict.decision,
        "correlation": None if seen is None or math.isnan(seen.correlation) else seen.correlation,
        "inliers": None if seen is None else seen.inliers,
        "transform": None if seen is None or not seen.same_image else seen.transform,
        "evidence": verdict.evidence,
    }


def _p_values(
    work: _Work, side: Side, cards: Mapping[str, Card], thresholds: Mapping[str, SubjectThresholds]
) -> npt.NDArray[np.float64]:
    out = np.full(len(work.pairs), np.nan)
    encoder = side.encoder[work.pairs[:, 0]]
    for name in thresholds:
        at = np.flatnonzero(encoder == name)
        out[at] = false_match_rate(cards[name].impostors, work.score[at])
    return out


def _why_unverified(a: Pixels | None, b: Pixels | None) -> str:
    if a is None or b is None:
        return "only fingerprints were at hand, so the pictures could not be compared"
    return "the time for verification was up"


def _agree(a: str | None, b: str | None) -> bool:
    return a is not None and a == b


def _known_or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _strength(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort key: leaks before reviews, strong relations first, then by score; ties by identity."""
    score = row["score"] if row["score"] is not None else -2.0
    ids = sorted((row["image_a"], row["image_b"]))
    return row["decision"] != "leak", RELATIONS.index(row["relation"]), -score, *ids

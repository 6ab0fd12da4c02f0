"""The decide stage: datasets in, rows of ``pairs.parquet`` for every two of them out."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from leakscan.decide.calibration.calibration import Calibration, score_at
from leakscan.decide.columns import Columns, Known
from leakscan.decide.copies import CopyCheck
from leakscan.decide.copies.copy_check import PixelPair, check_copies
from leakscan.decide.gather import Work, gather
from leakscan.decide.persons.detail_matches import match_details
from leakscan.decide.persons.film_details import DetailMatcher
from leakscan.decide.persons.folds import FoldEncoder, compare_folds
from leakscan.decide.persons.scores import score_persons
from leakscan.decide.persons.tests import LOOSE_FMR, PersonTest, decide_persons
from leakscan.decide.rows import rows_of, strongest
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match.candidates import Candidates, distinct_pictures, find_candidates, nearest_pictures
from leakscan.types import DecodeOptions, Engine, Progress

if TYPE_CHECKING:
    from leakscan.run.context import RunContext
    from leakscan.run.memory import PairMemory

HASH_RADIUS = 8
"""Pairs whose perceptual hashes differ in at most this many of 63 bits get one too."""


@dataclass(frozen=True)
class DecideOptions:
    """What the user chose.

    Attributes:
        same_ids: identifiers mean the same on both sides and count as proof.
        max_pairs: most candidate pairs and most rows written for two datasets.
        verify_seconds: wall time for looking at pairs, of all datasets together.
        decode: for reading pixels again.
        nearest_of_all: the nearest pictures of a picture, which get a second look however far they are, are
            sought in all other datasets together and not in each of them. Many small datasets (the splits of
            an audit) would otherwise be compared picture by picture.
    """

    same_ids: bool = False
    max_pairs: int = 1_000_000
    verify_seconds: float = 600.0
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    nearest_of_all: bool = False


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


@dataclass(frozen=True)
class _Prepared:
    """Two datasets and what deserves a decision between them."""

    known: Known
    found: Candidates
    work: Work
    seconds: float


def compare_datasets(
    a: Dataset,
    b: Dataset,
    cards: Mapping[str, Card],
    calibrations: Mapping[str, Calibration],
    options: DecideOptions,
    memory: PairMemory,
    engine: Engine,
    progress: Progress,
    encoders: Mapping[str, FoldEncoder] | None = None,
    matchers: Mapping[str, DetailMatcher] | None = None,
) -> Comparison:
    """:func:`compare_all` of two datasets."""
    found = compare_all([a, b], cards, calibrations, options, memory, engine, progress, encoders, matchers)
    return found[0]


def compare_all(
    datasets: Sequence[Dataset],
    cards: Mapping[str, Card],
    calibrations: Mapping[str, Calibration],
    options: DecideOptions,
    memory: PairMemory,
    engine: Engine,
    progress: Progress,
    encoders: Mapping[str, FoldEncoder] | None = None,
    matchers: Mapping[str, DetailMatcher] | None = None,
) -> list[Comparison]:
    """Decides about every pair of images of every two datasets that has anything in common.

    Args:
        datasets: in the order of the columns A and B.
        cards: encoder (name@digest) -> card.
        calibrations: encoder -> calibration; without one, nothing is said of persons.
        options: the user's choices.
        memory: what was found before; is added to.
        engine: runs the verification.
        progress: is told.
        encoders: those (name@digest) that can align two volumes to each other.
        matchers: encoder (name@digest) -> what looks again at pairs of its films.

    Returns:
        One comparison for every two datasets, in the order of their combinations.
    """
    prepared = _prepare(datasets, cards, options, progress)
    began = time.monotonic()
    verifications = _verify(prepared, options, memory, engine, progress)
    spent = time.monotonic() - began
    n_verified = max(1, sum(map(len, verifications)))
    return [
        _decide(
            one,
            verified,
            spent * len(verified) / n_verified,
            max(0.0, options.verify_seconds - (time.monotonic() - began)),
            calibrations,
            options,
            memory,
            encoders or {},
            matchers or {},
            engine,
            progress,
        )
        for one, verified in zip(prepared, verifications, strict=True)
    ]


def _prepare(
    datasets: Sequence[Dataset], cards: Mapping[str, Card], options: DecideOptions, progress: Progress
) -> list[_Prepared]:
    """What deserves a decision between every two datasets."""
    columns = [Columns(dataset, distinct_pictures(dataset.rows)) for dataset in datasets]
    near = nearest_pictures([c.side for c in columns]) if options.nearest_of_all else {}
    loose = {name: score_at(card.impostors, LOOSE_FMR) for name, card in cards.items()}
    pairs = list(combinations(range(len(columns)), 2))
    progress.start("Matching " + " with ".join(d.name for d in datasets[:2]), len(pairs))
    out = []
    for i, j in pairs:
        began = time.monotonic()
        a, b = columns[i], columns[j]
        known = Known(a, b, options.same_ids and a.dataset.key_id == b.dataset.key_id)
        found = find_candidates(a.side, b.side, loose, HASH_RADIUS, options.max_pairs, near.get((i, j)))
        work = gather(a.side, b.side, found, known, options.max_pairs)
        out.append(_Prepared(known, found, work, time.monotonic() - began))
        progress.advance()
    return out


def _decide(
    prepared: _Prepared,
    verifications: Mapping[int, CopyCheck],
    verify_seconds: float,
    seconds: float,
    calibrations: Mapping[str, Calibration],
    options: DecideOptions,
    memory: PairMemory,
    encoders: Mapping[str, FoldEncoder],
    matchers: Mapping[str, DetailMatcher],
    engine: Engine,
    progress: Progress,
) -> Comparison:
    """Decides about two datasets, whose copies have been looked at; ``seconds`` are left for looks."""
    began = time.monotonic()
    known, found, work = prepared.known, prepared.found, prepared.work
    side_a, side_b = known.a.side, known.b.side
    settled = work.equal.copy()
    settled[[at for at, verdict in verifications.items() if verdict.same_image]] = True
    scored = score_persons(
        side_a, side_b, known.a.subjects(), known.b.subjects(), work.pairs, settled, calibrations
    )
    seen = match_details(
        scored, work.pairs, known, matchers, memory, engine, options.decode, seconds, progress
    )
    evidence, persons = decide_persons(scored, seen, len(work.pairs))
    reviewed = np.flatnonzero(evidence.review)
    reviewed = reviewed[np.argsort(-evidence.score[reviewed], kind="stable")].tolist()
    left = max(0.0, seconds - (time.monotonic() - began))
    folds = compare_folds(reviewed, work.pairs, known, encoders, options.decode, left, progress)
    judged = time.monotonic()
    rows, n_rows = strongest(rows_of(work, verifications, folds, known, evidence, persons), options.max_pairs)
    too_many = n_rows - len(rows) + work.ids_cut
    return Comparison(
        known.a.dataset.name,
        known.b.dataset.name,
        rows,
        (len(side_a), len(side_b)),
        persons,
        len(work.verifiable),
        len(verifications),
        len(work.verifiable) - len(verifications),
        found.cut + too_many,
        None if math.isnan(found.cut_score) else found.cut_score,
        options.same_ids and known.a.dataset.key_id != known.b.dataset.key_id,
        prepared.seconds,
        verify_seconds + judged - began,
    )


def _verify(
    prepared: Sequence[_Prepared],
    options: DecideOptions,
    memory: PairMemory,
    engine: Engine,
    progress: Progress,
) -> list[dict[int, CopyCheck]]:
    """Looks at the pixels of all candidates in one go: the best of every two datasets first."""
    asked: list[tuple[int, int, PixelPair, int]] = []
    for number, one in enumerate(prepared):
        a, b = one.known.a, one.known.b
        for rank, position in enumerate(one.work.verifiable):
            i, j = one.work.pairs[position].tolist()
            row_a, row_b = int(a.side.rows[i]), int(b.side.rows[j])
            pair = PixelPair(
                key_a=f"{a.dataset.name}/{a.image_id[row_a]}",
                key_b=f"{b.dataset.name}/{b.image_id[row_b]}",
                picture_a=a.look(row_a),
                picture_b=b.look(row_b),
                a=a.pixels(row_a),
                b=b.pixels(row_b),
                ndim=int(a.side.ndim[i]),
            )
            asked.append((rank, number, pair, position))
    asked.sort(key=lambda entry: entry[:2])
    # Until a run context comes down to here.
    context: Any = SimpleNamespace(
        engine=engine,
        settings=SimpleNamespace(reading=options.decode),
        memory=memory,
        progress=progress,
        budget=SimpleNamespace(start=lambda: None, left=options.verify_seconds),
    )
    checks = check_copies([pair for _, _, pair, _ in asked], context)
    found: list[dict[int, CopyCheck]] = [{} for _ in prepared]
    for (_, number, _, position), check in zip(asked, checks, strict=True):
        if check is not None:
            found[number][position] = check
    return found


def decide_pairs(
    datasets: Sequence[Dataset], context: RunContext, nearest_of_all: bool = False
) -> list[Comparison]:
    """Stands in until the decide branch is merged."""
    settings, models = context.settings, context.models
    options = DecideOptions(
        settings.deciding.same_ids,
        settings.search.max_pairs,
        settings.limits.check_seconds,
        settings.reading,
        nearest_of_all,
    )
    return compare_all(
        datasets,
        models.cards,
        models.calibrations,
        options,
        context.memory,
        context.engine,
        context.progress,
        models.folds,
        models.matchers,
    )

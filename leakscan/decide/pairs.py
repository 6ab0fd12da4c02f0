"""The decide stage: datasets in, for every two of them the pairs that are leaks or for review out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from leakscan.decide.calibration.calibration import score_at
from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.copies import CopyCheck
from leakscan.decide.copies.copy_check import PixelPair, check_copies
from leakscan.decide.copies.shared_keypoints import shared_keypoints, with_pairs
from leakscan.decide.found import Decided
from leakscan.decide.gather import gather
from leakscan.decide.persons.deciding import Met, Persons
from leakscan.decide.persons.declared import Doubt, believed, disagreeing_names
from leakscan.decide.persons.folds import compare_folds
from leakscan.decide.persons.tests import LOOSE_FMR, PersonTest
from leakscan.decide.table import PairTable
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match.candidates import NONE_NEAR, Near, find_candidates, nearest_pictures
from leakscan.match.index import EXACT_COMPARISONS, Reach
from leakscan.match.pictures import distinct_pictures

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

HASH_RADIUS = 8
"""Pairs whose perceptual hashes differ in at most this many of 63 bits are candidates."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came of two datasets.

    Attributes:
        a: The name of the first dataset.
        b: The name of the second.
        pairs: The pairs of images that are leaks or for review, strongest first, with codes for sentences:
            schema ``leakscan.decide.found.FOUND``. ``leakscan.report.sentences.with_evidence`` makes rows of
            ``pairs.parquet`` from it.
        pictures: Distinct pictures on each side.
        persons: What each encoder that compared anything could say of persons.
        candidates: Pairs of pictures that deserve a copy check.
        checked: How many of them got one.
        unchecked: How many did not, for want of pixels or time.
        cut: Pairs dropped by the limit of pairs.
        cut_score: The weakest similarity kept where some were cut, else ``None``.
        reach: How far the search for fingerprints went and how much it finds there, by encoder.
        hash_radius: The most bits that perceptual hashes of candidates may differ in.
        copied: Distinct pictures on each side that are also in the other dataset, as such or as a copy.
        doubts: Identifiers on each side that name no person.
        ids_disagree: How many identifiers were to count as proof, and name different people in the two.
        ids_unjoinable: Whether identifiers should count as proof, but were hashed with different keys.
        match_seconds: The time spent on the search.
        check_seconds: The time spent on copy checks, detail matches and decisions.
    """

    a: str
    b: str
    pairs: pa.Table
    pictures: tuple[int, int]
    persons: list[PersonTest]
    candidates: int
    checked: int
    unchecked: int
    cut: int
    cut_score: float | None
    reach: Mapping[str, Reach]
    hash_radius: int
    copied: tuple[int, int]
    doubts: tuple[Doubt, Doubt]
    ids_disagree: int
    ids_unjoinable: bool
    match_seconds: float
    check_seconds: float


@dataclass(kw_only=True)
class _Crossing:
    """Two datasets, the pairs that deserve a decision between them, and what finding them came to."""

    a: int
    b: int
    pair: DatasetPair
    table: PairTable
    cut: int
    cut_score: float
    reach: Mapping[str, Reach]
    hash_radius: int
    match_seconds: float
    ids_disagree: int = 0
    check_seconds: float = 0.0


def decide_pairs(
    datasets: Sequence[Dataset], context: RunContext, one_dataset: bool = False
) -> list[Comparison]:
    """Decides about every pair of images of every two datasets that has anything in common.

    Args:
        datasets: The fingerprinted sources, in the order of the columns A and B.
        context: The settings, models, memory and time of the run.
        one_dataset: Whether they are the splits of one dataset. Their people and machines are then the same,
            so that what strangers of the run look like is measured on all splits together. And the nearest
            pictures of a picture, which are candidates however far they are, are sought in all other splits
            together: many small ones would otherwise be compared picture by picture.

    Returns:
        One comparison for every two datasets, in the order of their combinations.

    Example:
        ``(comparison,) = decide_pairs([films, other_films], RunContext.open(Settings()))``
    """
    calibrations = context.models.calibrations.values()
    columns = [
        Columns(dataset, *believed(distinct_pictures(dataset.rows), calibrations)) for dataset in datasets
    ]
    persons = [Persons(calibration, columns, context, one_dataset) for calibration in calibrations]
    crossings = _found(columns, persons, context, one_dataset)
    context.budget.start()
    _check(crossings, context)
    began = time.monotonic()
    met = [Met(a=c.a, b=c.b, pair=c.pair, table=c.table) for c in crossings]
    tests = [of_encoder.decide(met) for of_encoder in persons]
    each = (time.monotonic() - began) / max(1, len(crossings))
    del met, persons
    for crossing in crossings:
        crossing.check_seconds += each
    crossings.reverse()  # so that each makes room as soon as it is written down
    return [_written(crossings.pop(), tests, context) for _ in range(len(crossings))]


def _written(
    crossing: _Crossing, tests: Sequence[Mapping[tuple[int, int], PersonTest]], context: RunContext
) -> Comparison:
    """What came of two datasets, with the rows of those pairs that are more than strangers."""
    began = time.monotonic()
    pair, table, a, b = crossing.pair, crossing.table, crossing.pair.a, crossing.pair.b
    compare_folds(pair, table, context)
    numbers = (crossing.a, crossing.b)
    own = [
        _with_unfound(of_encoder[numbers], crossing.reach.get(of_encoder[numbers].encoder))
        for of_encoder in tests
        if numbers in of_encoder
    ]
    rows, n_rows = Decided(pair=pair, table=table, tests=own).strongest(context.settings.search.max_pairs)
    checked = int(np.count_nonzero(table.checked))
    return Comparison(
        a=a.dataset.name,
        b=b.dataset.name,
        pairs=rows,
        pictures=(len(a.side), len(b.side)),
        persons=own,
        candidates=len(table.to_check),
        checked=checked,
        unchecked=len(table.to_check) - checked,
        cut=crossing.cut + n_rows - len(rows),
        cut_score=None if math.isnan(crossing.cut_score) else crossing.cut_score,
        reach=crossing.reach,
        hash_radius=crossing.hash_radius,
        copied=_copied(table),
        doubts=(a.doubt, b.doubt),
        ids_disagree=crossing.ids_disagree,
        ids_unjoinable=context.settings.deciding.same_ids and not pair.same_key,
        match_seconds=crossing.match_seconds,
        check_seconds=crossing.check_seconds + time.monotonic() - began,
    )


def _copied(table: PairTable) -> tuple[int, int]:
    """How many pictures of each side are also on the other."""
    copies = table.equal | table.same_image
    return len(np.unique(table.a[copies])), len(np.unique(table.b[copies]))


def _found(
    columns: Sequence[Columns], persons: Sequence[Persons], context: RunContext, nearest_of_all: bool
) -> list[_Crossing]:
    """What deserves a decision between every two datasets."""
    near = nearest_pictures([c.side for c in columns]) if nearest_of_all else {}
    cards = {name: score_at(card.impostors, LOOSE_FMR) for name, card in context.models.cards.items()}
    most = context.settings.search.max_pairs
    numbers = [
        (i, j)
        for i, j in combinations(range(len(columns)), 2)
        if not {columns[i].dataset.name, columns[j].dataset.name} <= context.compared_before
    ]
    context.progress.start("Matching " + " with ".join(c.dataset.name for c in columns[:2]), len(numbers))
    shared = shared_keypoints([c.keypoint_side for c in columns])
    out = []
    for i, j in numbers:
        began = time.monotonic()
        a, b = columns[i], columns[j]
        same_key = a.dataset.key_id == b.dataset.key_id
        proof = context.settings.deciding.same_ids and same_key and not (a.doubt.most or b.doubt.most)
        calibrations = context.models.calibrations.values()
        disagree = disagreeing_names(a.side, b.side, calibrations) if proof else 0
        pair = DatasetPair(a, b, proof and not disagree)
        radius = cards | {one.calibration.encoder: one.radius(i, j) for one in persons if (i, j) in one}
        found = find_candidates(
            a.side, b.side, radius, HASH_RADIUS, most, near.get((i, j), _nearest_unless_idle(a, b))
        )
        found = with_pairs(found, shared.get((i, j)), len(b.side))
        table, ids_cut = gather(pair, found, most)
        spent = time.monotonic() - began
        out.append(
            _Crossing(
                a=i,
                b=j,
                pair=pair,
                table=table,
                cut=found.cut + ids_cut,
                cut_score=found.cut_score,
                reach=found.reach,
                hash_radius=found.radius,
                match_seconds=spent,
                ids_disagree=disagree,
            )
        )
        context.progress.advance()
    return out


def _with_unfound(test: PersonTest, reach: Reach | None) -> PersonTest:
    """The test, with what an approximate search misses in the shares of missed subjects."""
    if reach is None or not reach.sampled:
        return test
    recall = reach.recall

    def more(missed: tuple[float, float, float]) -> tuple[float, float, float]:
        share, low, high = (1.0 - (1.0 - m) * recall for m in missed)
        return share, low, high

    return replace(
        test,
        missed=None if test.missed is None else more(test.missed),
        missed_review=more(test.missed_review),
    )


def _nearest_unless_idle(a: Columns, b: Columns) -> Near | None:
    """No pairs where the search would be long and nobody could check what it finds; else ``None``.

    The nearest pictures are candidates however far they are only because they may be altered copies, which a
    copy check alone can tell.
    """
    if len(a.side) * len(b.side) <= EXACT_COMPARISONS or (a.at_hand.any() and b.at_hand.any()):
        return None
    return NONE_NEAR


def _check(crossings: Sequence[_Crossing], context: RunContext) -> None:
    """Checks the candidates of all datasets for copies in one go: the best of every two first."""
    began = time.monotonic()
    ranked = sorted(
        (one for number, crossing in enumerate(crossings) for one in _waiting(number, crossing)),
        key=lambda one: (one.rank, one.number),
    )
    if ranked:
        found = check_copies([one.pixels for one in ranked], context)
        rows: list[list[int]] = [[] for _ in crossings]
        checks: list[list[CopyCheck | None]] = [[] for _ in crossings]
        for one, check in zip(ranked, found, strict=True):
            rows[one.number].append(one.row)
            checks[one.number].append(check)
        for crossing, own, seen in zip(crossings, rows, checks, strict=True):
            crossing.table.keep_checks(np.array(own, np.int64), seen)
    spent = time.monotonic() - began
    shares = [int(np.count_nonzero(crossing.table.checked)) for crossing in crossings]
    for crossing, share in zip(crossings, shares, strict=True):
        crossing.check_seconds = spent * share / max(1, sum(shares))


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A candidate whose pixels are at hand."""

    rank: int
    number: int  # of the two datasets
    row: int
    pixels: PixelPair


def _waiting(number: int, crossing: _Crossing) -> Iterator[_Waiting]:
    """The candidates of two datasets that can be checked.

    Of those whose pixels are not at hand the keypoints may still say that they are no copies.
    """
    a, b, table = crossing.pair.a, crossing.pair.b, crossing.table
    # What an earlier run saw counts only where this one could see it: the memory saves time and changes no
    # answer.
    readable = a.at_hand[a.side.rows][table.a] & b.at_hand[b.side.rows][table.b]
    readable |= a.has_keypoints[a.side.rows][table.a] & b.has_keypoints[b.side.rows][table.b]
    near = np.flatnonzero(readable[table.to_check])
    pixels_a = {i: a.pixels(i) for i in np.unique(table.a[table.to_check[near]]).tolist()}
    pixels_b = {j: b.pixels(j) for j in np.unique(table.b[table.to_check[near]]).tolist()}
    kept_a, kept_b = ({i: c.keypoints(i) for i in p} for c, p in ((a, pixels_a), (b, pixels_b)))
    names_a, names_b = a.image_names(list(pixels_a)), b.image_names(list(pixels_b))
    for rank in near.tolist():
        row = int(table.to_check[rank])
        i, j = int(table.a[row]), int(table.b[row])
        pixels = PixelPair(
            key_a=names_a[i],
            key_b=names_b[j],
            picture_a=a.picture_keys[i],
            picture_b=b.picture_keys[j],
            a=pixels_a[i],
            b=pixels_b[j],
            keypoints_a=kept_a[i],
            keypoints_b=kept_b[j],
            ndim=int(a.side.ndim[i]),
        )
        yield _Waiting(rank, number, row, pixels)

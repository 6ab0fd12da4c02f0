"""Two datasets on their way through the decide stage: the pairs between them, checked and written down."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from leakscan.decide.columns import DatasetPair
from leakscan.decide.comparison import Comparison
from leakscan.decide.copies import CopyCheck
from leakscan.decide.copies.copy_check import NEAR_BITS, PixelPair, check_copies
from leakscan.decide.copies.picture_check import STRETCHED, stretch_between
from leakscan.decide.found import Decided
from leakscan.decide.persons.folds import compare_folds
from leakscan.decide.persons.tests import PersonTest
from leakscan.decide.slices import SlicesSought
from leakscan.decide.table import PairTable
from leakscan.match.index import Reach

if TYPE_CHECKING:
    from leakscan.run.context import RunContext


@dataclass(kw_only=True)
class Crossing:
    """Two datasets, the pairs that deserve a decision between them, and what finding them came to.

    Attributes:
        a: The number of the first dataset.
        b: The number of the second.
        pair: The two datasets.
        table: The pairs.
        cut: Pairs dropped by the limit of pairs.
        cut_score: The weakest similarity kept where some were cut, else NaN.
        reach: How far the search for fingerprints went, by encoder.
        hash_radius: The most bits that perceptual hashes of candidates may differ in.
        match_seconds: The time spent on the search.
        ids_disagree: How many identifiers were to count as proof, and name different people in the two.
        check_seconds: The time spent on copy checks and decisions.
        slices: How far the search for pictures among slices of volumes went.
    """

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
    slices: SlicesSought = field(default_factory=SlicesSought)


def check_crossings(crossings: Sequence[Crossing], context: RunContext) -> None:
    """Checks the candidates of all datasets for copies in one go: the best of every two first.

    Args:
        crossings: Every two datasets that met; what is found goes into their tables.
        context: The settings, memory and time of the run.

    Example:
        ``check_crossings(crossings, context)``, then ``crossings[0].table.same_image`` is known.
    """
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


def _waiting(number: int, crossing: Crossing) -> Iterator[_Waiting]:
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
    shapes_a, shapes_b = a.shapes(list(pixels_a)), b.shapes(list(pixels_b))
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
            stretched=bool(table.bits[row] <= NEAR_BITS)
            and stretch_between(shapes_a.get(i, (1, 1)), shapes_b.get(j, (1, 1))) > STRETCHED,
        )
        yield _Waiting(rank, number, row, pixels)


def written(
    crossing: Crossing, tests: Sequence[Mapping[tuple[int, int], PersonTest]], context: RunContext
) -> Comparison:
    """What came of two datasets, with the rows of those pairs that are more than strangers.

    Args:
        crossing: The two, with decided pairs.
        tests: What each encoder's comparison of persons came to, by the numbers of the two datasets.
        context: The settings and time of the run.

    Example:
        ``comparison = written(crossing, tests, context)``
    """
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
        slices=crossing.slices,
    )


def _copied(table: PairTable) -> tuple[int, int]:
    """How many pictures of each side are also on the other."""
    copies = table.equal | table.same_image
    return len(np.unique(table.a[copies])), len(np.unique(table.b[copies]))


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

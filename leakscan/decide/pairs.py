"""The decide stage: datasets in, for every two of them the pairs that are leaks or for review out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from leakscan.decide.calibration.calibration import score_at
from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.comparison import Comparison
from leakscan.decide.copies.shared_keypoints import shared_keypoints, with_pairs
from leakscan.decide.crossing import Crossing, check_crossings, written
from leakscan.decide.gather import gather
from leakscan.decide.persons.deciding import Met, Persons
from leakscan.decide.persons.declared import believed, disagreeing_names
from leakscan.decide.persons.scores import LOOSE_FMR
from leakscan.decide.slices import compare_slices
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match.candidates import NONE_NEAR, Near, Wanted, find_candidates, nearest_pictures
from leakscan.match.index import EXACT_COMPARISONS
from leakscan.match.pictures import distinct_pictures

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

HASH_RADIUS = 8
"""Pairs whose perceptual hashes differ in at most this many of 63 bits are candidates."""


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
    check_crossings(crossings, context)
    began = time.monotonic()
    for crossing in crossings:
        crossing.table, crossing.slices = compare_slices(crossing.pair, crossing.table, context)
    met = [Met(a=c.a, b=c.b, pair=c.pair, table=c.table) for c in crossings]
    tests = [of_encoder.decide(met) for of_encoder in persons]
    each = (time.monotonic() - began) / max(1, len(crossings))
    del met, persons
    for crossing in crossings:
        crossing.check_seconds += each
    crossings.reverse()  # so that each makes room as soon as it is written down
    return [written(crossings.pop(), tests, context) for _ in range(len(crossings))]


def _found(
    columns: Sequence[Columns], persons: Sequence[Persons], context: RunContext, nearest_of_all: bool
) -> list[Crossing]:
    """What deserves a decision between every two datasets."""
    near = nearest_pictures([c.side for c in columns], context.engine) if nearest_of_all else {}
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
        wanted = Wanted(radius, HASH_RADIUS, most)
        known = near.get((i, j), _nearest_unless_idle(a, b))
        found = find_candidates(a.side, b.side, wanted, known, context.engine)
        found = with_pairs(found, shared.get((i, j)), len(b.side))
        table, ids_cut = gather(pair, found, most)
        spent = time.monotonic() - began
        out.append(
            Crossing(
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


def _nearest_unless_idle(a: Columns, b: Columns) -> Near | None:
    """No pairs where the search would be long and nobody could check what it finds; else ``None``.

    The nearest pictures are candidates however far they are only because they may be altered copies, which a
    copy check alone can tell.
    """
    if len(a.side) * len(b.side) <= EXACT_COMPARISONS or (a.at_hand.any() and b.at_hand.any()):
        return None
    return NONE_NEAR

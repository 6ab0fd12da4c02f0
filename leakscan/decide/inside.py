"""Pairs inside one dataset: copies, and one person under two names; A x A is searched as A x B."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leakscan.decide.calibration.calibration import score_at
from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.comparison import Comparison
from leakscan.decide.copies.shared_keypoints import shared_inside, with_pairs
from leakscan.decide.crossing import Crossing, check_crossings, written
from leakscan.decide.gather import gather
from leakscan.decide.pairs import HASH_RADIUS
from leakscan.decide.persons.deciding import Met, Persons
from leakscan.decide.persons.declared import Doubt, believed
from leakscan.decide.persons.scores import LOOSE_FMR
from leakscan.decide.table import PairTable
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match.candidates import Candidates, Wanted, find_candidates
from leakscan.match.pictures import distinct_pictures

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

_CHECKED = ("checked", "same_image", "correlation", "overlap", "inliers", "transform")

Ints = npt.NDArray[np.int64]


def decide_inside(dataset: Dataset, context: RunContext) -> Comparison:
    """Decides about every pair of images of one dataset that has anything in common.

    Two pictures of one declared subject are no news, so they count only where they are copies. Every pair
    stands once, the image that the source names first on side A. Persons are tested as if every picture had
    met every other twice, which states up to twice as many false pairs as there are.

    Args:
        dataset: The fingerprinted source.
        context: The settings, models, memory and time of the run.

    Example:
        ``comparison = decide_inside(films, RunContext.open(Settings()))``
    """
    began = time.monotonic()
    # An identifier that names no person would keep the pictures of strangers from being compared.
    calibrations = context.models.calibrations.values()
    columns = Columns(dataset, *believed(distinct_pictures(dataset.rows), calibrations))
    pair = DatasetPair(columns, columns, ids_are_proof=False)
    side = columns.side
    loose = {name: score_at(card.impostors, LOOSE_FMR) for name, card in context.models.cards.items()}
    most = context.settings.search.max_pairs
    context.progress.start(f"Matching {dataset.name}", 1)
    # Every picture finds itself, and every pair is found from both ends.
    wanted = Wanted(loose, HASH_RADIUS, 2 * most + len(side))
    found = find_candidates(side, side, wanted, engine=context.engine)
    found = with_pairs(_once(found), shared_inside(columns.keypoint_side), len(side))
    table, _ = gather(pair, found, most)
    table = _taken(table, np.flatnonzero(~table.equal | (side.counts[table.a] > 1)))
    crossing = Crossing(
        a=0,
        b=1,
        pair=pair,
        table=table,
        cut=found.cut,
        cut_score=found.cut_score,
        reach=found.reach,
        hash_radius=found.radius,
        match_seconds=time.monotonic() - began,
    )
    context.budget.start()
    check_crossings([crossing], context)
    crossing.table = _taken(table, np.flatnonzero(table.settled | ~_one_declared(side.subjects, table)))
    # The dataset meets itself; its people and machines are the same on both sides.
    met = [Met(a=0, b=1, pair=pair, table=crossing.table)]
    tests = [
        Persons(calibration, [columns, columns], context, True).decide(met) for calibration in calibrations
    ]
    comparison = written(crossing, tests, context)
    # How many people two datasets share means nothing of one.
    persons = [replace(test, shared=None) for test in comparison.persons]
    pairs = _each_once(comparison.pairs, dataset)
    return replace(comparison, pairs=pairs, persons=persons, doubts=(columns.doubt, Doubt()))


def _once(found: Candidates) -> Candidates:
    """Every pair once, the first picture on side A, and no picture with itself; the order stays."""
    low, high = np.minimum(found.a, found.b), np.maximum(found.a, found.b)
    width = int(high.max(initial=0)) + 1
    _, first = np.unique(low * width + high, return_index=True)
    at = np.sort(first)
    at = at[low[at] < high[at]]
    return replace(found, a=low[at], b=high[at], score=found.score[at], bits=found.bits[at])


def _one_declared(subjects: Sequence[str | None], table: PairTable) -> npt.NDArray[np.bool_]:
    """``(n,)`` which pairs are of one declared subject."""
    _, code = np.unique(np.array([name or "" for name in subjects]), return_inverse=True)
    known = np.array([bool(name) for name in subjects], np.bool_)
    if not len(known):
        return np.zeros(len(table), np.bool_)
    return np.asarray((code[table.a] == code[table.b]) & known[table.a], np.bool_)


def _taken(table: PairTable, at: Ints) -> PairTable:
    """Some rows of a table, with what copy checks found."""
    place = np.full(len(table), -1, np.int64)
    place[at] = np.arange(len(at))
    to_check = place[table.to_check]
    out = PairTable(
        a=table.a[at],
        b=table.b[at],
        score=table.score[at],
        bits=table.bits[at],
        equal=table.equal[at],
        declared=table.declared[at],
        to_check=to_check[to_check >= 0],
    )
    for name in _CHECKED:
        getattr(out, name)[:] = getattr(table, name)[at]
    out.transforms[:] = table.transforms
    return out


def _each_once(pairs: pa.Table, dataset: Dataset) -> pa.Table:
    """Pairs of two different images, each once: equal pictures meet themselves and each other twice."""
    place = {name: i for i, name in enumerate(dataset.rows["image_id"].to_pylist())}
    a, b = (np.array([place[i] for i in pairs[n].to_pylist()], np.int64) for n in ("image_a", "image_b"))
    low, high = np.minimum(a, b), np.maximum(a, b)
    _, first = np.unique(low * max(len(place), 1) + high, return_index=True)
    at = np.sort(first)
    return pairs.take(pa.array(at[low[at] < high[at]], pa.int64()))

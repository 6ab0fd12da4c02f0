"""Do two images show one person? From scores and detail matches to p-values, q-values and decisions.

One test is "the best match of this subject in the other dataset is a stranger"; the family of tests is
one dataset's subjects that no copy has settled. Discoveries are counted in groups of subjects that hang
together: where nobody declares subjects, the films of one person are many tests but one discovery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.counted import counted
from leakscan.decide.calibration.calibration import LEAK_Q, REVIEW_EXPECTED_FALSE
from leakscan.decide.calibration.tail import Tail
from leakscan.decide.persons.bulk import LocationScale
from leakscan.decide.persons.discovery import (
    best_of_units,
    groups_found,
    q_values,
    share_false_among_first,
    unit_p_value,
)
from leakscan.decide.persons.scores import CHECKABLE_SUBJECTS, Scored
from leakscan.decide.table import PairTable

LOOSE_FMR = 1e-3
"""Pairs of fingerprints nearer than this share of impostor pairs are candidates; others are strangers."""
_FEW_PEOPLE_RATE = 1e-5
"""Where a calibration has too few people to decide, what goes to review is as rare as this, ..."""
_FEW_PEOPLE_FALSE = 0.1
"""... and at most so many false pairs are expected, by the fitted distribution far beyond its floor."""
_ALL_MATCHED = (
    0.99  # share of the pairs due a detail match, from which on the run promises what these achieve
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class PersonTest:
    """What one encoder's comparison of the subjects of two datasets came to.

    Attributes:
        encoder: The encoder, as name@digest.
        pictures: Distinct pictures with fingerprints on each side.
        subjects: Declared subjects, and pictures without one, on each side.
        comparisons: How many subjects of one dataset were compared with subjects of the other.
        leak_p: The p-value up to which pairs are leaks, ``None`` where none is.
        leak_score: The normalised score that alone has the p-value ``leak_p``.
        review_p: The p-value up to which pairs are for review.
        review_score: The normalised score that alone has the p-value ``review_p``; higher, where the
            calibration has too few people to decide.
        floor: The smallest p-value that the calibration supports.
        leak_false: Expected false pairs at ``leak_p``, with its 95 % interval.
        review_false: Expected false pairs at ``review_p``, with its 95 % interval.
        missed: Share of the repeated subjects below ``leak_p``, with its 95 % interval.
        missed_review: Share of the repeated subjects below ``review_p``, with its 95 % interval.
        first_false: The expected share of false pairs in a beginning of the review list, by its length.
        bulk: How this run's own scores lie against the calibration's impostors.
        caution: Why no score decides here, empty where it does.
        few_people: Whether the calibration has too few people for its p-values to choose what is reviewed.
        details_due: Pairs of subjects whose score is high enough for a detail match.
        details_matched: How many of those got one.
    """

    encoder: str
    pictures: tuple[int, int]
    subjects: tuple[int, int]
    comparisons: int
    leak_p: float | None
    leak_score: float | None
    review_p: float
    review_score: float
    floor: float
    leak_false: tuple[float, float, float] | None
    review_false: tuple[float, float, float]
    missed: tuple[float, float, float] | None
    missed_review: tuple[float, float, float]
    first_false: Mapping[int, float]
    bulk: LocationScale | None
    caution: str
    few_people: bool
    details_due: int
    details_matched: int


def decide_persons(scored: Sequence[Scored], table: PairTable) -> list[PersonTest]:
    """Decides about all pairs of pictures whether they show one person.

    Fills the columns ``person_score``, ``p_value``, ``q_value``, ``person_leak``, ``person_review`` and
    ``detail_gain`` of the table.

    Args:
        scored: What the fingerprints say of the pairs.
        table: The pairs, with their detail matches.

    Returns:
        One summary for every encoder that compared anything.

    Example:
        ``tests = decide_persons(scored, table)``, then ``table.person_leak`` holds the decisions.
    """
    return [_test(one, _findings(one, table.detail[one.at]), table) for one in scored]


def _findings(scored: Scored, detail: Floats) -> Floats:
    """``(m,)``, NaN where nothing was matched; a match of two subjects holds for all their pictures."""
    known = np.flatnonzero(np.isfinite(detail))
    if not len(known):
        return detail
    codes, at = np.unique(scored.pair_of_subjects, return_inverse=True)
    seen = np.full(len(codes), np.nan)
    seen[at[known]] = detail[known]
    return seen[at]


def _test(scored: Scored, found: Floats, table: PairTable) -> PersonTest:
    """Fills in the table at the pairs of ``scored`` and sums it up."""
    calibration, a, b, settled = scored.calibration, scored.a, scored.b, scored.settled
    p = calibration.p_value(scored.score, found)
    q = np.maximum(
        _family_q(scored.code_a, scored.code_b, p, ~settled, scored.open_a, len(b.templates)),
        _family_q(scored.code_b, scored.code_a, p, ~settled, scored.open_b, len(a.templates)),
    )
    due = (
        calibration.matches_details
        & ~settled
        & (calibration.tail.p_value(scored.score) <= calibration.detail_p)
    )
    n_due = len(np.unique(scored.pair_of_subjects[due]))
    n_matched = len(np.unique(scored.pair_of_subjects[due & np.isfinite(found)]))
    all_matched = n_matched > 0 and n_matched >= _ALL_MATCHED * n_due
    tail = calibration.joint_tail if all_matched and calibration.joint_tail is not None else calibration.tail
    # The search promises no pairs beyond its radius, so neither does the share of missed subjects.
    reach = LOOSE_FMR if all_matched else 0.0
    comparisons = scored.comparisons
    caution = _caution(scored)
    few_people = not calibration.decides
    if few_people:
        rate = min(_FEW_PEOPLE_RATE, _FEW_PEOPLE_FALSE / comparisons)
        review_p, review_score = tail.floor, tail.score_beyond(rate)
        review_false = rate * comparisons, 0.0, tail.floor * comparisons
        missed_review = calibration.genuine.missed(review_score)
    else:
        review_p = min(LOOSE_FMR, max(tail.floor, REVIEW_EXPECTED_FALSE / comparisons))
        review_score = calibration.tail.score_at(review_p)
        review_false = _expected(review_p, scored, tail)
        missed_review = calibration.missed(review_p, reach)
    leak = (q <= LEAK_Q) & ~settled & (caution == "")
    review = ((scored.score >= review_score) if few_people else (p <= review_p)) & ~leak & ~settled
    at = scored.at
    table.person_score[at] = scored.picture
    table.p_value[at], table.q_value[at] = p, q
    table.person_leak[at], table.person_review[at] = leak, review
    if calibration.joint is not None:
        both, alone = (calibration.joint.llr(scored.score, f) for f in (found, np.full(len(found), np.nan)))
        table.detail_gain[at] = np.where(due & np.isfinite(found), both - alone, np.nan)

    leak_p = float(p[leak].max()) if leak.any() else None
    waiting = np.sort(p[review])
    return PersonTest(
        encoder=calibration.encoder,
        pictures=(int((a.code >= 0).sum()), int((b.code >= 0).sum())),
        subjects=(len(a.templates), len(b.templates)),
        comparisons=comparisons,
        leak_p=leak_p,
        leak_score=None if leak_p is None else calibration.tail.score_at(leak_p),
        review_p=review_p,
        review_score=review_score,
        floor=tail.floor,
        leak_false=None if leak_p is None else _expected(leak_p, scored, tail),
        review_false=review_false,
        missed=None if leak_p is None else calibration.missed(leak_p, reach),
        missed_review=missed_review,
        first_false={} if few_people else share_false_among_first(waiting, comparisons),
        bulk=scored.bulk,
        caution=caution,
        few_people=few_people,
        details_due=n_due,
        details_matched=n_matched,
    )


def _family_q(own: Ints, other: Ints, p: Floats, tested: Bools, open_units: Bools, others: int) -> Floats:
    """q-values of all pairs in the family of one dataset's open subjects.

    Args:
        own: ``(n,)`` subject of each pair in this dataset.
        other: ``(n,)`` subject of each pair in the other.
        p: ``(n,)`` p-values of the pairs.
        tested: ``(n,)`` which pairs no copy has settled.
        open_units: ``(subjects,)`` which subjects are tested.
        others: How many subjects the other dataset has, among which the best match was sought.
    """
    at = np.flatnonzero(tested & open_units[own])
    best = best_of_units(p[at], own[at], len(open_units))[open_units]
    best = np.sort(best)
    if not len(best):
        return np.ones(len(p))
    found = np.maximum(groups_found(p[at], own[at], other[at], best), 1)
    # A pair is called a leak exactly where the tests up to its p-value are: the q-value of the
    # first test that is no better than it.
    q = np.append(q_values(unit_p_value(best, others), found=found), 1.0)
    return np.asarray(q[np.searchsorted(best, p, side="left")], np.float64)


def _expected(p: float, scored: Scored, tail: Tail) -> tuple[float, float, float]:
    """Expected false pairs at a p-value.

    The interval is wide enough for these other subjects, and for a tail that does not move with the bulk.
    """
    people = min(len(scored.a.templates), len(scored.b.templates))
    low, high = (float(end) for end in tail.interval(tail.score_at(p), subjects=people))
    if scored.bulk is not None:
        low, high = scored.bulk.widened(p, low, high, scored.calibration.tail)
    return p * scored.comparisons, low * scored.comparisons, high * scored.comparisons


def _caution(scored: Scored) -> str:
    """Why no score may decide here, or nothing."""
    if not scored.calibration.decides:
        return (
            "the encoder was calibrated on too few people for a similarity to prove anything, so only exact "
            "evidence, identifiers and checked copies decide"
        )
    bulk = scored.bulk
    if bulk is None:
        few = min(len(scored.a.templates), len(scored.b.templates))
        return (
            f"with {counted(few, 'subject')} on a side (fewer than {CHECKABLE_SUBJECTS}), and "
            "not as many declared on the other, nothing shows whether the encoder's calibration holds for "
            "these images"
        )
    if bulk.out_of_domain:
        return (
            "the similarities of these two datasets are not distributed like those of the encoder's "
            f"impostors, beyond what location and scale explain (a factor of {bulk.disagreement:.1f}): "
            "the images are outside the encoder's domain"
        )
    return ""

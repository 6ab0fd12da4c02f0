"""What the comparison of the subjects of two datasets came to: thresholds, counts, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.counted import counted
from leakscan.decide.calibration.own_tail import OwnTail
from leakscan.decide.calibration.tail import Tail
from leakscan.decide.persons.bulk import LocationScale, checkable
from leakscan.decide.persons.discovery import share_false_among_first
from leakscan.decide.persons.evidence import PairEvidence
from leakscan.decide.persons.scores import Scored
from leakscan.decide.persons.shared import GenuineRates, SharedEstimate

FEW_PEOPLE_RATE = 1e-5
"""Where a calibration has too few people to decide, what goes to review is as rare as this, ..."""
FEW_PEOPLE_FALSE = 0.1
"""... and at most so many false pairs are expected, by the fitted distribution far beyond its floor."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Interval = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class PersonTest:
    """What one encoder's comparison of the subjects of two datasets came to.

    Attributes:
        encoder: The encoder, as name@digest.
        pictures: Distinct pictures with fingerprints on each side.
        subjects: Declared subjects, and pictures without one, on each side.
        comparisons: How many subjects of one dataset were compared with subjects of the other.
        fdr: The share of false ones among the leaks that was promised.
        leak_p: The p-value up to which pairs are leaks, ``None`` where none is.
        leak_score: The normalised score that alone has the p-value ``leak_p``; see :func:`score_reached`.
        review_p: The p-value up to which pairs are for review that hang on no better one.
        review_score: The same for ``review_p``; higher, where the calibration has too few people to decide.
        floor: The smallest p-value that a pair could have.
        leak_false: Expected false pairs at ``leak_p``, with its 95 % interval.
        review_false: Expected false pairs at ``review_p``, with its 95 % interval.
        missed: Share of the repeated subjects below ``leak_p``, with its 95 % interval.
        missed_review: Share of the repeated subjects below ``review_p``, with its 95 % interval.
        own_missed: Whether these shares were measured on repeated subjects of this run.
        first_false: The expected share of false pairs in a beginning of the review list, by its length.
        reviewed: How many pairs of subjects are for review.
        review_true: How many of them are expected to be true.
        bulk: How this run's own scores lie against the calibration's impostors.
        own: How this run's own strangers come out, ``None`` where too few subjects are declared.
        shared: How many subjects the two share, ``None`` where nothing can be said.
        named: How many of them the leaks name: groups of subjects that copies and leaks link.
        reach: The p-value of the score up to which the search found every pair of pictures.
        caution: Why no score decides here, empty where it does.
        few_people: Whether the calibration has too few people for its p-values to choose what is reviewed.
        scattered: Pairs of declared subjects of one dataset that are as alike as one person, 0 where
            strangers explain them.
        details_due: Pairs of subjects that were chosen for a detail match.
        details_matched: How many of those got one.
    """

    encoder: str
    pictures: tuple[int, int]
    subjects: tuple[int, int]
    comparisons: int
    fdr: float
    leak_p: float | None
    leak_score: float | None
    review_p: float
    review_score: float
    floor: float
    leak_false: Interval | None
    review_false: Interval
    missed: Interval | None
    missed_review: Interval
    own_missed: bool
    first_false: Mapping[int, float]
    reviewed: int
    review_true: float
    bulk: LocationScale | None
    own: OwnTail | None
    shared: SharedEstimate | None
    named: int
    reach: float
    caution: str
    few_people: bool
    scattered: int
    details_due: int
    details_matched: int


@dataclass(frozen=True, kw_only=True)
class Called:
    """What was decided about the pairs that one encoder compared between two datasets.

    Attributes:
        leak: ``(m,)`` which are leaks.
        review: ``(m,)`` which are for review.
        probability: ``(m,)`` how likely each is one person.
        ranked: The probabilities of the pairs of subjects that are for review, best first; none where the
            calibration has too few people.
        review_p: The p-value up to which pairs are for review that hang on no better one.
        review_score: The score from which on they are, where the calibration has too few people.
        shared: How many subjects the two share.
        named: How many of them the leaks name.
        genuine: How true pairs come out.
        reach: The p-value of the score up to which the search found every pair.
        fdr: The share of false ones among the leaks that was promised.
    """

    leak: Bools
    review: Bools
    probability: Floats
    ranked: Floats
    review_p: float
    review_score: float
    shared: SharedEstimate | None
    named: int
    genuine: GenuineRates
    reach: float
    fdr: float


def score_reached(tail: Tail, p: float, scores: Floats) -> float:
    """The normalised score that alone has a p-value.

    A run's own strangers may reach further than the people of the calibration. What lies beyond these has no
    score there; then it is the lowest score of the pairs that were called.

    Args:
        tail: The calibration's tail.
        p: The p-value.
        scores: ``(n,)`` the scores of the pairs that were called.

    Example:
        ``score_reached(calibration.tail, 1e-5, scored.score[called.leak])``
    """
    beyond = p < tail.floor and len(scores) > 0
    return float(scores.min()) if beyond else tail.score_at(p)


def summed_up(one: Scored, evidence: PairEvidence, called: Called) -> PersonTest:
    """One encoder's comparison in numbers.

    Args:
        one: What the fingerprints say of the pairs.
        evidence: Their p-values.
        called: What was decided.

    Example:
        ``test = summed_up(scored, evidence, called)``
    """
    calibration, p = one.calibration, evidence.p
    n = one.comparisons
    few_people = not calibration.decides
    leak_p = float(p[called.leak].max()) if called.leak.any() else None
    if few_people:
        rate = few_people_rate(n)
        review_false = rate * n, 0.0, calibration.tail.floor * n
        missed_review = calibration.genuine.missed(called.review_score)
    else:
        review_false = expected_false(called.review_p, one, evidence)
        missed_review = _missed(called.review_p, called.genuine)
    return PersonTest(
        encoder=calibration.encoder,
        pictures=(int((one.a.code >= 0).sum()), int((one.b.code >= 0).sum())),
        subjects=(len(one.a), len(one.b)),
        comparisons=n,
        fdr=called.fdr,
        leak_p=leak_p,
        leak_score=None
        if leak_p is None
        else score_reached(calibration.tail, leak_p, one.score[called.leak]),
        review_p=called.review_p,
        review_score=called.review_score,
        floor=evidence.rates.least,
        leak_false=None if leak_p is None else expected_false(leak_p, one, evidence),
        review_false=review_false,
        missed=None if leak_p is None else _missed(leak_p, called.genuine),
        missed_review=missed_review,
        own_missed=called.genuine.own,
        first_false=share_false_among_first(called.ranked),
        reviewed=len(called.ranked),
        review_true=float(called.ranked.sum()),
        bulk=one.bulk,
        own=evidence.rates.score,
        shared=called.shared,
        named=called.named,
        reach=called.reach,
        caution=caution(one),
        few_people=few_people,
        scattered=evidence.scattered,
        details_due=evidence.due,
        details_matched=evidence.matched,
    )


def few_people_rate(comparisons: int) -> float:
    """The rate up to which pairs go to review where a calibration has too few people to decide.

    Example:
        >>> f"{few_people_rate(100):g} {few_people_rate(1_000_000):g}"
        '1e-05 1e-07'
    """
    return min(FEW_PEOPLE_RATE, FEW_PEOPLE_FALSE / comparisons)


def expected_false(p: float, one: Scored, evidence: PairEvidence) -> Interval:
    """Expected false pairs at a p-value, with a 95 % interval.

    The interval is wide enough for these other subjects, and for a tail that does not move with the bulk.
    Where the run has strangers of its own, it is theirs.

    Example:
        ``expected_false(1e-6, scored, evidence)  # 0.4, and 0.1 to 1.2``
    """
    n, spread = one.comparisons, rate_spread(p, one, evidence)
    return p * n, p * n * float(np.exp(-1.96 * spread)), min(1.0, p * float(np.exp(1.96 * spread))) * n


def rate_spread(p: float, one: Scored, evidence: PairEvidence) -> float:
    """The standard error of the logarithm of a p-value of this run.

    Example:
        ``rate_spread(1e-6, scored, evidence)  # 0.5: within a factor of 2.7 nineteen times in twenty``
    """
    own = evidence.rates.spread(p)
    if not np.isnan(own):
        return own
    tail: Tail = evidence.rates.tail
    at = min(max(p, tail.floor), 1.0)
    people = min(len(one.a), len(one.b))
    low, high = (float(end) for end in tail.interval(tail.score_at(at), subjects=people))
    if one.bulk is not None:
        low, high = one.bulk.widened(at, low, high, one.calibration.tail)
    return float(np.log(max(high, at) / at)) / 1.96


def _missed(p: float, genuine: GenuineRates) -> Interval:
    """The share of repeated subjects that lies below a p-value, with its 95 % interval."""
    share, error = genuine.found(p)
    return 1.0 - share, max(0.0, 1.0 - share - 1.96 * error), min(1.0, 1.0 - share + 1.96 * error)


def caution(one: Scored) -> str:
    """Why no score may decide between two datasets, or nothing.

    Example:
        ``caution(scored)``
    """
    if not one.calibration.decides:
        return (
            "the encoder was calibrated on too few people for a similarity to prove anything, so only exact "
            "evidence, identifiers and checked copies decide"
        )
    bulk = one.bulk
    if bulk is None:
        few = min(len(one.a), len(one.b))
        return (
            f"with {counted(few, 'subject')} on a side (fewer than {checkable(one.calibration)}), and "
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

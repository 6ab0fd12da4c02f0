"""What is called a leak between two datasets, what a person should look at, and how likely each pair is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leakscan.decide.persons.discovery import groups_found
from leakscan.decide.persons.evidence import PairEvidence
from leakscan.decide.persons.probability import pair_probabilities, review_list
from leakscan.decide.persons.scores import LOOSE_FMR, Scored
from leakscan.decide.persons.shared import GenuineRates, SubjectPairs, estimate
from leakscan.decide.persons.tests import Called, caution, few_people_rate, rate_spread, score_reached
from leakscan.decide.table import PairTable

_MOST_AT_FLOOR = 100  # pairs of the smallest p-value that there is are for review

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def call(
    one: Scored, seen: PairEvidence, q: Floats, genuine: tuple[GenuineRates, GenuineRates], fdr: float
) -> Called:
    """Decides about the pairs of pictures of two datasets.

    Args:
        one: What the fingerprints say of the pairs.
        seen: Their p-values.
        q: ``(m,)`` their q-values.
        genuine: How true pairs come out, by p-values and by plain rates.
        fdr: The share of false ones among leaks that was promised.

    Example::

        called = call(scored, evidence, q, (genuine, genuine), fdr=0.01)
        keep(called, scored, evidence, q, table)
    """
    calibration = one.calibration
    careful = caution(one) != ""
    by_p, by_plain = genuine
    compared = _compared(one, seen.p, seen.rates.least)
    spread = rate_spread(compared.level(1.0), one, seen)
    shared = estimate(compared, by_p, spread, trusted=not careful)
    plain, as_plain = compared, shared
    if seen.plain is not seen.p:
        plain = _compared(one, seen.plain, seen.rates.plain.least)
        as_plain = estimate(plain, by_plain, spread, trusted=not careful)
    likely = pair_probabilities(plain, by_plain, as_plain)
    leak = (q <= fdr) & ~one.settled & (not careful)
    # Every two subjects stand once, and all their pictures have the same probability.
    codes = compared.a * len(one.b) + compared.b
    at = np.searchsorted(codes, one.pair_of_subjects[~one.settled])
    probability = np.ones(len(leak))
    probability[~one.settled] = likely.share[at]
    named = _named(one, leak | one.settled)
    if calibration.decides:
        waiting = ~np.isin(codes, one.pair_of_subjects[leak])
        listed = np.zeros(len(codes), np.bool_)
        listed[waiting] = review_list(likely.share[waiting])
        # Where strangers are known too little, a pair that could not come out better may be of any quality.
        best = np.flatnonzero(waiting & (compared.p <= compared.least * (1.0 + 1e-6)))
        if compared.least * compared.comparisons > fdr and len(best) <= _MOST_AT_FLOOR:
            listed[best] = True
        review = np.zeros(len(leak), np.bool_)
        review[~one.settled] = listed[at]
        alone = compared.p[listed & likely.first]
        review_p = float(np.clip(alone.max(initial=0.0), seen.rates.least, LOOSE_FMR))
        review_score = score_reached(calibration.tail, review_p, one.score[review])
        ranked = np.sort(likely.share[listed])[::-1]
    else:
        review_p = calibration.tail.floor
        review_score = calibration.tail.score_beyond(few_people_rate(one.comparisons))
        review = (one.score >= review_score) & ~leak & ~one.settled
        ranked = np.zeros(0)
    return Called(
        leak=leak,
        review=review,
        probability=probability,
        ranked=ranked,
        review_p=review_p,
        review_score=review_score,
        shared=shared.named(named, fdr) if calibration.decides else None,
        named=named,
        genuine=by_p,
        reach=LOOSE_FMR,
        fdr=fdr,
    )


def keep(called: Called, one: Scored, seen: PairEvidence, q: Floats, table: PairTable) -> None:
    """Fills in what was decided in the table of pairs.

    Args:
        called: What was decided.
        one: What the fingerprints say of the pairs.
        seen: Their p-values.
        q: ``(m,)`` their q-values.
        table: The pairs.

    Example:
        ``keep(called, scored, evidence, q, table)``
    """
    at, joint = one.at, one.calibration.joint
    table.person_score[at] = one.picture
    table.p_value[at], table.q_value[at], table.probability[at] = seen.p, q, called.probability
    # The other pictures of two subjects whom a copy links show one person as well.
    linked = one.settled & ~table.settled[at]
    table.person_leak[at], table.person_review[at] = called.leak | linked, called.review
    if joint is not None:
        alone = joint.llr(one.score, np.full(len(at), np.nan))
        both = joint.llr(one.score, seen.detail)
        table.detail_gain[at] = np.where(np.isfinite(seen.detail) & ~one.settled, both - alone, np.nan)


def _named(one: Scored, linked: Bools) -> int:
    """How many groups of subjects the linked pairs make."""
    a, b = one.code_a[linked], one.code_b[linked]
    return int(groups_found(np.full(len(a), 0.5), a, b, [1.0])[0])


def _compared(one: Scored, p: Floats, least: float) -> SubjectPairs:
    """What the estimate needs, one entry for each two subjects that no copy settles, ordered by both."""
    codes = one.pair_of_subjects
    open_ = np.flatnonzero(~np.isin(codes, codes[one.settled]))
    order = open_[np.lexsort((p[open_], codes[open_]))]
    first = np.ones(len(order), np.bool_)
    first[1:] = np.diff(codes[order]) != 0
    rows = order[first]
    return SubjectPairs(
        p=p[rows],
        a=one.code_a[rows],
        b=one.code_b[rows],
        settled_a=one.code_a[one.settled],
        settled_b=one.code_b[one.settled],
        pictures_a=one.a.pictures,
        pictures_b=one.b.pictures,
        least=least,
        reach=LOOSE_FMR,
    )

"""The evidence of each pair: what its score and detail match come to, by the rates of this run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import DetailShift
from leakscan.decide.calibration.own_tail import OwnPairs, OwnTail, Ranks, fit_own_tail
from leakscan.decide.persons.detail_matches import OwnMatches, chosen_for_details
from leakscan.decide.persons.met_strangers import ALONE, MetPairs, MetTail, fit_met_tail
from leakscan.decide.persons.own_strangers import OwnStrangers
from leakscan.decide.persons.rates import Rates
from leakscan.decide.persons.scores import LOOSE_FMR, Scored
from leakscan.decide.persons.subjects import Subjects

_MOST_MATCHED = 0.98
"""The share of the promise that pairs with a detail match may take where all have one. The rest is for pairs
that were not chosen for one."""
_USUAL_SLOPE = 0.1
"""How far the slope of joint ratios of other people lies from the calibration's. Some fifty own strangers of
300 subjects tell it within 0.13 only, and 5 nats further out the error of a rate would be a factor of two."""
_SCATTERED_EXPECTED = 1e-3
"""Own pairs so rare, by the calibration, are most likely one person under two names, ..."""
_LEAST_SCATTERED, _SCATTERED_SHARE = 10, 0.03  # ... where they are as many as this, and of all subjects
_UNREMARKABLE = 0.1
"""A best match with at least so many strangers as good expected is itself most likely one."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class OwnSide:
    """What one dataset contributes of its own strangers.

    Attributes:
        people: The subjects of the dataset.
        own: Its own strangers.
        matches: Their detail matches, ``None`` where details are not matched.
        named: Whether the dataset declares who is who; else some pairs may show one person.
    """

    people: Subjects
    own: OwnStrangers
    matches: OwnMatches | None
    named: bool = True


@dataclass(frozen=True, kw_only=True)
class PairEvidence:
    """The p-values of the pairs of pictures that one encoder compared between two datasets.

    Attributes:
        p: ``(m,)`` the rate at which strangers come out as alike, for every row of ``Scored``.
        plain: ``(m,)`` the same without what makes tests careful (:attr:`Rates.plain`), for probabilities.
        detail: ``(m,)`` detail matches less the shift, NaN without one; that of two subjects holds for all
            their pictures.
        due: Pairs of subjects that were chosen for a detail match.
        matched: How many of these got one.
        scattered: Pairs of declared subjects inside one dataset that are as alike as one person, where they
            are too many for strangers; else 0.
        rates: How the p-values came about.
    """

    p: Floats
    plain: Floats
    detail: Floats
    due: int
    matched: int
    scattered: int
    rates: Rates


def evidence_of(one: Scored, found: Floats, own: list[OwnSide]) -> PairEvidence:
    """The p-values of all pairs that one encoder compared between two datasets.

    Args:
        one: What the fingerprints say of the pairs.
        found: ``(m,)`` detail matches as they are, NaN where there is none.
        own: The own strangers of both datasets, or of all splits of an audit.

    Example::

        evidence = evidence_of(scored, table.detail[scored.at], own)
        evidence.p.min()
    """
    calibration = one.calibration
    detail = _of_subjects(one, found)
    chosen = chosen_for_details(one) if calibration.matches_details else np.zeros(len(detail), np.bool_)
    codes = one.pair_of_subjects
    due = len(np.unique(codes[chosen]))
    matched = len(np.unique(codes[chosen & np.isfinite(detail)]))
    share = min(_MOST_MATCHED, matched / due) if due else 0.0
    shift = _shift(one, detail, [side for side in own if side.named])
    several = one.a.pictures[one.code_a] * one.b.pictures[one.code_b]
    detail = detail - shift.of(several)
    named, unnamed = ([side for side in own if side.named is known] for known in (True, False))
    rates = Rates(
        calibration=calibration,
        share=share,
        shift=shift,
        score=_own_score(one, named),
        joint=_own_joint(one, named, shift) if share > 0 else None,
        bulk=one.bulk,
    )
    rates = replace(rates, met=_met(one, rates, detail, unnamed))
    p, plain = rates.p_value(one.score, detail), rates.plain
    return PairEvidence(
        p=p,
        plain=p if plain is rates else plain.p_value(one.score, detail),
        detail=detail,
        due=due,
        matched=matched,
        scattered=sum(_scattered(one, side.own) for side in named),
        rates=rates,
    )


def _met(one: Scored, rates: Rates, detail: Floats, unnamed: list[OwnSide]) -> MetTail | None:
    """The rate of strangers by the pairs of the two datasets themselves, where it has a say."""
    slower = one.bulk is not None and one.bulk.slope > 1.0
    if rates.score is not None or not (slower or min(len(one.a), len(one.b)) >= ALONE):
        return None
    codes = one.pair_of_subjects
    rows = np.flatnonzero(~np.isin(codes, codes[one.settled]))
    _, first = np.unique(codes[rows], return_index=True)
    rows = rows[first]
    found = fit_met_tail(
        MetPairs(
            u=rates.depth(one.score[rows], detail[rows]),
            a=one.code_a[rows],
            b=one.code_b[rows],
            subjects=(len(one.a), len(one.b)),
            reach=LOOSE_FMR,
        )
    )
    return None if found is None else replace(found, ranks=_ranks(one, rates, unnamed))


def _ranks(one: Scored, rates: Rates, unnamed: list[OwnSide]) -> Ranks | None:
    """Ranks among the pairs inside datasets that declare nobody, chosen for details as candidates are."""
    known = [
        side for side in unnamed if rates.share <= 0 or (side.matches is not None and side.matches.whole)
    ]
    if not known:
        return None
    u = []
    for side in known:
        score, detail = one.mapped(side.own.score), np.full(len(side.own.score), np.nan)
        if rates.share > 0 and side.matches is not None:
            found = side.matches.found - rates.shift.of(side.matches.choices)
            detail[side.matches.rows] = found
        u.append(rates.depth(score, detail))
    return Ranks.of(np.concatenate(u), sum(side.own.pairs for side in known))


def _of_subjects(one: Scored, detail: Floats) -> Floats:
    """``(m,)``, NaN where nothing was matched; a match of two subjects holds for all their pictures."""
    known = np.flatnonzero(np.isfinite(detail))
    if not len(known):
        return detail
    codes, at = np.unique(one.pair_of_subjects, return_inverse=True)
    seen = np.full(len(codes), np.nan)
    seen[at[known]] = detail[known]
    return seen[at]


def _shift(one: Scored, detail: Floats, own: list[OwnSide]) -> DetailShift:
    """How much better strangers of this run match than the calibration's with such a score.

    They are its own strangers where subjects are declared. Where they are not, they are those best matches
    that are nothing remarkable among so many strangers.
    """
    calibration = one.calibration
    if calibration.strangers is None:
        return DetailShift()
    score, found, choices = [], [], []
    for side in own:
        if side.matches is not None:
            score.append(one.mapped(side.own.score[side.matches.rows]))
            found.append(side.matches.found)
            choices.append(side.matches.choices)
    if sum(map(len, found)) == 0:
        p = calibration.tail.p_value(one.score)
        most = max(len(one.a), len(one.b))
        usual = np.flatnonzero(np.isfinite(detail) & (p * most >= _UNREMARKABLE) & ~one.settled)
        _, first = np.unique(one.pair_of_subjects[usual], return_index=True)
        rows = usual[first]
        score.append(one.score[rows])
        found.append(detail[rows])
        choices.append(one.a.pictures[one.code_a[rows]] * one.b.pictures[one.code_b[rows]])
    expected = calibration.strangers.expected(calibration.tail.p_value(np.concatenate(score)))
    return calibration.detail_shift(np.concatenate(found) - expected, np.concatenate(choices))


def _own_score(one: Scored, own: list[OwnSide]) -> OwnTail | None:
    """The run's own rate by the score alone."""
    calibration, parts = one.calibration, []
    for side in own:
        u = calibration.tail.depth(one.mapped(side.own.score))
        complete = calibration.tail.depth(one.mapped(np.array([side.own.complete])))[0]
        parts.append((side.own, np.arange(len(u)), u, float(complete)))
    return _fitted(parts)


def _scattered(one: Scored, own: OwnStrangers) -> int:
    """Pairs of different declared subjects of a dataset who are most likely one person each; 0 where they are
    so few that strangers explain them.
    """
    u = one.calibration.tail.depth(one.mapped(own.score))
    alike = int(np.count_nonzero(u >= math.log(max(own.pairs, 1) / _SCATTERED_EXPECTED)))
    return alike if alike >= max(_LEAST_SCATTERED, _SCATTERED_SHARE * own.subjects) else 0


def _own_joint(one: Scored, own: list[OwnSide], shift: DetailShift) -> OwnTail | None:
    """The run's own rate by score and detail match: own strangers that were chosen for one as candidates
    are.
    """
    calibration, parts = one.calibration, []
    assert calibration.joint is not None and calibration.joint_tail is not None
    for side in own:
        if side.matches is None or not side.matches.whole:
            continue
        seen = np.isfinite(side.matches.found)
        rows = side.matches.rows[seen]
        found = side.matches.found[seen] - shift.of(side.matches.choices[seen])
        ratio = calibration.joint.llr(one.mapped(side.own.score[rows]), found)
        u = calibration.joint_tail.depth(ratio)
        # Strangers were chosen by their scores: among those whose details match badly, many were not chosen.
        parts.append((side.own, rows, u, float(np.median(u))))
    return _fitted(parts, _USUAL_SLOPE)


def _fitted(parts: list[tuple[OwnStrangers, Ints, Floats, float]], usual: float = math.inf) -> OwnTail | None:
    """One tail of the own strangers of several datasets."""
    if not parts:
        return None
    first, second, before = [], [], 0
    for strangers, rows, _, _ in parts:
        first.append(strangers.first[rows] + before)
        second.append(strangers.second[rows] + before)
        before += int(strangers.second.max(initial=0)) + 1
    return fit_own_tail(
        OwnPairs(
            u=np.concatenate([u for _, _, u, _ in parts]),
            first=np.concatenate(first),
            second=np.concatenate(second),
            pairs=sum(strangers.pairs for strangers, _, _, _ in parts),
            subjects=sum(strangers.subjects for strangers, _, _, _ in parts),
            complete=max(complete for _, _, _, complete in parts),
        ),
        usual,
    )

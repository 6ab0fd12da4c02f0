"""How true pairs come out in this run: pictures of one declared subject inside one dataset, else the
calibration's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leakscan.decide.persons.rates import Rates
from leakscan.decide.persons.scores import DatasetPeople, Scored
from leakscan.decide.persons.shared import GenuineRates
from leakscan.decide.persons.subjects import Pictures, picture_scores

LEAST_REPEATED = 30
"""Declared subjects with two pictures or more that the share of missed ones must come from."""
_EACH = 4  # pairs of pictures of one subject
_AMONG = 8  # of its pictures
_MOST = 600  # pairs in all
_A_COPY = 0.97  # the similarity from which two pictures are rather one acquisition than two

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def repeated_pictures(people: DatasetPeople) -> tuple[Ints, Ints, Ints]:
    """Pairs of pictures of the same declared subject, some of every subject.

    Args:
        people: The pictures of one dataset and their subjects.

    Returns:
        ``(n,)`` first pictures, second pictures and subjects.

    Example:
        ``first, second, owner = repeated_pictures(people)``
    """
    subjects = people.subjects
    order, starts = subjects.by_subject
    several = np.flatnonzero(subjects.is_declared & (subjects.pictures > 1))
    several = np.random.default_rng(len(several)).permutation(several)[: _MOST // 2]
    first, second, owner = [], [], []
    for code in np.sort(several).tolist():
        own = order[starts[code] : starts[code + 1]][:_AMONG]
        i, j = np.triu_indices(len(own), 1)
        drawn = np.random.default_rng((code, len(own))).permutation(len(i))[:_EACH]
        first.append(own[i[drawn]])
        second.append(own[j[drawn]])
        owner.append(np.full(len(drawn), code))
    joined = [np.concatenate([np.zeros(0, np.int64), *parts])[:_MOST] for parts in (first, second, owner)]
    return joined[0].astype(np.int64), joined[1].astype(np.int64), joined[2].astype(np.int64)


def alike(people: DatasetPeople, first: Ints, second: Ints, encoder: str) -> Floats:
    """``(n,)`` the cosine similarities of pairs of pictures of one dataset.

    Example:
        ``alike(people, first, second, encoder).max()``
    """
    one, other = people.side.prints(encoder, first), people.side.prints(encoder, second)
    return np.asarray((one * other).sum(axis=1), np.float64)


def genuine_of_run(
    one: Scored, rates: Rates, people: Sequence[DatasetPeople], details: Sequence[Floats]
) -> GenuineRates:
    """The p-values of true pairs, by this run's own repeated subjects where there are enough of them.

    Args:
        one: What the fingerprints of two datasets say.
        rates: What turns scores and detail matches into p-values.
        people: The two datasets.
        details: The detail matches of :func:`repeated_pictures` of each, NaN where there is none.

    Example:
        ``genuine = genuine_of_run(scored, evidence.rates, [people_a, people_b], details)``
    """
    p, owners, before = [], [], 0
    for own, found in zip(people, details, strict=True):
        first, second, owner = repeated_pictures(own)
        if not len(first):
            continue
        raw = picture_scores(Pictures(own.side, first), Pictures(own.side, second), one.calibration)
        other = alike(own, first, second, one.calibration.encoder) < _A_COPY
        p.append(_p(one, rates, one.mapped(raw[other]), found[other]))
        owners.append(owner[other] + before)
        before += int(owner.max()) + 1
    usual = _of_calibration(one, rates)
    if owners and len(np.unique(np.concatenate(owners))) >= LEAST_REPEATED:
        return GenuineRates(np.concatenate(p), np.concatenate(owners), own=True, usual=usual)
    return usual


def _of_calibration(one: Scored, rates: Rates) -> GenuineRates:
    """The p-values of the calibration's true pairs. Where strangers of the run fall off more slowly than its
    own, people differ from its people, and true ones may be found less often by as much.
    """
    genuine = one.calibration.genuine
    found = np.full(len(genuine.score), np.nan) if genuine.found is None else genuine.found.astype(np.float64)
    # Pictures that all match better, as the strangers of a run do, match better here as well.
    found = found + rates.shift.of(1)
    slope = 1.0 if one.bulk is None else one.bulk.slope
    return GenuineRates(
        _p(one, rates, genuine.score.astype(np.float64), found),
        genuine.owner.astype(np.int64),
        own=False,
        doubt=1.0 - 1.0 / slope,
    )


def _p(one: Scored, rates: Rates, score: Floats, found: Floats) -> Floats:
    """The p-values of pairs of single pictures; a detail match counts where the score is high enough for
    it.
    """
    high = one.calibration.tail.p_value(score) <= one.calibration.detail_p
    return rates.p_value(score, np.where(high & (rates.share > 0), found - rates.shift.of(1), np.nan))

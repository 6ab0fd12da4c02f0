"""How often the strangers of one run score as high as the calibration says that they do.

Different declared subjects inside one dataset are known impostors from the user's own machines and people.
Their scores are read on the calibration's own scale, ``u = -log p``: where the calibration holds, the part
of them beyond any ``u`` is ``exp(-u)``. So the part beyond a threshold and the mean excess over it say how
far the calibration is off at that height and how this grows further out. Two numbers are known well from few
subjects; a distribution of free shape is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.distributions import chi_square_at
from leakscan.decide.calibration.tail import threshold_share

ALONE = 1_500
"""Declared subjects from which on the run's own strangers decide alone. Below, the larger of their rate and
the calibration's counts."""
LEAST_OWN = 100
"""Fewer declared subjects than these say too little about strangers."""
BELOW_ALL = 30.0
"""How far below one of all pairs a rate goes that is fitted to pairs of the run alone."""
MOST_FITTED = 5_000
"""Pairs that level and slope are fitted to, the highest ones: scores of strangers bend further out."""
_LEAST_EXCESSES = 20
_COUNTED_SURE = 0.025  # of the time, so many strangers or more are counted where the fitted rate is right
_KEPT = 10_000  # highest scores that are counted one by one

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class OwnPairs:
    """The pairs of different declared subjects inside the datasets of a run that reach highest.

    Attributes:
        u: ``(k,)`` minus the logarithm of the calibration's rate, for every pair of at least ``complete``.
        first: ``(k,)`` one subject of each pair, numbered over all datasets.
        second: ``(k,)`` the other.
        pairs: How many pairs of subjects were compared.
        subjects: How many subjects there are.
        complete: The ``u`` from which no pair is missing.
    """

    u: Floats
    first: Ints
    second: Ints
    pairs: int
    subjects: int
    complete: float = 0.0


@dataclass(frozen=True)
class Ranks:
    """How many pairs of strangers are at least as alike, of those that were counted one by one.

    Attributes:
        highest: Ascending ``u`` of the highest pairs.
        pairs: How many pairs there are in all.
    """

    highest: tuple[float, ...]
    pairs: int

    @classmethod
    def of(cls, u: Floats, pairs: int) -> Ranks:
        """The ranks among some pairs, the highest of which are kept."""
        return cls(tuple(np.sort(u)[-_KEPT:].tolist()), pairs)

    def above(self, u: Floats) -> Ints:
        """How many of the highest pairs are at least as alike, of any shape."""
        highest = np.array(self.highest)
        return np.asarray(len(highest) - np.searchsorted(highest, u - 1e-9), np.int64)

    def p_value(self, u: Floats) -> Floats:
        """The rank of a pair as a p-value, which needs no shape of a tail (Davison and Hinkley 1997, 4.2); 1
        beyond the pairs that were counted.

        Example:
            >>> Ranks((7.0, 8.0, 9.0), pairs=100).p_value(np.array([9.5, 8.0, 6.0])).tolist()
            [0.01, 0.03, 1.0]
        """
        above = self.above(u)
        return np.where(above < len(self.highest), (above + 1) / self.pairs, 1.0)


@dataclass(frozen=True, kw_only=True)
class OwnTail:
    """The rate of a run's own strangers as a function of the calibration's.

    Attributes:
        pairs: How many pairs of different declared subjects were compared.
        subjects: How many subjects they are of.
        start: The ``u`` beyond which the rate falls exponentially.
        share: The part of the pairs beyond ``start``.
        slope: The mean excess over ``start``; 1 where the calibration falls as the run does.
        error: The standard error of the logarithm of the rate, per unit of ``u`` beyond ``start``.
        level_error: The standard error of the logarithm of ``share``.
        highest: Ascending ``u`` of the highest pairs.
        alone: Whether the calibration has no say.
    """

    pairs: int
    subjects: int
    start: float
    share: float
    slope: float
    error: float
    level_error: float
    highest: tuple[float, ...]
    alone: bool

    @property
    def floor(self) -> float:
        """The rate below which nothing was counted: one pair of all."""
        return 1.0 / self.pairs

    def p_value(self, p: npt.ArrayLike) -> Floats:
        """The run's rate where the calibration states ``p``, of any shape; NaN stays NaN."""
        stated = np.asarray(p, np.float64)
        u = -np.log(np.maximum(stated, 1e-300))
        fitted = self.share * np.exp(-(u - self.start) / self.slope)
        # Below the start the two are joined as they meet there.
        below = stated * np.where(u < self.start, (self.share / math.exp(-self.start)), 1.0)
        rate = np.where(u < self.start, below, fitted)
        ranks = Ranks(self.highest, self.pairs)
        above = ranks.above(u)
        counted = chi_square_at(_COUNTED_SURE, 2 * np.maximum(above, 1)) / 2 / self.pairs
        # Where the tail bends, the fit states more than there is, and the rank stands.
        rate = np.maximum(np.minimum(rate, ranks.p_value(u)), np.where(above > 0, counted, 0.0))
        rate = np.maximum(rate, self.floor / BELOW_ALL if self.alone else stated)
        return np.where(np.isnan(stated), np.nan, np.minimum(rate, 1.0))

    def spread(self, p: float) -> float:
        """The standard error of the logarithm of the rate where the calibration states ``p``."""
        beyond = max(0.0, -math.log(max(p, 1e-300)) - self.start)
        return math.hypot(self.level_error, self.error * beyond)


def fit_own_tail(own: OwnPairs, usual: float = math.inf) -> OwnTail | None:
    """Fits level and slope to a run's own strangers.

    The part that is fitted is the one that a calibration takes for its tail. Pairs that share a subject are
    dependent, so the errors add up what each subject contributes (cluster by both ends).

    Args:
        own: The highest of the pairs.
        usual: How far slopes of other people lie from 1, as a standard error. A slope that is known less well
            is drawn towards 1, by the errors of both.

    Returns:
        ``None`` where there are too few subjects or pairs to say anything.

    Example:
        >>> rng, (i, j) = np.random.default_rng(0), np.triu_indices(400, 1)
        >>> u = rng.exponential(1.25, len(i))  # falls more slowly than the calibration says
        >>> high = np.flatnonzero(u > 3)
        >>> tail = fit_own_tail(OwnPairs(u=u[high], first=i[high], second=j[high], pairs=len(u), subjects=400,
        ...                              complete=3.0))
        >>> round(tail.slope, 1), 2 < float(tail.p_value(1e-4)) / 1e-4 < 12
        (1.3, True)
    """
    if own.subjects < LEAST_OWN or own.pairs <= 0 or len(own.u) < _LEAST_EXCESSES:
        return None
    order = np.argsort(-own.u, kind="stable")
    wanted = max(_LEAST_EXCESSES, min(MOST_FITTED, int(threshold_share(own.pairs) * own.pairs)))
    complete = int(np.count_nonzero(own.u >= own.complete))
    last = min(wanted, complete, len(order) - 1)
    if last < _LEAST_EXCESSES - 1:
        return None
    start = float(own.u[order[last]])
    chosen = order[:last]
    excess = own.u[chosen] - start
    mean = float(excess.mean())
    if not mean > 0:
        return None
    ends = own.first[chosen], own.second[chosen]
    spread = clustered_error(excess - mean, *ends) / len(chosen)
    own_part = 1.0 if math.isinf(usual) else usual**2 / (usual**2 + spread**2)
    slope = 1.0 + own_part * (mean - 1.0)
    level = clustered_error(np.ones(len(chosen)), *ends, own.subjects) / len(chosen)
    return OwnTail(
        pairs=own.pairs,
        subjects=own.subjects,
        start=start,
        share=len(chosen) / own.pairs,
        slope=slope,
        error=math.sqrt(own_part) * spread / slope**2,
        level_error=level,
        highest=tuple(np.sort(own.u[order[:_KEPT]]).tolist()),
        alone=own.subjects >= ALONE,
    )


def truncated_mean_slope(mean: float, width: float) -> tuple[float, float]:
    """The slope of an exponential distribution that is seen up to ``width`` only, by the mean that is seen.

    Args:
        mean: The mean of what is seen, above 0.
        width: Where it ends.

    Returns:
        The slope, between 0.2 and 20, and how much the mean rises with it there.

    Example:
        >>> slope, rise = truncated_mean_slope(0.9, width=4.0)
        >>> round(slope, 2), round(rise, 2)
        (0.96, 0.72)
    """

    def mean_of(slope: float) -> float:
        return slope - width / math.expm1(width / slope)

    steepest, flattest = 0.2, 20.0
    if mean >= mean_of(flattest):
        found = flattest
    elif mean <= mean_of(steepest):
        found = steepest
    else:
        from scipy.optimize import brentq  # most runs do not wait for it

        found = float(brentq(lambda slope: mean_of(slope) - mean, steepest, flattest))
    return found, (mean_of(found * 1.01) - mean_of(found)) / (found * 0.01)


def clustered_error(values: Floats, first: Ints, second: Ints, subjects: int | None = None) -> float:
    """The standard error of a sum over pairs, whose terms depend on each other by their subjects.

    Args:
        values: ``(n,)`` the term of each pair.
        first: ``(n,)`` one subject of each.
        second: ``(n,)`` the other, numbered on.
        subjects: How many subjects there are, where the sum is a count: what a subject contributes is then
            held against the mean of all of them.

    Example:
        >>> round(clustered_error(np.ones(4), np.array([0, 0, 0, 0]), np.array([1, 2, 3, 4])), 2)
        4.0
    """
    _, ends = np.unique(np.concatenate([first, second]), return_inverse=True)
    each = np.bincount(ends, np.concatenate([values, values]))
    single = float((values**2).sum())
    if subjects is not None:
        usual = float(each.sum()) / subjects
        several = float(((each - usual) ** 2).sum()) + (subjects - len(each)) * usual**2
    else:
        several = float((each**2).sum())
    return math.sqrt(max(several - single, single))

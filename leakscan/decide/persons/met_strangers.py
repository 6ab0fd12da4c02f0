"""What strangers look like among the pairs of two datasets themselves, where nobody is declared.

Nearly all pairs of A x B that are somewhat alike show strangers. Their number and how they fall off between
two rates, where shared people make but few of them, say how often strangers of this run come out still more
alike. Shared people among them lift the fit and make it careful.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.own_tail import (
    BELOW_ALL,
    MOST_FITTED,
    Ranks,
    clustered_error,
    truncated_mean_slope,
)

ALONE = 1_500
"""Subjects on each side from which on the two datasets themselves say how often strangers are so alike.
Below, the larger of their rate and the calibration's counts."""
_BEYOND_REACH = 0.1  # of u, above which surely no pair is missing
_FEWEST = 30.0  # strangers expected beyond the window that is fitted
_ROUNDS = 5
_LEAST_WIDTH = 1.5
_LEAST_PAIRS = 50
_STEEPEST = 0.5
_STEP, _FALLS, _LEAST_COUNTED = 0.5, 1.15, 15  # pairs that are all there become fewer from step to step

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class MetPairs:
    """Pairs of subjects of two datasets, each once, that no copy settles.

    Attributes:
        u: ``(n,)`` minus the logarithm of the calibration's rate.
        a: ``(n,)`` their subjects in the first.
        b: ``(n,)`` their subjects in the second.
        subjects: How many subjects each dataset has.
        reach: The rate of the calibration up to which every pair is there.
    """

    u: Floats
    a: Ints
    b: Ints
    subjects: tuple[int, int]
    reach: float

    @property
    def comparisons(self) -> int:
        """Subjects of the one times subjects of the other."""
        return self.subjects[0] * self.subjects[1]


def _complete_from(met: MetPairs) -> float:
    """The ``u`` from which no pair is missing: where a search was cut short, its weakest pairs are."""
    edges = np.arange(-math.log(met.reach) + _BEYOND_REACH, 30.0, _STEP)
    counts = np.histogram(met.u, edges)[0]
    falls = (counts[:-1] >= _FALLS * counts[1:]) & (counts[1:] >= _LEAST_COUNTED)
    start = float(edges[int(np.argmax(falls))])
    if len(met.u) <= MOST_FITTED:
        return start
    # Of very many pairs the highest say most of how strangers go on to fall off.
    return max(start, float(-np.partition(-met.u, MOST_FITTED)[MOST_FITTED]))


@dataclass(frozen=True, kw_only=True)
class MetTail:
    """The rate of strangers of two datasets as a function of the calibration's.

    Attributes:
        start: The ``u`` from which pairs were counted.
        middle: The mean ``u`` of those counted.
        share: The share of all pairs beyond ``start``.
        slope: The mean excess over ``start``; 1 where the calibration falls as the run does.
        error: The standard error of the logarithm of the rate, per unit of ``u`` beyond ``middle``.
        level_error: Its standard error at ``middle``.
        least: The smallest rate that is stated.
        alone: Whether the calibration has no say.
        ranks: Pairs inside the two datasets, of whom nobody knows who is who; repeated people among them only
            make ranks careful. ``None`` where they were not counted.
    """

    start: float
    middle: float
    share: float
    slope: float
    error: float
    level_error: float
    least: float
    alone: bool
    ranks: Ranks | None = None

    def rate(self, u: npt.ArrayLike) -> Floats:
        """The rate of strangers at ``u`` and beyond, of any shape: a standard error above what was found, or
        by the rank among pairs inside the datasets, where that is less.
        """
        at = np.asarray(u, np.float64)
        fitted = math.log(self.share) - (at - self.start) / self.slope
        error = np.hypot(self.level_error, self.error * (at - self.middle))
        rate = np.exp(fitted + error)
        if self.ranks is not None:
            rate = np.minimum(rate, self.ranks.p_value(at))
        return np.minimum(1.0, np.maximum(self.least, rate))

    def spread(self, p: float) -> float:
        """The standard error of the logarithm of the rate where it is ``p``."""
        u = self.start + self.slope * (math.log(self.share) - math.log(max(p, self.least)))
        return math.hypot(self.level_error, self.error * (u - self.middle))


def fit_met_tail(met: MetPairs) -> MetTail | None:
    """Fits level and slope to pairs of two datasets.

    The pairs are those between the end of the search and the rate where some thirty strangers are left, less
    those of subjects who have a better partner beyond. Their excess over the beginning is that of a truncated
    exponential distribution.

    Args:
        met: The pairs.

    Returns:
        ``None`` where there are too few pairs to say anything.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> u = rng.exponential(1.3, 10**6)  # falls more slowly than the calibration says
        >>> high = np.flatnonzero(u > 6)
        >>> tail = fit_met_tail(MetPairs(u=u[high], a=high % 1000, b=high // 1000, subjects=(1000, 1000),
        ...                              reach=2e-3))
        >>> bool(1 < tail.rate(12.0) / np.exp(-12 / 1.3) < 2)
        True
    """
    start, end = _complete_from(met), math.log(max(met.comparisons, 1) / _FEWEST)
    found = None
    for _ in range(_ROUNDS):
        fitted = _fit_window(met, start, end)
        if fitted is None:
            break
        # Where strangers fall off faster, shared people prevail earlier.
        found, before = fitted, end
        end = min(end, start + found.slope * math.log(max(found.share * met.comparisons / _FEWEST, 1.0)))
        if before - end < _STEP / 2.0:
            break
    return found


def _fit_window(met: MetPairs, start: float, end: float) -> MetTail | None:
    """The tail by pairs whose ``u`` lies between two ends."""
    width = end - start
    if width < _LEAST_WIDTH:
        return None
    beyond = met.u > end
    free = ~np.isin(met.a, met.a[beyond]) & ~np.isin(met.b, met.b[beyond])
    inside = np.flatnonzero((met.u > start) & ~beyond & free)
    if len(inside) < _LEAST_PAIRS:
        return None
    open_ = [n - len(np.unique(side[beyond])) for n, side in zip(met.subjects, (met.a, met.b), strict=True)]
    excess = met.u[inside] - start
    mean = float(excess.mean())
    slope, steps = truncated_mean_slope(mean, width)
    slope = max(slope, _STEEPEST)
    ends = met.a[inside], met.subjects[0] + met.b[inside]
    spread = clustered_error(excess - mean, *ends) / len(inside) / steps
    level = clustered_error(np.ones(len(inside)), *ends, sum(met.subjects)) / len(inside)
    return MetTail(
        start=start,
        middle=start + mean,
        share=len(inside) / max(1, open_[0] * open_[1]) / -math.expm1(-width / slope),
        slope=slope,
        error=spread / slope**2,
        level_error=level,
        least=1.0 / met.comparisons / BELOW_ALL,
        alone=min(met.subjects) >= ALONE,
    )

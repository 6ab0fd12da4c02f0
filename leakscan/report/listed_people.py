"""How many people on the lists of a run are shared, with an interval from their probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_EXACT = 2_000  # people, beyond whom the sum is as good as normal
_TAIL = 0.025


def listed_people(probabilities: Sequence[float | None]) -> dict[str, float]:
    """How many of some people are shared: the mean, and an interval that holds 95 times in 100.

    The people are taken to be independent, so the number is a sum of unequal coins (Poisson-binomial
    distribution). Whoever has no probability counts half, and as nobody or somebody at the ends.

    Args:
        probabilities: How likely each of them is shared; 1 for what is proved, ``None`` where nobody knows.

    Returns:
        ``value``, ``low`` and ``high``.

    Example:
        >>> listed_people([1.0, 1.0, 0.5, 0.5, 0.5, 0.5])
        {'value': 4.0, 'low': 2, 'high': 6}
        >>> listed_people([1.0, None])
        {'value': 1.5, 'low': 1, 'high': 2}
    """
    known = np.array([p for p in probabilities if p is not None])
    unknown = len(probabilities) - len(known)
    certain = int((known == 1.0).sum())
    open_ = known[known < 1.0]
    if len(open_) > _EXACT:
        spread = 1.96 * math.sqrt(float((open_ * (1.0 - open_)).sum()))
        low = max(0, math.floor(open_.sum() - spread))
        high = min(len(open_), math.ceil(open_.sum() + spread))
    else:
        number = np.ones(1)
        for p in open_:
            number = np.convolve(number, [1.0 - p, p])
        upto = np.cumsum(number)
        low = int(np.searchsorted(upto, _TAIL))
        high = min(len(open_), int(np.searchsorted(upto, 1.0 - _TAIL)))
    return {
        "value": round(float(known.sum()) + unknown / 2.0, 1),
        "low": certain + low,
        "high": certain + high + unknown,
    }

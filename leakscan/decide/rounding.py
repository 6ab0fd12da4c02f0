"""Rounds what decisions rest on, so that the last digits of a computer decide nothing.

Processors, numbers of threads and runtimes sum in different orders. Fingerprints then differ in the last bit
of a few of their numbers, and a score by some 1e-5. What is decided are comparisons: with a threshold, with
the next best pair, with a rate that was counted. Two pairs that are equally good must come out equal there,
whichever machine computed them. So every score is rounded once, here, before anything is compared with it.

A score that lies near the middle between two steps may still be rounded up on one machine and down on
another. It then moves by one step, which moves a p-value by less than half a percent. Rounding makes ties
stay ties; it cannot make two machines one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

STEP = 2.0**-13
"""The step of rounded scores, some 1.2e-4. It is a power of two, so that rounded scores are exact. It is
several times what machines differ by, and far below what tells two people apart."""


def on_steps(scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Scores to the nearest step; NaN and infinities stay.

    Args:
        scores: Cosines, normalised scores, or detail matches, of any shape.

    Example:
        >>> one, other = on_steps([0.640011, 0.639989])  # as two processors compute it
        >>> bool(one == other)
        True
    """
    return np.asarray(np.rint(np.asarray(scores, np.float64) / STEP) * STEP, np.float64)

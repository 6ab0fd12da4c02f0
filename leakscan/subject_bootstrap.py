"""Intervals by subject: figures are computed anew with subjects drawn again.

The subject is the unit because pairs and images of one subject depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Draws = npt.NDArray[np.float32]
"""``(draws, n_subjects)`` how often each subject was drawn; see :func:`subject_draws`."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: The figure itself.
        low: The 2.5 % point of the resampled figures.
        high: The 97.5 % point of the resampled figures.
        n_subjects: The number of subjects that have a say in it.
    """

    value: float
    low: float
    high: float
    n_subjects: int


def subject_draws(n_subjects: int, draws: int = 500, seed: int = 0) -> Draws:
    """How often each subject is drawn when as many subjects are drawn with replacement.

    The bootstrap of B. Efron (1979) with the subject as the unit, because pairs and images of one
    subject are not independent of each other.

    Args:
        n_subjects: The number of subjects to draw from.
        draws: The number of repetitions.
        seed: The seed of the draws.

    Returns:
        ``(draws, n_subjects)`` float32 counts; every row sums to ``n_subjects``.

    Example:
        >>> subject_draws(4, draws=3).sum(axis=1)
        array([4., 4., 4.], dtype=float32)
    """
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, n_subjects), np.float32)
    for row in drawn:
        row[:] = np.bincount(rng.integers(n_subjects, size=n_subjects), minlength=n_subjects)
    return drawn


def per_subject(owner: npt.NDArray[np.int64], values: Floats, n_subjects: int) -> Floats:
    """``(n_subjects,)`` sums of what each subject owns.

    Example:
        >>> per_subject(np.array([0, 0, 2]), np.array([1.0, 2.0, 5.0]), 3)
        array([3., 0., 5.])
    """
    return np.asarray(np.bincount(owner, values, minlength=n_subjects), np.float64)


def resampled_ratio(sums: Floats, weights: Floats, draws: Draws) -> Estimate:
    """``sums.sum() / weights.sum()`` with the interval that resampling subjects gives.

    Args:
        sums: ``(n,)``, one for each subject.
        weights: ``(n,)``, one for each subject; a subject of weight 0 has no say.
        draws: ``(draws, n)`` from :func:`subject_draws`.

    Example:
        >>> right, asked = np.array([9.0, 1.0, 6.0]), np.array([10.0, 2.0, 8.0])  # of three subjects
        >>> resampled_ratio(right, asked, subject_draws(3)).value
        0.8
    """
    counted = weights > 0
    totals = draws[:, counted] @ weights[counted]
    figures = (draws[:, counted] @ sums[counted])[totals > 0] / totals[totals > 0]
    return estimate(float(sums[counted].sum() / weights[counted].sum()), figures, int(counted.sum()))


def estimate(value: float, figures: Floats, n_subjects: int) -> Estimate:
    """A figure with the 2.5 and 97.5 % points of its resampled values ``(draws,)``.

    Example:
        >>> estimate(0.5, np.arange(1001.0) / 1000, n_subjects=40)
        Estimate(value=0.5, low=0.025, high=0.975, n_subjects=40)
    """
    low, high = np.quantile(figures, [0.025, 0.975]) if len(figures) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high), n_subjects)

"""The generalised Pareto distribution: weighted fit and goodness of fit.

Excesses over a high threshold follow it, whatever the distribution they come from (Pickands 1975;
Balkema and de Haan 1974). ``scipy.stats.genpareto`` cannot weight, and fits a thousand times slower.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_SHAPE = -0.5
"""Below, maximum likelihood is not regular (Smith 1985)."""
_NEAR_ZERO = 1e-9


def fit_pareto(excess: Floats, weight: Floats) -> tuple[float, float]:
    """Shape and scale by weighted maximum likelihood.

    The likelihood is maximised along the ridge shape(theta) = mean log(1 + theta x), theta = shape / scale
    (Grimshaw 1993), so one number is searched for.

    Args:
        excess: ``(k,)`` excesses over the threshold, at least 0, not all 0.
        weight: ``(k,)`` weights, at least 0, not all 0; their sum does not matter.

    Returns:
        Shape (at least ``LEAST_SHAPE``) and scale (positive).

    Example:
        >>> excess = quantile(np.linspace(0.0005, 0.9995, 1000), shape=-0.2, scale=3.0)
        >>> [round(x, 1) for x in fit_pareto(excess, np.ones(1000))]
        [-0.2, 3.0]
    """
    from scipy.optimize import minimize_scalar  # a run that fits nothing does not wait for it

    used = weight > 0
    parts = weight[used] / weight[used].sum()
    mean = float(parts @ excess[used])
    x = excess[used] / mean

    def cost(theta: float) -> float:
        if abs(theta) < _NEAR_ZERO:
            return 1.0
        shape = float(parts @ np.log1p(theta * x))
        return math.inf if shape < LEAST_SHAPE else math.log(shape / theta) + shape + 1.0

    lowest = _theta_at_least_shape(x, parts)
    theta = float(minimize_scalar(cost, bounds=(lowest, 20.0), method="bounded", options={"xatol": 1e-6}).x)
    if abs(theta) < _NEAR_ZERO:
        return 0.0, mean
    shape = float(parts @ np.log1p(theta * x))
    return shape, shape / theta * mean


def _theta_at_least_shape(x: Floats, parts: Floats) -> float:
    """The smallest theta whose shape is not below the least one: the shape grows with theta."""
    below, above = -(1.0 - 1e-12) / float(x.max()), 0.0
    for _ in range(30):
        middle = 0.5 * (below + above)
        if float(parts @ np.log1p(middle * x)) < LEAST_SHAPE:
            below = middle
        else:
            above = middle
    return above if above < 0 else below


def survival(excess: npt.ArrayLike, shape: npt.ArrayLike, scale: npt.ArrayLike) -> Floats:
    """Share of excesses above ``excess``; arguments broadcast. 0 beyond the end of a bounded distribution.

    Example:
        >>> survival([0.0, 2.0, 4.0], shape=-0.5, scale=2.0).tolist()
        [1.0, 0.25, 0.0]
    """
    x = np.maximum(np.asarray(excess, np.float64), 0.0) / np.asarray(scale, np.float64)
    xi = np.broadcast_to(np.asarray(shape, np.float64), x.shape)
    flat = np.abs(xi) < _NEAR_ZERO
    safe = np.where(flat, 1.0, xi)
    with np.errstate(divide="ignore"):
        curved = np.exp(-np.log(np.maximum(1.0 + safe * x, 0.0)) / safe)
    return np.asarray(np.where(flat, np.exp(-x), np.where(1.0 + safe * x > 0, curved, 0.0)), np.float64)


def quantile(share: npt.ArrayLike, shape: float, scale: float) -> Floats:
    """The excess that a share (0..1) of them is above.

    Example:
        >>> float(quantile(0.25, shape=-0.5, scale=2.0))
        2.0
    """
    log_share = np.log(np.asarray(share, np.float64))
    if abs(shape) < _NEAR_ZERO:
        return np.asarray(-scale * log_share, np.float64)
    return np.asarray(scale / shape * np.expm1(-shape * log_share), np.float64)


def anderson_darling(excess: Floats, weight: Floats, shape: float, scale: float, size: float) -> float:
    """Distance of a weighted sample from the distribution, the tails counting most.

    ``size`` times the integral of (F_n - F)^2 / (F (1 - F)) dF (Anderson and Darling 1954), exact for
    the weighted step function F_n.

    Args:
        excess: ``(k,)`` excesses over the threshold.
        weight: ``(k,)`` their weights.
        shape: The shape of the distribution.
        scale: The scale of the distribution.
        size: How many independent excesses the sample is worth.

    Example:
        >>> excess, once = quantile(np.linspace(0.005, 0.995, 100), shape=0.0, scale=1.0), np.ones(100)
        >>> [round(anderson_darling(excess, once, 0.0, scale, size=100), 1) for scale in (1.0, 2.0)]
        [0.0, 16.7]
    """
    order = np.argsort(excess)
    step = np.concatenate([[0.0], np.cumsum(weight[order])]) / weight.sum()
    inside = np.clip(1.0 - survival(excess[order], shape, scale), 1e-12, 1.0 - 1e-12)
    ends = np.concatenate([[1e-12], inside, [1.0 - 1e-12]])

    def integral(at: Floats) -> Floats:
        return np.asarray(step**2 * np.log(at) - (1.0 - step) ** 2 * np.log1p(-at) - at, np.float64)

    return float(size * (integral(ends[1:]) - integral(ends[:-1])).sum())


def fit_p_value(statistic: float, shape: float, scale: float, size: int, draws: int, seed: int) -> float:
    """How often a true sample of ``size`` excesses, fitted itself, lies as far off as ``statistic``.

    Parametric bootstrap (Stute et al. 1993). Small values speak against the distribution.

    Args:
        statistic: The statistic of :func:`anderson_darling`.
        shape: The shape of the fitted distribution.
        scale: The scale of the fitted distribution.
        size: How many excesses a true sample has.
        draws: How many samples are drawn.
        seed: The seed of the draws.

    Example:
        >>> [fit_p_value(far, 0.0, 1.0, size=50, draws=9, seed=0) for far in (0.0, 10.0)]
        [1.0, 0.1]
    """
    rng = np.random.default_rng(seed)
    ones = np.ones(size)
    worse = 0
    for _ in range(draws):
        drawn = quantile(rng.uniform(size=size), shape, scale)
        worse += anderson_darling(drawn, ones, *fit_pareto(drawn, ones), size=size) >= statistic
    return (worse + 1) / (draws + 1)

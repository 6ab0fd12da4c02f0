"""The few distributions that deciding needs, by the functions of ``scipy.special``.

``scipy.stats`` has them too, and takes a second to load, which every run would wait for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]


def poisson_at(k: npt.ArrayLike, mean: float) -> Floats:
    """The chance of exactly ``k`` events where ``mean`` are expected.

    Example:
        >>> poisson_at([0, 1], 1.0).round(4).tolist()
        [0.3679, 0.3679]
    """
    counted = np.asarray(k, np.float64)
    return np.asarray(np.exp(special.xlogy(counted, mean) - special.gammaln(counted + 1.0) - mean))


def poisson_above(k: npt.ArrayLike, mean: npt.ArrayLike) -> Floats:
    """The chance of more than ``k`` events where ``mean`` are expected; 1 below ``k = 0``.

    Example:
        >>> poisson_above([-1, 0, 1], 1.0).round(4).tolist()
        [1.0, 0.6321, 0.2642]
    """
    counted = np.floor(np.asarray(k, np.float64))
    return np.where(counted < 0, 1.0, special.pdtrc(np.maximum(counted, 0.0), mean))


def poisson_limit(chance: float, mean: float) -> int:
    """The smallest number that is exceeded with at most this chance, where ``mean`` events are expected.

    Args:
        chance: The chance, between 0 and 1.
        mean: The expected number of events.

    Example:
        >>> poisson_limit(0.001, 1.0)
        5
    """
    k = max(int(np.ceil(special.pdtrik(1.0 - chance, mean))) - 1, 0) if mean > 0 else 0
    while poisson_above(k, mean) > chance:
        k += 1
    while k > 0 and poisson_above(k - 1, mean) <= chance:
        k -= 1
    return k


def binomial_up_to(k: npt.ArrayLike, n: int, share: float) -> Floats:
    """The chance of at most ``k`` hits among ``n``, each with the chance ``share``.

    Example:
        >>> binomial_up_to([-1, 0, 1, 2], 2, 0.5).tolist()
        [0.0, 0.25, 0.75, 1.0]
    """
    hits = np.floor(np.asarray(k, np.float64))
    inside = special.bdtr(np.clip(hits, 0, n), n, share)
    return np.where(hits < 0, 0.0, np.where(hits >= n, 1.0, inside))


def binomial_above(k: npt.ArrayLike, n: int, share: float) -> Floats:
    """The chance of more than ``k`` hits among ``n``, each with the chance ``share``.

    Example:
        >>> binomial_above([-1, 0, 1, 2], 2, 0.5).tolist()
        [1.0, 0.75, 0.25, 0.0]
    """
    hits = np.floor(np.asarray(k, np.float64))
    inside = special.bdtrc(np.clip(hits, 0, n), n, share)
    return np.where(hits < 0, 1.0, np.where(hits >= n, 0.0, inside))


def none_drawn(number: npt.ArrayLike, hits: npt.ArrayLike, drawn: int) -> Floats:
    """The chance that of ``number`` things, ``hits`` of which are marked, none of ``drawn`` is marked.

    Args:
        number: How many things there are, at least ``drawn``.
        hits: How many of them are marked.
        drawn: How many are drawn without replacement.

    Example:
        >>> none_drawn([4, 4], [1, 4], 2).tolist()
        [0.5, 0.0]
    """
    of, marked = np.broadcast_arrays(np.asarray(number, np.float64), np.asarray(hits, np.float64))
    chance = np.ones(of.shape)
    for i in range(drawn):  # a handful: the pictures that a subject has
        chance = chance * np.clip(of - marked - i, 0.0, None) / (of - i)
    return chance


def chi_square_at(chance: float, degrees: npt.ArrayLike) -> Floats:
    """The value that a chi-square variable stays below with this chance.

    Example:
        >>> chi_square_at(0.95, [1.0, 2.0]).round(3).tolist()
        [3.841, 5.991]
    """
    return np.asarray(special.chdtri(degrees, 1.0 - chance), np.float64)

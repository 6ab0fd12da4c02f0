"""From p-values of pairs to statements about a whole run: q-values and expected false pairs.

The family is one test per unit of B (an image, or a declared subject): "nobody in A is this subject".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def unit_p_value(p: npt.ArrayLike, comparisons: npt.ArrayLike) -> Floats:
    """p-value of the best of several comparisons: 1 - (1 - p)^n (Sidak 1967).

    Exact for independent comparisons. Those of one image are positively dependent, which makes it
    cautious (Sidak's inequality).

    Args:
        p: The smallest p-value of each unit, 0..1.
        comparisons: The pairs that the unit was compared in, at least 1; broadcast against ``p``.

    Example:
        >>> float(unit_p_value(1e-6, comparisons=1000).round(6))
        0.001
    """
    with np.errstate(divide="ignore"):
        return np.asarray(
            -np.expm1(np.asarray(comparisons) * np.log1p(-np.asarray(p, np.float64))), np.float64
        )


def best_of_units(p: npt.ArrayLike, unit: npt.ArrayLike, units: int) -> Floats:
    """``(units,)`` smallest p-value of each unit, 1 where it has no candidate.

    Args:
        p: ``(c,)`` p-values of the candidate pairs; NaN (never compared) counts as 1.
        unit: ``(c,)`` int, 0..units - 1, the unit of each.
        units: How many units there are.

    Example:
        >>> best_of_units([0.2, 0.01, 0.5], [0, 0, 2], units=3).tolist()
        [0.01, 1.0, 0.5]
    """
    best = np.ones(units)
    np.minimum.at(best, np.asarray(unit), np.nan_to_num(np.asarray(p, np.float64), nan=1.0))
    return best


def q_values(p_units: npt.ArrayLike, total: int | None = None, found: npt.ArrayLike | None = None) -> Floats:
    """Benjamini-Hochberg q-values (1995): the false discovery rate at which each unit is found.

    The rate is controlled for independent and for positively dependent tests (Benjamini and
    Yekutieli 2001).

    Args:
        p_units: ``(m,)`` p-values of the units, 0..1.
        total: How many units were tested, at least ``m``; those not given have p = 1.
        found: ``(m,)`` discoveries that calling every unit up to this one makes, at least 1; by default
            every unit is one. Fewer where several units are one discovery (:func:`groups_found`).

    Raises:
        ValueError: There are fewer tested units than p-values.

    Example:
        >>> q_values([1e-5, 1e-3, 0.2], total=100).round(4).tolist()
        [0.001, 0.05, 1.0]
    """
    p = np.asarray(p_units, np.float64)
    tested = len(p) if total is None else total
    if tested < len(p):
        raise ValueError(f"{len(p)} units have p-values, but only {tested} were tested")
    order = np.argsort(p, kind="stable")
    each = np.arange(1, len(p) + 1) if found is None else np.asarray(found)[order]
    raw = p[order] * tested / each
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return q


def groups_found(p: npt.ArrayLike, unit_a: npt.ArrayLike, unit_b: npt.ArrayLike, at: npt.ArrayLike) -> Ints:
    """How many groups of units hang together by the pairs at or below a p-value.

    The films of one unknown subject are many units and many pairs, but one discovery. Counted as
    vertices with an edge less the edges of a minimum spanning forest, both up to the p-value (Kruskal
    1956), so that all levels are counted at once.

    Args:
        p: ``(c,)`` p-values of the candidate pairs, above 0.
        unit_a: ``(c,)`` int, from 0: the unit of each in A.
        unit_b: ``(c,)`` int, from 0: the unit of each in B.
        at: ``(m,)`` the p-values up to which groups are counted.

    Returns:
        ``(m,)`` numbers of groups.

    Example:
        >>> films_a, films_b = [0, 0, 1], [0, 1, 2]
        >>> groups_found([1e-7, 1e-6, 1e-5], films_a, films_b, at=[1e-6, 1e-5]).tolist()
        [1, 2]
    """
    level, a, b = np.asarray(p, np.float64), np.asarray(unit_a, np.int64), np.asarray(unit_b, np.int64)
    order = np.lexsort((level, b, a))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(a[order]) != 0) | (np.diff(b[order]) != 0)
    level, a, b = level[order][first], a[order][first], b[order][first]
    n_a, n_b = (int(x.max(initial=-1)) + 1 for x in (a, b))
    graph = coo_array((level, (a, n_a + b)), shape=(n_a + n_b, n_a + n_b))
    joined = np.sort(minimum_spanning_tree(graph.tocsr()).data)
    touched = np.full(n_a + n_b, np.inf)
    np.minimum.at(touched, a, level)
    np.minimum.at(touched, n_a + b, level)
    touched.sort()
    where = np.asarray(at, np.float64)
    return np.searchsorted(touched, where, "right") - np.searchsorted(joined, where, "right")


def share_false_among_first(
    probability: npt.ArrayLike, firsts: Sequence[int] = (10, 100, 1000)
) -> dict[int, float]:
    """Expected share of false pairs among the first ``k`` of a list.

    Args:
        probability: ``(n,)`` the probability of each pair of the list, in its order.
        firsts: The values of ``k``; those longer than the list are left out.

    Example:
        >>> share_false_among_first([0.9, 0.8, 0.4], firsts=(1, 2, 10))
        {1: 0.1, 2: 0.15}
    """
    upto = np.cumsum(np.asarray(probability, np.float64))
    return {k: round(1.0 - float(upto[k - 1]) / k, 9) for k in firsts if 0 < k <= len(upto)}

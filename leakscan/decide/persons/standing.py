"""How pairs of subjects hang on better ones that were found, and the bins of their heights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from leakscan.decide.persons.shared import SubjectPairs

_BIN = 0.5  # width of the bins of u = -log p below the level at which the number shared was estimated, ...
_BIN_FOUND = 0.7  # ... and above it
_BEYOND_REACH = 0.1  # of u, above which surely no pair of strangers is missing
_LEAST_SEEN = 0.25  # of the strangers expected, fewer of which mean that pairs are missing here

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def counted(u: Floats, edges: Floats, weight: Floats | None = None) -> Floats:
    """How many values, or what weight of them, lie between ascending edges.

    Example:
        >>> counted(np.array([0.5, 1.5, 1.7]), np.array([0.0, 1.0, 2.0])).tolist()
        [1.0, 2.0]
    """
    return np.asarray(np.round(np.histogram(u, edges, weights=weight)[0], 9), np.float64)


@dataclass(frozen=True, kw_only=True)
class PairStanding:
    """How pairs hang on better ones that were found at the level of the estimate.

    Attributes:
        near: ``(n,)`` which pairs are found there.
        first: ``(n,)`` which pairs touch no subject of a better one.
        touching: ``(n,)`` which share one or both subjects with better ones.
        inside: ``(n,)`` which are of two subjects that are linked already, and are not found by themselves.
        meeting: ``(n,)`` one number for all touching pairs below the level that are between the same two
            groups of linked subjects: they show one person all together or not at all.
        groups: ``(n, 2)`` the group of each pair's subjects in the first dataset, and in the second.
        certain: Groups that a copy links.
        several: How many groups are found that have several subjects on a side: pictures of one person, where
            nobody is declared.
        films: ``(m,)`` how many subjects every group that is found has in the first dataset, and in the
            second.
        weight: ``(n,)`` 1, and less for first pairs of one group that are equally good: together they are 1.
        first_pairs: How many pairs of subjects touch nobody found.
        touching_pairs: How many touch somebody.
    """

    near: Bools
    first: Bools
    touching: Bools
    inside: Bools
    meeting: Ints
    groups: Ints
    certain: Ints
    several: int
    films: Ints
    weight: Floats
    first_pairs: int
    touching_pairs: int

    @classmethod
    def of(cls, compared: SubjectPairs) -> PairStanding:
        n_a, n_b = len(compared.pictures_a), len(compared.pictures_b)
        near = compared.p <= compared.level(1.0)
        a = np.concatenate([compared.a[near], compared.settled_a])
        b = n_a + np.concatenate([compared.b[near], compared.settled_b])
        graph = coo_array((np.ones(len(a)), (a, b)), shape=(n_a + n_b, n_a + n_b))
        groups, group = connected_components(graph, directed=False)
        best = np.full(n_a + n_b, np.inf)
        np.minimum.at(best, compared.a[near], compared.p[near])
        np.minimum.at(best, n_a + compared.b[near], compared.p[near])
        best[compared.settled_a] = 0.0
        best[n_a + compared.settled_b] = 0.0
        inside = ~near & (group[compared.a] == group[n_a + compared.b])
        better = np.minimum(best[compared.a], best[n_a + compared.b])
        touching = ~inside & (better < compared.p * (1.0 - 1e-9))
        first = ~inside & ~touching
        # Pairs that are found themselves link their groups, and stand each for itself.
        ends = np.stack([group[compared.a], group[n_a + compared.b]], axis=1).astype(np.int64)
        together = np.sort(ends, axis=1).T
        meeting = np.where(near, groups * groups + np.arange(len(near)), together[0] * groups + together[1])
        weight = np.ones(len(near))
        tied = np.flatnonzero(first & near)
        weight[tied] = 1.0 / np.bincount(group[compared.a[tied]], minlength=groups)[group[compared.a[tied]]]
        known = np.isfinite(best)
        sizes = [
            np.bincount(group[own][known[own]], minlength=groups) for own in (slice(n_a), slice(n_a, None))
        ]
        linked = int(sizes[0] @ sizes[1])
        free = int((~known[:n_a]).sum()) * int((~known[n_a:]).sum())
        return cls(
            near=near,
            first=first,
            touching=touching,
            inside=inside,
            groups=ends,
            certain=np.unique(group[compared.settled_a]).astype(np.int64),
            several=int(np.count_nonzero(sizes[0] * sizes[1] > 1)),
            films=np.concatenate(sizes)[np.concatenate(sizes) > 0],
            meeting=np.unique(meeting, return_inverse=True)[1].astype(np.int64),
            weight=weight,
            first_pairs=max(free, 1),
            touching_pairs=max(n_a * n_b - free - linked, 1),
        )


@dataclass(frozen=True)
class Bins:
    """Bins of ``u = -log p``: ascending edges up to the level of the estimate, and from it to the end."""

    low: Floats
    high: Floats

    @property
    def level(self) -> float:
        return float(self.high[0])

    @property
    def top(self) -> float:
        return float(self.high[-1]) - _BIN_FOUND

    @classmethod
    def of(cls, compared: SubjectPairs, standing: PairStanding) -> Bins:
        level = -math.log(compared.level(1.0))
        top = max(-math.log(compared.least), level + _BIN)
        bottom = min(-math.log(compared.reach) + _BEYOND_REACH, level - 2.0 * _BIN)
        low = np.linspace(bottom, level, max(2, round((level - bottom) / _BIN)) + 1)
        u = -np.log(compared.p[standing.first])
        seen = counted(u, low) >= _LEAST_SEEN * standing.first_pairs * -np.diff(np.exp(-low))
        # Where a search was cut short, its weakest pairs are missing.
        start = min(int(np.argmax(seen)), len(low) - 3) if seen.any() else 0
        steps = max(1, round((top - level) / _BIN_FOUND))
        high = np.append(np.linspace(level, top, steps + 1)[:-1], top + _BIN_FOUND)
        return cls(low[start:], high)

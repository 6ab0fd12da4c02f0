"""How many subjects two datasets share.

It comes from what was found beyond what strangers explain. A level of the p-value is set by the size of the
comparison alone. Up to it, so many false pairs are expected, and so large a share of true ones is found.
What is found beyond the expected, divided by that share, is the number of shared subjects. Copies are
certain and counted as such.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from leakscan.decide.calibration.distributions import (
    binomial_above,
    binomial_up_to,
    none_drawn,
    poisson_above,
    poisson_at,
    poisson_limit,
)
from leakscan.decide.persons.discovery import groups_found

SURE = 1e-3
"""A leak is certain where strangers alone would make so many discoveries in at most this share of runs."""
LEAST_OWNERS = 20
"""Repeated subjects that a share found must come from."""
_EXPECTED = (0.1, 1.0)  # false pairs at the levels; at the last the number is estimated
_LARGEST_P = 1e-3
MOST_PAIRS = 10
"""Pairs of pictures of two subjects that still add to the share found."""
_LINK_P = 1e-4
"""Pairs up to this p-value tell that two groups found are one person, whose films are not all alike."""
_Z95 = 1.96
_MOST_SPREAD = 20.0  # of the logarithm of p-values: beyond, nothing is known anyway

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SharedEstimate:
    """How many subjects two datasets share.

    Attributes:
        value: The most likely number.
        low: The lower end of its 95 % interval.
        high: The upper end of it.
        sure: A number that is certainly reached: copies, and one more where what was found beyond them has a
            chance of at most ``SURE`` with strangers alone.
        unnoticed: Fewer shared subjects than this may have gone unnoticed.
        certain: How many are certain, as copies link them.
        found: How many more were found at the level.
        expected: How many false ones are expected there.
        share: The share of shared subjects that is found there.
        own_share: Whether that share was measured on repeated subjects of this run.
    """

    value: float
    low: float
    high: float
    sure: int
    unnoticed: int
    certain: int
    found: int
    expected: float
    share: float
    own_share: bool

    def named(self, people: int, fdr: float) -> SharedEstimate:
        """The same where leaks name so many people, of whom a share ``fdr`` may be false.

        Where most people are shared, weaker pairs link some of them, and fewer groups are counted.
        """
        return replace(
            self,
            value=max(self.value, people * (1.0 - fdr)),
            high=max(self.high, float(people)),
            unnoticed=max(self.unnoticed, people + 1),
        )


@dataclass(frozen=True)
class GenuineRates:
    """The p-values of pairs of pictures that show one person, as a run would give them.

    Attributes:
        p: ``(g,)`` p-values.
        owner: ``(g,)`` the subject of each pair; subjects weigh the same.
        own: Whether they are of this run.
        doubt: The part by which true pairs of these people may be found less often, as a standard error.
        usual: Those of the calibration, where these are of this run.
    """

    p: Floats
    owner: Ints
    own: bool
    doubt: float = 0.0
    usual: GenuineRates | None = None

    @cached_property
    def _weights(self) -> Floats:
        _, owner, pairs = np.unique(self.owner, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / pairs[owner] / len(pairs), np.float64)

    def found(self, level: float, several: int = 1) -> tuple[float, float]:
        """The share of subjects found at a level of the p-value, and its standard error.

        Args:
            level: The p-value up to which pairs are found.
            several: The number of pairs of pictures of which one has to be found; fewer where too few
                subjects have so many.
        """
        if not len(self.p):
            return float("nan"), float("nan")
        pairs, hits = self._hits(level)
        drawn = self._drawn(several)
        rows = pairs >= drawn
        # The chance that none of so many drawn pairs is a hit (hypergeometric).
        missed = none_drawn(pairs[rows], hits[rows], drawn)
        share = float((1.0 - missed).mean())
        # A share of all or none of some subjects is not known to be 1 or 0 (Agresti and Coull 1998).
        n = int(rows.sum())
        shrunk = (share * n + 1.0) / (n + 2.0)
        return share, math.sqrt(shrunk * (1.0 - shrunk) / n)

    def left(self, edges: Floats, several: int) -> Floats:
        """How many pairs of a subject lie between p-values where none of its pairs is found at the last.

        Args:
            edges: ``(m,)`` descending p-values.
            several: How many pairs of pictures there are, as :meth:`found` has it.

        Returns:
            ``(m - 1,)`` the mean over all subjects, of whom those that are found have none.

        Example:
            >>> half = GenuineRates(np.array([1e-9, 1e-9, 1e-4, 1e-4]), np.array([0, 0, 1, 1]), own=True)
            >>> half.left(np.array([1e-3, 1e-5, 1e-6]), several=2).tolist()
            [1.0, 0.0]
        """
        hits = np.stack([self._hits(edge)[1] for edge in edges.tolist()])
        pairs, drawn = self._hits(0.0)[0], self._drawn(several)
        rows = pairs >= drawn
        nothing = none_drawn(pairs[rows], hits[-1, rows], drawn)
        low = np.maximum(pairs[rows] - hits[-1, rows], 1)
        each = drawn * (hits[:-1, rows] - hits[1:, rows]) / low
        return np.asarray((nothing * each).mean(axis=1), np.float64)

    def _hits(self, level: float) -> tuple[Ints, Ints]:
        """How many pairs each subject has, and how many of them are found at a level."""
        _, owner, pairs = np.unique(self.owner, return_inverse=True, return_counts=True)
        found = np.bincount(owner, self.p <= level * (1 + 1e-6), len(pairs))
        return pairs.astype(np.int64), np.round(found).astype(np.int64)

    def _drawn(self, several: int) -> int:
        """So many pairs, or as many as enough subjects have."""
        pairs = np.sort(self._hits(0.0)[0])[::-1]
        return min(several, int(pairs[min(LEAST_OWNERS, len(pairs)) - 1]))

    def density(self, edges: Floats) -> Floats:
        """The share of genuine pairs whose ``-log p`` falls between edges, smoothed, never 0."""
        u = -np.log(self.p)
        rough = np.histogram(np.clip(u, -np.inf, edges[-1]), edges, weights=self._weights)[0]
        if len(rough) < 2:
            return np.ones(len(rough))
        kernel = np.array([0.25, 0.5, 0.25])
        inner = np.convolve(np.pad(rough[:-1], 1, mode="edge"), kernel, mode="valid")
        smooth = np.append(inner * (rough[:-1].sum() / max(inner.sum(), 1e-300)), rough[-1])
        return np.asarray(smooth + 0.5 / max(len(np.unique(self.owner)), 1) / len(smooth), np.float64)


@dataclass(frozen=True, kw_only=True)
class SubjectPairs:
    """What the estimate needs of two datasets.

    Attributes:
        p: ``(n,)`` p-values of pairs of subjects, each once, that no copy settles.
        a: ``(n,)`` subjects of the first dataset.
        b: ``(n,)`` subjects of the second.
        settled_a: ``(k,)`` subjects of pairs that copies settle, in the first.
        settled_b: ``(k,)`` in the second.
        pictures_a: Pictures of every subject of the first.
        pictures_b: Pictures of every subject of the second.
        least: The smallest p-value that a pair could have.
        reach: The p-value up to which pairs of single pictures were sought.
    """

    p: Floats
    a: Ints
    b: Ints
    settled_a: Ints
    settled_b: Ints
    pictures_a: Ints
    pictures_b: Ints
    least: float
    reach: float

    @property
    def comparisons(self) -> int:
        """Subjects of the one times subjects of the other."""
        return len(self.pictures_a) * len(self.pictures_b)

    @property
    def smaller(self) -> int:
        """Subjects of the smaller dataset: more cannot be shared."""
        return min(len(self.pictures_a), len(self.pictures_b))

    def level(self, expected: float) -> float:
        """The p-value at which so many false pairs are expected, as far as pairs reach it."""
        return float(np.clip(expected / self.comparisons, self.least, max(self.least, _LARGEST_P)))

    def groups(self, level: float) -> tuple[int, int]:
        """Groups of subjects that copies link, and how many more there are with the pairs up to a level.

        Films of one person that nobody declares may make several groups. Where a pair of their films that is
        less alike links two of them, they count as one.
        """
        near = self.p <= level
        touched = np.isin(self.a, self.a[near]) & np.isin(self.b, self.b[near])
        kept = near | (touched & (self.p <= _LINK_P))
        certain = np.full(len(self.settled_a), 1e-300)
        sure = groups_found(certain, self.settled_a, self.settled_b, [1.0])[0]
        both = groups_found(
            np.concatenate([certain, np.full(int(kept.sum()), 0.5)]),
            np.concatenate([self.settled_a, self.a[kept]]),
            np.concatenate([self.settled_b, self.b[kept]]),
            [1.0],
        )[0]
        return int(sure), max(0, int(both - sure))

    def several(self, level: float, most: int = MOST_PAIRS) -> Ints:
        """How many pairs of pictures each group has that is found up to a level."""
        near = self.p <= level
        touched = np.isin(self.a, self.a[near]) & np.isin(self.b, self.b[near])
        at = np.flatnonzero(near | (touched & (self.p <= _LINK_P)))
        if not len(at):
            return np.ones(0, np.int64)
        n_a, n_b = len(self.pictures_a), len(self.pictures_b)
        graph = coo_array((np.ones(len(at)), (self.a[at], n_a + self.b[at])), shape=(n_a + n_b, n_a + n_b))
        group = connected_components(graph, directed=False)[1]
        films_a = np.bincount(group[:n_a], self.pictures_a, group.max() + 1)
        films_b = np.bincount(group[n_a:], self.pictures_b, group.max() + 1)
        touched = np.unique(group[self.a[at]])
        return np.asarray(np.clip(films_a[touched] * films_b[touched], 1, most), np.int64)


def estimate(compared: SubjectPairs, genuine: GenuineRates, spread: float, trusted: bool) -> SharedEstimate:
    """How many subjects two datasets share, with intervals.

    Args:
        compared: The pairs of the two datasets.
        genuine: How true pairs come out.
        spread: The standard error of the logarithm of the p-values.
        trusted: Whether the p-values are known to hold for these images.

    Example::

        many = estimate(compared, genuine, spread=0.4, trusted=True)
        f"about {many.value:.0f} ({many.low:.0f} to {many.high:.0f})"
    """
    sure = False
    share = float("nan")
    spread = min(spread, _MOST_SPREAD)
    for expected in _EXPECTED:
        level = compared.level(expected)
        false = level * compared.comparisons
        certain, found = compared.groups(level)
        chance = poisson_above(found - 1, false * math.exp(_Z95 * spread))
        sure |= trusted and found > 0 and float(chance) <= SURE / len(_EXPECTED)
    share, error = _share_found(compared, genuine, level)
    error = math.hypot(error, genuine.doubt * share)
    if genuine.usual is not None and len(genuine.usual.p):
        # Whoever has several pictures in one dataset is found as often as other people more or less.
        error = math.hypot(error, share - _share_found(compared, genuine.usual, level)[0])
    if math.isnan(share):  # nobody knows how true pairs come out
        share, error = 0.5, 0.25
    more = max(0, compared.smaller - certain)
    value, low, high = (min(end, more) for end in _interval(found, false, spread, share, error))
    return SharedEstimate(
        value=certain + value,
        low=certain + low,
        high=certain + high,
        sure=certain + int(sure),
        unnoticed=max(math.ceil(high) + 1, _noticed(compared, false, spread, share)),
        certain=certain,
        found=found,
        expected=false,
        share=share,
        own_share=genuine.own,
    )


def _share_found(compared: SubjectPairs, genuine: GenuineRates, level: float) -> tuple[float, float]:
    """The share of shared subjects that is found at a level, by how many pictures those found have."""
    several = compared.several(level)
    numbers, counts = np.unique(several if len(several) else np.ones(1, np.int64), return_counts=True)
    each = [genuine.found(level, int(n)) for n in numbers]
    # Whoever is found stands for 1 / share subjects (Horvitz and Thompson 1952).
    stand_for = sum(c / max(s, 1e-3) for c, (s, _) in zip(counts.tolist(), each, strict=True))
    share = float(counts.sum() / stand_for)
    error = math.sqrt(
        sum((c / counts.sum() * e) ** 2 for c, (_, e) in zip(counts.tolist(), each, strict=True))
    )
    return share, error


def _interval(
    found: int, false: float, spread: float, share: float, error: float
) -> tuple[float, float, float]:
    """The number behind what was found, and its 95 % interval; the errors of both rates add in squares."""
    value = max(0.0, found - false) / share
    low, high = _ends(found, false, share)
    most_false, least_false = false * math.exp(_Z95 * spread), false * math.exp(-_Z95 * spread)
    least_share, most_share = max(0.02, share - _Z95 * error), min(1.0, share + _Z95 * error)
    down = math.hypot(value - low, (most_false - false) / share, value * (1.0 - share / most_share))
    up = math.hypot(high - value, (false - least_false) / share, value * (share / least_share - 1.0))
    return value, max(0.0, value - down), value + up


def _ends(found: int, false: float, share: float) -> tuple[float, float]:
    """The exact 95 % interval of the number behind what was found, both rates known (Clopper and Pearson
    1934).
    """
    by_chance = np.arange(int(false + 8.0 * math.sqrt(false) + 12.0))
    chance = poisson_at(by_chance, false)

    def at_least(number: int) -> float:
        return float(chance @ binomial_above(found - by_chance - 1, number, share))

    def at_most(number: int) -> float:
        return float(chance @ binomial_up_to(found - by_chance, number, share))

    low = _first(lambda number: at_least(number) > 0.025)
    high = _first(lambda number: at_most(number) <= 0.025)
    return float(low), float(max(high - 1, 0))


def _first(holds: Callable[[int], bool]) -> int:
    """The smallest number from which something holds, by doubling and halving."""
    high = 1
    if holds(0):
        return 0
    while not holds(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _noticed(compared: SubjectPairs, false: float, spread: float, share: float) -> int:
    """The number of shared subjects from which on a run as large as this is certain of a leak 19 times in
    20; one more than there are, where not even all of them would make it certain.
    """
    everybody = compared.smaller
    worst = false * math.exp(_Z95 * spread)
    if not worst < everybody:
        return everybody + 1
    needed = poisson_limit(SURE / len(_EXPECTED), worst) + 1

    def certain(number: int) -> bool:
        return number > everybody or float(binomial_above(needed - 1, number, share)) >= 0.95

    return min(_first(certain), everybody + 1)

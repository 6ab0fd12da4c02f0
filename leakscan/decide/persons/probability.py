"""How likely each pair of subjects is one person: the share of true pairs among pairs as good, in this run.

Pairs of every height are a mixture of strangers, as many as p-values say, and of true pairs. How many true
ones to expect hangs on more than the height. A person who was found stands by better pairs already, so pairs
are sorted by how they hang on better ones that were found:

- *first* pairs touch no subject of a better one. Each is a person of its own, and how many there are below
  what is found follows from the estimate of how many are shared.
- *touching* pairs share one subject with a better pair. Where subjects are declared they are strangers;
  where they are not, they may be further pictures of a person who was found.
- *inside* pairs are of two subjects that better pairs link already. They are as likely as those links.

Strangers are fitted to this run, too: their number, and whether they fall off more slowly than p-values say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from leakscan.decide.persons.shared import GenuineRates, SharedEstimate, SubjectPairs

_BIN = 0.5  # width of the bins of u = -log p below the level at which the number shared was estimated, ...
_BIN_FOUND = 0.7  # ... and above it
_BEYOND_REACH = 0.1  # of u, above which surely no pair of strangers is missing
_LEAST_SEEN = 0.25  # of the strangers expected, fewer of which mean that pairs are missing here
_LEVEL, _MOST_CAREFUL = 0.7, -1.1  # spread and lower end of the log of strangers seen over strangers stated
_SLOWER, _SLOWEST = 0.15, 0.6  # spread and upper end of how much more slowly strangers fall off
_UNFOUND = 1.0  # spread of the log of true pairs below the level over those that the estimate leaves
_LEVEL_TOUCHING = 1.0  # spread of the log of strangers at found subjects over those elsewhere
_PENALTY, _PENALTY_TOUCHING = 0.5, 2.0  # pairs that true ones must explain before they count
_PRIOR = 0.01  # true pairs that are added, so that the number is never 0
_ROUNDS = 300
_KNOWS_NOTHING = 0.3  # of true pairs below the level, where nobody knows how they come out
_NEVER_LISTED, _ALWAYS_LISTED, _NEXT = 1.0, 0.1, 100

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PairProbabilities:
    """How likely pairs of subjects are one person.

    Attributes:
        share: ``(n,)`` the probability of each.
        first: ``(n,)`` which pairs touch no subject of a better one that was found.
    """

    share: Floats
    first: Bools


def pair_probabilities(
    compared: SubjectPairs, genuine: GenuineRates, shared: SharedEstimate
) -> PairProbabilities:
    """The probability that each pair of subjects is one person.

    Among first pairs, among touching pairs and among inside pairs it never falls with better p-values.

    Args:
        compared: The pairs of the two datasets.
        genuine: How true pairs come out.
        shared: How many subjects the two share.

    Example::

        pair_probabilities(compared, genuine, estimate(compared, genuine, 0.4, trusted=True))
    """
    standing = _Standing.of(compared)
    bins = _Bins.of(compared, standing)
    u = np.minimum(-np.log(compared.p), bins.top)
    below = _true_below(bins, compared, genuine, shared)
    first, touching, inside = standing.first, standing.touching, standing.inside
    strangers, below = _strangers_here(
        _counts(u[first & (u < bins.level)], bins.low), below, bins.low, standing.first_pairs
    )
    odds = np.zeros(len(u))
    high = strangers.at_least_stated(bins.high, compared.comparisons)
    at_level = first & (u >= bins.level)
    found = _found(_counts(u[at_level], bins.high, standing.weight[at_level]), high, genuine, bins.high)
    odds[first] = _read(
        u[first],
        (bins.low, bins.high),
        np.concatenate([below / strangers.between(bins.low, standing.first_pairs), found / high]),
        strangers,
    )
    if touching.any():
        odds[touching] = _touching(u[touching], bins, strangers, standing.touching_pairs)
    share = 1.0 / (1.0 + np.exp(-odds))
    # Two subjects are one person where the links between them are true; a copy is a link for certain.
    ends = len(compared.pictures_a) + compared.b
    link = np.zeros(len(compared.pictures_a) + len(compared.pictures_b))
    near = standing.near
    np.maximum.at(link, compared.a[near], share[near])
    np.maximum.at(link, ends[near], share[near])
    link[compared.settled_a] = 1.0
    link[len(compared.pictures_a) + compared.settled_b] = 1.0
    share[inside] = np.minimum(link[compared.a[inside]], link[ends[inside]])
    return PairProbabilities(np.clip(share, 1e-9, 1.0 - 1e-9), first)


def review_list(probability: Floats) -> Bools:
    """``(n,)`` which pairs a person should look at, ranked by probability.

    The list ends where fewer than one true pair is expected among the next hundred. A pair that is likelier
    than one in ten is on it all the same: where few pairs are left, the next hundred may hold less than one.

    Args:
        probability: ``(n,)`` of pairs that are no leaks, each once.

    Example:
        >>> review_list(np.array([0.9, 0.02, 0.001])).tolist()  # together the last two are hardly one
        [True, False, False]
        >>> int(review_list(np.geomspace(0.3, 0.003, 300)).sum())
        178
    """
    order = np.argsort(-probability, kind="stable")
    upto = np.concatenate([[0.0], np.cumsum(probability[order])])
    at = np.arange(len(order))
    following = upto[np.minimum(at + _NEXT, len(order))] - upto[at]
    wanted = (following >= _NEVER_LISTED) | (probability[order] >= _ALWAYS_LISTED)
    ends = len(order) if wanted.all() else int(np.argmin(wanted))
    # Pairs that are as likely stand or fall together, whichever dataset was named first.
    last = probability[order[ends - 1]] if ends else np.inf
    return np.asarray(probability >= last, np.bool_)


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """How pairs hang on better ones that were found at the level of the estimate.

    Attributes:
        near: ``(n,)`` which pairs are found there.
        first: ``(n,)`` which pairs touch no subject of a better one.
        touching: ``(n,)`` which share one or both subjects with better ones.
        inside: ``(n,)`` which are of two subjects that are linked already, and are not found by themselves.
        weight: ``(n,)`` 1, and less for first pairs of one group that are equally good: together they are 1.
        first_pairs: How many pairs of subjects touch nobody found.
        touching_pairs: How many touch somebody.
    """

    near: Bools
    first: Bools
    touching: Bools
    inside: Bools
    weight: Floats
    first_pairs: int
    touching_pairs: int

    @classmethod
    def of(cls, compared: SubjectPairs) -> _Standing:
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
        weight = np.ones(len(near))
        tied = np.flatnonzero(first & near)
        weight[tied] = 1.0 / np.bincount(group[compared.a[tied]], minlength=groups)[group[compared.a[tied]]]
        known = np.isfinite(best)
        linked = int(
            np.bincount(group[:n_a][known[:n_a]], minlength=groups)
            @ np.bincount(group[n_a:][known[n_a:]], minlength=groups)
        )
        free = int((~known[:n_a]).sum()) * int((~known[n_a:]).sum())
        return cls(
            near=near,
            first=first,
            touching=touching,
            inside=inside,
            weight=weight,
            first_pairs=max(free, 1),
            touching_pairs=max(n_a * n_b - free - linked, 1),
        )


@dataclass(frozen=True)
class _Bins:
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
    def of(cls, compared: SubjectPairs, standing: _Standing) -> _Bins:
        level = -math.log(compared.level(1.0))
        top = max(-math.log(compared.least), level + _BIN)
        bottom = min(-math.log(compared.reach) + _BEYOND_REACH, level - 2.0 * _BIN)
        low = np.linspace(bottom, level, max(2, round((level - bottom) / _BIN)) + 1)
        u = -np.log(compared.p[standing.first])
        seen = _counts(u, low) >= _LEAST_SEEN * standing.first_pairs * -np.diff(np.exp(-low))
        # Where a search was cut short, its weakest pairs are missing.
        start = min(int(np.argmax(seen)), len(low) - 3) if seen.any() else 0
        steps = max(1, round((top - level) / _BIN_FOUND))
        high = np.append(np.linspace(level, top, steps + 1)[:-1], top + _BIN_FOUND)
        return cls(low[start:], high)


@dataclass(frozen=True)
class _Strangers:
    """Strangers of this run: ``level`` times as many as stated at ``start``, and ``slower`` by so much."""

    start: float
    level: float
    slower: float

    def between(self, edges: Floats, pairs: float) -> Floats:
        """How many of so many pairs of strangers lie between ascending edges of u."""
        fall = 1.0 - self.slower
        beyond = np.exp(-fall * (edges - self.start))
        return np.asarray(-np.diff(beyond) * pairs * self.level * math.exp(-self.start) / fall, np.float64)

    def at_least_stated(self, edges: Floats, pairs: float) -> Floats:
        """The same far out, where fewer than stated are believed by half only."""
        stated = -np.diff(np.exp(-edges)) * pairs
        return np.maximum(self.between(edges, pairs), math.sqrt(min(self.level, 1.0)) * stated)


def _counts(u: Floats, edges: Floats, weight: Floats | None = None) -> Floats:
    return np.asarray(np.round(np.histogram(u, edges, weights=weight)[0], 9), np.float64)


def _true_below(bins: _Bins, compared: SubjectPairs, genuine: GenuineRates, shared: SharedEstimate) -> Floats:
    """How many true first pairs to expect in each bin below the level: those whom the estimate leaves."""
    several = compared.several(compared.level(1.0))
    least = np.full(len(bins.low) - 1, 1e-3)
    if not len(several) or shared.found <= shared.expected:
        return least
    true = (shared.found - shared.expected) / shared.found
    out = np.zeros(len(least))
    for number, groups in zip(*np.unique(several, return_counts=True), strict=True):
        share = np.array([genuine.found(math.exp(-edge), int(number))[0] for edge in bins.low])
        if np.isnan(share).any():
            share = np.linspace(1.0, 1.0 - _KNOWS_NOTHING, len(bins.low))
        # Whoever is found stands for 1 / share subjects (Horvitz and Thompson 1952).
        out += true * groups / max(share[-1], 0.05) * np.maximum(-np.diff(share), 0.0)
    smooth = np.convolve(np.pad(out, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    return np.asarray(np.maximum(smooth + 0.02 * smooth.sum() / len(smooth), least), np.float64)


def _strangers_here(seen: Floats, true: Floats, edges: Floats, pairs: int) -> tuple[_Strangers, Floats]:
    """Strangers and true pairs that explain the first pairs below the level best, given what is expected."""
    start = float(edges[0])

    def model(x: Floats) -> tuple[_Strangers, Floats]:
        return _Strangers(start, math.exp(x[0]), float(x[1])), np.asarray(math.exp(x[2]) * true)

    def loss(x: Floats) -> float:
        strangers, some = model(x)
        mean = strangers.between(edges, pairs) + some
        unusual = (x[0] / _LEVEL) ** 2 + (x[1] / _SLOWER) ** 2 + (x[2] / _UNFOUND) ** 2
        return float((mean - seen * np.log(mean)).sum()) + float(unusual) / 2.0

    return model(_minimum(loss, [0.0, 0.0, 0.0], [(_MOST_CAREFUL, 2.0), (0.0, _SLOWEST), (-2.0, 2.0)]))


def _found(seen: Floats, strangers: Floats, genuine: GenuineRates, edges: Floats) -> Floats:
    """True first pairs in each bin above the level, spread as genuine ones are (expectation and maximisation:
    Dempster, Laird and Rubin 1977).
    """
    spread = genuine.density(edges) if len(genuine.p) else np.ones(len(seen))
    spread = spread / spread.sum()
    number = max(1.0, float(seen.sum()) / 2.0)
    for _ in range(_ROUNDS):
        true = number * spread
        number = max(float((seen * true / (true + strangers)).sum()) - _PENALTY, 0.0) + _PRIOR
    return np.asarray(number * spread, np.float64)


def _touching(u: Floats, bins: _Bins, strangers: _Strangers, pairs: int) -> Floats:
    """The log odds of pairs that touch somebody found: true ones, the hard pictures of a person, are spread
    evenly on both sides of the level.
    """
    edges = np.concatenate([bins.low, bins.high[1:]])
    below = np.arange(len(edges) - 1) < len(bins.low) - 1
    width = np.diff(edges)
    even = [np.where(side, width, 0.0) / width[side].sum() for side in (below, ~below)]
    expected = np.where(below, strangers.between(edges, pairs), strangers.at_least_stated(edges, pairs))
    seen = _counts(u, edges)

    def true(x: Floats) -> Floats:
        return np.asarray(x[1] * even[0] + x[2] * even[1], np.float64)

    def loss(x: Floats) -> float:
        mean = math.exp(x[0]) * expected + true(x) + 1e-9
        few = _PENALTY_TOUCHING * (math.log(x[1]) + math.log(x[2]))
        return float((mean - seen * np.log(mean)).sum()) + float((x[0] / _LEVEL_TOUCHING) ** 2) / 2.0 + few

    begin = [0.0, max(0.05, seen[below].sum() / 4.0), max(0.05, seen[~below].sum() / 2.0)]
    best = _minimum(loss, begin, [(-2.5, 2.5), (_PRIOR, 1e9), (_PRIOR, 1e9)])
    ratio = (true(best) + 1e-12) / (math.exp(best[0]) * expected)
    return _read(u, (bins.low, bins.high), ratio, strangers)


def _read(u: Floats, edges: tuple[Floats, Floats], ratio: Floats, strangers: _Strangers) -> Floats:
    """Log odds at ``u`` by the ratio of true pairs to strangers in each bin, never falling.

    Below the bins, where pairs are missing, they go on falling as strangers become more.
    """
    middle = np.concatenate([(side[:-1] + side[1:]) / 2.0 for side in edges])
    odds = np.maximum.accumulate(np.log(ratio))
    return np.asarray(
        np.interp(u, middle, odds) - np.maximum(0.0, middle[0] - u) * (1.0 - strangers.slower), np.float64
    )


def _minimum(
    loss: Callable[[Floats], float], begin: list[float], bounds: list[tuple[float, float]]
) -> Floats:
    from scipy.optimize import minimize  # a command that decides nothing does not wait for it

    return np.asarray(minimize(loss, begin, method="L-BFGS-B", bounds=bounds).x, np.float64)

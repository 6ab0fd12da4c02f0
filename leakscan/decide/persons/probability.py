"""How likely each pair of subjects is one person: the share of true pairs among pairs as good, in this run.

Pairs of every height are a mixture of strangers, as many as p-values say, and of true pairs. How many true
ones to expect hangs on more than the height. A person who was found stands by better pairs already, so pairs
are sorted by how they hang on better ones that were found:

- *first* pairs touch no subject of a better one. Each is a person of its own, and how many there are below
  what is found follows from the estimate of how many are shared.
- *touching* pairs share one subject with a better pair. Where subjects are declared they are strangers;
  where they are not, they may be further pictures of a person who was found, if that is one person. All
  pairs of such a picture with those of the person are true together or not at all, so all are as likely as
  the best of them.
- *inside* pairs are of two subjects that better pairs link already. They are as likely as those links.

Strangers are fitted to this run, too: their number, and whether they fall off more slowly than p-values say.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.persons.shared import MOST_PAIRS, GenuineRates, SharedEstimate, SubjectPairs
from leakscan.decide.persons.standing import Bins, PairStanding, counted

_LEVEL, _MOST_CAREFUL = 0.7, -2.5  # spread and lower end of the log of strangers seen over strangers stated
_SLOWER, _SLOWEST = 0.15, 0.6  # spread and upper end of how much more slowly strangers fall off
_UNFOUND = 1.0  # spread of the log of true pairs below the level over those that the estimate leaves
_LEVEL_TOUCHING = 1.0  # spread of the log of strangers at found subjects over those elsewhere
_EVENLY = 0.2  # of the best pairs of further pictures, spread evenly whatever is known of true pairs
_PENALTY, _PENALTY_TOUCHING = 0.5, 2.0  # pairs that true ones must explain before they count
_HIDDEN = 0.12  # further first pairs for each unit of u, of everybody found with several pictures
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
    standing = PairStanding.of(compared)
    bins = Bins.of(compared, standing)
    u = np.minimum(-np.log(compared.p), bins.top)
    below = _true_below(bins, standing, compared, genuine, shared)
    first, touching, inside = standing.first, standing.touching, standing.inside
    strangers, below = _strangers_here(
        counted(u[first & (u < bins.level)], bins.low), below, bins.low, standing.first_pairs
    )
    odds = np.zeros(len(u))
    high = strangers.at_least_stated(bins.high, compared.comparisons)
    at_level = first & (u >= bins.level)
    found = _found(counted(u[at_level], bins.high, standing.weight[at_level]), high, genuine, bins.high)
    ratio = np.concatenate([below / strangers.between(bins.low, standing.first_pairs), found / high])
    odds[~inside] = _read(u[~inside], (bins.low, bins.high), ratio, strangers)
    share = 1.0 / (1.0 + np.exp(-odds))
    if touching.any():
        spread = _best_of_several(bins, standing.films, genuine)
        further = _touching(
            _Meetings(u[touching], standing.meeting[touching], standing.touching_pairs),
            bins,
            spread,
            strangers,
        )
        # A further picture is of the person found as surely as that person was, else it stands alone.
        true = _persons_found(standing, share)[touching]
        _, at = np.unique(standing.meeting[touching], return_inverse=True)
        alone = np.zeros(len(at))
        np.maximum.at(alone, at, share[touching])
        share[touching] = true / (1.0 + np.exp(-further)) + (1.0 - true) * alone[at]
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


def _persons_found(standing: PairStanding, share: Floats) -> Floats:
    """``(n,)`` how likely the best group that a pair touches is one person: as its best link, or a copy."""
    links = standing.first & standing.near
    groups = np.zeros(int(standing.groups.max(initial=0)) + 1)
    for end in standing.groups[links].T:
        np.maximum.at(groups, end, share[links])
    groups[standing.certain[standing.certain < len(groups)]] = 1.0
    return np.asarray(groups[standing.groups].max(axis=1, initial=0.0), np.float64)


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


def _true_below(
    bins: Bins, standing: PairStanding, compared: SubjectPairs, genuine: GenuineRates, shared: SharedEstimate
) -> Floats:
    """How many true first pairs to expect in each bin below the level: those whom the estimate leaves."""
    several = compared.several(compared.level(1.0))
    least = np.full(len(bins.low) - 1, 1e-3)
    if not len(several) or shared.found <= shared.expected:
        return least
    true = (shared.found - shared.expected) / shared.found
    out = np.zeros(len(least))
    for number, groups in zip(*np.unique(several, return_counts=True), strict=True):
        share, left = 1.0 - _KNOWS_NOTHING, np.full(len(least), _KNOWS_NOTHING / len(least))
        if len(genuine.p):
            share = genuine.found(math.exp(-bins.level), int(number))[0]
            # All pairs of whoever was not found are counted, not the best of them alone.
            left = genuine.left(np.exp(-bins.low), int(number))
        # Whoever is found stands for 1 / share subjects (Horvitz and Thompson 1952).
        out += true * groups / max(share, 0.05) * left
    # Whoever has several pictures and was found may have more of them, which are like none of those found.
    out += true * _HIDDEN * standing.several * np.diff(bins.low)
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


@dataclass(frozen=True)
class _Meetings:
    """Touching pairs ``(n,)``: their ``u``, a number for those that show one person all together or not at
    all, and the number of pairs of subjects that touch somebody found.
    """

    u: Floats
    together: Ints
    pairs: int


def _best_of_several(bins: Bins, films: Ints, genuine: GenuineRates) -> Floats:
    """How the best pair of a further picture with those of a person found is spread over the bins below the
    level, of sum 1.

    Args:
        bins: The bins.
        films: How many pictures of a side every group found has, each of which the picture may be like.
        genuine: How true pairs come out.
    """
    even = np.diff(bins.low) / (bins.low[-1] - bins.low[0])
    out = np.zeros(len(even))
    for number, groups in zip(*np.unique(np.minimum(films, MOST_PAIRS), return_counts=True), strict=True):
        share = np.array([genuine.found(math.exp(-edge), int(number))[0] for edge in bins.low])
        out += groups * np.maximum(-np.diff(share), 0.0)
    if not out.sum() > 0:
        return np.asarray(even, np.float64)
    smooth = np.convolve(np.pad(out, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    return np.asarray((smooth / smooth.sum() + _EVENLY * even) / (1.0 + _EVENLY), np.float64)


def _touching(met: _Meetings, bins: Bins, spread: Floats, strangers: _Strangers) -> Floats:
    """The log odds of pairs that touch somebody found. All pairs of a meeting are as likely as its best one.

    True ones, the hard pictures of a person, are spread as the best of several pairs is below the level, and
    evenly above it.
    """
    _, at = np.unique(met.together, return_inverse=True)
    best = np.full(int(at.max()) + 1, -np.inf)
    np.maximum.at(best, at, met.u)
    edges = np.concatenate([bins.low, bins.high[1:]])
    below = np.arange(len(edges) - 1) < len(bins.low) - 1
    low, high = np.zeros(len(below)), np.where(below, 0.0, np.diff(edges))
    low[below], high = spread, high / high.sum()
    expected = np.where(
        below, strangers.between(edges, met.pairs), strangers.at_least_stated(edges, met.pairs)
    )
    seen = counted(best, edges)

    def true(x: Floats) -> Floats:
        return np.asarray(x[1] * low + x[2] * high, np.float64)

    def loss(x: Floats) -> float:
        mean = math.exp(x[0]) * expected + true(x) + 1e-9
        few = _PENALTY_TOUCHING * (math.log(x[1]) + math.log(x[2]))
        return float((mean - seen * np.log(mean)).sum()) + float((x[0] / _LEVEL_TOUCHING) ** 2) / 2.0 + few

    begin = [0.0, max(0.05, seen[below].sum() / 4.0), max(0.05, seen[~below].sum() / 2.0)]
    found = _minimum(loss, begin, [(-2.5, 2.5), (_PRIOR, 1e9), (_PRIOR, 1e9)])
    ratio = (true(found) + 1e-12) / (math.exp(found[0]) * expected)
    return _read(best, (bins.low, bins.high), ratio, strangers)[at]


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

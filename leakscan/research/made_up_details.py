"""Detail matches of people who do not exist, drawn from those of real ones.

A run asks for the details of two films whose fingerprints are alike. Films that do not exist have none, so
what a match of them would find is taken from real films: from a pair of strangers, or of one person, whose
fingerprints are about as alike. Beyond the most alike real pairs it goes on as the line through them does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.run.memory import Pair, PairMemory

NEAREST = 100
"""Real pairs that are about as alike, of which one is drawn."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RealMatches:
    """Real pairs of films of one kind, strangers or one person.

    Attributes:
        score: ``(n,)`` the cosines of their fingerprints, ascending.
        match: ``(n,)`` their detail matches.
        rise: How much better details match for every unit of the score, by a line through all of them.
    """

    score: Floats
    match: Floats
    rise: float

    @classmethod
    def of(cls, score: Floats, match: Floats) -> RealMatches:
        """Real pairs ``(n,)``, in any order.

        Example:
            >>> RealMatches.of(np.array([0.7, 0.5, 0.6]), np.array([3.0, 1.0, 2.0])).rise
            10.0
        """
        order = np.argsort(score, kind="stable")
        apart = score - score.mean()
        spread = float(apart @ apart)
        rise = float(apart @ match) / spread if spread > 0 else 0.0
        return cls(score[order], match[order], round(rise, 9))

    def drawn(self, score: Floats, luck: Floats) -> Floats:
        """Detail matches of pairs with these scores.

        Args:
            score: ``(m,)`` cosines.
            luck: ``(m,)`` uniform numbers below 1, which choose among the nearest real pairs.

        Example:
            >>> real = RealMatches.of(np.array([0.5, 0.6, 0.7]), np.array([1.0, 2.0, 3.0]))
            >>> real.drawn(np.array([0.9]), np.array([0.5])).round(6).tolist()
            [5.0]
        """
        few = min(NEAREST, len(self.score))
        start = np.clip(np.searchsorted(self.score, score) - few // 2, 0, len(self.score) - few)
        at = start + (luck * few).astype(np.int64)
        return np.asarray(self.match[at] + self.rise * (score - self.score[at]), np.float64)


class DrawnMatches(PairMemory):
    """A memory that knows a detail match of every two made-up films, and that none is a copy of another.

    Args:
        sides: The fingerprints ``(n, d)`` of each dataset by its name.
        shared: How many of the first rows of all of them show the same people.
        strangers: Real pairs of strangers.
        same: Real pairs of one person.

    Example::

        DrawnMatches({"a": a, "b": b}, 300, strangers, same).detail_matches("any", [("a-7", "b-7")])
    """

    def __init__(
        self,
        sides: Mapping[str, npt.NDArray[np.float32]],
        shared: int,
        strangers: RealMatches,
        same: RealMatches,
    ) -> None:
        super().__init__(None)
        self._sides, self._shared, self._strangers, self._same = sides, shared, strangers, same

    def copy_checks(self, pairs: Sequence[Pair]) -> Mapping[Pair, CopyCheck]:
        """No pair is a copy."""
        return dict.fromkeys(pairs, NOT_ALIGNED)

    def detail_matches(self, matcher: str, pairs: Sequence[Pair]) -> Mapping[Pair, float]:
        """What is drawn for each pair: always the same for the same two films."""
        if not pairs:
            return {}
        people, prints = [], []
        for films in zip(*pairs, strict=True):
            names, rows = zip(*(film.rsplit("-", 1) for film in films), strict=True)
            at = np.array(rows, np.int64)
            people.append(at)
            prints.append(np.stack([self._sides[n][i] for n, i in zip(names, at.tolist(), strict=True)]))
        score = (prints[0] * prints[1]).sum(axis=1).astype(np.float64)
        one_person = (people[0] == people[1]) & (people[0] < self._shared)
        luck = np.array([_luck(pair) for pair in pairs])
        found = np.where(one_person, self._same.drawn(score, luck), self._strangers.drawn(score, luck))
        return dict(zip(pairs, found.tolist(), strict=True))


def _luck(pair: Pair) -> float:
    """A number from 0 to below 1 that hangs on the names of two films alone, in whichever order."""
    digest = blake3(" ".join(sorted(pair)).encode()).digest(length=6)
    return int.from_bytes(digest, "big") / 2.0**48

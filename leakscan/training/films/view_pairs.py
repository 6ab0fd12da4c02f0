"""Draws pairs of views of one person, and people who look alike, from kept views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.training.films.kept_views import KeptViews

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_TOGETHER = 1024


@dataclass(frozen=True)
class Weights:
    """How often people are drawn, by what is known of them.

    Attributes:
        of: ``(sources,)`` weight of a person of each source.
        single: What it is multiplied by for people of the first source who have one film.
    """

    of: tuple[float, ...]
    single: float


class ViewPairs:
    """The people of kept views: who they are, how often they are drawn, who looks like whom.

    Args:
        views: The kept views.
        subjects: ``(films,)`` whom each film shows; a film of nobody known is a person of its own.
        sources: ``(films,)`` the number of the data set that it comes from.
        weights: How often people are drawn.

    Attributes:
        people: ``(v,)`` the number of the person whom each view shows.
        prints: ``(people, d)`` the mean fingerprint of each, at unit length.

    Example::

        pairs = ViewPairs(views, subjects, sources, Weights((1.0, 0.4, 0.5), single=0.15))
        one, other = pairs.draw(pairs.seeds(rng, 16), rng, plain=0.3)
    """

    def __init__(
        self, views: KeptViews, subjects: npt.NDArray[np.str_], sources: Ints, weights: Weights
    ) -> None:
        self._views = views
        _, self.people = np.unique(subjects[views.films], return_inverse=True)
        self._order = np.argsort(self.people, kind="stable")
        self._often = np.bincount(self.people)
        self._start = np.cumsum(self._often) - self._often
        source = sources[views.films[self._order[self._start]]]
        films = np.array([len(np.unique(views.films[self._of(person)])) for person in range(self.count)])
        weight = np.asarray(weights.of)[source]
        weight = np.where((source == 0) & (films == 1), weight * weights.single, weight) * (self._often > 1)
        self._weight = weight / weight.sum()
        total = np.zeros((self.count, views.prints.shape[1]), np.float32)
        np.add.at(total, self.people, views.prints)
        self.prints: Floats = total / np.linalg.norm(total, axis=1, keepdims=True)

    @property
    def count(self) -> int:
        """How many people there are."""
        return len(self._often)

    def seeds(self, rng: np.random.Generator, n: int) -> Ints:
        """``(n,)`` people, each at most once, by their weights."""
        return rng.choice(self.count, n, replace=False, p=self._weight)

    def draw(self, people: Ints, rng: np.random.Generator, plain: float) -> tuple[Ints, Ints]:
        """Two views of each person who has two, of two films where there are two.

        Args:
            people: ``(n,)`` the people.
            rng: The source of the draws.
            plain: The share of people with two films of whom only unaltered views are drawn.
        """
        views, one, other = self._views, [], []
        for person in people:
            own = self._of(person)
            if rng.random() < plain and len(unaltered := own[~views.altered[own]]) > 1:
                own = unaltered
            first = own[rng.integers(len(own))]
            rest = own[views.films[own] != views.films[first]]
            rest = rest if len(rest) else own[own != first]
            if len(rest):
                one.append(first)
                other.append(rest[rng.integers(len(rest))])
        return np.array(one, np.int64), np.array(other, np.int64)

    def people_alike(self, often: int) -> Ints:
        """``(people, often)`` who looks most like each person, by their mean fingerprints, best first."""
        return _nearest(self.prints, np.arange(self.count), often)

    def views_alike(self, often: int) -> Ints:
        """``(v, often)`` the views of strangers that look most like each view, best first."""
        return _nearest(self._views.prints, self.people, often)

    def _of(self, person: int) -> Ints:
        start = self._start[person]
        return self._order[start : start + self._often[person]]


def _nearest(prints: Floats, people: Ints, often: int) -> Ints:
    """The nearest prints of other people, best first; fewer where there are not so many."""
    often = min(often, len(prints) - int(np.bincount(people).max()))
    found = np.zeros((len(prints), often), np.int64)
    for at in range(0, len(prints), _TOGETHER):
        scores = prints[at : at + _TOGETHER] @ prints.T
        scores[people[at : at + _TOGETHER, None] == people] = -np.inf
        near = np.argpartition(-scores, often - 1, axis=1)[:, :often]
        order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1)
        found[at : at + _TOGETHER] = np.take_along_axis(near, order, axis=1)
    return found

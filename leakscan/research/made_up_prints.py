"""Fingerprints of people who do not exist, with the statistics of real ones.

A film is a centre of its person plus what differs from film to film. Mean and covariances, between and within
people, are those of real fingerprints. Plain normal distributions would make far too few look-alikes, so
people belong to nested groups: those of a small group share more of what makes a person. How much they share,
and how uneven films are, is fitted to the quantiles of real scores of strangers and of repeated people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVELS = (0.5, 0.1, 0.03, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""False match rates at which scores of strangers are compared."""
GENUINE = (0.03, 0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles at which scores of repeated people are compared."""
_GROUPED = (3e-2, 3e-3, 3e-4, 3e-5)  # how often two people are in one group, by its rank
_PAIRS = 2_000  # drawn for each rank of groups while fitting
_OWN, _FILM, _FAR = 10, 11, 12  # what normal numbers are for, beside the ranks
_AT_ONCE = 10_000  # people drawn together
_LEAST_WEIGHT = 1e-6  # of the largest variance, below which a direction counts as none


@dataclass(frozen=True, kw_only=True)
class PrintStatistics:
    """What made-up fingerprints are drawn from.

    Attributes:
        mean: ``(d,)`` the mean of the people's centres.
        between: ``(d, d)`` a root of the covariance of centres: normal rows times it are centres.
        within: ``(d, d)`` the same of the films around their centre.
        alike: The share of the variance between people that each rank of groups shares, adding up to at
            most 1.
        uneven: The spread of the logarithm of how far films lie from their centre.
        scatter: The factor on ``within``.
    """

    mean: Floats
    between: Floats
    within: Floats
    alike: tuple[float, ...] = (0.0,) * len(_GROUPED)
    uneven: float = 0.0
    scatter: float = 1.0

    @classmethod
    def of(cls, prints: npt.NDArray[np.floating], codes: Ints) -> PrintStatistics:
        """The statistics of real films; every person weighs the same.

        Args:
            prints: ``(n, d)`` fingerprints.
            codes: ``(n,)`` the person on each, from 0; some need two films or more.

        Example::

            statistics = PrintStatistics.of(prints, codes)
            statistics.draw(2, people=10_000, seed=0)[1].shape  # (10_000, 128), a second film of each
        """
        values, counts = np.asarray(prints, np.float64), np.bincount(codes)
        centres = np.zeros((len(counts), values.shape[1]))
        np.add.at(centres, codes, values)
        centres /= counts[:, None]
        apart, several = values - centres[codes], counts[codes] > 1
        weight = np.where(several, 1.0 / np.maximum(counts[codes] - 1, 1), 0.0)
        within = (apart * weight[:, None]).T @ apart / np.count_nonzero(counts > 1)
        between = np.cov(centres.T) - within * float(np.mean(1.0 / counts))
        plain = cls(mean=centres.mean(axis=0), between=_root(between), within=_root(within))
        real = real_scores(values, codes)
        return plain._fitted(real)

    def draw(self, films: int, people: int, seed: int) -> list[npt.NDArray[np.float32]]:
        """So many films of everybody: ``films`` arrays ``(people, d)`` of unit vectors."""
        rng = np.random.default_rng(seed)
        groups = [_Group(round(1 / rate), seed + rank) for rank, rate in enumerate(_GROUPED)]
        drawn: list[list[npt.NDArray[np.float32]]] = [[] for _ in range(films)]
        for start in range(0, people, _AT_ONCE):
            n = min(_AT_ONCE, people - start)
            smallest = rng.integers(0, _smallest(), n)
            parts = [group.of(smallest, len(self.mean)) for group in groups]
            centres = self._centres(parts, rng.normal(size=(n, len(self.mean))))
            for one in drawn:
                apart, far = rng.normal(size=centres.shape), rng.normal(size=(n, 1))
                one.append(self._films(centres, apart, far).astype(np.float32))
        return [np.concatenate(one) for one in drawn]

    def scores(self, seed: int = 0) -> tuple[Floats, Floats]:
        """Scores of strangers at ``LEVELS`` and of repeated people at quantiles ``GENUINE``."""
        noise = _Noise(len(self.mean), seed)
        ranks = range(len(_GROUPED))
        scores, weights = [], []
        rates = (1.0, *_GROUPED, 0.0)
        for depth in range(len(_GROUPED) + 1):
            films = []
            for side in (1, 2):
                parts = [noise.of(0 if rank < depth else side, rank, depth) for rank in ranks]
                centres = self._centres(parts, noise.of(side, _OWN, depth))
                films.append(self._films(centres, *noise.of_film(side, depth)))
            scores.append((films[0] * films[1]).sum(axis=1))
            weights.append(np.full(_PAIRS, (rates[depth] - rates[depth + 1]) / _PAIRS))
        same = self._centres([noise.of(0, rank, 0) for rank in ranks], noise.of(0, _OWN, 0))
        genuine = np.prod([self._films(same, *noise.of_film(side, 0)) for side in (1, 2)], axis=0).sum(axis=1)
        impostors, weight = np.concatenate(scores), np.concatenate(weights)
        order = np.argsort(-impostors)
        at = np.searchsorted(np.cumsum(weight[order]), LEVELS)
        return impostors[order][np.minimum(at, len(order) - 1)], np.quantile(genuine, GENUINE)

    def _centres(self, parts: list[Floats], own: Floats) -> Floats:
        rest = max(0.0, 1.0 - sum(self.alike))
        mixed = np.sqrt(rest) * own
        for share, part in zip(self.alike, parts, strict=True):
            mixed += np.sqrt(share) * part
        return np.asarray(self.mean + mixed @ self.between, np.float64)

    def _films(self, centres: Floats, apart: Floats, far: Floats) -> Floats:
        scale = self.scatter * np.exp(self.uneven * far)
        films = centres + scale * (apart @ self.within)
        return np.asarray(films / np.linalg.norm(films, axis=1, keepdims=True), np.float64)

    def _fitted(self, real: tuple[Floats, Floats]) -> PrintStatistics:
        """With the groups and the unevenness that come nearest to real scores."""
        start = np.array([-2.0] * len(_GROUPED) + [-1.0, -0.3])

        def chosen(x: Floats) -> PrintStatistics:
            share = np.exp(x[: len(_GROUPED)])
            share = share / max(1.0, share.sum() / 0.95)
            return replace(
                self,
                alike=tuple(share.tolist()),
                uneven=float(np.exp(x[-2])),
                scatter=float(np.exp(x[-1])),
            )

        def off(x: Floats) -> float:
            strangers, repeated = chosen(x).scores()
            return float(np.square(strangers - real[0]).sum() + np.square(repeated - real[1]).sum())

        found = minimize(
            off, start, method="Nelder-Mead", options={"maxiter": 150, "xatol": 0.02, "fatol": 1e-5}
        )
        return chosen(found.x)


def real_scores(prints: npt.NDArray[np.floating], codes: Ints, seed: int = 0) -> tuple[Floats, Floats]:
    """Scores of real strangers at ``LEVELS`` and of real repeated people at quantiles ``GENUINE``.

    One film stands for everybody; of a person with several films 20 pairs are drawn.

    Args:
        prints: ``(n, d)`` fingerprints.
        codes: ``(n,)`` the person on each.
        seed: The seed of the draws.

    Example:
        >>> prints = np.eye(4)[[0, 0, 1, 2, 3]]
        >>> strangers, repeated = real_scores(prints, np.array([0, 0, 1, 2, 3]))
        >>> float(strangers.max()), float(repeated.min())
        (0.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes))
    _, first = np.unique(codes[order], return_index=True)
    one = np.asarray(prints, np.float64)[order[first]]
    strangers = (one @ one.T)[np.triu_indices(len(one), 1)]
    genuine = []
    for code in np.flatnonzero(np.bincount(codes) > 1).tolist():
        own = np.asarray(prints, np.float64)[codes == code]
        genuine.append(rng.choice((own @ own.T)[np.triu_indices(len(own), 1)], 20))
    levels = 1.0 - np.array(LEVELS)
    return np.quantile(strangers, levels), np.quantile(np.concatenate(genuine), GENUINE)


@dataclass(frozen=True)
class _Noise:
    """Normal numbers that are the same whenever they are asked for, so that a fit can find its way."""

    dim: int
    seed: int

    def of(self, side: int, rank: int, depth: int) -> Floats:
        """``(pairs, d)``."""
        return _normal((self.seed, side, rank, depth), self.dim)

    def of_film(self, side: int, depth: int) -> tuple[Floats, Floats]:
        """What moves a film, and how far: ``(pairs, d)`` and ``(pairs, 1)``."""
        return self.of(side, _FILM, depth), _normal((self.seed, side, _FAR, depth), 1)


@cache
def _normal(seed: tuple[int, ...], dim: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(_PAIRS, dim))


@dataclass(frozen=True)
class _Group:
    """Groups of one rank: so many, nested in those of the rank above."""

    number: int
    seed: int

    def of(self, smallest: Ints, dim: int) -> Floats:
        """``(n, d)`` what the group of each person shares; people of one smallest group are alike here."""
        own, where = np.unique(smallest * self.number // _smallest(), return_inverse=True)
        drawn = list(_vectors(own, self.seed, dim))
        return np.stack(drawn)[where]


def _smallest() -> int:
    """The number of groups of the last rank."""
    return round(1 / _GROUPED[-1])


def _vectors(numbers: Ints, seed: int, dim: int) -> Iterator[Floats]:
    for number in numbers.tolist():
        yield np.random.default_rng((seed, number)).normal(size=dim)


def _root(covariance: Floats) -> Floats:
    """``R`` with ``R.T @ R`` the covariance, directions without variance left out."""
    values, vectors = np.linalg.eigh(covariance)
    kept = np.maximum(values, _LEAST_WEIGHT * values.max())
    return np.asarray((vectors * np.sqrt(kept)).T, np.float64)

"""Draws batches of film pairs, two films of one subject at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_NEIGHBOURS = 10  # a look-alike is one of this many nearest subjects
_GROUP = 4  # look-alikes drawn together


class PairSampler:
    """Draws batches of pairs in which every subject stands once.

    Subjects with two or more films are drawn alike, however many films they have, so that the few
    with a hundred do not rule; a share of each batch are single-film subjects, whose positive is
    another augmentation of the same film. Where a subject has films of several source widths, a
    pair takes unequal ones, so that resolution never tells who it is.

    Args:
        subjects: ``(n,)`` subject of each film.
        widths: ``(n,)`` source width of each film.
        pairs: pairs per batch.
        singles: share of the batch drawn from single-film subjects.
        hard: share of the other subjects drawn as look-alikes of one another, where centres are
            given to :meth:`batch`.
        seed: of the draws; batch ``step`` is the same in every run.

    Raises:
        ValueError: no subject has two films.
    """

    def __init__(
        self,
        subjects: npt.NDArray[np.str_],
        widths: npt.NDArray[np.int64],
        pairs: int,
        singles: float = 0.15,
        hard: float = 0.0,
        seed: int = 0,
    ) -> None:
        _, codes = np.unique(subjects, return_inverse=True)
        order = np.argsort(codes, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
        self._codes = codes
        self._several = [g for g in groups if len(g) > 1]
        self._several_codes = np.array([codes[g[0]] for g in self._several], np.int64)
        self._single = np.concatenate([np.zeros(0, np.int64)] + [g for g in groups if len(g) == 1])
        if not self._several:
            raise ValueError("no subject has two films: there is nothing to learn from")
        self._widths = widths
        self._pairs = pairs
        self._n_single = min(round(singles * pairs), len(self._single))
        self._hard = hard
        self._seed = seed

    def batch(
        self, step: int, centres: npt.NDArray[np.float32] | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Film indices ``(2 * pairs,)`` and labels ``(2 * pairs,)`` of batch ``step``.

        The second half of the batch holds the partners of the first half, in order.

        Args:
            step: of the run.
            centres: ``(subjects, d)``, unit directions in the order of ``np.unique`` of the
                subjects; look-alikes are subjects whose centres are near.
        """
        rng = np.random.default_rng((self._seed, step))
        chosen = self._choose(self._pairs - self._n_single, centres, rng)
        pairs = [self._two(self._several[i], rng) for i in chosen]
        singles = rng.choice(self._single, self._n_single, replace=False)
        first = np.concatenate([np.array([p[0] for p in pairs], np.int64), singles])
        second = np.concatenate([np.array([p[1] for p in pairs], np.int64), singles])
        labels = self._codes[first]
        return np.concatenate([first, second]), np.concatenate([labels, labels])

    def _choose(
        self, n: int, centres: npt.NDArray[np.float32] | None, rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Positions of ``n`` subjects with several films, each once while there are enough."""
        total = len(self._several)
        if n >= total or centres is None or not self._hard:
            return rng.choice(total, n, replace=n > total)
        own = centres[self._several_codes]
        chosen: list[int] = []
        wanted = round(self._hard * n)
        for seed in rng.permutation(total):
            if len(chosen) >= wanted:
                break
            near = np.argsort(-(own @ own[seed]))[1 : 1 + _NEIGHBOURS]
            group = [int(seed), *rng.choice(near, min(_GROUP - 1, len(near)), replace=False).tolist()]
            chosen += [i for i in group if i not in chosen]
        rest = np.setdiff1d(np.arange(total), chosen)
        return np.concatenate(
            [np.array(chosen[:n], np.int64), rng.choice(rest, max(0, n - len(chosen)), replace=False)]
        )

    def _two(self, films: npt.NDArray[np.int64], rng: np.random.Generator) -> tuple[int, int]:
        first = int(rng.choice(films))
        others = films[films != first]
        unequal = others[self._widths[others] != self._widths[first]]
        pool = unequal if len(unequal) and rng.random() < 0.7 else others
        return first, int(rng.choice(pool))

"""Draws batches: some subjects, a few films of each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leakscan.errors import SourceError
from leakscan.training.films.config import TrainConfig

_NEIGHBOURS = 10  # a look-alike is one of this many nearest subjects
_GROUP = 4  # look-alikes drawn together

Ints = npt.NDArray[np.int64]


class SubjectSampler:
    """Draws batches of P subjects with K films each (P x K sampling); each subject stands once.

    Not pytorch-metric-learning's ``MPerClassSampler``: it knows no source widths, look-alikes or subjects of
    one film, and a resumed run could not ask it for the batch of a step.

    Subjects with two or more films are drawn alike, however many films they have, so that the few
    with a hundred do not rule; a share of each batch are single-film subjects, shown in several
    augmentations of the same film. Where a subject has films of several source widths, unequal
    ones are preferred, so that resolution never tells who it is; likewise contrasts of volumes.

    Args:
        subjects: ``(n,)`` subject of each film.
        sorts: ``(n,)`` source width of each film, or contrast of each volume.
        config: How a batch is drawn: ``pairs`` subjects (with fewer than that in the set, some stand twice)
            of ``films_per_subject`` films each; the shares ``singles``, ``hard`` and ``alike``; ``apart``
            and ``seed``. Batch ``step`` is the same in every run. Where ``apart`` is 1, a subject whose
            films are all of one sort counts as one with a single film.
        groups: ``(n,)`` what a film declares of its subject (sex, view, age), empty if nothing; a
            subject belongs where its first film does.

    Raises:
        SourceError: No subject has two films.

    Example:
        >>> subjects = np.array(["Ann", "Ann", "Bea", "Bea", "Cem", "Cem"])
        >>> widths = np.array([2000, 2500] * 3)
        >>> sampler = SubjectSampler(subjects, widths, TrainConfig(pairs=2, singles=0))
        >>> films, labels = sampler.batch(step=0)
        >>> len(films), bool((labels[:2] == labels[2:]).all())  # anchors, then their partners
        (4, True)
    """

    def __init__(
        self,
        subjects: npt.NDArray[np.str_],
        sorts: npt.NDArray[np.generic],
        config: TrainConfig,
        groups: npt.NDArray[np.str_] | None = None,
    ) -> None:
        apart = config.apart
        _, codes = np.unique(subjects, return_inverse=True)
        order = np.argsort(codes, kind="stable")
        by_subject = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
        self._codes = codes
        kinds = [len(np.unique(sorts[g])) if apart >= 1 else len(g) for g in by_subject]
        self._several = [g for g, k in zip(by_subject, kinds, strict=True) if k > 1]
        self._several_codes = np.array([codes[g[0]] for g in self._several], np.int64)
        alone = [g[:1] for g, k in zip(by_subject, kinds, strict=True) if k == 1]
        self._single = np.concatenate([np.zeros(0, np.int64), *alone])
        self._single_codes = codes[self._single]
        if not self._several:
            what = "images of different contrast" if apart >= 1 else "images"
            raise SourceError(f"No subject has two {what}: there is nothing to learn from.")
        self._group_of = np.array([groups[g[0]] if groups is not None else "" for g in self._several])
        self._sorts, self._apart = sorts, apart
        self._pairs = config.pairs
        self._per_subject = config.films_per_subject
        self._n_single = min(round(config.singles * config.pairs), len(self._single))
        self._hard = config.hard
        self._alike = config.alike
        self._seed = config.seed

    def batch(self, step: int, centres: npt.NDArray[np.float32] | None = None) -> tuple[Ints, Ints]:
        """Film indices ``(K * pairs,)`` and labels ``(K * pairs,)`` of batch ``step``.

        The first ``pairs`` entries hold one film of every subject, the next ``pairs`` their second
        films in the same order, and so on. Labels are positions in ``np.unique`` of the subjects.

        Args:
            step: The number of the step, counted from 0.
            centres: ``(subjects, d)`` unit directions in the order of ``np.unique`` of the
                subjects; look-alikes are subjects whose centres are near.
        """
        rng = np.random.default_rng((self._seed, step))
        chosen = self._choose(self._pairs - self._n_single, centres, rng)
        several = np.array([self._films(self._several[i], rng) for i in chosen], np.int64)
        singles = self._single[self._choose_singles(centres, rng)]
        films = np.concatenate([several, np.repeat(singles[:, None], self._per_subject, axis=1)]).T
        return films.ravel(), self._codes[films.ravel()]

    def _choose(self, n: int, centres: npt.NDArray[np.float32] | None, rng: np.random.Generator) -> Ints:
        """Positions of ``n`` subjects with several films, each once while there are enough."""
        total = len(self._several)
        if n >= total:
            return np.concatenate([rng.permutation(total) for _ in range(-(-n // total))])[:n]
        chosen: list[int] = []
        if centres is not None and self._hard:
            chosen = _alike(centres[self._several_codes], round(self._hard * n), rng)
        if self._alike:
            wanted = len(chosen) + round(self._alike * n)
            for seed in rng.permutation(np.flatnonzero(self._group_of != "")):
                if len(chosen) >= wanted:
                    break
                same = rng.permutation(np.flatnonzero(self._group_of == self._group_of[seed]))
                fresh = same[~np.isin(same, chosen)]
                chosen += fresh[: wanted - len(chosen)].tolist()
        rest = np.setdiff1d(np.arange(total), chosen)
        others = rng.choice(rest, max(0, n - len(chosen)), replace=False)
        return np.concatenate([np.array(chosen[:n], np.int64), others])

    def _choose_singles(self, centres: npt.NDArray[np.float32] | None, rng: np.random.Generator) -> Ints:
        """Positions of subjects with one film, as many as a batch has, each once."""
        chosen: list[int] = []
        if centres is not None and self._hard:
            chosen = _alike(centres[self._single_codes], round(self._hard * self._n_single), rng)
            chosen = chosen[: self._n_single]
        rest = np.setdiff1d(np.arange(len(self._single)), chosen)
        others = rng.choice(rest, self._n_single - len(chosen), replace=False)
        return np.concatenate([np.array(chosen, np.int64), others])

    def _films(self, films: Ints, rng: np.random.Generator) -> list[int]:
        """K films of one subject, different ones while there are enough."""
        first = int(rng.choice(films))
        out, left = [first], films[films != first]
        while len(out) < self._per_subject:
            if not len(left):
                out += rng.choice(films, self._per_subject - len(out)).tolist()
                break
            unequal = left[self._sorts[left] != self._sorts[first]]
            pool = unequal if len(unequal) and rng.random() < self._apart else left
            out.append(int(rng.choice(pool)))
            left = left[left != out[-1]]
        return out


def _alike(centres: npt.NDArray[np.float32], wanted: int, rng: np.random.Generator) -> list[int]:
    """Positions of subjects in groups of look-alikes, each once, as many as wanted and up to three more."""
    chosen: list[int] = []
    for seed in rng.permutation(len(centres)):
        if len(chosen) >= wanted:
            break
        near = np.argsort(-(centres @ centres[seed]))[: 1 + _NEIGHBOURS]
        near = near[near != seed][:_NEIGHBOURS]  # it need not come first among equals
        group = [int(seed), *rng.choice(near, min(_GROUP - 1, len(near)), replace=False).tolist()]
        chosen += [i for i in group if i not in chosen]
    return chosen

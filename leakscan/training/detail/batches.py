"""Batches for detail matching: pairs of one subject, and strangers who are as hard to tell as in a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.errors import SourceError
from leakscan.training.detail.config import DetailConfig

Ints = npt.NDArray[np.int64]

NEAREST = 40
"""Strangers of a film by fingerprint that stand against it; nearer ones more often."""
_TOWARDS_NEAR = 1.5  # power of a uniform draw
_ROWS = 1024  # films held against all others at once


@dataclass(frozen=True)
class Batch:
    """Films of one step.

    Attributes:
        anchors: ``(b,)`` positions of films, each of another subject.
        partners: ``(b,)`` other films of their subjects.
        strangers: ``(b, k)`` films of other subjects that are near to each anchor.
    """

    anchors: Ints
    partners: Ints
    strangers: Ints


class DetailBatches:
    """Draws batches, the same for the same seed and step.

    Args:
        subjects: ``(n,)`` subject of each film.
        prints: ``(n, d)`` unit fingerprints.
        config: How many anchors and strangers a batch has, and the seed of the draws.

    Raises:
        SourceError: There are fewer than two subjects, or none with two films.

    Example:
        >>> subjects = np.array(["Ann", "Ann", "Bea", "Cem"])
        >>> prints = np.eye(4, dtype=np.float32)
        >>> batch = DetailBatches(subjects, prints, DetailConfig(strangers=3))(step=0)
        >>> sorted([*batch.anchors.tolist(), *batch.partners.tolist()])  # the two films of Ann
        [0, 1]
        >>> batch.strangers.shape
        (1, 3)
    """

    def __init__(
        self,
        subjects: npt.NDArray[np.str_],
        prints: npt.NDArray[np.float32],
        config: DetailConfig,
    ) -> None:
        _, codes = np.unique(subjects, return_inverse=True)
        self._order = np.argsort(codes, kind="stable")
        self._counts = np.bincount(codes)
        self._starts = np.cumsum(self._counts) - self._counts
        self._several = np.flatnonzero(self._counts > 1)
        if len(self._counts) < 2 or not len(self._several):
            raise SourceError(
                "No subject has two films to learn from.", "Subjects with two films or more are needed."
            )
        self._size = min(config.anchors, len(self._several))
        self._strangers, self._seed = config.strangers, config.seed
        self._near = nearest_strangers(prints, codes, NEAREST)

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([self._seed, step])
        chosen = rng.choice(self._several, self._size, replace=False)
        films = np.array(
            [
                self._order[self._starts[c] + rng.choice(self._counts[c], 2, replace=False)]
                for c in chosen.tolist()
            ]
        )
        near = self._near[films[:, 0]]
        rank = rng.random((self._size, self._strangers)) ** _TOWARDS_NEAR * near.shape[1]
        strangers = np.take_along_axis(near, rank.astype(np.int64), axis=1)
        return Batch(films[:, 0], films[:, 1], strangers)


def nearest_strangers(prints: npt.NDArray[np.float32], codes: Ints, most: int) -> Ints:
    """``(n, k)`` films of other subjects, nearest first; as many as every film has, ``most`` at most.

    Args:
        prints: ``(n, d)`` unit fingerprints.
        codes: ``(n,)`` number of each film's subject.
        most: The largest number of strangers of a film.

    Example:
        >>> prints = np.array([[1, 0], [0.96, 0.28], [0.8, 0.6], [0, 1]], np.float32)
        >>> subjects = np.array([0, 0, 1, 2])  # the first two films show one person
        >>> nearest_strangers(prints, subjects, most=2).tolist()
        [[2, 3], [2, 3], [1, 0], [2, 1]]
    """
    k = min(most, len(codes) - int(np.bincount(codes).max()))
    out = np.zeros((len(codes), k), np.int64)
    for start in range(0, len(codes), _ROWS):
        rows = slice(start, start + _ROWS)
        cosine = prints[rows] @ prints.T
        cosine[codes[rows, None] == codes[None]] = -np.inf
        near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(cosine, near, axis=1), axis=1, kind="stable")
        out[rows] = np.take_along_axis(near, order, axis=1)
    return out

"""Who is found when the nearest films of a film are looked at again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.fit_detail import MatchPairs
from leakscan.decide.calibration.likelihood import JointEvidence

NEAREST = 10

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Nearest:
    """Queries with another film of their subject in the set.

    Attributes:
        owner: ``(q,)`` int64, their subjects.
        score: ``(q, k)`` of the films with the highest scores, descending.
        found: ``(q, k)`` what a look at each found.
        same: ``(q, k)`` bool, which are of the same subject.
    """

    owner: npt.NDArray[np.int64]
    score: Floats
    found: Floats
    same: Bools

    @property
    def first(self) -> Bools:
        """``(q,)`` whether the film of the highest score is right."""
        return np.asarray(self.same[:, 0])

    @property
    def within(self) -> Bools:
        """``(q,)`` whether any of them is."""
        return np.asarray(self.same.any(axis=1))

    def looked(self, joint: JointEvidence) -> Bools:
        """``(q,)`` whether the film of the highest joint ratio is right."""
        ratio = joint.llr(self.score.ravel(), self.found.ravel()).reshape(self.score.shape)
        return np.asarray(self.same[np.arange(len(ratio)), ratio.argmax(axis=1)])


def match_nearest(
    prints: npt.NDArray[np.float32],
    subjects: npt.NDArray[np.str_] | npt.NDArray[np.int64],
    look: MatchPairs,
    scores_of: Callable[[Floats], Floats] = lambda cosine: cosine,
    most: int | None = None,
    seed: int = 0,
) -> Nearest:
    """Looks at the ``NEAREST`` films of every film whose subject has another.

    Args:
        prints: ``(n, d)`` unit vectors.
        subjects: ``(n,)``.
        look: looks at pairs.
        scores_of: turns cosines into the scores that the joint ratio takes; rising.
        most: films that ask, drawn where more could; all if not given.
        seed: of the draw.
    """
    _, codes, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    queries = np.flatnonzero(counts[codes] > 1)
    if most is not None and len(queries) > most:
        queries = np.sort(np.random.default_rng(seed).choice(queries, most, replace=False))
    cosine = (prints[queries] @ prints.T).astype(np.float64)
    cosine[np.arange(len(queries)), queries] = -np.inf
    near = np.argsort(-cosine, axis=1, kind="stable")[:, : min(NEAREST, len(prints) - 1)]
    pairs = np.stack([np.repeat(queries, near.shape[1]), near.ravel()], axis=1).astype(np.int64)
    score = scores_of(np.take_along_axis(cosine, near, axis=1).ravel()).reshape(near.shape)
    return Nearest(
        codes[queries].astype(np.int64),
        score,
        np.asarray(look(pairs), np.float64).reshape(near.shape),
        codes[near] == codes[queries][:, None],
    )

"""Who is found when the details of a film are matched with those of its nearest films."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.fit_detail import MatchPairs
from leakscan.decide.calibration.likelihood import JointEvidence

NEAREST = 10
"""Films that each query is matched with."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Nearest:
    """Queries with another film of their subject in the set.

    Attributes:
        owner: ``(q,)`` int64, the subjects of the queries.
        score: ``(q, k)`` the highest scores of each query, descending.
        found: ``(q, k)`` what the detail match with each of these films found.
        same: ``(q, k)`` bool, whether the film is of the same subject.
    """

    owner: npt.NDArray[np.int64]
    score: Floats
    found: Floats
    same: Bools

    @property
    def first(self) -> Bools:
        """``(q,)`` bool, whether the film of the highest score is right."""
        return np.asarray(self.same[:, 0])

    @property
    def within(self) -> Bools:
        """``(q,)`` bool, whether any of the films is right."""
        return np.asarray(self.same.any(axis=1))

    def first_by_both(self, joint: JointEvidence) -> Bools:
        """``(q,)`` bool, whether the film of the highest joint ratio is right."""
        ratio = joint.llr(self.score.ravel(), self.found.ravel()).reshape(self.score.shape)
        return np.asarray(self.same[np.arange(len(ratio)), ratio.argmax(axis=1)])


def match_nearest(
    prints: npt.NDArray[np.float32],
    subjects: npt.NDArray[np.str_] | npt.NDArray[np.int64],
    match: MatchPairs,
    scores_of: Callable[[Floats], Floats] = lambda cosine: cosine,
    most: int | None = None,
    seed: int = 0,
) -> Nearest:
    """Matches the details of every film whose subject has another with its ``NEAREST`` films.

    Args:
        prints: ``(n, d)`` unit vectors.
        subjects: ``(n,)`` names or codes.
        match: Matches the details of pairs of films.
        scores_of: Turns cosines into the scores that the joint ratio takes; it must rise.
        most: The number of films that ask, drawn where more could; all ask if it is not given.
        seed: The seed of the draw.

    Example:
        >>> films = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], np.float32)
        >>> people = np.array(["p1", "p1", "p2", "p2"])
        >>> found = match_nearest(films, people, match=lambda pairs: np.zeros(len(pairs)))
        >>> found.first.tolist(), found.within.tolist()
        ([True, False, False, True], [True, True, True, True])
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
        owner=codes[queries].astype(np.int64),
        score=score,
        found=np.asarray(match(pairs), np.float64).reshape(near.shape),
        same=codes[near] == codes[queries][:, None],
    )

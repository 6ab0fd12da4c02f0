"""How well scores tell people apart: error rates of compared images, and intervals by subject.

Error rates follow ISO/IEC 19795-1: FMR is the share of impostor pairs accepted, FNMR the share of
genuine pairs rejected, and TAR = 1 - FNMR. By default a genuine pair weighs 1 / (its subject's number
of genuine pairs), because a few subjects with a hundred films would otherwise be the result.

Training chooses weights by these figures, and an evaluation reports by them. The rates ask a
:class:`ComparedScores` two questions only: which share of the impostor pairs lies below a score, and
which score a given share of them exceeds. :class:`PairScores` knows every impostor score. An evaluation
of many images keeps a histogram and the highest scores instead
(:class:`leakscan.evaluation.pairing.Compared`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from leakscan.subject_bootstrap import Draws, Estimate, per_subject, resampled_ratio, subject_draws

Weighting = Literal["subjects", "pairs"]
WEIGHTINGS: tuple[Weighting, ...] = ("subjects", "pairs")
"""``subjects`` gives every subject with a genuine pair the same weight, ``pairs`` every genuine pair."""

RATES = (1e-2, 1e-3, 1e-4, 1e-5)
"""False match rates that are reported."""
LEAST_BEHIND_RATE = 10
"""Impostor pairs that must lie beyond a threshold before its false match rate is reported."""

Floats = npt.NDArray[np.float64]


class ComparedScores(Protocol):
    """Scores of genuine and impostor pairs of a labelled set."""

    @property
    def genuine(self) -> npt.NDArray[np.floating]:
        """``(g,)`` cosine similarities of pairs of one subject."""

    @property
    def owner(self) -> npt.NDArray[np.int64]:
        """``(g,)`` the subject of each genuine pair."""

    @property
    def n_impostor(self) -> int:
        """The number of pairs of two subjects."""

    def share_below(self, scores: npt.NDArray[np.floating]) -> Floats:
        """``(n,)`` share of the impostor pairs below each of ``(n,)`` scores; equal ones count half."""

    def threshold_at_fmr(self, fmr: float) -> float:
        """The lowest score that at most a share ``fmr`` of the impostor pairs exceeds.

        Raises:
            ValueError: There are too few impostor pairs to speak of this rate.
        """


@dataclass(frozen=True)
class PairScores:
    """Similarities of all pairs of a labelled set; a :class:`ComparedScores`.

    Attributes:
        genuine: ``(g,)`` cosine similarities of pairs of one subject.
        owner: ``(g,)`` the subject of each genuine pair.
        impostor: ``(i,)`` cosine similarities of pairs of two subjects, ascending.
    """

    genuine: Floats
    owner: npt.NDArray[np.int64]
    impostor: Floats

    @property
    def n_impostor(self) -> int:
        """The number of pairs of two subjects."""
        return len(self.impostor)

    @property
    def weight(self) -> Floats:
        """``(g,)`` weight of each genuine pair, 1 per subject in total."""
        return genuine_weights(self)

    def share_below(self, scores: npt.NDArray[np.floating]) -> Floats:
        """See :class:`ComparedScores`."""
        below = np.searchsorted(self.impostor, scores, side="left")
        upto = np.searchsorted(self.impostor, scores, side="right")
        return np.asarray((below + upto) / 2 / len(self.impostor))

    def threshold_at_fmr(self, fmr: float) -> float:
        """See :class:`ComparedScores`."""
        return threshold_at_fmr(self.impostor, fmr)


def pair_scores(fingerprints: npt.NDArray[np.floating], subjects: npt.NDArray[np.str_]) -> PairScores:
    """Compares every image of a set with every other; memory grows with the number of pairs.

    Args:
        fingerprints: ``(n, d)``, L2-normalised.
        subjects: ``(n,)`` names; no subject may be unknown.

    Example:
        >>> pairs = pair_scores(np.eye(4)[[0, 0, 1, 1]], np.array(["p", "p", "q", "q"]))
        >>> len(pairs.genuine), pairs.n_impostor, auc(pairs)
        (2, 4, 1.0)
    """
    unit = np.asarray(fingerprints, np.float32)
    _, codes = np.unique(subjects, return_inverse=True)
    first, second = np.triu_indices(len(codes), k=1)
    scores = (unit @ unit.T)[first, second].astype(np.float64)
    same = codes[first] == codes[second]
    return PairScores(scores[same], codes[first][same], np.sort(scores[~same]))


def genuine_weights(pairs: ComparedScores, weighting: Weighting = "subjects") -> Floats:
    """``(g,)`` weight of each genuine pair: 1, or 1 / (its subject's number of genuine pairs).

    Example:
        >>> pairs = PairScores(np.array([0.9, 0.8, 0.3]), np.array([0, 0, 1]), np.linspace(0, 0.5, 100))
        >>> genuine_weights(pairs)  # two pairs of the first subject weigh as much as one of the second
        array([0.5, 0.5, 1. ])
    """
    if weighting == "pairs" or not len(pairs.owner):
        return np.ones(len(pairs.genuine))
    return np.asarray(1.0 / np.bincount(pairs.owner)[pairs.owner])


def supported_rates(n_impostor: int, rates: Sequence[float] = RATES) -> list[float]:
    """The false match rates that at least ``LEAST_BEHIND_RATE`` of ``n_impostor`` pairs stand behind.

    Example:
        >>> supported_rates(20_000)
        [0.01, 0.001]
    """
    return [rate for rate in rates if rate * n_impostor >= LEAST_BEHIND_RATE]


def pairs_beyond(n_impostor: int, fmr: float) -> int:
    """How many of ``n_impostor`` pairs may exceed the threshold of a false match rate.

    Raises:
        ValueError: There are too few impostor pairs to speak of this rate.

    Example:
        >>> pairs_beyond(20_000, 1e-3)
        20
    """
    if fmr * n_impostor < 1:
        raise ValueError(f"{n_impostor} impostor pairs cannot support a false match rate of {fmr:g}")
    return int(fmr * n_impostor)


def threshold_at_fmr(impostor: Floats, fmr: float) -> float:
    """The lowest score that at most a share ``fmr`` of impostor pairs exceeds.

    Args:
        impostor: ``(i,)`` scores, ascending.
        fmr: The false match rate, at least 1 / i.

    Raises:
        ValueError: There are too few impostor pairs to speak of this rate.

    Example:
        >>> threshold_at_fmr(np.arange(100.0), 0.05)
        94.0
    """
    return float(impostor[len(impostor) - pairs_beyond(len(impostor), fmr) - 1])


def auc(pairs: ComparedScores, weighting: Weighting = "subjects") -> float:
    """Probability that a genuine pair outscores an impostor pair, ties counting half (0..1).

    Example:
        >>> pairs = PairScores(np.array([0.9, 0.8, 0.3]), np.array([0, 0, 1]), np.linspace(0, 0.5, 100))
        >>> round(auc(pairs), 3), round(auc(pairs, "pairs"), 3)
        (0.8, 0.867)
    """
    return float(np.average(pairs.share_below(pairs.genuine), weights=genuine_weights(pairs, weighting)))


def tar_at_fmr(pairs: ComparedScores, fmr: float, weighting: Weighting = "subjects") -> float:
    """True accept rate (0..1): the share of genuine pairs above the threshold of a false match rate.

    Raises:
        ValueError: There are too few impostor pairs to speak of this rate.

    Example:
        >>> pairs = PairScores(np.array([0.9, 0.8, 0.3]), np.array([0, 0, 1]), np.linspace(0, 0.5, 100))
        >>> round(tar_at_fmr(pairs, 0.01), 3), round(tar_at_fmr(pairs, 0.01, "pairs"), 3)
        (0.5, 0.667)
    """
    accepted = pairs.genuine > pairs.threshold_at_fmr(fmr)
    return float(np.average(accepted, weights=genuine_weights(pairs, weighting)))


def precision_at_1(fingerprints: npt.NDArray[np.floating], subjects: npt.NDArray[np.str_]) -> float:
    """Share of images whose nearest other image is of the same subject, subjects weighing equally.

    Images of subjects with a single image are in the gallery but ask nothing.

    Args:
        fingerprints: ``(n, d)``, L2-normalised.
        subjects: ``(n,)`` names.

    Example:
        >>> fingerprints = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]])
        >>> precision_at_1(fingerprints, np.array(["p", "p", "q", "p"]))  # q has one image: it asks nothing
        0.3333333333333333
    """
    unit = np.asarray(fingerprints, np.float32)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    _, codes, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    hit = codes[scores.argmax(axis=1)] == codes
    asks = counts[codes] > 1
    return float(np.average(hit[asks], weights=1.0 / counts[codes][asks]))


def bootstrap_interval(pairs: PairScores, fmr: float, draws: int = 500, seed: int = 0) -> tuple[float, float]:
    """95 % interval of :func:`tar_at_fmr`, resampling the subjects of the genuine pairs.

    The threshold is held: its own uncertainty is small beside that of some hundred subjects.

    Example:
        >>> pairs = PairScores(np.array([0.9, 0.8, 0.3]), np.array([0, 0, 1]), np.linspace(0, 0.5, 100))
        >>> bootstrap_interval(pairs, 0.01)  # two subjects say hardly anything
        (0.0, 1.0)
    """
    owners, codes = np.unique(pairs.owner, return_inverse=True)
    accepted = per_subject(codes, pairs.weight * (pairs.genuine > pairs.threshold_at_fmr(fmr)), len(owners))
    found = resampled_ratio(accepted, np.ones(len(owners)), subject_draws(len(owners), draws, seed))
    return found.low, found.high


def n_way_one_shot(
    fingerprints: npt.NDArray[np.floating],
    subjects: npt.NDArray[np.str_],
    ways: int,
    episodes: int = 2000,
    seed: int = 0,
) -> float:
    """N-way 1-shot recall (arXiv 2512.16685): one support film per subject, and one query (0..1).

    Args:
        fingerprints: ``(n, d)``, L2-normalised.
        subjects: ``(n,)`` names.
        ways: The number of subjects in an episode.
        episodes: The number of random episodes.
        seed: The seed of the draws.

    Example:
        >>> subjects = np.repeat(np.arange(20), 2).astype(str)
        >>> perfect, blind = np.eye(20).repeat(2, axis=0), np.ones((40, 1))
        >>> [round(n_way_one_shot(prints, subjects, ways=5, episodes=50), 3) for prints in (perfect, blind)]
        [1.0, 0.2]
    """
    rng = np.random.default_rng(seed)
    unit = np.asarray(fingerprints, np.float32)
    _, codes = np.unique(subjects, return_inverse=True)
    groups = [np.flatnonzero(codes == c) for c in range(codes.max() + 1)]
    several = [i for i, g in enumerate(groups) if len(g) > 1]
    hits = 0.0
    for _ in range(episodes):
        target = int(rng.choice(several))
        query, support = rng.choice(groups[target], 2, replace=False)
        others = rng.choice([i for i in range(len(groups)) if i != target], ways - 1, replace=False)
        supports = np.array([support] + [rng.choice(groups[i]) for i in others])
        scores = unit[supports] @ unit[query]
        best = scores == scores.max()
        hits += best[0] / best.sum()  # of supports that tie, any may be taken for the right one
    return float(hits / episodes)


def resampled_mean(
    owner: npt.NDArray[np.int64], values: Floats, weighting: Weighting, draws: Draws
) -> Estimate:
    """The mean of something that subjects have several of, with the interval that resampling gives.

    Args:
        owner: ``(n,)`` the subject of each value.
        values: ``(n,)`` numbers, such as whether the nearest image is right.
        weighting: Whether every subject with a value counts the same, or every value (``pairs``).
        draws: ``(draws, n_subjects)`` from :func:`subject_draws`.

    Example:
        >>> owner, right = np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 1.0, 0.0])
        >>> [resampled_mean(owner, right, weighting, subject_draws(2)).value for weighting in WEIGHTINGS]
        [0.5, 0.75]
    """
    n = draws.shape[1]
    counts = per_subject(owner, np.ones(len(owner)), n)
    sums = per_subject(owner, values, n)
    if weighting == "subjects":
        sums, counts = sums / np.maximum(counts, 1), (counts > 0).astype(np.float64)
    return resampled_ratio(sums, counts, draws)

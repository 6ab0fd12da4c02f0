"""How well fingerprints tell people apart, every subject counting the same.

Error rates follow ISO/IEC 19795-1: FMR is the share of impostor pairs accepted, FNMR the share of
genuine pairs rejected, and TAR = 1 - FNMR. A genuine pair weighs 1 / (its subject's number of
genuine pairs), because a few subjects with a hundred films would otherwise be the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairScores:
    """Similarities of all pairs of a labelled set.

    Attributes:
        genuine: ``(g,)`` cosine similarity of pairs of one subject.
        weight: ``(g,)`` weight of each, 1 per subject in total.
        owner: ``(g,)`` int, the subject of each.
        impostor: ``(i,)`` cosine similarity of pairs of two subjects, ascending.
    """

    genuine: Floats
    weight: Floats
    owner: npt.NDArray[np.int64]
    impostor: Floats


def pair_scores(fingerprints: npt.NDArray[np.floating], subjects: npt.NDArray[np.str_]) -> PairScores:
    """Compares every image of a set with every other.

    Args:
        fingerprints: ``(n, d)``, L2-normalised.
        subjects: ``(n,)``; no subject may be unknown.
    """
    unit = np.asarray(fingerprints, np.float32)
    _, codes = np.unique(subjects, return_inverse=True)
    first, second = np.triu_indices(len(codes), k=1)
    scores = (unit @ unit.T)[first, second].astype(np.float64)
    same = codes[first] == codes[second]
    owner = codes[first][same]
    weight = 1.0 / np.bincount(owner, minlength=codes.max() + 1)[owner] if len(owner) else np.zeros(0)
    return PairScores(scores[same], weight, owner, np.sort(scores[~same]))


def auc(pairs: PairScores) -> float:
    """Probability that a genuine pair outscores an impostor pair, subjects weighted equally."""
    below = np.searchsorted(pairs.impostor, pairs.genuine, side="left")
    upto = np.searchsorted(pairs.impostor, pairs.genuine, side="right")
    wins = (below + upto) / 2 / len(pairs.impostor)
    return float(np.average(wins, weights=pairs.weight))


def threshold_at_fmr(impostor: Floats, fmr: float) -> float:
    """The lowest score that at most a share ``fmr`` of impostor pairs exceeds.

    Args:
        impostor: ascending scores.
        fmr: false match rate, at least 1 / number of pairs.

    Raises:
        ValueError: there are too few impostor pairs to speak of this rate.
    """
    if fmr * len(impostor) < 1:
        raise ValueError(f"{len(impostor)} impostor pairs cannot support a false match rate of {fmr:g}")
    return float(impostor[len(impostor) - int(fmr * len(impostor)) - 1])


def tar_at_fmr(pairs: PairScores, fmr: float) -> float:
    """True accept rate at a false match rate, subjects weighted equally (0..1)."""
    threshold = threshold_at_fmr(pairs.impostor, fmr)
    return float(np.average(pairs.genuine > threshold, weights=pairs.weight))


def precision_at_1(fingerprints: npt.NDArray[np.floating], subjects: npt.NDArray[np.str_]) -> float:
    """Share of images whose nearest other image is of the same subject.

    Images of subjects with a single image are in the gallery but ask nothing; subjects weigh
    equally.
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
    """
    threshold = threshold_at_fmr(pairs.impostor, fmr)
    accepted = np.bincount(pairs.owner, pairs.weight * (pairs.genuine > threshold))
    per_subject = accepted[np.unique(pairs.owner)]
    rng = np.random.default_rng(seed)
    means = rng.choice(per_subject, (draws, len(per_subject))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def n_way_one_shot(
    fingerprints: npt.NDArray[np.floating],
    subjects: npt.NDArray[np.str_],
    ways: int,
    episodes: int = 2000,
    seed: int = 0,
) -> float:
    """N-way 1-shot recall (arXiv 2512.16685): one support film per subject, one query.

    Args:
        fingerprints: ``(n, d)``, L2-normalised.
        subjects: ``(n,)``.
        ways: subjects in an episode.
        episodes: number of random episodes.
        seed: of the draws.
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


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: the figure.
        low: 2.5 % point of the resampled figures.
        high: 97.5 % point of the resampled figures.
        n_subjects: subjects that have a say in it.
    """

    value: float
    low: float
    high: float
    n_subjects: int


def subject_draws(n_subjects: int, draws: int = 500, seed: int = 0) -> npt.NDArray[np.float32]:
    """How often each subject is drawn when as many subjects are drawn with replacement.

    The bootstrap of B. Efron (1979) with the subject as the unit, because pairs and images of one
    subject are not independent of each other.

    Args:
        n_subjects: subjects to draw from.
        draws: repetitions.
        seed: of the draws.

    Returns:
        ``(draws, n_subjects)`` float32 counts; every row sums to ``n_subjects``.
    """
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, n_subjects), np.float32)
    for row in drawn:
        row[:] = np.bincount(rng.integers(n_subjects, size=n_subjects), minlength=n_subjects)
    return drawn


def per_subject(owner: npt.NDArray[np.int64], values: Floats, n_subjects: int) -> Floats:
    """``(n_subjects,)`` sums of what each subject owns."""
    return np.asarray(np.bincount(owner, values, minlength=n_subjects), np.float64)


def resampled_ratio(sums: Floats, weights: Floats, draws: npt.NDArray[np.float32]) -> Estimate:
    """``sums.sum() / weights.sum()`` with the interval that resampling subjects gives.

    Args:
        sums: ``(n,)`` per subject.
        weights: ``(n,)`` per subject; a subject of weight 0 has no say.
        draws: ``(draws, n)`` from :func:`subject_draws`.
    """
    counted = weights > 0
    totals = draws[:, counted] @ weights[counted]
    figures = (draws[:, counted] @ sums[counted])[totals > 0] / totals[totals > 0]
    return estimate(float(sums[counted].sum() / weights[counted].sum()), figures, int(counted.sum()))


def estimate(value: float, figures: Floats, n_subjects: int) -> Estimate:
    """A figure with the 2.5 and 97.5 % points of its resampled values ``(draws,)``."""
    low, high = np.quantile(figures, [0.025, 0.975]) if len(figures) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high), n_subjects)

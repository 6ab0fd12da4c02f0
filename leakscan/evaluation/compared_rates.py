"""Error rates of a compared set with intervals: AUC, EER, TAR at an FMR, distances, P@1, MAP@R.

Rates follow ISO/IEC 19795-1. Every figure comes twice: ``subjects`` gives every subject with a genuine
pair the same weight, ``pairs`` gives it to every genuine pair (or image that asks). Impostor pairs weigh
equally in both. Intervals resample subjects; for TAR the impostor pairs are resampled along, a pair
counting as often as its two subjects were drawn together, because the threshold is uncertain too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from leakscan.error_rates import Estimate, estimate, per_subject, resampled_ratio
from leakscan.evaluation.pairing import BINS, Compared, bin_edges, distance, score_bin

Weighting = Literal["subjects", "pairs"]
WEIGHTINGS: tuple[Weighting, ...] = ("subjects", "pairs")
RATES = (1e-2, 1e-3, 1e-4, 1e-5)
LEAST_BEHIND_RATE = 10
"""Impostor pairs that must lie beyond a threshold before its false match rate is reported."""

_EER_POINTS = 400
_SPARE = 3.0  # times the pairs beyond a threshold, among which a resampled threshold is looked for
Floats = npt.NDArray[np.float64]
Draws = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        metric: ``auc``, ``eer``, ``tar@fmr=0.001``, ``p_at_1``...
        weighting: who counts the same.
        estimate: value and interval.
    """

    metric: str
    weighting: Weighting
    estimate: Estimate


def figures(compared: Compared, draws: Draws) -> list[Figure]:
    """Everything that can be said of a compared set; empty without genuine or impostor pairs.

    Args:
        compared: of one system under one rule.
        draws: ``(draws, n_subjects)`` from :func:`leakscan.error_rates.subject_draws`.
    """
    if not len(compared.genuine) or not compared.n_impostor:
        return []
    out = []
    rates = [rate for rate in RATES if rate * compared.n_impostor >= LEAST_BEHIND_RATE]
    thresholds = {rate: drawn_thresholds(compared, rate, draws) for rate in rates}
    for weighting in WEIGHTINGS:
        out.append(Figure("auc", weighting, auc(compared, weighting, draws)))
        out.append(Figure("eer", weighting, eer(compared, weighting, draws)))
        out += [
            Figure(f"tar@fmr={rate:g}", weighting, tar_at_fmr(compared, rate, weighting, draws, drawn))
            for rate, drawn in thresholds.items()
        ]
        out.append(Figure("p_at_1", weighting, _of_images(compared, compared.hit, weighting, draws)))
        out.append(
            Figure("map_at_r", weighting, _of_images(compared, compared.average_precision, weighting, draws))
        )
        out.append(Figure("miasd", weighting, miasd(compared, weighting, draws)))
    out.append(Figure("miesd", "pairs", miesd(compared)))
    return out


def genuine_weights(compared: Compared, weighting: Weighting) -> Floats:
    """``(g,)`` weight of each genuine pair: 1, or 1 / (its subject's number of genuine pairs)."""
    if weighting == "pairs":
        return np.ones(len(compared.genuine))
    return np.asarray(1.0 / np.bincount(compared.owner, minlength=compared.n_subjects)[compared.owner])


def auc(compared: Compared, weighting: Weighting, draws: Draws) -> Estimate:
    """Probability that a genuine pair outscores an impostor pair, ties counting half.

    It is read off the histogram, so impostors in a genuine score's bin count half as well; see
    :func:`auc_error`. The impostors are held in the resampling.
    """
    share = compared.histogram / compared.n_impostor
    below = np.cumsum(share) - share / 2
    return _of_pairs(compared, below[score_bin(compared.genuine)], weighting, draws)


def auc_error(compared: Compared, weighting: Weighting) -> float:
    """Largest error that the histogram can have put into :func:`auc`: half a bin's share on average."""
    share = compared.histogram / compared.n_impostor / 2
    return float(np.average(share[score_bin(compared.genuine)], weights=genuine_weights(compared, weighting)))


def false_rates(compared: Compared, weighting: Weighting) -> tuple[Floats, Floats]:
    """The DET curve: FMR and FNMR ``(BINS + 1,)`` when scores from each bin edge up are accepted."""
    impostors = np.r_[0, np.cumsum(compared.histogram)] / compared.n_impostor
    weights = np.bincount(score_bin(compared.genuine), genuine_weights(compared, weighting), minlength=BINS)
    return 1.0 - impostors, np.r_[0.0, np.cumsum(weights)] / weights.sum()


def eer(compared: Compared, weighting: Weighting, draws: Draws) -> Estimate:
    """The rate at which FMR and FNMR are equal, interpolated linearly between thresholds.

    The interval holds the impostors and moves the genuine curve on a grid of thresholds.
    """
    fmr, fnmr = false_rates(compared, weighting)
    value = float(_crossing(fmr, fnmr[None, :])[0])
    # Most of the grid goes where impostors thin out and where genuine scores are; it holds the crossing.
    quantiles = np.searchsorted(-fmr, -np.geomspace(1, 1 / compared.n_impostor, _EER_POINTS))
    genuine = np.unique(score_bin(compared.genuine))
    genuine = genuine[np.linspace(0, len(genuine) - 1, min(len(genuine), _EER_POINTS)).astype(int)]
    after = int(np.argmax(fnmr >= fmr))
    at = np.unique(np.clip(np.r_[quantiles, genuine, genuine + 1, after - 1, after, BINS], 0, BINS))
    column = np.searchsorted(at, score_bin(compared.genuine), side="right")
    weights = genuine_weights(compared, weighting)
    owners, rows = np.unique(compared.owner, return_inverse=True)
    mass = np.bincount(rows * (len(at) + 1) + column, weights, minlength=len(owners) * (len(at) + 1))
    mass = mass.reshape(len(owners), len(at) + 1).astype(np.float32)
    drawn = draws[:, owners] @ mass
    missed = np.cumsum(drawn, axis=1)[:, : len(at)] / np.maximum(drawn.sum(axis=1, keepdims=True), 1e-9)
    return estimate(value, _crossing(fmr[at], missed.astype(np.float64)), len(owners))


def threshold_at_fmr(compared: Compared, fmr: float) -> float:
    """The lowest score that at most a share ``fmr`` of impostor pairs exceeds.

    Exact while the tail holds it; beyond, the upper edge of its bin (at most 3.1e-5 too high).

    Raises:
        ValueError: there are too few impostor pairs to speak of this rate.
    """
    beyond = _pairs_beyond(compared, fmr)
    if beyond < len(compared.tail):
        return float(compared.tail[beyond])
    above = np.cumsum(compared.histogram[::-1])[::-1]
    return float(bin_edges()[:-1][above <= beyond][0]) if (above <= beyond).any() else 1.0


def tar_at_fmr(
    compared: Compared, fmr: float, weighting: Weighting, draws: Draws, thresholds: Floats | None = None
) -> Estimate:
    """Share of genuine pairs above the threshold of an FMR.

    Args:
        compared: of one system under one rule.
        fmr: false match rate.
        weighting: of the genuine pairs.
        draws: of subjects.
        thresholds: :func:`drawn_thresholds`, if they are at hand.

    Raises:
        ValueError: there are too few impostor pairs to speak of this rate.
    """
    weights = genuine_weights(compared, weighting)
    accepted = compared.genuine > threshold_at_fmr(compared, fmr)
    value = float(np.average(accepted, weights=weights))
    order = np.argsort(-compared.genuine)
    scores, weights, owner = -compared.genuine[order], weights[order], compared.owner[order]
    if thresholds is None:
        thresholds = drawn_thresholds(compared, fmr, draws)
    found = []
    for drawn, threshold in zip(draws, thresholds, strict=True):
        running = np.cumsum(weights * drawn[owner])
        if running[-1] > 0:
            above = int(np.searchsorted(scores, -threshold, side="left"))
            found.append((running[above - 1] if above else 0.0) / running[-1])
    return estimate(value, np.array(found), len(np.unique(owner)))


def drawn_thresholds(compared: Compared, fmr: float, draws: Draws) -> Floats:
    """The threshold of each draw of subjects; the exact one throughout where the tail does not hold it."""
    beyond = _pairs_beyond(compared, fmr)
    if beyond >= len(compared.tail):
        return np.full(len(draws), threshold_at_fmr(compared, fmr))
    looked = slice(0, int(_SPARE * beyond) + 100)
    scores, owners = compared.tail[looked], compared.tail_owners[looked]
    out = np.empty(len(draws))
    images = compared.images_of
    pairs = (images.sum() ** 2 - (images**2).sum()) / 2
    for i, drawn in enumerate(draws):
        weight = drawn[owners[:, 0]] * drawn[owners[:, 1]]
        # Pairs of all images stand in for those under a rule: their number changes alike.
        held = drawn * images
        share = (held.sum() ** 2 - (held**2).sum()) / 2 / pairs
        # Pairs that are allowed beyond the threshold; the next one down is the threshold itself.
        at = np.searchsorted(np.cumsum(weight), fmr * compared.n_impostor * share, side="right")
        out[i] = scores[min(int(at), len(scores) - 1)]
    return out


def miasd(compared: Compared, weighting: Weighting, draws: Draws) -> Estimate:
    """Mean intra-subject distance (arXiv 2512.16685), Euclidean between unit fingerprints, 0 to 2."""
    return _of_pairs(compared, distance(compared.genuine).astype(np.float64), weighting, draws)


def miesd(compared: Compared) -> Estimate:
    """Mean inter-subject distance over impostor pairs (arXiv 2512.16685); no interval is given."""
    mean = compared.impostor_distance / compared.n_impostor
    return Estimate(mean, float("nan"), float("nan"), compared.n_subjects)


def _pairs_beyond(compared: Compared, fmr: float) -> int:
    if fmr * compared.n_impostor < 1:
        raise ValueError(f"{compared.n_impostor} impostor pairs cannot support a false match rate of {fmr:g}")
    return int(fmr * compared.n_impostor)


def _of_pairs(compared: Compared, values: Floats, weighting: Weighting, draws: Draws) -> Estimate:
    """Weighted mean of something that every genuine pair has."""
    weights = genuine_weights(compared, weighting)
    sums = per_subject(compared.owner, weights * values, compared.n_subjects)
    totals = per_subject(compared.owner, weights, compared.n_subjects)
    return resampled_ratio(sums, totals, draws)


def _of_images(
    compared: Compared, values: npt.NDArray[np.generic], weighting: Weighting, draws: Draws
) -> Estimate:
    """Weighted mean of something that every image has which a genuine partner could be found for."""
    owner = compared.asking[compared.asks]
    images = per_subject(owner, np.ones(len(owner)), compared.n_subjects)
    sums = per_subject(owner, values[compared.asks].astype(np.float64), compared.n_subjects)
    if weighting == "subjects":
        sums, images = sums / np.maximum(images, 1), (images > 0).astype(np.float64)
    return resampled_ratio(sums, images, draws)


def _crossing(fmr: Floats, fnmr: Floats) -> Floats:
    """Where each row of rising ``fnmr`` meets the falling ``fmr``, as a rate."""
    gap = fnmr - fmr
    after = np.argmax(gap >= 0, axis=1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(fnmr))
    g0, g1 = gap[rows, before], gap[rows, after]
    share = np.where(g1 > g0, -g0 / np.where(g1 > g0, g1 - g0, 1.0), 0.0)
    return np.asarray(fmr[before] + share * (fmr[after] - fmr[before]))

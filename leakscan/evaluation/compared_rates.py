"""Figures of a compared set with intervals: AUC, EER, TAR at an FMR, distances, P@1, MAP@R.

The rates themselves are those of :mod:`leakscan.error_rates`. Every figure comes twice: ``subjects``
gives every subject with a genuine pair the same weight, ``pairs`` gives it to every genuine pair (or to
every image that asks). Impostor pairs weigh equally in both. Intervals resample subjects. For TAR the
impostor pairs are resampled along, a pair counting as often as its two subjects were drawn together,
because the threshold is uncertain too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.error_rates import (
    WEIGHTINGS,
    Weighting,
    genuine_weights,
    pairs_beyond,
    resampled_mean,
    supported_rates,
    tar_at_fmr,
)
from leakscan.evaluation.pairing import BINS, Compared, distance, score_bin
from leakscan.subject_bootstrap import Draws, Estimate, estimate, per_subject, resampled_ratio

_EER_POINTS = 400
_SPARE = 3.0  # times the pairs beyond a threshold, among which a resampled threshold is searched
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One figure of a system.

    Attributes:
        metric: ``auc``, ``eer``, ``tar@fmr=0.001``, ``p_at_1``...
        weighting: Whether every subject counts the same, or every pair.
        estimate: The value and its interval.
    """

    metric: str
    weighting: Weighting
    estimate: Estimate


def compared_figures(compared: Compared, draws: Draws) -> list[Figure]:
    """Everything that can be said of a compared set; empty without genuine or impostor pairs.

    Args:
        compared: The pairs of one system under one protocol.
        draws: ``(draws, n_subjects)`` from :func:`leakscan.subject_bootstrap.subject_draws`.

    Example:
        >>> vectors, subjects = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])
        >>> from leakscan.subject_bootstrap import subject_draws
        >>> from leakscan.evaluation.pairing import compare_images
        >>> draws = subject_draws(2, 100)
        >>> compared_figures(compare_images(vectors, subjects), draws)[0].estimate.value
        1.0
    """
    if not len(compared.genuine) or not compared.n_impostor:
        return []
    out = []
    rates = supported_rates(compared.n_impostor)
    thresholds = {rate: _drawn_thresholds(compared, rate, draws) for rate in rates}
    for weighting in WEIGHTINGS:
        out.append(Figure("auc", weighting, auc_estimate(compared, weighting, draws)))
        out.append(Figure("eer", weighting, eer(compared, weighting, draws)))
        out += [
            Figure(f"tar@fmr={rate:g}", weighting, tar_estimate(compared, rate, weighting, draws, drawn))
            for rate, drawn in thresholds.items()
        ]
        out.append(Figure("p_at_1", weighting, _of_images(compared, compared.hit, weighting, draws)))
        out.append(
            Figure("map_at_r", weighting, _of_images(compared, compared.average_precision, weighting, draws))
        )
        out.append(Figure("miasd", weighting, miasd(compared, weighting, draws)))
    out.append(Figure("miesd", "pairs", miesd(compared)))
    return out


def auc_estimate(compared: Compared, weighting: Weighting, draws: Draws) -> Estimate:
    """:func:`leakscan.error_rates.auc` with its interval; the impostors are held in the resampling.

    It is read off the histogram, so impostors in a genuine score's bin count half; see
    :func:`auc_error`.

    Example:
        >>> from leakscan.subject_bootstrap import subject_draws
        >>> from leakscan.evaluation.pairing import compare_images
        >>> turn = np.array([0.0, 0.5, 0.7, 1.6])  # four images as points on a circle
        >>> compared = compare_images(np.stack([np.cos(turn), np.sin(turn)], axis=1), np.array([0, 0, 1, 1]))
        >>> auc_estimate(compared, "subjects", subject_draws(2)).value
        0.625
    """
    return _of_pairs(compared, compared.share_below(compared.genuine), weighting, draws)


def auc_error(compared: Compared, weighting: Weighting) -> float:
    """Largest error of the histogram in :func:`auc_estimate`: half a bin's share on average.

    Example:
        >>> from leakscan.evaluation.pairing import compare_images
        >>> turn = np.array([0.0, 0.5, 0.5, 1.6])  # an image of each subject in the same place
        >>> compared = compare_images(np.stack([np.cos(turn), np.sin(turn)], axis=1), np.array([0, 0, 1, 1]))
        >>> auc_error(compared, "subjects")  # one of four impostor pairs shares its bin with genuine ones
        0.125
    """
    share = compared.histogram / compared.n_impostor / 2
    return float(np.average(share[score_bin(compared.genuine)], weights=genuine_weights(compared, weighting)))


def false_rates(compared: Compared, weighting: Weighting) -> tuple[Floats, Floats]:
    """The DET curve: FMR and FNMR ``(BINS + 1,)`` when scores from each bin edge up are accepted.

    Example:
        >>> from leakscan.evaluation.pairing import compare_images
        >>> turn = np.array([0.0, 0.5, 0.7, 1.6])
        >>> compared = compare_images(np.stack([np.cos(turn), np.sin(turn)], axis=1), np.array([0, 0, 1, 1]))
        >>> fmr, fnmr = false_rates(compared, "subjects")
        >>> at = int(score_bin(np.float32(0.8)))  # whatever scores 0.8 or more is taken for one subject
        >>> float(fmr[at]), float(fnmr[at])
        (0.25, 0.5)
    """
    impostors = np.r_[0, np.cumsum(compared.histogram)] / compared.n_impostor
    weights = np.bincount(score_bin(compared.genuine), genuine_weights(compared, weighting), minlength=BINS)
    return 1.0 - impostors, np.r_[0.0, np.cumsum(weights)] / weights.sum()


def eer(compared: Compared, weighting: Weighting, draws: Draws) -> Estimate:
    """The rate at which FMR and FNMR are equal, interpolated linearly between thresholds.

    The interval holds the impostors and moves the genuine curve on a grid of thresholds.

    Example:
        >>> from leakscan.subject_bootstrap import subject_draws
        >>> from leakscan.evaluation.pairing import compare_images
        >>> turn = np.array([0.0, 0.2, 1.5, 1.9])
        >>> compared = compare_images(np.stack([np.cos(turn), np.sin(turn)], axis=1), np.array([0, 0, 1, 1]))
        >>> eer(compared, "subjects", subject_draws(2)).value  # a threshold parts the two subjects
        0.0
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


def tar_estimate(
    compared: Compared, fmr: float, weighting: Weighting, draws: Draws, thresholds: Floats | None = None
) -> Estimate:
    """:func:`leakscan.error_rates.tar_at_fmr` with its interval.

    Args:
        compared: The pairs of one system under one protocol.
        fmr: The false match rate.
        weighting: Whether every subject counts the same, or every genuine pair.
        draws: ``(draws, n_subjects)`` from :func:`leakscan.subject_bootstrap.subject_draws`.
        thresholds: ``(draws,)`` the threshold of each draw, if it is at hand.

    Raises:
        ValueError: There are too few impostor pairs to speak of this rate.

    Example:
        >>> from leakscan.subject_bootstrap import subject_draws
        >>> from leakscan.evaluation.pairing import compare_images
        >>> turn = np.array([0.0, 0.5, 0.7, 1.6])
        >>> compared = compare_images(np.stack([np.cos(turn), np.sin(turn)], axis=1), np.array([0, 0, 1, 1]))
        >>> tar_estimate(compared, 0.25, "subjects", subject_draws(2)).value
        0.5
    """
    value = tar_at_fmr(compared, fmr, weighting)
    weights = genuine_weights(compared, weighting)
    order = np.argsort(-compared.genuine)
    scores, weights, owner = -compared.genuine[order], weights[order], compared.owner[order]
    if thresholds is None:
        thresholds = _drawn_thresholds(compared, fmr, draws)
    found = []
    for drawn, threshold in zip(draws, thresholds, strict=True):
        running = np.cumsum(weights * drawn[owner])
        if running[-1] > 0:
            above = int(np.searchsorted(scores, -threshold, side="left"))
            found.append((running[above - 1] if above else 0.0) / running[-1])
    return estimate(value, np.array(found), len(np.unique(owner)))


def _drawn_thresholds(compared: Compared, fmr: float, draws: Draws) -> Floats:
    """The threshold of each draw of subjects; the exact one throughout where the tail does not hold it."""
    beyond = pairs_beyond(compared.n_impostor, fmr)
    if beyond >= len(compared.tail):
        return np.full(len(draws), compared.threshold_at_fmr(fmr))
    searched = slice(0, int(_SPARE * beyond) + 100)
    scores, owners = compared.tail[searched], compared.tail_owners[searched]
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
    """Mean intra-subject distance (arXiv 2512.16685), Euclidean between unit fingerprints, 0 to 2.

    Example:
        >>> from leakscan.subject_bootstrap import subject_draws
        >>> from leakscan.evaluation.pairing import compare_images
        >>> vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]  # the second subject is unlike itself
        >>> compared = compare_images(vectors, np.array([0, 0, 1, 1]))
        >>> round(miasd(compared, "subjects", subject_draws(2)).value, 3)
        0.707
    """
    return _of_pairs(compared, distance(compared.genuine).astype(np.float64), weighting, draws)


def miesd(compared: Compared) -> Estimate:
    """Mean inter-subject distance over impostor pairs (arXiv 2512.16685); no interval is given.

    Example:
        >>> from leakscan.evaluation.pairing import compare_images
        >>> vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
        >>> round(miesd(compare_images(vectors, np.array([0, 0, 1, 1]))).value, 3)
        1.414
    """
    mean = compared.impostor_distance / compared.n_impostor
    return Estimate(mean, float("nan"), float("nan"), compared.n_subjects)


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
    asks = compared.asks
    return resampled_mean(compared.asking[asks], values[asks].astype(np.float64), weighting, draws)


def _crossing(fmr: Floats, fnmr: Floats) -> Floats:
    """Where each row of rising ``fnmr`` meets the falling ``fmr``, as a rate."""
    gap = fnmr - fmr
    after = np.argmax(gap >= 0, axis=1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(fnmr))
    g0, g1 = gap[rows, before], gap[rows, after]
    share = np.where(g1 > g0, -g0 / np.where(g1 > g0, g1 - g0, 1.0), 0.0)
    return np.asarray(fmr[before] + share * (fmr[after] - fmr[before]))

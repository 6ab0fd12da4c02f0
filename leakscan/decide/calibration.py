"""From a similarity to a false match rate, by the scores of subjects known to differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.encoders.card import ImpostorScores

LEAK_EXPECTED_FALSE = 0.1
"""A pair is a leak only where at most this many false pairs are expected in the whole search."""
REVIEW_EXPECTED_FALSE = 20.0
"""Pairs go to review while at most this many false ones are expected among them."""


def p_value_floor(impostors: ImpostorScores) -> float:
    """The smallest false match rate these impostors can vouch for.

    With no false match among n pairs, the rate is below 3 / n at 95 % confidence (the rule of
    three, ISO/IEC 19795-1 Annex B).
    """
    return 3.0 / impostors.n_pairs


def false_match_rate(impostors: ImpostorScores, score: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Share of impostor pairs that score at least as high, never below the floor.

    Between the card's points the rate falls log-linearly.

    Args:
        impostors: of the encoder's card.
        score: cosine similarities, any shape; NaN stays NaN.
    """
    at = np.asarray(score, np.float64)
    log_rate = np.interp(at, impostors.score, np.log(impostors.fmr))
    rate = np.where(at < impostors.score[0], 1.0, np.exp(log_rate))
    return np.where(np.isnan(at), np.nan, np.maximum(rate, p_value_floor(impostors)))


def score_at(impostors: ImpostorScores, fmr: float) -> float:
    """The score whose false match rate is ``fmr``; the highest known where that is too small."""
    order = np.argsort(impostors.fmr)
    rates, scores = np.log(np.array(impostors.fmr)[order]), np.array(impostors.score)[order]
    return float(np.interp(np.log(fmr), rates, scores))


@dataclass(frozen=True)
class SubjectThresholds:
    """The scores at which one comparison of two datasets decides.

    Attributes:
        comparisons: pairs of pictures whose fingerprints were compared.
        leak: score from which pairs are leaks, ``None`` where the card's impostors cannot vouch
            for so small a rate.
        review: score from which pairs are reviewed.
        floor: smallest false match rate the card can vouch for.
    """

    comparisons: int
    leak: float | None
    review: float
    floor: float


def subject_thresholds(impostors: ImpostorScores, comparisons: int) -> SubjectThresholds:
    """Thresholds for a number of comparisons.

    Args:
        impostors: of the encoder's card.
        comparisons: at least 1.
    """
    floor = p_value_floor(impostors)
    wanted = LEAK_EXPECTED_FALSE / comparisons
    leak = score_at(impostors, wanted) if wanted >= floor else None
    review = score_at(impostors, min(1.0, max(floor, REVIEW_EXPECTED_FALSE / comparisons)))
    return SubjectThresholds(comparisons, leak, review, floor)

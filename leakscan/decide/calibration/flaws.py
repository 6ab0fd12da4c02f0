"""What no fit can have written into a calibration: found before a run rests on it.

A file that was altered by hand, or made by something else, may be readable and wrong. Rates that rise with
the score, or are no rates at all, would make leaks of strangers or strangers of leaks without a word.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.tail import Tail

_ROUNDING = 1e-6
_STEEPEST = 2.0  # the shape of a distribution of scores between -1 and 1 is nowhere near


def flaw_of(calibration: Calibration) -> str:
    """What is wrong with a calibration, as the end of a sentence; empty where nothing is.

    Args:
        calibration: The calibration, as it was read.

    Example:
        ``flaw_of(calibration)  # '' or 'its tail states a rate above 1'``
    """
    words = (calibration.encoder, calibration.source, calibration.detail_digest)
    if not all(isinstance(word, str) for word in words):
        return "its encoder or its source is no text"
    if tail := _flaw_of_tail(calibration.tail):
        return f"its tail {tail}"
    if calibration.joint_tail is not None and (tail := _flaw_of_tail(calibration.joint_tail)):
        return f"its joint tail {tail}"
    if not 0.0 < calibration.detail_p < 1.0:
        return "details would be matched from a rate that is none"
    strangers = calibration.strangers
    if strangers is not None and not (math.isfinite(strangers.at) and math.isfinite(strangers.rise)):
        return "how well strangers match in detail is no number"
    return _flaw_of_scores(calibration) or _flaw_of_cohort(calibration.cohort, calibration.top)


def _flaw_of_tail(tail: Tail) -> str:
    counts = (tail.n_images, tail.n_subjects, tail.n_pairs, tail.n_effective)
    if not all(_is_count(count) for count in counts):
        return "rests on a number of images, subjects or pairs that is none"
    if tail.n_effective > tail.n_subjects * (tail.n_subjects - 1) // 2:
        return "rests on more pairs of subjects than its subjects make"
    if not all(map(_is_number, (tail.share, tail.threshold, tail.shape, tail.scale))):
        return "holds something that is no number"
    if not (0.0 < tail.share < 1.0 and tail.scale > 0.0 and abs(tail.shape) < _STEEPEST):
        return "has a share, a scale or a shape that is out of range"
    return _flaw_of_bulk(tail) or _flaw_of_draws(tail)


def _flaw_of_bulk(tail: Tail) -> str:
    score, rate = np.array(tail.bulk_score, np.float64), np.array(tail.bulk_fmr, np.float64)
    if len(score) < 2 or len(score) != len(rate):
        return "has another number of rates than of scores"
    if not (np.isfinite(score).all() and np.isfinite(rate).all() and (rate > 0).all() and (rate <= 1).all()):
        return "states a rate that is none"
    if (np.diff(score) < 0).any() or (np.diff(rate) > 0).any():
        return "states rates that do not fall as scores rise"
    ends = (rate[0] - 1.0, rate[-1] - tail.share, score[-1] - tail.threshold)
    return "" if max(map(abs, ends)) < _ROUNDING else "does not join its distribution"


def _flaw_of_draws(tail: Tail) -> str:
    draws = np.array(tail.replicates, np.float64)
    if not len(draws) or not np.isfinite(draws).all():
        return "has no draws to take its uncertainty from"
    share, shape, scale = draws.T
    inside = (share >= 0) & (share < 1) & (scale > 0) & (np.abs(shape) < _STEEPEST)
    return "" if inside.all() else "has a draw that is out of range"


def _flaw_of_scores(calibration: Calibration) -> str:
    score, owner, found = (
        calibration.genuine.score,
        calibration.genuine.owner,
        calibration.genuine.found,
    )
    if score.ndim != 1 or score.dtype.kind != "f" or not np.isfinite(score).all():
        return "a score of one person's pictures is no number"
    if owner.shape != score.shape or owner.dtype.kind not in "iu":
        return "the owners of its scores do not fit its scores"
    if found is not None and (found.shape != score.shape or found.dtype.kind != "f" or np.isinf(found).any()):
        return "the detail matches of its scores do not fit its scores"
    return ""


def _flaw_of_cohort(cohort: npt.NDArray[Any], top: int) -> str:
    if cohort.ndim != 2 or cohort.dtype.kind != "f" or not np.isfinite(cohort).all():
        return "its cohort is no list of fingerprints"
    if not 0 <= top <= len(cohort):
        return "it asks for more of its cohort than there is"
    length = np.linalg.norm(cohort.astype(np.float32), axis=1)
    return (
        ""
        if (np.abs(length - 1.0) < 0.05).all()
        else "its cohort holds fingerprints of another length than 1"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0

"""Scores measured against a cohort, so that films that resemble everybody do not match everybody.

Adaptive symmetric score normalisation (AS-norm; Cumani et al., Interspeech 2011; Matejka et al.,
Interspeech 2017): from a score subtract the mean of each image's most similar cohort members, divide
by their standard deviation, and average the two sides.

A cohort member may show the same person as the user's image. The ``trim`` highest similarities of
*every* image are therefore left out: a rule by rank treats all images alike, keeps the invariance to
scale, and needs no score above which a match is believed. With one image per cohort subject a person
has one mate there; two more ranks are room for a person under several names and for copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.errors import ModelError

Floats = npt.NDArray[np.float64]

TOP = 200
"""Cohort members that count: 100 to 400 are equally good on val (``leakscan.research.tail_check``)."""
TRIM = 3
_BLOCK_BYTES = 64 * 2**20  # of similarities held at once
_LEAST_STD = 1e-3  # a picture to which the whole cohort is equally near tells nothing


@dataclass(frozen=True)
class CohortStatistics:
    """How an image stands to the cohort members nearest to it.

    Attributes:
        mean: ``(n,)`` means of its cosine similarities to them.
        std: ``(n,)`` standard deviations of these, positive.
    """

    mean: Floats
    std: Floats


def cohort_statistics(
    fingerprints: npt.NDArray[np.floating],
    cohort: npt.NDArray[np.floating],
    *,
    top: int = TOP,
    trim: int = TRIM,
) -> CohortStatistics:
    """Mean and spread of each image's ``top`` highest cohort similarities after the first ``trim``.

    Memory beside the inputs stays below some 200 MB for any number of images.

    Args:
        fingerprints: ``(n, d)`` fingerprints of the images, L2-normalised.
        cohort: ``(m, d)`` fingerprints of the cohort, L2-normalised, one image per subject.
        top: How many similarities count, at least 2; the rest of the cohort where it has fewer.
        trim: How many of the highest similarities are left out, because they may be mates.

    Raises:
        ModelError: The cohort is of another encoder (another ``d``), or has fewer than ``trim + 2`` members.

    Example:
        >>> film, cohort = np.array([[0.7, 0.5, 0.4, 0.3, 0.1, 0.0]]), np.eye(6)
        >>> near = cohort_statistics(film, cohort, top=2, trim=3)  # 0.7, 0.5 and 0.4 may be mates
        >>> near.mean.round(3).tolist(), near.std.round(3).tolist()
        ([0.2], [0.1])
    """
    members, width = cohort.shape
    if fingerprints.shape[1] != width:
        raise ModelError(
            f"The cohort has fingerprints of length {width}, the images of length {fingerprints.shape[1]}: "
            "they come from different encoders."
        )
    if members < trim + 2 or top < 2:
        raise ModelError(f"A cohort of {members} images is too small: at least {trim + 2} are needed.")
    counted = min(top, members - trim)
    first = members - trim - counted
    against = np.ascontiguousarray(cohort.T, dtype=np.float32)
    step = max(1, _BLOCK_BYTES // (4 * members))
    mean, std = np.empty(len(fingerprints)), np.empty(len(fingerprints))
    for start in range(0, len(fingerprints), step):
        near = np.asarray(fingerprints[start : start + step], np.float32) @ against
        near.partition(sorted({first, members - trim - 1}), axis=1)
        near = near[:, first : first + counted]
        mean[start : start + step] = near.mean(axis=1, dtype=np.float64)
        std[start : start + step] = near.std(axis=1, dtype=np.float64)
    return CohortStatistics(mean, np.maximum(std, _LEAST_STD))


def soften(statistics: CohortStatistics, typical_std: float) -> CohortStatistics:
    """Draws each standard deviation half way (geometrically) to the typical one.

    An image's own standard deviation is noisy, and dividing by too small a one lifts single impostors
    far into the tail. This gives up the exact invariance to scale and keeps that to shifts.

    Args:
        statistics: How the images stand to the cohort.
        typical_std: A constant of the encoder, such as the median over the cohort itself.

    Example:
        >>> noisy = CohortStatistics(mean=np.array([0.3]), std=np.array([0.01]))
        >>> soften(noisy, typical_std=0.04).std.round(4).tolist()
        [0.02]
    """
    return CohortStatistics(statistics.mean, np.sqrt(statistics.std * typical_std))


def normalise(
    score: npt.ArrayLike,
    mean_a: npt.ArrayLike,
    std_a: npt.ArrayLike,
    mean_b: npt.ArrayLike,
    std_b: npt.ArrayLike,
) -> Floats:
    """Symmetric normalised scores, in standard deviations above the cohort; arguments broadcast.

    Swapping the images changes nothing.

    Example:
        >>> float(normalise(0.9, mean_a=0.5, std_a=0.1, mean_b=0.6, std_b=0.2).round(2))
        2.75
    """
    raw = np.asarray(score, np.float64)
    from_a = (raw - np.asarray(mean_a)) / np.asarray(std_a)
    from_b = (raw - np.asarray(mean_b)) / np.asarray(std_b)
    return np.asarray(0.5 * (from_a + from_b), np.float64)

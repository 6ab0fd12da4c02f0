"""What is gained where a dataset declares which images are of one subject, and they decide together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.error_rates import LEAST_BEHIND_RATE
from leakscan.evaluation.compared_rates import Figure
from leakscan.evaluation.systems import Vectors
from leakscan.subject_bootstrap import Draws, resampled_ratio

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SHOTS = (2, 3, 5)
"""Numbers of images of a declared subject that decide together."""
FUSION_RATES = (1e-3, 1e-4)
"""False match rates of one image against the declared images of a subject."""
_TURNS = 5  # how often declared images and queries are drawn
_MOST_SUBJECTS = 2000
_LEAST_ABLE = 10


@dataclass(frozen=True)
class Shots:
    """Which images stand for a declared subject, and which ask.

    Attributes:
        able: ``(s,)`` subjects with more images than shots.
        support: ``(turns, s, shots)`` their declared images.
        asking: ``(q,)`` subjects that ask, all of ``able`` among them.
        query: ``(turns, q)`` one image of each, never one of its own declared ones.
    """

    able: Ints
    support: Ints
    asking: Ints
    query: Ints

    @property
    def genuine(self) -> npt.NDArray[np.bool_]:
        """``(s, q)`` bool, whether the asking image is of the declared subject."""
        return np.asarray(self.asking == self.able[:, None])


def draw_shots(subjects: Ints, shots: int, seed: int = 0) -> Shots:
    """Draws declared images and queries of at most ``_MOST_SUBJECTS`` subjects.

    Args:
        subjects: ``(n,)`` the code of each image's subject.
        shots: The number of declared images of each subject.
        seed: The seed of the draws.

    Example:
        >>> shots = draw_shots(np.array([0, 0, 0, 1, 1, 2]), shots=2)
        >>> shots.able, shots.asking, shots.support.shape  # one subject has more than two images; all may ask
        (array([0]), array([0, 1, 2]), (5, 1, 2))
    """
    rng = np.random.default_rng((seed, shots))
    counts = np.bincount(subjects)
    able = rng.permutation(np.flatnonzero(counts > shots))[:_MOST_SUBJECTS]
    others = rng.permutation(np.setdiff1d(np.flatnonzero(counts), able))[: _MOST_SUBJECTS - len(able)]
    able, asking = np.sort(able), np.sort(np.concatenate([able, others]))
    order = np.argsort(subjects, kind="stable")
    images = np.split(order, np.cumsum(counts)[:-1])
    support = np.empty((_TURNS, len(able), shots), np.int64)
    query = np.empty((_TURNS, len(asking)), np.int64)
    row = {int(subject): i for i, subject in enumerate(able)}
    for turn in range(_TURNS):
        for column, subject in enumerate(asking.tolist()):
            shuffled = rng.permutation(images[subject])
            query[turn, column] = shuffled[0]
            if subject in row:
                support[turn, row[subject]] = shuffled[1 : shots + 1]
    return Shots(able, support, asking, query)


def fused_figures(vectors: Vectors, subjects: Ints, draws: Draws, seed: int = 0) -> Iterator[Figure]:
    """TAR of one image against K declared images of a subject together, and against the first of them.

    The K images decide by their template, the direction of the mean of their fingerprints. Nothing is said
    where fewer than ``_LEAST_ABLE`` subjects have more than K images.

    Args:
        vectors: ``(n, d)``, of unit length.
        subjects: ``(n,)`` codes from 0.
        draws: ``(draws, n_subjects)`` from :func:`leakscan.subject_bootstrap.subject_draws`.
        seed: The seed of declared images and queries.

    Example:
        >>> from leakscan.subject_bootstrap import subject_draws
        >>> subjects = np.repeat(np.arange(120), 3)
        >>> noise = np.random.default_rng(0).normal(0, 0.1, (360, 120))
        >>> vectors = np.eye(120)[subjects] + noise
        >>> vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        >>> one, both = fused_figures(vectors, subjects, subject_draws(120, 50))
        >>> one.metric, both.metric, one.estimate.value < both.estimate.value
        ('one_of_2.tar@fmr=0.001', 'fused_2.tar@fmr=0.001', True)
    """
    for shots in SHOTS:
        drawn = draw_shots(subjects, shots, seed)
        if len(drawn.able) < _LEAST_ABLE:
            continue
        asked = vectors[drawn.query]
        one = np.einsum("tsd,tqd->tsq", vectors[drawn.support[:, :, 0]], asked)
        together = np.einsum("tsd,tqd->tsq", fused_template(vectors, drawn.support), asked)
        among = np.zeros(draws.shape[1])
        among[drawn.able] = 1.0
        for rule, scores in (("one_of", one), ("fused", together)):
            for rate, hit in accepted_by_rate(scores, drawn.genuine).items():
                sums = np.zeros(draws.shape[1])
                sums[drawn.able] = hit
                yield Figure(
                    f"{rule}_{shots}.tar@fmr={rate:g}", "subjects", resampled_ratio(sums, among, draws)
                )


def too_few(subjects: Ints) -> list[str]:
    """Sentences about the numbers of images that too few subjects have.

    Example:
        >>> too_few(np.repeat(np.arange(12), 5))
        ['fused_5: needs 10 subjects with 6 images; there are 0']
    """
    counts = np.bincount(subjects)
    have = {shots: int((counts > shots).sum()) for shots in SHOTS}
    return [
        f"fused_{shots}: needs {_LEAST_ABLE} subjects with {shots + 1} images; there are {n}"
        for shots, n in have.items()
        if n < _LEAST_ABLE
    ]


def accepted_by_rate(scores: npt.NDArray[np.floating], genuine: npt.NDArray[np.bool_]) -> dict[float, Floats]:
    """Rate -> ``(s,)`` share of the turns in which each subject's own image is accepted.

    Args:
        scores: ``(turns, s, q)`` scores of declared subjects and asking images.
        genuine: ``(s, q)`` bool, whether both are of one subject.

    Example:
        >>> genuine = np.eye(120, dtype=bool)  # 120 subjects, of whom each asks once
        >>> found = accepted_by_rate(genuine[None] * 1.0, genuine)  # every genuine score is 1, others 0
        >>> list(found), bool(found[0.001].all())  # too few pairs stand behind a rate of 1e-4
        ([0.001], True)
    """
    impostor = np.sort(scores[:, ~genuine], axis=None)
    out = {}
    for rate in FUSION_RATES:
        # The turns show the same subjects, so they add nothing to how far the tail can be read.
        if rate * len(impostor) / len(scores) >= LEAST_BEHIND_RATE:
            limit = impostor[len(impostor) - int(rate * len(impostor)) - 1]
            out[rate] = np.asarray((scores[:, genuine] > limit).mean(axis=0), np.float64)
    return out


def fused_template(vectors: Vectors, support: Ints) -> Vectors:
    """``(..., d)`` the direction of the mean of the fingerprints of ``(..., shots)`` images.

    Example:
        >>> fused_template(np.eye(2, dtype=np.float32), np.array([0, 1])).round(3)
        array([0.707, 0.707], dtype=float32)
    """
    mean = vectors[support].mean(axis=-2)
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-9), np.float32)

"""Who is found where an encoder's second look ranks the nearest films again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration_file import FILE, read_calibration
from leakscan.decide.fit_look import Look
from leakscan.decide.likelihood import JointEvidence
from leakscan.decide.second_look import look_of
from leakscan.evaluation.embeddings import EncoderSystem
from leakscan.evaluation.films import Film
from leakscan.evaluation.metrics import per_subject, resampled_ratio
from leakscan.evaluation.nearest import look_at_nearest
from leakscan.evaluation.systems import Vectors
from leakscan.evaluation.verification import Draws, Figure
from leakscan.fingerprint.encoders.film_look import load_look
from leakscan.types import DecodeOptions, Engine, Progress

METRIC = "looked.p_at_1"
"""P@1 where the nearest films are ranked by score and second look together."""

MOST_ASKING = 2000
"""Films that ask, at most: each costs a description and up to ten looks, some 0.1 s of one core."""


def second_look(
    system: EncoderSystem, films: Sequence[Film], engine: Engine, options: DecodeOptions, progress: Progress
) -> tuple[Look, JointEvidence] | None:
    """What looks at pairs of films, and how its findings count beside the score.

    Args:
        system: an encoder of films.
        films: that pairs point at.
        engine: runs the decoding.
        options: for decoding.
        progress: is told.

    Returns:
        ``None`` for an encoder without a second look, or whose scores are not plain cosines.

    Raises:
        ModelError: the look or the calibration is damaged, or belongs to another encoder.
    """
    looker = load_look(system.folder)
    if looker is None:
        return None
    calibration = read_calibration(system.folder / FILE, [system.name])
    if calibration.joint is None or calibration.look != looker.digest or calibration.top:
        return None
    return look_of([film.ref for film in films], looker, engine, options, progress), calibration.joint


def looked_figures(
    vectors: Vectors,
    subjects: npt.NDArray[np.int64],
    look: Look,
    joint: JointEvidence,
    draws: Draws,
    seed: int = 0,
) -> list[Figure]:
    """P@1 by score and look together.

    A run also takes off its findings what its strangers look more alike than usual; that moves all of
    them by the same amount, and no rank.

    Args:
        vectors: ``(n, d)`` unit vectors.
        subjects: ``(n,)`` codes from 0.
        look: looks at pairs of the films.
        joint: of cosine and finding.
        draws: ``(draws, n_subjects)`` from :func:`leakscan.evaluation.metrics.subject_draws`.
        seed: of which films ask, where there are more than ``MOST_ASKING``.
    """
    near = look_at_nearest(vectors, subjects, look, most=MOST_ASKING, seed=seed)
    n = draws.shape[1]
    images = per_subject(near.owner, np.ones(len(near.owner)), n)
    sums = per_subject(near.owner, near.looked(joint).astype(np.float64), n)
    equal = resampled_ratio(sums / np.maximum(images, 1), (images > 0).astype(np.float64), draws)
    return [
        Figure(METRIC, "subjects", equal),
        Figure(METRIC, "pairs", resampled_ratio(sums, images, draws)),
    ]

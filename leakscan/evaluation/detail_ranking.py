"""Who is found where an encoder's second look ranks the nearest films again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.decide.calibration.fit_detail import MatchPairs
from leakscan.decide.calibration.likelihood import JointEvidence
from leakscan.decide.persons.detail_matches import detail_match_of
from leakscan.decide.persons.nearest import match_nearest
from leakscan.error_rates import per_subject, resampled_ratio
from leakscan.evaluation.compared_rates import Draws, Figure
from leakscan.evaluation.embeddings import EncoderSystem
from leakscan.evaluation.labelled_images import Film
from leakscan.evaluation.systems import Vectors
from leakscan.fingerprint.encoders.film.detail_matcher import load_detail_matcher
from leakscan.types import DecodeOptions, Engine, Progress

METRIC = "looked.p_at_1"
"""P@1 where the nearest films are ranked by score and second look together."""

MOST_ASKING = 2000
"""Films that ask, at most: each costs a description and up to ten looks, some 0.1 s of one core."""


def detail_match(
    system: EncoderSystem, films: Sequence[Film], engine: Engine, options: DecodeOptions, progress: Progress
) -> tuple[MatchPairs, JointEvidence] | None:
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
    matcher = load_detail_matcher(system.folder)
    if matcher is None:
        return None
    calibration = read_calibration(system.folder / FILE, [system.name])
    if calibration.joint is None or calibration.detail_digest != matcher.digest or calibration.top:
        return None
    return detail_match_of(
        [film.ref for film in films], matcher, engine, options, progress
    ), calibration.joint


def detail_figures(
    vectors: Vectors,
    subjects: npt.NDArray[np.int64],
    look: MatchPairs,
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
        draws: ``(draws, n_subjects)`` from :func:`leakscan.error_rates.subject_draws`.
        seed: of which films ask, where there are more than ``MOST_ASKING``.
    """
    near = match_nearest(vectors, subjects, look, most=MOST_ASKING, seed=seed)
    n = draws.shape[1]
    images = per_subject(near.owner, np.ones(len(near.owner)), n)
    sums = per_subject(near.owner, near.looked(joint).astype(np.float64), n)
    equal = resampled_ratio(sums / np.maximum(images, 1), (images > 0).astype(np.float64), draws)
    return [
        Figure(METRIC, "subjects", equal),
        Figure(METRIC, "pairs", resampled_ratio(sums, images, draws)),
    ]

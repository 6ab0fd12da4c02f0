"""Who is found where the detail matches of an encoder rank the nearest films again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.decide.calibration.fit_detail import MatchPairs
from leakscan.decide.calibration.likelihood import JointEvidence
from leakscan.decide.persons.detail_matches import detail_match_of
from leakscan.decide.persons.nearest import match_nearest
from leakscan.error_rates import WEIGHTINGS, resampled_mean
from leakscan.evaluation.compared_rates import Figure
from leakscan.evaluation.embeddings import EncoderSystem
from leakscan.evaluation.labelled_images import LabelledImage
from leakscan.evaluation.systems import Vectors
from leakscan.fingerprint.encoders.film.detail_matcher import load_detail_matcher
from leakscan.settings import DecodeOptions
from leakscan.subject_bootstrap import Draws
from leakscan.types import Engine, Progress

METRIC = "looked.p_at_1"
"""P@1 where the nearest films are ranked by score and detail match together."""

MOST_ASKING = 2000
"""Films that ask, at most: each costs a description and up to ten detail matches, some 0.1 s of one core."""


def detail_matcher_of(
    system: EncoderSystem,
    films: Sequence[LabelledImage],
    engine: Engine,
    options: DecodeOptions,
    progress: Progress,
) -> tuple[MatchPairs, JointEvidence] | None:
    """What matches the details of pairs of films, and how its findings count beside the score.

    Args:
        system: An encoder of films.
        films: The films that pairs point at.
        engine: Runs the decoding.
        options: The limits for decoding.
        progress: Receives how far the work is.

    Returns:
        ``None`` for an encoder without details, or whose scores are not plain cosines.

    Raises:
        ModelError: The detail network or the calibration is damaged, or belongs to another encoder.

    Example::

        found = detail_matcher_of(system, films, start_engine(None), DecodeOptions(), Silent())
        if found is not None:
            match, joint = found
            match(np.array([[0, 1]]))  # how well the details of the first two films agree
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


def detail_ranking_figures(
    vectors: Vectors,
    subjects: npt.NDArray[np.int64],
    match: MatchPairs,
    joint: JointEvidence,
    draws: Draws,
    seed: int = 0,
) -> list[Figure]:
    """P@1 by score and detail match together.

    A run also takes off its findings by how much the details of its strangers agree more than usual. That
    moves all findings by the same amount, and no rank.

    Args:
        vectors: ``(n, d)`` unit vectors.
        subjects: ``(n,)`` codes from 0.
        match: Matches the details of pairs of the films.
        joint: The likelihood ratio of cosine and finding.
        draws: ``(draws, n_subjects)`` from :func:`leakscan.subject_bootstrap.subject_draws`.
        seed: The seed that draws which films ask, where there are more than ``MOST_ASKING``.

    Example::

        draws = subject_draws(int(subjects.max()) + 1)
        by_subjects, by_pairs = detail_ranking_figures(vectors, subjects, match, joint, draws)
    """
    near = match_nearest(vectors, subjects, match, most=MOST_ASKING, seed=seed)
    right = near.first_by_both(joint).astype(np.float64)
    return [Figure(METRIC, w, resampled_mean(near.owner, right, w, draws)) for w in WEIGHTINGS]

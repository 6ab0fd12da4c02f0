"""Fits a calibration on images whose subjects are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration import Calibration, Genuine, against_cohort
from leakscan.decide.impostors import impostor_pairs
from leakscan.decide.normalise import CohortStatistics, normalise
from leakscan.decide.tail import LEAST_SUBJECTS, fit_tail
from leakscan.errors import UsageError

COHORT = 1000
"""Members of a cohort."""
_PAIRS_PER_SUBJECT = 50

Prints = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]


def choose_cohort(
    prints: Prints, subjects: Names, size: int = COHORT, seed: int = 0
) -> npt.NDArray[np.float16]:
    """One fingerprint each of up to ``size`` different subjects, drawn at random.

    Args:
        prints: ``(n, d)`` unit vectors.
        subjects: ``(n,)``.
        size: most members.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(prints))
    _, first = np.unique(subjects[order], return_index=True)
    chosen = rng.permutation(order[first])[:size]
    return np.asarray(prints[np.sort(chosen)], np.float16)


def fit_calibration(
    encoder: str,
    source: str,
    cohort: npt.NDArray[np.float16],
    top: int,
    prints: Prints,
    subjects: Names,
    more_prints: Prints | None = None,
    more_subjects: Names | None = None,
) -> Calibration:
    """Impostor tail and genuine scores of labelled fingerprints.

    Args:
        encoder: name@digest that made them.
        source: whose images, in words.
        cohort: ``(m, d)``, of other people.
        top: nearest cohort members that count.
        prints: ``(n, d)`` unit vectors; their impostor pairs make the tail.
        subjects: ``(n,)``, none unknown.
        more_prints: of further people, for genuine pairs only.
        more_subjects: their subjects.

    Raises:
        UsageError: there are fewer than ``LEAST_SUBJECTS`` subjects.
    """
    found = len(np.unique(subjects))
    if found < LEAST_SUBJECTS:
        raise UsageError(
            f"Only {found:,} declared subjects have usable images, and a calibration needs {LEAST_SUBJECTS}.",
            "Name a manifest with subject_id, or how paths name subjects with --subjects.",
        )
    statistics = against_cohort(prints, cohort, top)
    tail = fit_tail(impostor_pairs(prints, subjects, statistics, source=source))
    genuine = [_genuine(prints, subjects, statistics)]
    if more_prints is not None and more_subjects is not None:
        genuine.append(_genuine(more_prints, more_subjects, against_cohort(more_prints, cohort, top)))
    offset = 0
    scores, owners = [], []
    for score, owner in genuine:
        scores.append(score)
        owners.append(owner + offset)
        offset += int(owner.max(initial=-1)) + 1
    return Calibration(
        encoder, source, cohort, top, tail, Genuine(np.concatenate(scores), np.concatenate(owners))
    )


def _genuine(
    prints: Prints, subjects: Names, statistics: CohortStatistics, seed: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Normalised scores of the pairs of every subject, at most some tens drawn of each."""
    rng = np.random.default_rng(seed)
    names, codes, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(counts)[:-1])
    first, second, owner = [], [], []
    for code in range(len(names)):
        i, j = np.triu_indices(counts[code], k=1)
        drawn = rng.permutation(len(i))[:_PAIRS_PER_SUBJECT]
        first.append(groups[code][i[drawn]])
        second.append(groups[code][j[drawn]])
        owner.append(np.full(len(drawn), code))
    a, b = np.concatenate(first), np.concatenate(second)
    cosine = (prints[a] * prints[b]).sum(axis=1)
    mean, std = statistics.mean, statistics.std
    return (
        normalise(cosine, mean[a], std[a], mean[b], std[b]).astype(np.float32),
        np.concatenate(owner).astype(np.int32),
    )

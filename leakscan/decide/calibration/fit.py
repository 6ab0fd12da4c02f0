"""Fits a calibration on images whose subjects are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import (
    DETAIL_P,
    LEAST_STRANGERS,
    Calibration,
    Genuine,
    against_cohort,
)
from leakscan.decide.calibration.fit_detail import Look, fit_detail, match_impostors, strangers_below
from leakscan.decide.calibration.impostors import impostor_pairs
from leakscan.decide.calibration.normalise import CohortStatistics, normalise
from leakscan.decide.calibration.tail import LEAST_SUBJECTS, Tail, fit_tail
from leakscan.errors import UsageError

COHORT = 1000
"""Members of a cohort."""
_PAIRS_PER_SUBJECT = 50
_MATCHED_PER_SUBJECT = 10  # a look at a pair takes a thousand times as long as its score

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
    look: Look | None = None,
    more_detail: Look | None = None,
) -> Calibration:
    """Impostor tail and genuine scores of labelled fingerprints, and what a second look adds.

    Args:
        encoder: name@digest that made them.
        source: whose images, in words.
        cohort: ``(m, d)``, of other people.
        top: nearest cohort members that count.
        prints: ``(n, d)`` unit vectors; their impostor pairs make the tail.
        subjects: ``(n,)``, none unknown.
        more_prints: of further people, for genuine pairs only.
        more_subjects: their subjects.
        look: looks at pairs of ``prints``; without it, or where too few people were
            looked at, the calibration has no second look.
        more_detail: the same for ``more_prints``; their genuine pairs count only if both are given.

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
    sample = impostor_pairs(prints, subjects, statistics, source=source)
    tail = fit_tail(sample)
    each = _PAIRS_PER_SUBJECT if look is None else _MATCHED_PER_SUBJECT
    sets = [genuine_pairs(prints, subjects, statistics, each)]
    looks = [look]
    if more_prints is not None and more_subjects is not None:
        sets.append(genuine_pairs(more_prints, more_subjects, against_cohort(more_prints, cohort, top), each))
        looks.append(more_detail)
    genuine = _joined(sets)
    if look is None or None in looks:
        return Calibration(encoder, source, cohort, top, tail, genuine)
    impostors = match_impostors(sample, tail, look)
    findings = [
        _found(own, tail, impostors.detail_p, how)
        for own, how in zip(sets, looks, strict=True)
        if how is not None
    ]
    seen = replace(genuine, found=np.concatenate(findings).astype(np.float32))
    fitted = fit_detail(
        impostors, genuine.score.astype(np.float64), genuine.owner.astype(np.int64), np.concatenate(findings)
    )
    if fitted is None:
        return Calibration(encoder, source, cohort, top, tail, genuine)
    joint, joint_tail = fitted
    detail_p = min(DETAIL_P, impostors.detail_p)

    def scores(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        mean, std = statistics.mean, statistics.std
        return normalise(
            prints[left] @ prints[right].T, mean[left, None], std[left, None], mean[right], std[right]
        )

    strangers = np.asarray(look(strangers_below(prints, subjects, scores, tail, detail_p)))
    strangers = strangers[np.isfinite(strangers)]
    usual = float(strangers.mean()) if len(strangers) >= LEAST_STRANGERS else None
    return Calibration(
        encoder,
        source,
        cohort,
        top,
        tail,
        seen,
        True,
        joint,
        joint_tail,
        detail_p,
        strangers_found=usual,
    )


@dataclass(frozen=True)
class GenuinePairs:
    """Genuine pairs of one set of images."""

    images: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int32]


def _joined(sets: list[GenuinePairs]) -> Genuine:
    offset, owners = 0, []
    for pairs in sets:
        owners.append(pairs.owner + np.int32(offset))
        offset += int(pairs.owner.max(initial=-1)) + 1
    return Genuine(np.concatenate([pairs.score for pairs in sets]), np.concatenate(owners))


def _found(pairs: GenuinePairs, tail: Tail, detail_p: float, look: Look) -> npt.NDArray[np.float64]:
    """``(g,)`` of the pairs whose score gets them a second look; NaN for the others."""
    out = np.full(len(pairs.score), np.nan)
    high = np.flatnonzero(tail.p_value(pairs.score) <= detail_p)
    if len(high):
        out[high] = look(pairs.images[high])
    return out


def genuine_pairs(
    prints: Prints, subjects: Names, statistics: CohortStatistics, each: int, seed: int = 0
) -> GenuinePairs:
    """The pairs of every subject, at most ``each`` drawn of one, with their normalised scores."""
    rng = np.random.default_rng(seed)
    names, codes, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(counts)[:-1])
    first, second, owner = [], [], []
    for code in range(len(names)):
        i, j = np.triu_indices(counts[code], k=1)
        drawn = rng.permutation(len(i))[:each]
        first.append(groups[code][i[drawn]])
        second.append(groups[code][j[drawn]])
        owner.append(np.full(len(drawn), code))
    a, b = np.concatenate(first), np.concatenate(second)
    cosine = (prints[a] * prints[b]).sum(axis=1)
    mean, std = statistics.mean, statistics.std
    return GenuinePairs(
        np.stack([a, b], axis=1).astype(np.int64),
        normalise(cosine, mean[a], std[a], mean[b], std[b]).astype(np.float32),
        np.concatenate(owner).astype(np.int32),
    )

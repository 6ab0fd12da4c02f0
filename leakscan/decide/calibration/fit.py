"""Fits a calibration on images whose subjects are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import (
    LEAST_STRANGERS,
    MOST_DETAIL_P,
    Calibration,
    Genuine,
    Strangers,
    against_cohort,
)
from leakscan.decide.calibration.fit_detail import MatchedImpostors, MatchPairs, fit_detail, match_impostors
from leakscan.decide.calibration.impostors import impostor_pairs
from leakscan.decide.calibration.normalise import CohortStatistics, normalise
from leakscan.decide.calibration.tail import LEAST_SUBJECTS, Tail, fit_tail
from leakscan.errors import UsageError

COHORT = 1000
"""How many members a cohort has."""
_PAIRS_PER_SUBJECT = 50
_MATCHED_PER_SUBJECT = 10  # a detail match takes a thousand times as long as a score

Prints = npt.NDArray[np.float32]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True)
class LabelledPrints:
    """Fingerprints of images whose subjects are known.

    Attributes:
        prints: ``(n, d)`` unit vectors.
        subjects: ``(n,)`` the subject of each, none unknown.
        match: What matches the details of pairs of them, ``None`` where nothing does.
    """

    prints: Prints
    subjects: Names
    match: MatchPairs | None = None


@dataclass(frozen=True)
class Cohort:
    """What scores are normalised against.

    Attributes:
        prints: ``(m, d)`` float16 unit fingerprints, of other people than those that are fitted on.
        top: How many of an image's nearest members count; 0 for plain cosine similarities.
    """

    prints: npt.NDArray[np.float16]
    top: int


def choose_cohort(
    prints: Prints, subjects: Names, size: int = COHORT, seed: int = 0
) -> npt.NDArray[np.float16]:
    """One fingerprint each of up to ``size`` different subjects, drawn at random.

    Args:
        prints: ``(n, d)`` unit vectors.
        subjects: ``(n,)`` the subject of each.
        size: The most members.
        seed: The seed of the draw.

    Example:
        >>> films = np.eye(4, dtype=np.float32)
        >>> choose_cohort(films, np.array(["p1", "p1", "p2", "p3"])).shape
        (3, 4)
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(prints))
    _, first = np.unique(subjects[order], return_index=True)
    chosen = rng.permutation(order[first])[:size]
    return np.asarray(prints[np.sort(chosen)], np.float16)


def fit_calibration(encoder: str, source: str, cohort: Cohort, people: LabelledPrints) -> Calibration:
    """Impostor tail and genuine scores of labelled fingerprints, and what detail matches add.

    Args:
        encoder: The encoder that made them, as name@digest.
        source: Whose images they are, in words.
        cohort: What scores are normalised against.
        people: The images whose impostor pairs make the tail. Without something that matches their details,
            or where too few people were matched, details do not count in the calibration.

    Raises:
        UsageError: There are fewer than ``LEAST_SUBJECTS`` subjects.

    Example:
        ``fitted = fit_calibration("mine@1", "our films", Cohort(prints, 200), LabelledPrints(more, names))``
    """
    found = len(np.unique(people.subjects))
    if found < LEAST_SUBJECTS:
        raise UsageError(
            f"Only {found:,} declared subjects have usable images, and a calibration needs {LEAST_SUBJECTS}.",
            "Name a manifest with a column subject_id, or how paths name subjects (the setting subjects).",
            code="too_few_subjects",
        )
    statistics = against_cohort(people.prints, cohort.prints, cohort.top)
    sample = impostor_pairs(people.prints, people.subjects, statistics, source=source)
    tail = fit_tail(sample)
    each = _PAIRS_PER_SUBJECT if people.match is None else _MATCHED_PER_SUBJECT
    pairs = genuine_pairs(people.prints, people.subjects, statistics, each)
    genuine = Genuine(pairs.score, pairs.owner)
    fitted = Calibration(
        encoder=encoder, source=source, cohort=cohort.prints, top=cohort.top, tail=tail, genuine=genuine
    )
    if people.match is None:
        return fitted
    impostors = match_impostors(sample, tail, people.match)
    matches = _found(pairs, tail, impostors.detail_p, people.match)
    joined = fit_detail(impostors, genuine.score.astype(np.float64), genuine.owner.astype(np.int64), matches)
    if joined is None:
        return fitted
    joint, joint_tail = joined
    detail_p = min(MOST_DETAIL_P, impostors.detail_p)
    return replace(
        fitted,
        genuine=replace(genuine, found=matches.astype(np.float32)),
        joint=joint,
        joint_tail=joint_tail,
        detail_p=detail_p,
        strangers=_strangers(impostors, tail),
    )


def _strangers(impostors: MatchedImpostors, tail: Tail) -> Strangers | None:
    """How well strangers match by how alike their fingerprints are, ``None`` where too few were matched."""
    seen = impostors.matched
    if np.count_nonzero(seen) < LEAST_STRANGERS:
        return None
    sample = impostors.sample
    found, weight = impostors.found[seen], sample.weight[seen]
    u = -np.log(tail.p_value(sample.score[seen]))
    centre, mean = np.average(u, weights=weight), np.average(found, weights=weight)
    spread = float(np.average((u - centre) ** 2, weights=weight))
    rise = float(np.average((u - centre) * (found - mean), weights=weight)) / spread if spread > 0 else 0.0
    return Strangers(float(mean - rise * centre), rise)


@dataclass(frozen=True)
class GenuinePairs:
    """Genuine pairs of one set of images.

    Attributes:
        images: ``(g, 2)`` the two images of each.
        score: ``(g,)`` normalised scores.
        owner: ``(g,)`` their subjects, from 0.
    """

    images: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int32]


def _found(pairs: GenuinePairs, tail: Tail, detail_p: float, match: MatchPairs) -> npt.NDArray[np.float64]:
    """``(g,)`` detail matches of the pairs whose score is high enough; NaN for the others."""
    out = np.full(len(pairs.score), np.nan)
    high = np.flatnonzero(tail.p_value(pairs.score) <= detail_p)
    if len(high):
        out[high] = match(pairs.images[high])
    return out


def genuine_pairs(
    prints: Prints, subjects: Names, statistics: CohortStatistics, each: int, seed: int = 0
) -> GenuinePairs:
    """The pairs of every subject, at most ``each`` drawn of one, with their normalised scores.

    Args:
        prints: ``(n, d)`` unit vectors.
        subjects: ``(n,)`` the subject of each.
        statistics: How the images stand to the cohort.
        each: The most pairs of one subject.
        seed: The seed of the draws.

    Example:
        >>> films = np.array([[1, 0], [0.5, 0.866], [1, 0], [0, 1]], np.float32)
        >>> plain = CohortStatistics(np.zeros(4), np.ones(4))
        >>> pairs = genuine_pairs(films, np.array(["p1", "p1", "p2", "p3"]), plain, each=50)
        >>> pairs.images.tolist(), pairs.score.tolist()
        ([[0, 1]], [0.5])
    """
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

"""Fits what score and detail match say together, and how often strangers reach that.

The impostors go through the steps of a run: those whose score is high enough get a detail match, and a tail
is fitted to how often a stranger comes to be matched and then has so high a ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import DETAIL_P, MOST_DETAIL_P
from leakscan.decide.calibration.impostors import ImpostorSample
from leakscan.decide.calibration.likelihood import JointEvidence, fit_joint
from leakscan.decide.calibration.tail import LEAST_SUBJECTS, Tail, fit_tail, threshold_share
from leakscan.errors import SourceError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MatchPairs = Callable[[Ints], Floats]
"""From pairs ``(n, 2)`` of images to detail matches ``(n,)``, NaN where one cannot be read."""

MOST_MATCHES = 16_000
"""The most impostor pairs that are matched."""
_LEAST_MATCHED = 1_500  # pairs of strangers that a tail of joint ratios needs
_UPPER_PART = 0.5  # of the ratios, at most, that the distribution is fitted to
_LEAST_GENUINE = 30  # subjects behind the numbers of the joint ratio


@dataclass(frozen=True)
class MatchedImpostors:
    """Impostors of whom those with a high score got a detail match.

    Attributes:
        sample: The drawn pairs only, their weights scaled to stand for all.
        matched: ``(e,)`` bool, which of them got one.
        found: ``(e,)`` detail matches, NaN where there is none.
        detail_p: The p-value of the score from which pairs were matched.
        support: The share of what the pairs above that score could tell that the drawn ones tell, 0..1.
    """

    sample: ImpostorSample
    matched: npt.NDArray[np.bool_]
    found: Floats
    detail_p: float
    support: float


def match_impostors(
    sample: ImpostorSample, tail: Tail, match: MatchPairs, most: int = MOST_MATCHES, seed: int = 0
) -> MatchedImpostors:
    """Matches the details of the impostor pairs that score high enough for it.

    Where they are too many, they are drawn at even steps of their weight in the order of their scores
    and share it. Fewer pairs tell less: by Kish's effective sizes (Survey Sampling, 1965), and the
    smallest p-value that they support rises by as much.

    Args:
        sample: The impostor pairs, with the images of each.
        tail: The tail that was fitted to them.
        match: What matches the details of pairs of images.
        most: The most pairs to match.
        seed: The seed of the first step.

    Example::

        impostors = match_impostors(sample, fit_tail(sample), match)
        impostors.found[impostors.matched].mean()  # how well the details of strangers agree
    """
    assert sample.images is not None
    wanted = min(MOST_DETAIL_P, max(DETAIL_P, _LEAST_MATCHED / sample.n_subject_pairs))
    cut = max(tail.score_at(wanted), sample.cut)
    high = np.flatnonzero(sample.score >= cut)
    high = high[np.argsort(sample.score[high], kind="stable")]
    weight = sample.weight[high]
    chosen, times, support = high, weight, 1.0
    if len(high) > most:
        step = float(weight.sum()) / most
        at = (np.arange(most) + np.random.default_rng(seed).random()) * step
        drawn, counts = np.unique(
            np.minimum(np.searchsorted(np.cumsum(weight), at), len(high) - 1), return_counts=True
        )
        chosen, times = high[drawn], np.asarray(counts * step, np.float64)
        support = min(1.0, _effective(times) / _effective(weight))
    order = np.argsort(sample.images[chosen, 0], kind="stable")  # films are described once
    chosen, times = chosen[order], times[order]
    seen = np.asarray(match(sample.images[chosen].astype(np.int64)), np.float64)
    low = np.flatnonzero(sample.score < cut)
    keep = np.concatenate([chosen, low])
    images = sample.images[keep]
    kept = replace(
        sample,
        score=sample.score[keep],
        subject_a=sample.subject_a[keep],
        subject_b=sample.subject_b[keep],
        weight=np.concatenate([times, sample.weight[low]]),
        images=images,
    )
    found = np.full(len(keep), np.nan)
    found[: len(chosen)] = seen
    detail_p = float(tail.p_value(np.array([cut]))[0])
    return MatchedImpostors(kept, np.isfinite(found), found, detail_p, support)


def fit_detail(
    impostors: MatchedImpostors, z: Floats, owner: Ints, found: Floats
) -> tuple[JointEvidence, Tail] | None:
    """The joint ratio and the tail of its impostors.

    The ratio's numbers come from the same impostors as the tail; thousands of pairs leave that
    no room to matter.

    Args:
        impostors: The impostor pairs, as :func:`match_impostors` makes them.
        z: ``(g,)`` normalised scores of genuine pairs.
        owner: ``(g,)`` their subjects.
        found: ``(g,)`` their detail matches, NaN where there is none.

    Returns:
        ``None`` where too few people were matched, or the ratio does not rise with the score.

    Example::

        impostors = match_impostors(sample, tail, match)
        joint, tail_of_both = fit_detail(impostors, z, owner, found)
        tail_of_both.p_value(joint.llr(z, found))  # how often strangers come out as alike
    """
    seen = np.isfinite(found)
    people, code, pairs = np.unique(owner[seen], return_inverse=True, return_counts=True)
    sample, matched = impostors.sample, impostors.matched
    if len(people) < _LEAST_GENUINE or np.count_nonzero(matched) < LEAST_SUBJECTS:
        return None
    joint = fit_joint(
        np.concatenate([z[seen], sample.score[matched]]),
        np.concatenate([found[seen], impostors.found[matched]]),
        np.concatenate([np.ones(len(code), bool), np.zeros(int(matched.sum()), bool)]),
        np.concatenate([1.0 / pairs[code], sample.weight[matched]]),
    )
    if joint.score <= 0 or joint.alone_score <= 0:
        return None
    try:
        return joint, joint_tail(impostors, joint)
    except SourceError:  # their ratios do not vary
        return None


def joint_tail(impostors: MatchedImpostors, joint: JointEvidence) -> Tail:
    """The tail of the joint ratios of impostors that got a detail match.

    Those that did not count as below all of them: a pair without a detail match keeps the p-value of its
    score, so it never has a joint ratio to be taken for a match by.

    Args:
        impostors: The impostor pairs, as :func:`match_impostors` makes them.
        joint: The ratio.

    Raises:
        SourceError: Too few were matched, or their ratios do not vary.

    Example::

        tail_of_both = joint_tail(match_impostors(sample, tail, match), joint)
        tail_of_both.p_value(joint.llr(5.2, 1.4))
    """
    sample, matched = impostors.sample, impostors.matched
    ratio = joint.llr(sample.score[matched], impostors.found[matched])
    lowest = float(ratio.min())
    weight = sample.weight[matched]
    seen = replace(
        sample,
        score=ratio,
        subject_a=sample.subject_a[matched],
        subject_b=sample.subject_b[matched],
        weight=weight,
        images=None if sample.images is None else sample.images[matched],
        edges=np.array([lowest - 1.0, lowest]),
        mass=np.array([sample.n_subject_pairs - weight.sum()]),
        cut=lowest,
    )
    upper = _UPPER_PART * float(weight.sum()) / sample.n_subject_pairs
    tail = fit_tail(seen, share=min(upper, threshold_share(sample.n_subject_pairs)))
    return replace(tail, n_effective=max(1, int(tail.n_effective * impostors.support)))


def _effective(weight: Floats) -> float:
    return float(weight.sum() ** 2 / np.maximum((weight**2).sum(), 1e-300))

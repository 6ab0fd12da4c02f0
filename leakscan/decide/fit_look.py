"""Fits the second look: what score and finding say together, and how often strangers reach that.

The impostors go through the steps of a run. Those whose score is high enough are looked at, the others
keep the ratio of their score alone, and one tail is fitted to the ratios of all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration import LOOK_P
from leakscan.decide.impostors import ImpostorSample
from leakscan.decide.likelihood import JointEvidence, fit_joint
from leakscan.decide.tail import LEAST_SUBJECTS, Tail, fit_tail, threshold_share
from leakscan.errors import SourceError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Look = Callable[[Ints], Floats]
"""From pairs ``(n, 2)`` of images to what a second look finds ``(n,)``, NaN where it cannot look."""

MOST_LOOKS = 16_000
"""Impostor pairs that are looked at."""
_LEAST_GENUINE = 30  # subjects behind the numbers of the joint ratio


@dataclass(frozen=True)
class LookedAt:
    """Impostors of whom those with a high score were looked at.

    Attributes:
        sample: with the drawn pairs only, their weights scaled to stand for all.
        looked: ``(e,)`` bool, which of them were.
        found: ``(e,)`` what was seen, NaN where nobody looked.
        look_p: p-value of the score from which pairs were looked at.
        support: the share of what the pairs above that score could tell that the drawn ones tell, 0..1.
    """

    sample: ImpostorSample
    looked: npt.NDArray[np.bool_]
    found: Floats
    look_p: float
    support: float


def look_at_impostors(
    sample: ImpostorSample, tail: Tail, look: Look, most: int = MOST_LOOKS, seed: int = 0
) -> LookedAt:
    """Looks at the impostor pairs that score high enough for a second look.

    Where they are too many, they are drawn at even steps of their weight in the order of their scores
    and share it. Fewer pairs tell less: by Kish's effective sizes (Survey Sampling, 1965), and the
    smallest p-value that they support rises by as much.

    Args:
        sample: with the images of each pair.
        tail: fitted to it.
        look: compares pairs of images.
        most: pairs to look at.
        seed: of the first step.
    """
    assert sample.images is not None
    cut = max(tail.score_at(LOOK_P), sample.cut)
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
    seen = np.asarray(look(sample.images[chosen].astype(np.int64)), np.float64)
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
    look_p = float(tail.p_value(np.array([cut]))[0])
    return LookedAt(kept, np.isfinite(found), found, look_p, support)


def fit_look(impostors: LookedAt, z: Floats, owner: Ints, found: Floats) -> tuple[JointEvidence, Tail] | None:
    """The joint ratio and the tail of its impostors.

    The ratio's numbers come from the same impostors as the tail; thousands of pairs leave that
    no room to matter.

    Args:
        impostors: from :func:`look_at_impostors`.
        z: ``(g,)`` normalised scores of genuine pairs.
        owner: ``(g,)`` their subjects.
        found: ``(g,)``, NaN where nobody looked.

    Returns:
        ``None`` where too few people were looked at, or the ratio does not rise with the score.
    """
    seen = np.isfinite(found)
    people, code, pairs = np.unique(owner[seen], return_inverse=True, return_counts=True)
    sample, looked = impostors.sample, impostors.looked
    if len(people) < _LEAST_GENUINE or np.count_nonzero(looked) < LEAST_SUBJECTS:
        return None
    joint = fit_joint(
        np.concatenate([z[seen], sample.score[looked]]),
        np.concatenate([found[seen], impostors.found[looked]]),
        np.concatenate([np.ones(len(code), bool), np.zeros(int(looked.sum()), bool)]),
        np.concatenate([1.0 / pairs[code], sample.weight[looked]]),
    )
    if joint.score <= 0 or joint.alone_score <= 0:
        return None
    try:
        return joint, joint_tail(impostors, joint)
    except SourceError:  # hardly a stranger gains by the look, so nothing can be fitted to those
        return None


def joint_tail(impostors: LookedAt, joint: JointEvidence) -> Tail:
    """The tail of the joint ratios of all impostors.

    The distribution is fitted where only pairs that were looked at are: below, pairs whose score fell
    just short of a look are mixed in, and the two together follow no one law. There they are counted.

    Raises:
        SourceError: too few ratios are that high, or they do not vary.
    """
    sample = impostors.sample
    ratio = joint.llr(sample.score, impostors.found)
    unseen = joint.llr(sample.score, np.full_like(impostors.found, np.nan))
    turning = float(unseen[~impostors.looked].max(initial=float(unseen.min())))
    share = float(sample.weight[ratio > turning].sum()) / sample.n_subject_pairs
    if share <= 0:
        raise SourceError(f"No stranger of {sample.source} gains by a second look.")
    tail = fit_tail(
        _of_ratios(sample, ratio, joint), share=min(share, threshold_share(sample.n_subject_pairs))
    )
    return replace(tail, n_effective=max(1, int(tail.n_effective * impostors.support)))


def _of_ratios(sample: ImpostorSample, ratio: Floats, joint: JointEvidence) -> ImpostorSample:
    """The sample with ratios for scores; looked-at pairs that fell below the cut are only counted."""
    if not len(sample.mass):
        return replace(sample, score=ratio)
    edges = joint.alone_bias + joint.alone_score * sample.edges
    fell = ratio < edges[-1]
    counted = np.histogram(np.clip(ratio[fell], edges[0], None), edges, weights=sample.weight[fell])[0]
    return replace(
        sample,
        score=ratio[~fell],
        subject_a=sample.subject_a[~fell],
        subject_b=sample.subject_b[~fell],
        weight=sample.weight[~fell],
        images=None if sample.images is None else sample.images[~fell],
        edges=edges,
        mass=sample.mass + counted,
        cut=float(edges[-1]),
    )


def _effective(weight: Floats) -> float:
    return float(weight.sum() ** 2 / np.maximum((weight**2).sum(), 1e-300))

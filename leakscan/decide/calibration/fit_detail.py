"""Fits the second look: what score and finding say together, and how often strangers reach that.

The impostors go through the steps of a run: those whose score is high enough are looked at, and a tail is
fitted to how often a stranger comes to be looked at and then has so high a ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import DETAIL_P
from leakscan.decide.calibration.impostors import ImpostorSample
from leakscan.decide.calibration.likelihood import JointEvidence, fit_joint
from leakscan.decide.calibration.tail import LEAST_SUBJECTS, Tail, fit_tail, threshold_share
from leakscan.errors import SourceError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Look = Callable[[Ints], Floats]
"""From pairs ``(n, 2)`` of images to what a second look finds ``(n,)``, NaN where it cannot look."""

STRANGERS = 1500
"""Impostor pairs whose score is just too low for a look that are looked at all the same; see
:func:`just_too_low`."""
_TOO_LOW = 3.0  # times the p-value that gets a look
_EACH_SIDE = 700  # images held against each other to find them

MOST_MATCHES = 16_000
"""Impostor pairs that are looked at."""
_UPPER_PART = 0.5  # of the ratios, at most, that the distribution is fitted to
_LEAST_GENUINE = 30  # subjects behind the numbers of the joint ratio


@dataclass(frozen=True)
class MatchedImpostors:
    """Impostors of whom those with a high score were looked at.

    Attributes:
        sample: with the drawn pairs only, their weights scaled to stand for all.
        looked: ``(e,)`` bool, which of them were.
        found: ``(e,)`` what was seen, NaN where nobody looked.
        detail_p: p-value of the score from which pairs were looked at.
        support: the share of what the pairs above that score could tell that the drawn ones tell, 0..1.
    """

    sample: ImpostorSample
    looked: npt.NDArray[np.bool_]
    found: Floats
    detail_p: float
    support: float


def match_impostors(
    sample: ImpostorSample, tail: Tail, look: Look, most: int = MOST_MATCHES, seed: int = 0
) -> MatchedImpostors:
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
    cut = max(tail.score_at(DETAIL_P), sample.cut)
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
    detail_p = float(tail.p_value(np.array([cut]))[0])
    return MatchedImpostors(kept, np.isfinite(found), found, detail_p, support)


def just_too_low(p: Floats, detail_p: float) -> Ints:
    """``(k, 2)`` places in a table of p-values ``(a, b)`` that just miss a look.

    What a look finds of these strangers says whether it takes the people of one hospital for more alike
    than those of another; hardly any pair of one person lies there.
    """
    return np.argwhere((p > detail_p) & (p <= _TOO_LOW * detail_p)).astype(np.int64)


def strangers_below(
    prints: npt.NDArray[np.float32],
    subjects: npt.NDArray[np.str_],
    scores: Callable[[Ints, Ints], Floats],
    tail: Tail,
    detail_p: float,
    seed: int = 0,
) -> Ints:
    """Pairs ``(k, 2)`` of images of different subjects whose score just misses a look.

    Args:
        prints: ``(n, d)`` unit vectors.
        subjects: ``(n,)``.
        scores: of images ``(a,)`` against images ``(b,)``, in the units of the tail.
        tail: of impostors.
        detail_p: p-value from which pairs get a look.
        seed: of who is drawn.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(prints))
    one_each = rng.permutation(order[np.unique(subjects[order], return_index=True)[1]])
    half = len(one_each) // 2
    left, right = one_each[:half][:_EACH_SIDE], one_each[half:][:_EACH_SIDE]
    at = just_too_low(tail.p_value(scores(left, right)), detail_p)
    drawn = at[rng.permutation(len(at))[:STRANGERS]]
    return np.stack([left[drawn[:, 0]], right[drawn[:, 1]]], axis=1).astype(np.int64)


def fit_detail(
    impostors: MatchedImpostors, z: Floats, owner: Ints, found: Floats
) -> tuple[JointEvidence, Tail] | None:
    """The joint ratio and the tail of its impostors.

    The ratio's numbers come from the same impostors as the tail; thousands of pairs leave that
    no room to matter.

    Args:
        impostors: from :func:`match_impostors`.
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
    except SourceError:  # their ratios do not vary
        return None


def joint_tail(impostors: MatchedImpostors, joint: JointEvidence) -> Tail:
    """The tail of the joint ratios of impostors that were looked at.

    Those that were not count as below all of them: a pair that nobody looked at keeps the p-value of its
    score, so it never has a joint ratio to be taken for a match by.

    Raises:
        SourceError: too few were looked at, or their ratios do not vary.
    """
    sample, looked = impostors.sample, impostors.looked
    ratio = joint.llr(sample.score[looked], impostors.found[looked])
    lowest = float(ratio.min())
    weight = sample.weight[looked]
    seen = replace(
        sample,
        score=ratio,
        subject_a=sample.subject_a[looked],
        subject_b=sample.subject_b[looked],
        weight=weight,
        images=None if sample.images is None else sample.images[looked],
        edges=np.array([lowest - 1.0, lowest]),
        mass=np.array([sample.n_subject_pairs - weight.sum()]),
        cut=lowest,
    )
    upper = _UPPER_PART * float(weight.sum()) / sample.n_subject_pairs
    tail = fit_tail(seen, share=min(upper, threshold_share(sample.n_subject_pairs)))
    return replace(tail, n_effective=max(1, int(tail.n_effective * impostors.support)))


def _effective(weight: Floats) -> float:
    return float(weight.sum() ** 2 / np.maximum((weight**2).sum(), 1e-300))

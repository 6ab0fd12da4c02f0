"""What turns an encoder's similarities into error rates: a cohort, an impostor tail, genuine scores.

It is bound to one encoder by the digest. The cohort are fingerprints of people, disclosed in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.likelihood import JointEvidence
from leakscan.decide.calibration.normalise import CohortStatistics, cohort_statistics, soften
from leakscan.decide.calibration.tail import Tail
from leakscan.fingerprint.encoders.card import ImpostorScores

LEAK_Q = 0.01
"""A pair is a leak where at most this share of the pairs called leaks is expected to be false."""
REVIEW_EXPECTED_FALSE = 20.0
"""Pairs go to review while at most this many false ones are expected among them."""

DETAIL_P = 1e-2
"""Pairs whose score has at most this p-value get a second look."""

LEAST_STRANGERS = 100
"""Of a run's own strangers that must have been looked at before findings are shifted by theirs."""

_DRAWS = 500
_ROUNDING = 1e-6  # of scores that were stored as float32 or went through a p-value and back

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DetailShift:
    """What a run takes off its findings, so that its strangers reach a p-value as often as it says.

    Films of other hospitals may look more alike to the second look; and of subjects with several pictures,
    the two most alike are looked at.

    Attributes:
        once: of two subjects with a picture each, in units of the finding.
        by_choice: more of it for every nat of pairs of pictures to choose from, at least 0.
    """

    once: float = 0.0
    by_choice: float = 0.0

    def of(self, choices: npt.ArrayLike) -> Floats:
        """For numbers of pairs of pictures. Never below 0.

        That strangers who are little alike look less alike than usual says too little of those who are most
        alike to give credit for.
        """
        return np.maximum(0.0, self.once + self.by_choice * np.log(np.asarray(choices, np.float64)))


@dataclass(frozen=True)
class Genuine:
    """Normalised scores of pairs of one subject each.

    Attributes:
        score: ``(g,)`` float32.
        owner: ``(g,)`` int32, the subject of each pair; subjects count alike.
        found: ``(g,)`` float32 what a second look found, NaN where nobody looked; ``None`` where nobody
            looked at any.
    """

    score: npt.NDArray[np.float32]
    owner: npt.NDArray[np.int32]
    found: npt.NDArray[np.float32] | None = None

    def missed(self, score: float) -> tuple[float, float, float]:
        """False non-match rate of the fingerprint alone: :meth:`share` of the pairs below a score."""
        return self.share(self.score < score)

    def share(self, chosen: npt.NDArray[np.bool_], seed: int = 0) -> tuple[float, float, float]:
        """The share of the chosen pairs, and its 95 % interval by subject bootstrap.

        Args:
            chosen: ``(g,)``.
            seed: of the draws.

        Returns:
            ``(rate, low, high)``; NaN where there are no genuine pairs.
        """
        if not len(self.score):
            return float("nan"), float("nan"), float("nan")
        _, owner, pairs = np.unique(self.owner, return_inverse=True, return_counts=True)
        per_subject = np.bincount(owner, chosen) / pairs
        draws = np.random.default_rng(seed).choice(per_subject, (_DRAWS, len(per_subject))).mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        return float(per_subject.mean()), float(low), float(high)


@dataclass(frozen=True)
class Calibration:
    """Everything decisions about persons rest on, for one encoder.

    Attributes:
        encoder: name@digest it belongs to.
        source: whose images, in words.
        cohort: ``(m, d)`` float16 unit fingerprints of different subjects that scores are
            normalised against.
        top: how many of an image's nearest cohort members count; 0 for plain cosine similarities,
            which then need no cohort.
        tail: of the normalised scores of known-different subjects.
        genuine: of the normalised scores of known-same subjects.
        decides: whether there were people enough for a score alone to prove anything.
        joint: what score and finding say together; ``None`` where no pair gets a second look.
        joint_tail: of the joint ratios of known-different subjects; those that get no look count as below.
        detail_p: p-value of the score from which pairs get the second look.
        look: digest of the look that ``joint`` was fitted with.
        strangers_found: mean of what it found of strangers whose score just misses a look; a run's own are
            held against it. ``None`` where that was not measured.
    """

    encoder: str
    source: str
    cohort: npt.NDArray[np.float16]
    top: int
    tail: Tail
    genuine: Genuine
    decides: bool = True
    joint: JointEvidence | None = None
    joint_tail: Tail | None = None
    detail_p: float = DETAIL_P
    look: str = ""
    strangers_found: float | None = None

    @property
    def looks(self) -> bool:
        """Whether pairs get a second look."""
        return self.joint is not None and self.joint_tail is not None

    def p_value(self, score: npt.ArrayLike, found: npt.ArrayLike | None = None) -> Floats:
        """False match rates of pairs, some of which were looked at.

        A pair that nobody looked at keeps the rate of its score. One that was looked at has the rate at
        which a stranger comes to be looked at *and* has a joint ratio this high: the impostors behind
        ``joint_tail`` went through the same two steps, so the p-value needs no correction for the
        selection. Where all pairs above the score are looked at, it is valid at every level below
        ``detail_p``. Where the time or the pixels did not reach, a stranger has two ways to a small
        p-value, and the rate is at most twice the stated one.

        Args:
            score: ``(n,)`` normalised scores.
            found: ``(n,)`` what a second look found, NaN where nobody looked. It counts only where
                ``score`` is one that gets a second look.

        Returns:
            ``(n,)``, none below the floor of the tail it comes from.
        """
        scores = np.asarray(score, np.float64)
        p = self.tail.p_value(scores)
        if found is None or self.joint is None or self.joint_tail is None:
            return p
        seen = np.asarray(found, np.float64)
        looked = np.isfinite(seen) & (p <= self.detail_p * (1.0 + _ROUNDING))
        p[looked] = self.joint_tail.p_value(self.joint.llr(scores[looked], seen[looked]))
        return p

    def detail_shift(self, found: npt.ArrayLike, choices: npt.ArrayLike = 1) -> DetailShift:
        """How much more alike a run's own strangers look than the calibration's did.

        Args:
            found: what was found of the run's pairs whose score just misses a look, NaN where nobody looked.
            choices: ``(n,)`` or one number: the pairs of pictures that each was the most alike of.

        Returns:
            By least squares in the logarithm of the choices. Nothing where fewer than ``LEAST_STRANGERS``
            were looked at.
        """
        values, several = np.broadcast_arrays(np.asarray(found, np.float64), np.asarray(choices, np.float64))
        seen = np.isfinite(values)
        if self.strangers_found is None or np.count_nonzero(seen) < LEAST_STRANGERS:
            return DetailShift()
        more, log = values[seen] - self.strangers_found, np.log(several[seen])
        spread = float(log.var())
        slope = float(np.mean((log - log.mean()) * more)) / spread if spread > 0 else 0.0
        by_choice = max(0.0, slope)
        return DetailShift(float(more.mean() - by_choice * log.mean()), by_choice)

    def missed(self, p: float, reach: float = 1.0) -> tuple[float, float, float]:
        """False non-match rate at a p-value, and its 95 % interval by subject bootstrap.

        Args:
            p: pairs with a larger one are missed.
            reach: p-value of the score from which pairs were found and looked at, so that a search with a
                narrower radius than ``detail_p`` promises no more than it does; 0 where nobody looked.

        Returns:
            ``(rate, low, high)``; NaN where there are no genuine pairs.
        """
        p_values = self.tail.p_value(self.genuine.score)
        if self.genuine.found is not None:
            p_values = self.p_value(
                self.genuine.score, np.where(p_values <= reach, self.genuine.found, np.nan)
            )
        return self.genuine.share(p_values > p * (1.0 + _ROUNDING))


def against_cohort(
    prints: npt.NDArray[np.floating], cohort: npt.NDArray[np.floating], top: int
) -> CohortStatistics:
    """How images stand to a cohort, with their spread drawn towards what is usual in it.

    Args:
        prints: ``(n, d)`` unit vectors.
        cohort: ``(m, d)`` unit vectors of different subjects.
        top: nearest members that count; with 0 a cosine similarity is its own normalised score.
    """
    if top == 0:
        return CohortStatistics(np.zeros(len(prints)), np.ones(len(prints)))
    usual = float(np.median(cohort_statistics(cohort, cohort, top=top).std))
    return soften(cohort_statistics(prints, cohort, top=top), usual)


def score_at(impostors: ImpostorScores, fmr: float) -> float:
    """The cosine similarity whose false match rate is ``fmr`` by an encoder's card.

    It only bounds the search; decisions rest on normalised scores. The highest known similarity
    stands for rates that are too small.
    """
    order = np.argsort(impostors.fmr)
    rates, scores = np.log(np.array(impostors.fmr)[order]), np.array(impostors.score)[order]
    return float(np.interp(np.log(fmr), rates, scores))

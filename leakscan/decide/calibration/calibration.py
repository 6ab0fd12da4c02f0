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

DETAIL_P = 1e-3
"""Pairs whose score has at most this p-value get a detail match; it is where the search of a run ends."""
MOST_DETAIL_P = 1e-2
"""The same where a calibration has so few people that hardly any pair of strangers would get one."""

LEAST_STRANGERS = 100
"""How many of a run's own strangers must have been matched before findings are shifted by theirs."""

_DRAWS = 500
_TRIMMED = 0.1
_ROUNDING = 1e-6  # of scores that were stored as float32 or went through a p-value and back

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Strangers:
    """How well the details of strangers match, by how alike their fingerprints are.

    Attributes:
        at: The mean detail match at a p-value of 1, by the line through those that were measured.
        rise: What is added for every nat that the p-value is lower.
    """

    at: float
    rise: float = 0.0

    def expected(self, p: npt.ArrayLike) -> Floats:
        """The mean detail match of strangers whose scores have these p-values, of any shape."""
        return self.at - self.rise * np.log(np.asarray(p, np.float64))


@dataclass(frozen=True)
class DetailShift:
    """What a run takes off its detail matches, so that its strangers reach a p-value as often as it says.

    Films of other hospitals may be more alike in detail; and of subjects with several pictures, the two most
    alike are matched.

    Attributes:
        once: The part for two subjects with a picture each, in units of the detail match.
        by_choice: What is added for every nat of pairs of pictures to choose from, at least 0.
    """

    once: float = 0.0
    by_choice: float = 0.0

    def of(self, choices: npt.ArrayLike) -> Floats:
        """The shift for subjects with so many pairs of pictures. Never below 0.

        That strangers who are little alike match less well than usual says too little of those who are most
        alike to give credit for.

        Args:
            choices: Numbers of pairs of pictures to choose from, of any shape.
        """
        return np.maximum(0.0, self.once + self.by_choice * np.log(np.asarray(choices, np.float64)))


@dataclass(frozen=True)
class Genuine:
    """Normalised scores of pairs of one subject each.

    Attributes:
        score: ``(g,)`` float32.
        owner: ``(g,)`` int32, the subject of each pair; subjects count alike.
        found: ``(g,)`` float32 detail matches, NaN where there was none; ``None`` where there were none at
            all.
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
            chosen: ``(g,)`` which pairs are counted.
            seed: The seed of the draws.

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


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Everything decisions about persons rest on, for one encoder.

    Attributes:
        encoder: The encoder it belongs to, as name@digest.
        source: Whose images it was made from, in words.
        cohort: ``(m, d)`` float16 unit fingerprints of different subjects that scores are
            normalised against.
        top: How many of an image's nearest cohort members count; 0 for plain cosine similarities,
            which then need no cohort.
        tail: The tail of the normalised scores of known-different subjects.
        genuine: The normalised scores of known-same subjects.
        decides: Whether there were people enough for a score alone to prove anything.
        joint: What score and detail match say together; ``None`` where details are not matched.
        joint_tail: The tail of the joint ratios of known-different subjects; those without a detail match
            count as below.
        detail_p: The p-value of the score from which details are matched.
        detail_digest: The digest of the network that ``joint`` was fitted with.
        one_collection: Whether every two of its strangers are of one collection, with its machines and kind
            of people: strangers hardly get more alike. A run's own scores then only raise rates, and fewer
            subjects tell whether they must.
        strangers: How well strangers match in detail; a run's own are held against it. ``None`` where that
            was not measured.
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
    detail_digest: str = ""
    strangers: Strangers | None = None
    one_collection: bool = False

    @property
    def matches_details(self) -> bool:
        """Whether details count."""
        return self.joint is not None and self.joint_tail is not None

    def p_value(self, score: npt.ArrayLike, found: npt.ArrayLike | None = None) -> Floats:
        """False match rates of pairs, some of whose details were matched.

        A pair without a detail match keeps the rate of its score. One that has it gets the rate at
        which a stranger comes to be matched *and* has a joint ratio this high: the impostors behind
        ``joint_tail`` went through the same two steps, so the p-value needs no correction for the
        selection. Where all pairs above the score are matched, it is valid at every level below
        ``detail_p``. Where the time or the pixels did not reach, a stranger has two ways to a small
        p-value, and the rate is at most twice the stated one.

        Args:
            score: ``(n,)`` normalised scores.
            found: ``(n,)`` detail matches, NaN where there is none. One counts only where ``score`` is high
                enough for it.

        Returns:
            ``(n,)``, none below the floor of the tail it comes from.
        """
        scores = np.asarray(score, np.float64)
        p = self.tail.p_value(scores)
        if found is None or self.joint is None or self.joint_tail is None:
            return p
        seen = np.asarray(found, np.float64)
        counts = np.isfinite(seen) & (p <= self.detail_p * (1.0 + _ROUNDING))
        p[counts] = self.joint_tail.p_value(self.joint.llr(scores[counts], seen[counts]))
        return p

    def detail_shift(self, more: npt.ArrayLike, choices: npt.ArrayLike = 1) -> DetailShift:
        """How much better the details of a run's own strangers match than the calibration's did.

        Args:
            more: ``(n,)`` detail matches of the run's strangers less what is expected of strangers with their
                scores (:class:`Strangers`), NaN where there is none.
            choices: ``(n,)`` or one number: the pairs of pictures that each was the most alike of.

        Returns:
            A line by least squares in the logarithm of the choices. The tenth of the pairs on either end has
            no say, so that a few that show one person do not count. No shift where fewer than
            ``LEAST_STRANGERS`` were matched.
        """
        values, several = np.broadcast_arrays(np.asarray(more, np.float64), np.asarray(choices, np.float64))
        seen = np.isfinite(values)
        if np.count_nonzero(seen) < LEAST_STRANGERS:
            return DetailShift()
        values, log = values[seen], np.log(several[seen])
        low, high = np.quantile(values, [_TRIMMED, 1.0 - _TRIMMED])
        inside = (values >= low) & (values <= high)
        values, log = values[inside], log[inside]
        spread = float(log.var())
        slope = float(np.mean((log - log.mean()) * values)) / spread if spread > 0 else 0.0
        by_choice = max(0.0, slope)
        return DetailShift(float(values.mean() - by_choice * log.mean()), by_choice)

    def missed(self, p: float, reach: float = 1.0) -> tuple[float, float, float]:
        """False non-match rate at a p-value, and its 95 % interval by subject bootstrap.

        Args:
            p: The p-value above which pairs are missed.
            reach: The p-value of the score from which pairs were found and matched, so that a search with a
                narrower radius than ``detail_p`` promises no more than it does; 0 where nothing was matched.

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
        top: How many nearest members count; with 0 a cosine similarity is its own normalised score.

    Example:
        >>> angle = np.radians([0, 10, 20, 30, 40, 50, 60])
        >>> cohort = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        >>> like_everybody, like_nobody = [0.87, 0.5], [0.5, -0.87]
        >>> against_cohort(np.array([like_everybody, like_nobody]), cohort, top=3).mean.round(1).tolist()
        [0.9, -0.2]
    """
    if top == 0:
        return CohortStatistics(np.zeros(len(prints)), np.ones(len(prints)))
    usual = float(np.median(cohort_statistics(cohort, cohort, top=top).std))
    return soften(cohort_statistics(prints, cohort, top=top), usual)


def score_at(impostors: ImpostorScores, fmr: float) -> float:
    """The cosine similarity whose false match rate is ``fmr`` by an encoder's card.

    It only bounds the search; decisions rest on normalised scores. The highest known similarity
    stands for rates that are too small.

    Args:
        impostors: The impostor scores of the encoder's card.
        fmr: The false match rate, above 0.

    Example:
        >>> card = ImpostorScores(fmr=(0.1, 0.01, 0.001), score=(0.3, 0.5, 0.7))
        >>> round(score_at(card, 0.01), 3)
        0.5
    """
    order = np.argsort(impostors.fmr)
    rates, scores = np.log(np.array(impostors.fmr)[order]), np.array(impostors.score)[order]
    return float(np.interp(np.log(fmr), rates, scores))

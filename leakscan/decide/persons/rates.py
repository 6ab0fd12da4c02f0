"""From scores and detail matches of a run to rates: how often its strangers come out as alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration, DetailShift
from leakscan.decide.calibration.own_tail import OwnTail
from leakscan.decide.calibration.tail import Tail
from leakscan.decide.persons.bulk import LocationScale
from leakscan.decide.persons.met_strangers import MetTail

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Turns scores and detail matches of one run into p-values.

    Attributes:
        calibration: The calibration of the encoder.
        share: The share of the promise that belongs to pairs with a detail match, 0 where none has one.
        shift: What is taken off detail matches, as strangers of this run match better.
        score: The run's own rate by the score alone, ``None`` where too few subjects are declared.
        joint: The run's own rate by score and detail match, ``None`` likewise.
        bulk: How this run's scores lie against the calibration's; where nobody is declared, it tells whether
            strangers fall off more slowly here.
        met: The rate of strangers by the pairs of the two datasets themselves; where nobody is declared, and
            the datasets are large or their strangers fall off more slowly.
    """

    calibration: Calibration
    share: float
    shift: DetailShift
    score: OwnTail | None
    joint: OwnTail | None
    bulk: LocationScale | None
    met: MetTail | None = None

    def p_value(self, score: Floats, detail: Floats) -> Floats:
        """The rate at which strangers come out as alike.

        A pair without a detail match is decided beside those that have one, so a stranger has two ways to a
        small p-value. Each way is given a share of the promise, whatever it finds, so that both together keep
        the stated rate (weights of tests: Genovese, Roeder and Wasserman 2006).

        Args:
            score: ``(n,)`` scores as the calibration's lie.
            detail: ``(n,)`` detail matches less the shift, NaN where there is none.
        """
        if self.score is None and self.met is not None:
            rate = self.met.rate(self.depth(score, detail))
            return rate if self.met.alone else np.maximum(rate, self._shared(score, detail))
        p = self._shared(score, detail)
        if self.score is None and self.bulk is not None and self.bulk.slope > 1.0:
            stated = self.calibration.tail.p_value(score)
            p = np.minimum(1.0, p * self.bulk.slowed(stated) / stated)
        return p

    def _shared(self, score: Floats, detail: Floats) -> Floats:
        """The rate by the calibration and own strangers, both ways together."""
        calibration = self.calibration
        matched = np.isfinite(detail)
        p = _rate(self.score, calibration.tail, score)
        if self.share <= 0 or calibration.joint is None or calibration.joint_tail is None:
            return p
        ratio = calibration.joint.llr(score[matched], detail[matched])
        p = np.where(matched, 1.0, p / (1.0 - self.share))
        p[matched] = _rate(self.joint, calibration.joint_tail, ratio) / self.share
        return np.minimum(p, 1.0)

    def depth(self, score: Floats, detail: Floats) -> Floats:
        """Minus the logarithm of the calibration's rate, as a scale beyond what it can vouch for.

        Args:
            score: ``(n,)`` scores as the calibration's lie.
            detail: ``(n,)`` detail matches less the shift, NaN where there is none.
        """
        calibration = self.calibration
        u = calibration.tail.depth(score)
        if self.share <= 0 or calibration.joint is None or calibration.joint_tail is None:
            return u
        matched = np.isfinite(detail)
        u = u + math.log(1.0 - self.share)
        ratio = calibration.joint.llr(score[matched], detail[matched])
        u[matched] = calibration.joint_tail.depth(ratio) + math.log(self.share)
        return np.asarray(np.maximum(u, 0.0), np.float64)

    @property
    def plain(self) -> Rates:
        """The rates that are most likely, where those for tests are careful.

        Where nobody is declared, the pairs of the two datasets may raise rates, and shared people among them
        raise them too far. A test may be careful; a probability that counts strangers by it is too low.
        """
        slower = self.bulk is not None and self.bulk.slope > 1.0
        if self.score is not None or (self.met is None and not slower):
            return self
        met = None if self.met is None else replace(self.met, level_error=0.0, error=0.0)
        return replace(self, met=met, bulk=None)

    @property
    def tail(self) -> Tail:
        """The calibration's tail that most small p-values come from."""
        joint = self.calibration.joint_tail
        return joint if self.share > 0 and joint is not None else self.calibration.tail

    @property
    def least(self) -> float:
        """The smallest p-value that any pair of the run can have."""
        if self.share <= 0:
            return float(self.p_value(np.array([np.inf]), np.array([np.nan]))[0])
        return float(self.p_value(np.full(2, np.inf), np.array([np.nan, np.inf])).min())

    def spread(self, p: float) -> float:
        """The standard error of the logarithm of a p-value, by strangers of this run; NaN without them."""
        if self.score is None and self.met is not None:
            return self.met.spread(p)
        own = (self.joint if self.share > 0 else self.score) or self.score
        return float("nan") if own is None else own.spread(p)


def _rate(own: OwnTail | None, tail: Tail, score: Floats) -> Floats:
    """The rate of scores or ratios by a tail of the calibration and by own strangers, the larger of the two.

    Where they are more pairs than the calibration's, they are read on the scale of depth, which goes on
    beyond the calibration's floor. What it states there, with its care, still bounds the rate of few people.
    """
    stated = tail.p_value(score)
    if own is None:
        return stated
    if own.alone:
        return own.p_value(np.exp(-tail.depth(score)))
    return np.maximum(own.p_value(np.exp(-tail.depth(score)) if own.floor < tail.floor else stated), stated)

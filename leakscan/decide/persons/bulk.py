"""Do the run's own scores lie like those the tail was fitted on? Location, scale, disagreement.

Nearly all pairs of A x B show strangers, so their bulk is a second sample of impostors, from the
user's own machines and population. Its far tail is not used: there the leaks are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.normalise import CohortStatistics
from leakscan.decide.calibration.own_tail import truncated_mean_slope
from leakscan.decide.calibration.tail import Tail
from leakscan.decide.persons.subjects import Subjects, template_scores

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DOMAIN_LIMIT = math.log(2.0)
"""Beyond a factor of two at any level of ``COMPARED``, past its error, the encoder is out of its domain."""
COMPARED = (0.1, 0.03, 0.01)
_MATCHED = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01)
_SHARES = 11  # candidate shares of genuine pairs
_DRAWS = 40  # of the map's own error
_SLOPE_FROM, _SLOPE_TO = 3e-2, 1e-3  # rates between which the run's own fall is measured
_LEAST_IN_WINDOW = 500
_UNREACHED = 7  # levels of ``_MATCHED`` from the lowest score on that shared pairs hardly reach
_FAR = 1e-4  # the rate beyond which nearly all pairs are of one person where these are many

CHECKABLE_SUBJECTS = 200
"""A dataset with fewer subjects cannot show whether the calibration holds for it."""
CHECKABLE_OF_ONE_COLLECTION = 50
"""The same where the calibration's strangers are as alike as any, so that a run can only be more careful."""
_BULK_SIDE = 700  # images of each side whose scores are held against the calibration's
_GENUINE_SHARE = 0.01  # of all pairs, where nobody knows how many pictures a person has
_MOST_GENUINE = 0.15
_MOST_PARTNERS = 0.1  # of the images of the other side that can show the person of one image
_LEAST_ALIKE = 0.5  # of pairs far above strangers that lie nearer to genuine pairs than to strangers
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class LocationScale:
    """How the run's scores lie against the tail's: observed = location + scale x tail's.

    Attributes:
        location: The shift, in units of the score.
        scale: The factor, positive.
        genuine_share: The share of genuine pairs at which the two agree best.
        log_ratio: The log of actual to stated FMR at each level of ``COMPARED`` after mapping, 0 where
            genuine pairs or the error of the sample explain it.
        draws: Location and scale with rows and columns of the sample drawn again, which is how well
            they are known.
        slope: The mean excess of the run's scores on the tail's scale, where it is above 1 beyond its error.
        credit: Whether strangers who are less alike than the tail's make rates smaller.
    """

    location: float
    scale: float
    genuine_share: float
    log_ratio: tuple[float, ...]
    draws: tuple[tuple[float, float], ...]
    slope: float = 1.0
    credit: bool = True

    def to_tail(self, score: npt.ArrayLike) -> Floats:
        """Scores of the run in the units of the tail; without credit, none above what it was."""
        raw = np.asarray(score, np.float64)
        mapped = (raw - self.location) / self.scale
        return np.asarray(mapped if self.credit else np.minimum(raw, mapped), np.float64)

    def slowed(self, p: npt.ArrayLike) -> Floats:
        """Rates as they are where strangers fall off more slowly than the calibration says; never lower ones.

        Args:
            p: Rates by the calibration.
        """
        stated = np.asarray(p, np.float64)
        if self.slope <= 1.0:
            return stated
        beyond = np.maximum(0.0, -math.log(_SLOPE_FROM) - np.log(stated))
        return np.minimum(1.0, stated * np.exp(beyond * (1.0 - 1.0 / self.slope)))

    def widened(self, p: float, low: float, high: float, tail: Tail) -> tuple[float, float]:
        """The interval of a false match rate with what is not known of the map.

        Location and scale come from a sample, whose error adds to that of the tail (independent, so the
        squares add, of logarithms). And the far tail of these images may follow the calibration's as it
        stands as well as the shifted one: what is said of a rate must hold both.

        Args:
            p: The false match rate of mapped scores.
            low: The lower end of its interval by the tail alone.
            high: The upper end of it.
            tail: The tail that they come from.
        """
        mapped = tail.score_at(p)
        observed = self.location + self.scale * mapped
        location, scale = np.array(self.draws).T
        drawn = np.log(tail.p_value((observed - location) / scale))
        error = 1.96 * float(drawn.std())
        undone = float(np.log(tail.p_value(observed) / tail.p_value(mapped)))
        down = -math.hypot(math.log(p / low), error) + min(undone, 0.0)
        up = math.hypot(math.log(high / p), error) + max(undone, 0.0)
        return max(p * math.exp(down), min(p, tail.floor)), min(p * math.exp(up), 1.0)

    @property
    def disagreement(self) -> float:
        """The largest absolute log ratio: what location and scale leave unexplained."""
        return max(abs(r) for r in self.log_ratio)

    @property
    def out_of_domain(self) -> bool:
        """Whether the tail says little about these images, so that decisions must be cautious."""
        return self.disagreement > DOMAIN_LIMIT


def bulk_map(observed: npt.ArrayLike, tail: Tail, genuine_share: float = 0.0) -> LocationScale:
    """Location and scale of the run's own scores, by quantiles at an FMR of 0.9 to 0.01.

    The slope through the quantiles is the median of all pairs' slopes (Theil 1950; Sen 1968), so a few
    quantiles that leaks have lifted do not turn it. With ``genuine_share``, the share of pairs up to it
    that makes the two agree best is taken for genuine, above all others.

    Args:
        observed: ``(a, b)`` scores of a random sample of images of A against one of images of B, some
            hundred each; rows and columns give the error of the sample, whose pairs are dependent.
        tail: The tail of the same encoder and normalisation.
        genuine_share: The largest share of all pairs that can be genuine, for instance 1 / (subjects
            of the larger side). About 1 % is safe where subjects are unknown.

    Example::

        lie = bulk_map(scores, calibration.tail, genuine_share=1 / len(scores))
        calibration.tail.p_value(lie.to_tail(scores))  # as if they were of the calibration's films
    """
    scores = np.asarray(observed, np.float64)
    ranked = _Ranked(scores)
    levels = np.array(_MATCHED)
    card = np.array([tail.score_at(f) for f in _MATCHED])
    location, scale, share = min(
        (
            _line(card, ranked.quantiles(1.0 - (e + (1.0 - e) * levels)), float(e))
            for e in np.linspace(0.0, genuine_share, _SHARES if genuine_share > 0 else 1)
        ),
        key=lambda found: found[0],
    )[1]
    ratios = [_log_ratio(scores > location + scale * tail.score_at(f), f, genuine_share) for f in COMPARED]
    wanted = 1.0 - (share + (1.0 - share) * levels)
    draws = []
    for draw in range(_DRAWS):
        # Seeded by their number, so that the datasets may change places.
        rows, columns = (np.random.default_rng((draw, n)).integers(0, n, size=(n,)) for n in scores.shape)
        draws.append(_line(card, ranked.quantiles(wanted, rows, columns), share)[1][:2])
    u = -np.log(tail.p_value((scores - location) / scale))
    return LocationScale(
        location=location,
        scale=scale,
        genuine_share=share,
        log_ratio=tuple(ratios),
        draws=tuple(draws),
        slope=_slope(u),
    )


class _Ranked:
    """Scores ``(a, b)`` sorted once, whose rows and columns may be drawn again.

    Args:
        scores: The scores. They are rounded, so that hardly any stands alone.
    """

    def __init__(self, scores: Floats) -> None:
        self._shape = scores.shape
        self._values, self._code = np.unique(scores, return_inverse=True)

    def quantiles(self, shares: Floats, rows: Ints | None = None, columns: Ints | None = None) -> Floats:
        """Quantiles between order statistics, as numpy's are, of the scores of some rows and columns.

        Args:
            shares: ``(n,)`` which quantiles.
            rows: Rows, some of which may come several times; all of them if ``None``.
            columns: Columns, likewise; all of them if ``None``.
        """
        times = [
            np.ones(n) if drawn is None else np.bincount(drawn, minlength=n)
            for drawn, n in zip((rows, columns), self._shape, strict=True)
        ]
        weights = np.multiply.outer(*times).ravel()
        ends = np.cumsum(np.bincount(self._code.ravel(), weights, len(self._values)))
        at = shares * (ends[-1] - 1)
        low = np.floor(at)
        below, above = (
            self._values[np.searchsorted(ends, np.minimum(place, ends[-1] - 1), side="right")]
            for place in (low, low + 1)
        )
        return np.asarray(below + (above - below) * (at - low), np.float64)


def _slope(u: Floats) -> float:
    """The mean excess of ``(a, b)`` scores on the calibration's scale, of which only a window is looked
    through.

    A shared person's pairs lie beyond it, mostly. The error is that of rows and columns, which are dependent.
    """
    low, high = -math.log(_SLOPE_FROM), -math.log(_SLOPE_TO)
    rows, columns = np.nonzero((u > low) & (u <= high))
    n = len(rows)
    if n < _LEAST_IN_WINDOW:
        return 1.0
    excess = u[rows, columns] - low
    width, mean = high - low, float(excess.sum()) / n

    found, steps = truncated_mean_slope(mean, width)
    if found <= 1.0:
        return 1.0
    sums = (np.bincount(which, excess - mean) for which in (rows, columns))
    error = math.sqrt(sum(float((own**2).sum()) for own in sums)) / n
    return found if found - 2.0 * error / steps > 1.0 else 1.0


def _line(card: Floats, quantiles: Floats, share: float) -> tuple[float, tuple[float, float, float]]:
    """How far the quantiles lie off the best line, in units of the card, and that line."""
    i, j = np.triu_indices(len(card), 1)
    apart = np.abs(card[j] - card[i]) > 0
    slopes = (quantiles[j] - quantiles[i])[apart] / (card[j] - card[i])[apart]
    scale = max(float(np.median(slopes)), 1e-9) if len(slopes) else 1.0
    location = float(np.median(quantiles - scale * card))
    return float(np.abs(quantiles - location - scale * card).sum()) / scale, (location, scale, share)


def _log_ratio(above: npt.NDArray[np.bool_], stated: float, genuine_share: float) -> float:
    """Log of actual to stated FMR, drawn towards 0 by genuine pairs and by twice the sample's error."""
    actual = float(above.mean())
    rows, columns = above.mean(axis=1), above.mean(axis=0)
    least = 1.0 / above.size
    variance = rows.var() / len(rows) + columns.var() / len(columns)
    error = 2.0 * math.sqrt(variance) / max(actual, least)
    highest = math.log(max(actual, least) / stated) + error
    lowest = math.log(max((actual - genuine_share) / (1.0 - genuine_share), least) / stated) - error
    return lowest if lowest > 0 else min(highest, 0.0)


def genuine_share(observed: npt.ArrayLike, calibration: Calibration) -> float:
    """The share of the pairs of a sample that show one person, 0 where hardly any do or nobody can tell.

    The line is fitted where shared pairs cannot reach, to the lower scores; what lies far above it, and is
    not expected there, may be genuine. Few people with many films each make this share large. So does a
    trait that a part of the images has in common, and those are strangers. Genuine pairs lie where the
    calibration's do, and no image has very many of them.

    Args:
        observed: ``(a, b)`` scores of a random sample of images of A against one of images of B.
        calibration: The calibration of the encoder and normalisation.

    Example::

        genuine_share(scores, calibration)  # 0.05 where 20 people have the same films on both sides
    """
    scores, tail = np.asarray(observed, np.float64), calibration.tail
    levels = np.array(_MATCHED[:_UNREACHED])
    card = np.array([tail.score_at(f) for f in levels])
    _, (location, scale, _) = _line(card, _Ranked(scores).quantiles(1.0 - levels), 0.0)
    above = scores > location + scale * tail.score_at(_FAR)
    mapped = (scores[above] - location) / scale
    genuine = calibration.genuine.score
    if not len(mapped) or not len(genuine):
        return 0.0
    partners = max(float(above.mean(axis=0).max()), float(above.mean(axis=1).max()))
    # Shared people also stretch the line, which draws their own pairs below the calibration's genuine ones.
    middle = (tail.score_at(_FAR) + float(np.median(genuine))) / 2.0
    alike = float((mapped >= middle).mean())
    if partners > _MOST_PARTNERS or alike < _LEAST_ALIKE:
        return 0.0
    return max(0.0, float(above.mean()) - 3.0 * _FAR)


def checkable(calibration: Calibration) -> int:
    """How many subjects a dataset must have to show whether a calibration holds for it.

    Example::

        checkable(calibration)  # 200
    """
    return CHECKABLE_OF_ONE_COLLECTION if calibration.one_collection else CHECKABLE_SUBJECTS


def run_bulk(a: Subjects, b: Subjects, calibration: Calibration) -> LocationScale | None:
    """How this run's own impostors lie, ``None`` where there are too few subjects to tell.

    They are A x B where both sides are large enough, else the declared subjects of the larger side
    among themselves.

    Args:
        a: The subjects of the dataset named first.
        b: The subjects of the other.
        calibration: The calibration of the encoder.

    Example::

        lie = run_bulk(subjects_a, subjects_b, calibration)
        lie.location, lie.scale  # 0 and 1 where the run is like the calibration
    """
    least = checkable(calibration)
    if min(len(a), len(b)) >= least:
        left, right = _shuffled(np.arange(len(a))), _shuffled(np.arange(len(b)))
        named = a.declared == len(a) and b.declared == len(b)
        return _held_against(a, b, (left, right), calibration, 1.0 / max(len(a), len(b)) if named else None)
    # The last part of the key only makes a tie come out alike with the datasets swapped.
    larger = max((a, b), key=lambda s: (s.declared, len(s), float(s.statistics.mean.sum())))
    if larger.declared < least:
        return None
    order = _shuffled(np.flatnonzero(larger.is_declared))
    half = len(order) // 2
    return _held_against(larger, larger, (order[:half], order[half:]), calibration, 0.0)


def pooled_bulk(parts: Sequence[Subjects], calibration: Calibration) -> LocationScale | None:
    """The same for all splits of one dataset together, half against half; ``None`` where they are too few.

    Args:
        parts: The subjects of each split.
        calibration: The calibration of the encoder.

    Example::

        lie = pooled_bulk([train, val, test], calibration)
    """
    together = Subjects(
        np.arange(sum(map(len, parts))),
        np.concatenate([part.templates[:] for part in parts]),
        CohortStatistics(
            np.concatenate([part.statistics.mean for part in parts]),
            np.concatenate([part.statistics.std for part in parts]),
        ),
        np.concatenate([part.is_declared for part in parts]),
    )
    if len(together) < 2 * checkable(calibration):
        return None
    order = _shuffled(np.arange(len(together)))
    half = len(order) // 2
    return _held_against(together, together, (order[:half], order[half:]), calibration, None)


def _held_against(
    a: Subjects, b: Subjects, who: tuple[Ints, Ints], calibration: Calibration, genuine: float | None
) -> LocationScale:
    """The map of the scores of some subjects of A and of B, of which a share ``genuine`` may be mates.

    Where nobody knows the share (unknown people may have several pictures), it is estimated.
    """
    left, right = who
    scores = template_scores(a, b, left[:_BULK_SIDE], right[:_BULK_SIDE])
    if genuine is None:
        genuine = max(_GENUINE_SHARE, min(_MOST_GENUINE, 1.5 * genuine_share(scores, calibration)))
    return replace(bulk_map(scores, calibration.tail, genuine), credit=not calibration.one_collection)


def _shuffled(subjects: Ints) -> Ints:
    """In an order that depends on their number only, so that swapping the datasets changes nothing."""
    return np.random.default_rng((_SEED, len(subjects))).permutation(subjects)

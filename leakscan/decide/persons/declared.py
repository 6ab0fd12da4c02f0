"""Can what a dataset declares of its subjects be believed? Pictures of one subject must be more alike than
those of strangers.

An identifier that stands on everything, or that different people share, would melt many people into one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.persons.subjects import Pictures, picture_scores
from leakscan.match.pictures import Side

_USUAL = 0.1  # the rate of strangers that lie above the similarity asked for
_LEAST_ALIKE = 0.3
"""Of the pairs of one subject. Measured: 0.90 and more for each person, 0.25 at most for strangers under one
name (docs/architecture.md)."""
_MANY = 8  # pictures of one subject, from which on it is judged by itself
_LEAST_REPEATED = 10  # subjects with fewer pictures that are judged together
_MOST_PICTURES = 100_000
_STEPS = (1, 2, 3)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Doubt:
    """Identifiers of one dataset that name no person.

    Attributes:
        identifiers: How many there are.
        pictures: How many pictures they stand on. Each of these stands for itself.
        most: Whether they stand on most of the pictures that declare a subject.
    """

    identifiers: int = 0
    pictures: int = 0
    most: bool = False

    def joined(self, other: Doubt) -> Doubt:
        """The two together, as two encoders see one dataset."""
        return Doubt(
            self.identifiers + other.identifiers, self.pictures + other.pictures, self.most or other.most
        )


def believed(side: Side, calibrations: Iterable[Calibration]) -> tuple[Side, Doubt]:
    """The pictures of a dataset without declared subjects that cannot be one person, and which these are.

    A subject with eight pictures or more is judged by itself, those with fewer together: whether three in ten
    of their pairs are more alike than nine in ten pairs of strangers are.

    Args:
        side: The distinct pictures of the dataset.
        calibrations: The calibrations of the encoders. Those that do not decide are left out.

    Example::

        side, doubt = believed(distinct_pictures(dataset.rows), models.calibrations.values())
        doubt.identifiers  # 1 where one identifier stands on the pictures of many people
    """
    names, doubt = np.array([name or "" for name in side.subjects], np.object_), Doubt()
    for calibration in calibrations:
        if calibration.decides:
            wrong, found = _doubted(side, names, calibration)
            names[wrong] = ""
            doubt = doubt.joined(found)
    if not doubt.identifiers:
        return side, doubt
    return replace(side, subjects=tuple(name or None for name in names.tolist())), doubt


def _doubted(side: Side, names: npt.NDArray[np.object_], calibration: Calibration) -> tuple[Ints, Doubt]:
    """Pictures whose subject names no person, by one encoder."""
    rows = side.pictures(calibration.encoder)
    rows = rows[names[rows] != ""]
    none = np.zeros(0, np.int64)
    if len(rows) < 2:
        return none, Doubt()
    subject, pictures = np.unique(names[rows].astype(np.str_), return_inverse=True, return_counts=True)[1:]
    several = np.flatnonzero(pictures > 1)
    several = np.random.default_rng(len(several)).permutation(several)
    several = np.sort(
        several[np.cumsum(pictures[several]) <= max(_MOST_PICTURES, pictures[several[:1]].max(initial=0))]
    )
    if not len(several):
        return none, Doubt()
    share = _share_alike(side, rows, subject, several, calibration)
    many = pictures[several] >= _MANY
    wrong = several[many & (share <= _LEAST_ALIKE)]
    few = several[~many]
    if len(few) >= _LEAST_REPEATED and float(share[~many].mean()) <= _LEAST_ALIKE:
        wrong = np.concatenate([wrong, np.flatnonzero((pictures > 1) & (pictures < _MANY))])
    at = np.isin(subject, wrong)
    return rows[at], Doubt(len(wrong), int(at.sum()), 2 * int(at.sum()) > len(rows))


def _share_alike(
    side: Side, rows: Ints, subject: Ints, several: Ints, calibration: Calibration
) -> npt.NDArray[np.float64]:
    """For some subjects, the share of their pairs of pictures that are more alike than most strangers."""
    at = np.flatnonzero(np.isin(subject, several))
    order = at[np.argsort(subject[at], kind="stable")]
    number = np.searchsorted(several, subject[order])
    pictures = np.bincount(number)
    start = np.cumsum(pictures) - pictures
    place = np.arange(len(order)) - start[number]
    first, second, owner = [], [], []
    for step in _STEPS:  # each picture with the next ones of its subject, in a circle
        wide = pictures[number] > step
        first.append(order[wide])
        second.append(order[(start[number] + (place + step) % pictures[number])[wide]])
        owner.append(number[wide])
    a, b, who = np.concatenate(first), np.concatenate(second), np.concatenate(owner)
    scores = picture_scores(Pictures(side, rows[a]), Pictures(side, rows[b]), calibration)
    alike = scores >= calibration.tail.score_at(_USUAL)
    return np.bincount(who, alike, len(several)) / np.bincount(who, minlength=len(several))


def disagreeing_names(a: Side, b: Side, calibrations: Iterable[Calibration]) -> int:
    """How many identifiers stand in both datasets and name different people there; 0 where they may agree.

    All are judged together, by one picture on each side, where there are ten or more.

    Args:
        a: The distinct pictures of the dataset named first.
        b: Those of the other.
        calibrations: The calibrations of the encoders. Those that do not decide are left out.

    Example::

        disagreeing_names(side_a, side_b, calibrations)  # 230 where both only number their people
    """
    for calibration in calibrations:
        if not calibration.decides:
            continue
        first, second = (_first_pictures(side, calibration) for side in (a, b))
        both = sorted(first.keys() & second.keys())
        if len(both) < _LEAST_REPEATED:
            continue
        both = both[:_MOST_PICTURES]
        left, right = (np.array([one[name] for name in both], np.int64) for one in (first, second))
        scores = picture_scores(Pictures(a, left), Pictures(b, right), calibration)
        if float((scores >= calibration.tail.score_at(_USUAL)).mean()) <= _LEAST_ALIKE:
            return len(both)
    return 0


def _first_pictures(side: Side, calibration: Calibration) -> dict[str, int]:
    """The first picture of every declared subject."""
    rows = side.pictures(calibration.encoder).tolist()
    return {name: row for row in reversed(rows) if (name := side.subjects[row])}

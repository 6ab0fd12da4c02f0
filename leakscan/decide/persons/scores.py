"""What the fingerprints say of the pairs of two datasets, before any detail match or decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.persons.bulk import LocationScale
from leakscan.decide.persons.subjects import Pictures, Subjects, paired_scores, picture_scores
from leakscan.decide.table import PairTable
from leakscan.match.pictures import Side

LOOSE_FMR = 1e-3
"""Pairs of fingerprints nearer than this share of impostor pairs are candidates; others are strangers."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The pairs of pictures of two datasets that one encoder can compare.

    Attributes:
        calibration: The calibration of the encoder.
        a: The subjects of the dataset named first.
        b: The subjects of the other.
        at: ``(m,)`` rows of the table of pairs.
        code_a: ``(m,)`` subject of each in A.
        code_b: ``(m,)`` subject of each in B.
        settled: ``(m,)`` whether a picture that both subjects have proves them to be one.
        bulk: How this run's own scores lie against the calibration's, ``None`` if that cannot be told.
        score: ``(m,)`` normalised scores of the fused subjects, as the calibration's lie.
        picture: ``(m,)`` normalised scores of the pictures themselves.
    """

    calibration: Calibration
    a: Subjects
    b: Subjects
    at: Ints
    code_a: Ints
    code_b: Ints
    settled: Bools
    bulk: LocationScale | None
    score: Floats
    picture: Floats

    @property
    def comparisons(self) -> int:
        """Subjects of A times subjects of B."""
        return len(self.a) * len(self.b)

    @property
    def pair_of_subjects(self) -> Ints:
        """``(m,)`` one number for each two subjects."""
        return self.code_a * len(self.b) + self.code_b

    def mapped(self, score: Floats) -> Floats:
        """Scores of the run in the units of the calibration."""
        return score if self.bulk is None else self.bulk.to_tail(score)


@dataclass(frozen=True)
class DatasetPeople:
    """One dataset's distinct pictures, and the subjects that they show to one encoder.

    Attributes:
        side: The distinct pictures.
        subjects: Their subjects.
    """

    side: Side
    subjects: Subjects


def score_pairs(
    a: DatasetPeople, b: DatasetPeople, table: PairTable, calibration: Calibration, bulk: LocationScale | None
) -> Scored:
    """Compares the fingerprints of all pairs of pictures and of their subjects.

    Args:
        a: The dataset named first.
        b: The other.
        table: Their pairs, of which copies are settled already.
        calibration: The calibration of the encoder.
        bulk: How the scores of the two datasets lie against those of the calibration.

    Example:
        ``scored = score_pairs(people_a, people_b, table, calibration, bulk)``
    """
    left, right = a.subjects, b.subjects
    at = np.flatnonzero((left.code[table.a] >= 0) & (right.code[table.b] >= 0))
    code_a, code_b = left.code[table.a[at]], right.code[table.b[at]]
    fused = paired_scores(left, right, code_a, code_b)
    pictures = fused
    if left.fused or right.fused:
        pictures = picture_scores(Pictures(a.side, table.a[at]), Pictures(b.side, table.b[at]), calibration)
    codes = code_a * len(right) + code_b
    return Scored(
        calibration=calibration,
        a=left,
        b=right,
        at=at,
        code_a=code_a,
        code_b=code_b,
        settled=np.isin(codes, codes[table.settled[at]]),
        bulk=bulk,
        score=fused if bulk is None else bulk.to_tail(fused),
        picture=pictures,
    )

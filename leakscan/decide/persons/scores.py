"""What the fingerprints say of the pairs of two datasets, before any detail match or decision.

A subject counts once, however many images it has: the images that a dataset declares to be of one
subject are fused to one template (few-shot), and an image without a declared subject stands for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration, against_cohort
from leakscan.decide.calibration.normalise import CohortStatistics, normalise
from leakscan.decide.persons.bulk import LocationScale, bulk_map
from leakscan.decide.table import PairTable
from leakscan.match.pictures import Side
from leakscan.match.products import paired_products

CHECKABLE_SUBJECTS = 200
"""A dataset with fewer subjects cannot show whether the calibration holds for it."""
_BULK_SIDE = 700  # images of each side whose scores are held against the calibration's
_GENUINE_SHARE = 0.01
_SEED = 0

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Subjects:
    """The subjects of one dataset as one encoder sees them.

    Attributes:
        code: ``(pictures,)`` subject of each distinct picture, -1 without a fingerprint.
        templates: ``(s, d)`` unit vectors.
        statistics: How the templates stand to the cohort.
        is_declared: ``(s,)`` which of the subjects have a name.
    """

    code: Ints
    templates: npt.NDArray[np.float32]
    statistics: CohortStatistics
    is_declared: Bools

    @property
    def declared(self) -> int:
        """How many subjects have a name."""
        return int(self.is_declared.sum())


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The pairs of pictures that one encoder can compare.

    Attributes:
        calibration: The calibration of the encoder.
        a: The subjects of the dataset named first.
        b: The subjects of the other.
        at: ``(m,)`` rows of the table of pairs.
        code_a: ``(m,)`` subject of each in A.
        code_b: ``(m,)`` subject of each in B.
        settled: ``(m,)`` whether the two are proved to be one picture.
        open_a: ``(subjects,)`` which subjects of A no copy has settled.
        open_b: ``(subjects,)`` which subjects of B no copy has settled.
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
    open_a: Bools
    open_b: Bools
    bulk: LocationScale | None
    score: Floats
    picture: Floats

    @property
    def comparisons(self) -> int:
        """Subjects of A times subjects of B."""
        return len(self.a.templates) * len(self.b.templates)

    @property
    def pair_of_subjects(self) -> Ints:
        """``(m,)`` one number for each two subjects."""
        return self.code_a * len(self.b.templates) + self.code_b


def score_persons(
    a: Side, b: Side, table: PairTable, calibrations: Mapping[str, Calibration]
) -> list[Scored]:
    """Compares the fingerprints of all pairs of pictures and of their subjects.

    Args:
        a: The distinct pictures of the dataset named first.
        b: The distinct pictures of the other.
        table: The pairs, of which copies are settled already.
        calibrations: The calibration of every encoder that has one.

    Returns:
        One entry for every encoder that compared anything.

    Example:
        ``scored = score_persons(side_a, side_b, table, context.models.calibrations)``
    """
    out = []
    for encoder, calibration in calibrations.items():
        if not (a.encoder == encoder).any() or not (b.encoder == encoder).any():
            continue
        left, right = _subjects(a, calibration), _subjects(b, calibration)
        at = np.flatnonzero((left.code[table.a] >= 0) & (right.code[table.b] >= 0))
        code_a, code_b, settled = left.code[table.a[at]], right.code[table.b[at]], table.settled[at]
        bulk = _bulk(left, right, calibration)
        fused = _scores(left, right, code_a, code_b)
        out.append(
            Scored(
                calibration=calibration,
                a=left,
                b=right,
                at=at,
                code_a=code_a,
                code_b=code_b,
                settled=settled,
                open_a=~np.isin(np.arange(len(left.templates)), code_a[settled]),
                open_b=~np.isin(np.arange(len(right.templates)), code_b[settled]),
                bulk=bulk,
                score=fused if bulk is None else bulk.to_tail(fused),
                picture=fused
                if _nothing_fused(left) and _nothing_fused(right)
                else _picture_scores(_Pictures(a, table.a[at]), _Pictures(b, table.b[at]), calibration),
            )
        )
    return out


def _subjects(side: Side, calibration: Calibration) -> Subjects:
    rows, prints = side.pictures(calibration.encoder), side.stored[calibration.encoder]
    names = side.subjects
    keys = [f"subject {names[i]}" if names[i] else f"picture {i}" for i in rows.tolist()]
    found, code = np.unique(np.array(keys), return_inverse=True)
    templates = np.zeros((int(code.max()) + 1, prints.shape[1]), np.float32)
    np.add.at(templates, code, prints)
    templates /= np.maximum(np.linalg.norm(templates, axis=1, keepdims=True), 1e-12)
    everywhere = np.full(len(side), -1, np.int64)
    everywhere[rows] = code
    statistics = against_cohort(templates, calibration.cohort, calibration.top)
    return Subjects(everywhere, templates, statistics, np.char.startswith(found, "subject "))


def _nothing_fused(subjects: Subjects) -> bool:
    """Whether every picture is a subject of its own."""
    return len(subjects.templates) == int((subjects.code >= 0).sum())


def _scores(a: Subjects, b: Subjects, code_a: Ints, code_b: Ints) -> Floats:
    """Normalised scores of pairs of templates."""
    cosine = paired_products(a.templates, b.templates, code_a, code_b).astype(np.float64)
    left, right = a.statistics, b.statistics
    return normalise(cosine, left.mean[code_a], left.std[code_a], right.mean[code_b], right.std[code_b])


@dataclass(frozen=True)
class _Pictures:
    """Pictures ``(m,)`` of one dataset, which may repeat."""

    side: Side
    pictures: Ints


def _picture_scores(a: _Pictures, b: _Pictures, calibration: Calibration) -> Floats:
    """Normalised scores ``(m,)`` of pairs of pictures themselves, whoever their subjects are."""
    (left, at_left), (right, at_right) = _single(a, calibration), _single(b, calibration)
    return _scores(left, right, at_left, at_right)


def _single(pictures: _Pictures, calibration: Calibration) -> tuple[Subjects, Ints]:
    """Every picture as a subject of its own, and which of these each of the pictures is."""
    own, where = np.unique(pictures.pictures, return_inverse=True)
    prints = pictures.side.prints(calibration.encoder, own)
    statistics = against_cohort(prints, calibration.cohort, calibration.top)
    return Subjects(own, prints, statistics, np.zeros(0, np.bool_)), where


def template_scores(a: Subjects, b: Subjects, left: Ints, right: Ints) -> Floats:
    """Normalised scores ``(n, m)`` of the templates of subjects ``(n,)`` of A against ``(m,)`` of B.

    Example:
        >>> plain = CohortStatistics(np.zeros(2), np.ones(2))
        >>> people = Subjects(np.arange(2), np.eye(2, dtype=np.float32), plain, np.ones(2, bool))
        >>> template_scores(people, people, np.array([0]), np.array([0, 1])).tolist()
        [[1.0, 0.0]]
    """
    flat = _scores(a, b, np.repeat(left, len(right)), np.tile(right, len(left)))
    return flat.reshape(len(left), len(right))


def _bulk(a: Subjects, b: Subjects, calibration: Calibration) -> LocationScale | None:
    """How this run's own impostors lie, ``None`` where there are too few subjects to tell.

    They are A x B where both sides are large enough, else the declared subjects of the larger side
    among themselves.
    """
    n_a, n_b = len(a.templates), len(b.templates)
    if min(n_a, n_b) >= CHECKABLE_SUBJECTS:
        # At most this share of all pairs is of one subject; unknown ones may have several pictures.
        named = a.declared == n_a and b.declared == n_b
        genuine = 1.0 / max(n_a, n_b) if named else _GENUINE_SHARE
        return _held_against(a, b, _shuffled(np.arange(n_a)), _shuffled(np.arange(n_b)), genuine, calibration)
    # The last part of the key only makes a tie come out alike with the datasets swapped.
    larger = max((a, b), key=lambda s: (s.declared, len(s.templates), float(s.statistics.mean.sum())))
    if larger.declared < CHECKABLE_SUBJECTS:
        return None
    order = _shuffled(np.flatnonzero(larger.is_declared))
    half = len(order) // 2
    return _held_against(larger, larger, order[:half], order[half:], 0.0, calibration)


def _shuffled(subjects: Ints) -> Ints:
    """In an order that depends on their number only, so that swapping the datasets changes nothing."""
    return np.random.default_rng((_SEED, len(subjects))).permutation(subjects)


def _held_against(
    a: Subjects, b: Subjects, left: Ints, right: Ints, genuine: float, calibration: Calibration
) -> LocationScale:
    """The map of the scores of some subjects of A and of B, of which a share ``genuine`` may be mates."""
    scores = template_scores(a, b, left[:_BULK_SIDE], right[:_BULK_SIDE])
    return bulk_map(scores, calibration.tail, genuine)

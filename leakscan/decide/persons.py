"""Do two images show one person? From similarities to p-values, q-values and decisions.

A subject counts once, however many images it has: the images that a dataset declares to be of one
subject are fused to one template before anything is tested (few-shot), and an image without a
declared subject stands for itself. One test is "the best match of this subject in the other
dataset is a stranger"; the family of tests is one dataset's subjects that no copy has settled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.bulk import LocationScale, bulk_map
from leakscan.decide.calibration import LEAK_Q, REVIEW_EXPECTED_FALSE, Calibration, against_cohort
from leakscan.decide.discovery import best_of_units, q_values, share_false_among_first, unit_p_value
from leakscan.decide.normalise import CohortStatistics, normalise
from leakscan.match.candidates import Side

LOOSE_FMR = 1e-3
"""Pairs of fingerprints nearer than this share of impostor pairs are candidates; others are strangers."""
CHECKABLE_SUBJECTS = 200
"""A dataset with fewer subjects cannot show whether the calibration holds for it."""
_BULK_SIDE = 700  # images of each side whose scores are held against the calibration's
_GENUINE_SHARE = 0.01
_SEED = 0

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PersonTest:
    """What one encoder's comparison of the subjects of two datasets came to.

    Attributes:
        encoder: name@digest.
        pictures: distinct pictures with fingerprints on each side.
        subjects: declared subjects, and pictures without one, on each side.
        comparisons: of subjects of one dataset with subjects of the other.
        leak_p: p-value up to which pairs are leaks, ``None`` where none is.
        leak_score: normalised score at ``leak_p``.
        review_p: p-value up to which pairs are for review.
        review_score: normalised score at ``review_p``.
        floor: smallest p-value that the calibration supports.
        leak_false: expected false pairs at ``leak_p``, with its 95 % interval.
        review_false: the same at ``review_p``.
        missed: share of the repeated subjects below ``leak_p``, with its 95 % interval.
        missed_review: the same below ``review_p``.
        first_false: length of a beginning of the review list -> expected share of false pairs in it.
        bulk: how this run's own scores lie against the calibration's impostors.
        caution: why no score decides here, empty where it does.
    """

    encoder: str
    pictures: tuple[int, int]
    subjects: tuple[int, int]
    comparisons: int
    leak_p: float | None
    leak_score: float | None
    review_p: float
    review_score: float
    floor: float
    leak_false: tuple[float, float, float] | None
    review_false: tuple[float, float, float]
    missed: tuple[float, float, float] | None
    missed_review: tuple[float, float, float]
    first_false: Mapping[int, float]
    bulk: LocationScale | None
    caution: str


@dataclass(frozen=True)
class PersonEvidence:
    """What the fingerprints say of every pair of pictures; NaN where nothing was compared.

    Attributes:
        score: ``(n,)`` normalised similarity of the two pictures.
        p_value: ``(n,)`` false match rate at the fused score of their subjects.
        q_value: ``(n,)`` false discovery rate if pairs up to this one are called leaks.
        leak: ``(n,)`` bool.
        review: ``(n,)`` bool.
    """

    score: Floats
    p_value: Floats
    q_value: Floats
    leak: npt.NDArray[np.bool_]
    review: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Subjects:
    """The subjects of one dataset as one encoder sees them.

    Attributes:
        code: ``(pictures,)`` subject of each distinct picture, -1 without a fingerprint.
        templates: ``(s, d)`` unit vectors.
        statistics: of the templates against the cohort.
        is_declared: ``(s,)`` which of the subjects have a name.
    """

    code: Ints
    templates: npt.NDArray[np.float32]
    statistics: CohortStatistics
    is_declared: npt.NDArray[np.bool_]

    @property
    def declared(self) -> int:
        """How many subjects have a name."""
        return int(self.is_declared.sum())


def compare_persons(
    side_a: Side,
    side_b: Side,
    subjects_a: Sequence[str | None],
    subjects_b: Sequence[str | None],
    pairs: Ints,
    settled: npt.NDArray[np.bool_],
    calibrations: Mapping[str, Calibration],
) -> tuple[PersonEvidence, list[PersonTest]]:
    """Tests all pairs of pictures for showing one person.

    Args:
        side_a: distinct pictures of the dataset named first.
        side_b: of the other.
        subjects_a: declared subject of each picture of A, ``None`` where unknown.
        subjects_b: of B.
        pairs: ``(n, 2)`` candidates, indices into the sides.
        settled: ``(n,)`` whether the two are proved to be one picture.
        calibrations: encoder -> calibration.

    Returns:
        The evidence by pair, and one summary for every encoder that compared anything.
    """
    n = len(pairs)
    nothing = np.full(n, np.nan)
    evidence = PersonEvidence(
        nothing.copy(), nothing.copy(), nothing.copy(), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    )
    tests = []
    for encoder, calibration in calibrations.items():
        if not (side_a.encoder == encoder).any() or not (side_b.encoder == encoder).any():
            continue
        a = _subjects(side_a, subjects_a, calibration)
        b = _subjects(side_b, subjects_b, calibration)
        at = np.flatnonzero((a.code[pairs[:, 0]] >= 0) & (b.code[pairs[:, 1]] >= 0))
        tests.append(_test(a, b, side_a, side_b, pairs[at], settled[at], calibration, evidence, at))
    return evidence, tests


def _subjects(side: Side, names: Sequence[str | None], calibration: Calibration) -> _Subjects:
    rows = np.flatnonzero(side.encoder == calibration.encoder)
    keys = [f"subject {names[i]}" if names[i] else f"picture {i}" for i in rows.tolist()]
    found, code = np.unique(np.array(keys), return_inverse=True)
    templates = np.zeros((int(code.max()) + 1, side.fingerprints.shape[1]), np.float32)
    np.add.at(templates, code, side.fingerprints[rows])
    templates /= np.maximum(np.linalg.norm(templates, axis=1, keepdims=True), 1e-12)
    everywhere = np.full(len(side), -1, np.int64)
    everywhere[rows] = code
    statistics = against_cohort(templates, calibration.cohort, calibration.top)
    return _Subjects(everywhere, templates, statistics, np.char.startswith(found, "subject "))


def _test(
    a: _Subjects,
    b: _Subjects,
    side_a: Side,
    side_b: Side,
    pairs: Ints,
    settled: npt.NDArray[np.bool_],
    calibration: Calibration,
    evidence: PersonEvidence,
    at: Ints,
) -> PersonTest:
    """Fills in ``evidence`` at the positions ``at`` of ``pairs`` and sums it up."""
    tail = calibration.tail
    code_a, code_b = a.code[pairs[:, 0]], b.code[pairs[:, 1]]
    done_a = np.isin(np.arange(len(a.templates)), code_a[settled])
    done_b = np.isin(np.arange(len(b.templates)), code_b[settled])
    bulk = _bulk(a, b, calibration)
    fused = _scores(a, b, code_a, code_b)
    p = tail.p_value(fused if bulk is None else bulk.to_tail(fused))
    q = np.maximum(
        _family_q(code_a, p, settled, ~done_a, len(b.templates)),
        _family_q(code_b, p, settled, ~done_b, len(a.templates)),
    )
    comparisons = len(a.templates) * len(b.templates)
    people = min(len(a.templates), len(b.templates))
    caution = _caution(a, b, bulk, calibration)
    review_p = min(LOOSE_FMR, max(tail.floor, REVIEW_EXPECTED_FALSE / comparisons))
    leak = (q <= LEAK_Q) & ~settled & (caution == "")
    review = (p <= review_p) & ~leak & ~settled
    evidence.score[at] = _picture_scores(a, b, side_a, side_b, pairs, fused, calibration)
    evidence.p_value[at], evidence.q_value[at] = p, q
    evidence.leak[at], evidence.review[at] = leak, review

    leak_p = float(p[leak].max()) if leak.any() else None
    waiting = np.sort(p[review])
    return PersonTest(
        calibration.encoder,
        (int((a.code >= 0).sum()), int((b.code >= 0).sum())),
        (len(a.templates), len(b.templates)),
        comparisons,
        leak_p,
        None if leak_p is None else tail.score_at(leak_p),
        review_p,
        tail.score_at(review_p),
        tail.floor,
        None if leak_p is None else _expected(leak_p, people, comparisons, calibration),
        _expected(review_p, people, comparisons, calibration),
        None if leak_p is None else calibration.genuine.missed(tail.score_at(leak_p)),
        calibration.genuine.missed(tail.score_at(review_p)),
        share_false_among_first(waiting, comparisons),
        bulk,
        caution,
    )


def _scores(a: _Subjects, b: _Subjects, code_a: Ints, code_b: Ints) -> Floats:
    """Normalised scores of pairs of templates; the products are summed in one fixed order."""
    cosine = np.empty(len(code_a))
    for start in range(0, len(code_a), 1 << 16):
        part = slice(start, start + (1 << 16))
        cosine[part] = (a.templates[code_a[part]] * b.templates[code_b[part]]).sum(axis=1)
    left, right = a.statistics, b.statistics
    return normalise(cosine, left.mean[code_a], left.std[code_a], right.mean[code_b], right.std[code_b])


def _picture_scores(
    a: _Subjects,
    b: _Subjects,
    side_a: Side,
    side_b: Side,
    pairs: Ints,
    fused: Floats,
    calibration: Calibration,
) -> Floats:
    """Normalised scores of the pictures themselves: the fused ones where nothing was fused."""
    if len(a.templates) == (a.code >= 0).sum() and len(b.templates) == (b.code >= 0).sum():
        return fused
    own_a, at_a = np.unique(pairs[:, 0], return_inverse=True)
    own_b, at_b = np.unique(pairs[:, 1], return_inverse=True)
    prints_a, prints_b = side_a.fingerprints[own_a], side_b.fingerprints[own_b]
    left, right = (against_cohort(p, calibration.cohort, calibration.top) for p in (prints_a, prints_b))
    nobody = np.zeros(0, np.bool_)
    single_a = _Subjects(own_a, prints_a, left, nobody)
    return _scores(single_a, _Subjects(own_b, prints_b, right, nobody), at_a, at_b)


def _bulk(a: _Subjects, b: _Subjects, calibration: Calibration) -> LocationScale | None:
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
    a: _Subjects, b: _Subjects, left: Ints, right: Ints, genuine: float, calibration: Calibration
) -> LocationScale:
    rows, columns = left[:_BULK_SIDE], right[:_BULK_SIDE]
    flat = _scores(a, b, np.repeat(rows, len(columns)), np.tile(columns, len(rows)))
    return bulk_map(flat.reshape(len(rows), len(columns)), calibration.tail, genuine)


def _family_q(
    code: Ints, p: Floats, settled: npt.NDArray[np.bool_], open_units: npt.NDArray[np.bool_], others: int
) -> Floats:
    """q-values of all pairs in the family of one dataset's open subjects.

    Args:
        code: ``(n,)`` subject of each pair in this dataset.
        p: ``(n,)``.
        settled: ``(n,)`` pairs that need no test.
        open_units: ``(subjects,)`` which subjects are tested.
        others: subjects of the other dataset, among which the best match was sought.
    """
    best = best_of_units(p[~settled], code[~settled], len(open_units))
    tests = np.sort(unit_p_value(best[open_units], others))
    if not len(tests):
        return np.ones(len(p))
    # A pair is called a leak exactly where the tests up to its p-value are: the q-value of the
    # first test that is no better than it.
    q = np.append(q_values(tests), 1.0)
    return np.asarray(q[np.searchsorted(tests, unit_p_value(p, others), side="left")], np.float64)


def _expected(
    p: float, subjects: int, comparisons: int, calibration: Calibration
) -> tuple[float, float, float]:
    """Expected false pairs at a p-value; the interval is wide enough for these other subjects."""
    low, high = calibration.tail.interval(calibration.tail.score_at(p), subjects=subjects)
    return p * comparisons, float(low) * comparisons, float(high) * comparisons


def _caution(a: _Subjects, b: _Subjects, bulk: LocationScale | None, calibration: Calibration) -> str:
    """Why no score may decide here, or nothing."""
    if not calibration.decides:
        return (
            "the encoder was calibrated on too few people for a similarity to prove anything, so only exact "
            "evidence, identifiers and verified pictures decide"
        )
    if bulk is None:
        few = min(len(a.templates), len(b.templates))
        return (
            f"with {few:,} subjects on a side (fewer than {CHECKABLE_SUBJECTS}), and not as many declared on "
            "the other, nothing shows whether the encoder's calibration holds for these images"
        )
    if bulk.out_of_domain:
        return (
            "the similarities of these two datasets are not distributed like those of the encoder's "
            f"impostors, beyond what location and scale explain (a factor of {bulk.disagreement:.1f}): "
            "the images are outside the encoder's domain"
        )
    return ""

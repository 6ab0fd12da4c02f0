"""Simulated merges of two datasets, and what the decisions come to on them.

Subjects of one dataset are dealt to two sides and renamed; some subjects leak, that is, their films are
dealt to both sides. The decisions are those of a run after its search, with no pair verified as one
picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.copies.copy_check import PixelPair
from leakscan.decide.pairs import HASH_RADIUS
from leakscan.decide.persons.detail_matches import FilmSide, PicturePairs, choices, due, strangers
from leakscan.decide.persons.film_details import DetailMatcher, FilmDetails
from leakscan.decide.persons.scores import Scored, score_persons
from leakscan.decide.persons.tests import PersonTest, decide_persons
from leakscan.decide.table import PairTable
from leakscan.match.candidates import find_candidates
from leakscan.match.pictures import Side
from leakscan.research.film_splits import Split
from leakscan.types import DecodeOptions, Engine, ImageRef, Silent

Ints = npt.NDArray[np.int64]
Looks = Callable[[list[tuple[int, int]]], list[float | None]]
"""From pairs of films of a split, best first, to what a second look finds."""

FIRST = 100
"""Pairs at the head of the review list that a curator is taken to look at."""
LEVELS = (0.01, 0.05, 0.1, 0.2)
"""q-values at which false discoveries are counted."""
_MAX_PAIRS = 10**6


@dataclass(frozen=True)
class Merge:
    """Which films stand on which side.

    Attributes:
        a: rows of the films of side A.
        b: of side B.
        leaked: ascending codes of the subjects with films on both.
    """

    a: Ints
    b: Ints
    leaked: Ints


@dataclass(frozen=True)
class Outcome:
    """What was decided about a merge, in codes of subjects.

    Attributes:
        leaks: ``(n, 2)`` distinct pairs (subject in A, subject in B) with a pair of films called a leak.
        first: of the first ``FIRST`` pairs of films of the review list.
        review: of the whole review list.
        below: q -> those with a pair of films at or below this q-value, whatever was called.
        false_review: pairs of films (of fused subjects where declared) in the review list that are false.
        leaked: the truth.
        subjects: true subjects on each side.
        test: what the decision says of itself.
    """

    leaks: Ints
    first: Ints
    review: Ints
    below: Mapping[float, Ints]
    false_review: int
    leaked: Ints
    subjects: tuple[int, int]
    test: PersonTest


def deal(codes: Ints, share: float, seed: int) -> Merge:
    """Deals subjects to two sides.

    Only a subject with two or more films can leak. Where there are too few of them, as many of the other
    subjects are left out as keeps ``share`` true.

    Args:
        codes: ``(n,)`` subject of each film, 0..subjects - 1.
        share: of the dealt subjects that leak, 0..1.
        seed: decides everything.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(codes)
    several = np.flatnonzero(counts > 1)
    dealt = len(counts) if share <= 0 else min(len(counts), int(len(several) / share))
    leaked = rng.permutation(several)[: round(share * dealt)]
    others = rng.permutation(np.setdiff1d(np.arange(len(counts)), leaked))[: dealt - len(leaked)]
    # -1: left out; 0 and 1: the sides.
    place = np.full(len(counts), -1)
    place[others] = np.arange(len(others)) % 2
    side = place[codes]
    for subject in leaked.tolist():
        films = rng.permutation(np.flatnonzero(codes == subject))
        side[films] = np.arange(len(films)) < rng.integers(1, len(films))
    return Merge(np.flatnonzero(side == 0), np.flatnonzero(side == 1), np.sort(leaked))


def new_names(codes: Ints, prefix: str, seed: int) -> list[str]:
    """Names that say which films of one side are of one subject, and nothing about the other side."""
    _, own = np.unique(codes, return_inverse=True)
    number = np.random.default_rng(seed).permutation(int(own.max()) + 1)
    return [f"{prefix}{n}" for n in number[own].tolist()]


class RememberedMatches:
    """Looks at pairs of films of one split, each pair once however many merges show it.

    Args:
        refs: of the films.
        matcher: looks.
        engine: runs the decoding.
    """

    def __init__(self, refs: tuple[ImageRef, ...], matcher: DetailMatcher, engine: Engine) -> None:
        self._refs = refs
        self._look = FilmDetails(matcher, engine, DecodeOptions(), kept=len(refs))
        self._known: dict[tuple[int, int], float | None] = {}

    def __call__(self, films: list[tuple[int, int]]) -> list[float | None]:
        """What is found of pairs of films, ``None`` where they cannot be compared."""
        keys = [(min(pair), max(pair)) for pair in films]
        fresh = [key for key in dict.fromkeys(keys) if key not in self._known]
        tasks = [
            PixelPair(key_a=str(i), key_b=str(j), a=self._refs[i], b=self._refs[j], ndim=2) for i, j in fresh
        ]
        self._known |= dict(zip(fresh, self._look(tasks, np.inf, Silent()), strict=True))
        return [self._known[key] for key in keys]


def decide(
    split: Split,
    merge: Merge,
    calibration: Calibration,
    loose: float,
    declared: bool = False,
    seed: int = 0,
    looks: Looks | None = None,
) -> Outcome:
    """Has a merge decided as ``compare`` would after its search, no pair being verified as one picture.

    Args:
        split: films with their true subjects.
        merge: how they are dealt.
        calibration: of the encoder.
        loose: cosine similarity from which every pair of films is a candidate.
        declared: whether each side names its subjects, so that their films decide together (few-shot).
        seed: of the new names.
        looks: gives pairs their second look, where the calibration has one; ``None`` leaves it out.
    """
    _, codes = np.unique(split.subjects, return_inverse=True)
    encoder = calibration.encoder
    a = _side(split, merge.a, encoder, new_names(codes[merge.a], "a", seed) if declared else None)
    b = _side(split, merge.b, encoder, new_names(codes[merge.b], "b", seed + 1) if declared else None)
    found = find_candidates(a, b, {encoder: loose}, HASH_RADIUS, _MAX_PAIRS)
    no = np.zeros(len(found.a), np.bool_)
    table = PairTable(
        a=found.a,
        b=found.b,
        score=found.score,
        bits=found.bits,
        equal=no,
        declared=no,
        to_check=np.arange(len(found.a)),
    )
    scored = score_persons(a, b, table, {encoder: calibration})
    if looks is not None:
        _match(scored[0], table, a, b, merge, looks)
    tests = decide_persons(scored, table)
    true = codes[np.stack([merge.a[found.a], merge.b[found.b]], axis=1)]
    waiting = np.flatnonzero(table.person_review)
    ranked = waiting[np.lexsort((-table.person_score[waiting], table.p_value[waiting]))]
    strangers = waiting[true[waiting, 0] != true[waiting, 1]]
    return Outcome(
        np.unique(true[table.person_leak], axis=0),
        np.unique(true[ranked[:FIRST]], axis=0),
        np.unique(true[ranked], axis=0),
        {q: np.unique(true[table.q_value <= q], axis=0) for q in LEVELS},
        len(np.unique(true[strangers], axis=0)) if declared else len(strangers),
        merge.leaked,
        (len(np.unique(codes[merge.a])), len(np.unique(codes[merge.b]))),
        tests[0],
    )


def _match(one: Scored, table: PairTable, a: Side, b: Side, merge: Merge, looks: Looks) -> None:
    """Fills in the detail matches, as a run does."""
    rows = merge.a, merge.b
    ends = [
        FilmSide(side, own.astype(str).tolist(), np.ones(len(own), np.bool_))
        for side, own in zip((a, b), rows, strict=True)
    ]

    def found(pairs: PicturePairs) -> npt.NDArray[np.float64]:
        first, second = rows[pairs.left][pairs.first], rows[pairs.right][pairs.second]
        matches = looks(list(zip(first.tolist(), second.tolist(), strict=True)))
        return np.array([np.nan if m is None else m for m in matches], np.float64)

    others = strangers(one, *ends)
    shift = one.calibration.detail_shift(found(others), choices(one, others))
    at = due(one, table, *ends)
    candidates = PicturePairs(0, 1, table.a[at], table.b[at])
    table.detail[at] = found(candidates) - shift.of(choices(one, candidates))


def _side(split: Split, rows: Ints, encoder: str, names: list[str] | None) -> Side:
    """Distinct pictures in memory; their hashes are random, so that only fingerprints find pairs."""
    n = len(rows)
    hashes = np.random.default_rng(len(split.subjects)).integers(0, 2**63, (len(split.subjects), 8))
    return Side(
        image_rows=np.arange(n),
        starts=np.arange(n + 1),
        subjects=tuple(names or [None] * n),
        pixel_hash=rows.astype(np.str_),
        phash=hashes[rows].astype(np.uint64),
        ndim=np.full(n, 2),
        encoder=np.full(n, encoder),
        fingerprints={encoder: split.prints[rows]},
    )

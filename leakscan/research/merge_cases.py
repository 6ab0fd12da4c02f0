"""Simulated merges of two datasets, and what the decisions come to on them.

Subjects of one dataset are dealt to two sides and renamed; some subjects leak, that is, their films are
dealt to both sides. The decisions are those that ``compare`` makes after its search, with no copy check.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
from leakscan.settings import DecodeOptions
from leakscan.types import Engine, ImageRef, Silent

Ints = npt.NDArray[np.int64]
DetailMatches = Callable[[list[tuple[int, int]]], list[float | None]]
"""From pairs of films of a split, best first, to what their detail matches find."""

FIRST = 100
"""Pairs at the head of the review list that a curator is taken to see."""
LEVELS = (0.01, 0.05, 0.1, 0.2)
"""q-values at which false discoveries are counted."""
_MAX_PAIRS = 10**6


@dataclass(frozen=True)
class Merge:
    """Which films stand on which side.

    Attributes:
        a: The rows of the films of side A.
        b: The rows of the films of side B.
        leaked: The codes of the subjects with films on both sides, ascending.
    """

    a: Ints
    b: Ints
    leaked: Ints


@dataclass(frozen=True)
class MergeOptions:
    """What the decisions about a merge use beside fingerprints.

    Attributes:
        declared: Whether each side names its subjects, so that their films decide together (few-shot).
        seed: The seed of the new names.
        matches: Gives pairs their detail matches, where the calibration has them; ``None`` leaves them out.
    """

    declared: bool = False
    seed: int = 0
    matches: DetailMatches | None = None


@dataclass(frozen=True, kw_only=True)
class DecidedMerge:
    """What was decided about a merge, in codes of subjects.

    Attributes:
        leaks: ``(n, 2)`` distinct pairs (subject in A, subject in B) with a pair of films called a leak.
        first: The same of the first ``FIRST`` pairs of films of the review list.
        review: The same of the whole review list.
        below: q -> the same of the pairs of films at or below this q-value, whatever was called.
        false_review: The number of false pairs of films in the review list (of fused subjects where
            subjects are declared).
        leaked: The codes of the subjects who leaked.
        subjects: The numbers of true subjects in A and in B.
        test: What the decision says of itself.
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
        share: The share of the dealt subjects who leak, 0..1.
        seed: The seed of all draws.

    Example:
        >>> codes = np.array([0, 0, 0, 1, 1, 2, 3])  # three films of subject 0, two of 1, one of 2 and 3
        >>> merge = deal(codes, share=0.5, seed=0)
        >>> merge.leaked.tolist(), codes[merge.a].tolist(), codes[merge.b].tolist()
        ([0, 1], [0, 0, 1, 2], [0, 1, 3])
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
    """Names that say which films of one side are of one subject, and nothing about the other side.

    Example:
        >>> new_names(np.array([7, 7, 3]), prefix="a", seed=0)
        ['a1', 'a1', 'a0']
    """
    _, own = np.unique(codes, return_inverse=True)
    number = np.random.default_rng(seed).permutation(int(own.max()) + 1)
    return [f"{prefix}{n}" for n in number[own].tolist()]


class RememberedMatches:
    """Matches the details of films of one split, each pair once however many merges show it.

    Args:
        refs: The files of the films.
        matcher: Describes and matches films.
        engine: Runs the decoding.
    """

    def __init__(self, refs: tuple[ImageRef, ...], matcher: DetailMatcher, engine: Engine) -> None:
        self._refs = refs
        self._match = FilmDetails(matcher, engine, DecodeOptions(), kept=len(refs))
        self._known: dict[tuple[int, int], float | None] = {}

    def __call__(self, films: list[tuple[int, int]]) -> list[float | None]:
        """What is found of pairs of films, ``None`` where they cannot be compared."""
        keys = [(min(pair), max(pair)) for pair in films]
        fresh = [key for key in dict.fromkeys(keys) if key not in self._known]
        tasks = [
            PixelPair(key_a=str(i), key_b=str(j), a=self._refs[i], b=self._refs[j], ndim=2) for i, j in fresh
        ]
        self._known |= dict(zip(fresh, self._match(tasks, np.inf, Silent()), strict=True))
        return [self._known[key] for key in keys]


def decide_merge(
    split: Split,
    merge: Merge,
    calibration: Calibration,
    loose: float,
    how: MergeOptions | None = None,
) -> DecidedMerge:
    """Has a merge decided as ``compare`` would after its search, without copy checks.

    Args:
        split: The films with their true subjects.
        merge: How the films are dealt.
        calibration: The calibration of the encoder.
        loose: The cosine similarity from which every pair of films is a candidate.
        how: What else the decisions use.

    Example::

        _, codes = np.unique(split.subjects, return_inverse=True)
        found = decide_merge(split, deal(codes, 0.05, seed=0), calibration, loose=0.3)
        false_leaks = found.leaks[found.leaks[:, 0] != found.leaks[:, 1]]
    """
    how = how or MergeOptions()
    _, codes = np.unique(split.subjects, return_inverse=True)
    encoder = calibration.encoder
    a = _side(split, merge.a, encoder, new_names(codes[merge.a], "a", how.seed) if how.declared else None)
    b = _side(split, merge.b, encoder, new_names(codes[merge.b], "b", how.seed + 1) if how.declared else None)
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
    if how.matches is not None:
        _match(scored[0], table, merge, (a, b), how.matches)
    tests = decide_persons(scored, table)
    true = codes[np.stack([merge.a[found.a], merge.b[found.b]], axis=1)]
    waiting = np.flatnonzero(table.person_review)
    ranked = waiting[np.lexsort((-table.person_score[waiting], table.p_value[waiting]))]
    wrong = waiting[true[waiting, 0] != true[waiting, 1]]
    return DecidedMerge(
        leaks=np.unique(true[table.person_leak], axis=0),
        first=np.unique(true[ranked[:FIRST]], axis=0),
        review=np.unique(true[ranked], axis=0),
        below={q: np.unique(true[table.q_value <= q], axis=0) for q in LEVELS},
        false_review=len(np.unique(true[wrong], axis=0)) if how.declared else len(wrong),
        leaked=merge.leaked,
        subjects=(len(np.unique(codes[merge.a])), len(np.unique(codes[merge.b]))),
        test=tests[0],
    )


def _match(
    one: Scored, table: PairTable, merge: Merge, sides: tuple[Side, Side], matches: DetailMatches
) -> None:
    """Fills in the detail matches, as a run does."""
    rows = merge.a, merge.b
    a, b = (
        FilmSide(side, own.astype(str).tolist(), np.ones(len(own), np.bool_))
        for side, own in zip(sides, rows, strict=True)
    )

    def found(pairs: PicturePairs) -> npt.NDArray[np.float64]:
        first, second = rows[pairs.left][pairs.first], rows[pairs.right][pairs.second]
        values = matches(list(zip(first.tolist(), second.tolist(), strict=True)))
        return np.array([np.nan if value is None else value for value in values], np.float64)

    others = strangers(one, a, b)
    shift = one.calibration.detail_shift(found(others), choices(one, others))
    at = due(one, table, a, b)
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
        pixel_hash=pa.array(rows.astype(np.str_)),
        phash=hashes[rows].astype(np.uint64),
        ndim=np.full(n, 2),
        encoder=np.full(n, encoder),
        stored={encoder: split.prints[rows].astype(np.float16)},
    )

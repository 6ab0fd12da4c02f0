"""Detail matches of the films whose fingerprints are most alike: best first, within a time."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.fit_detail import MatchPairs, just_too_low
from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.copies.copy_check import PixelPair, Pixels
from leakscan.decide.persons.film_details import DetailMatcher, FilmDetails
from leakscan.decide.persons.scores import CHECKABLE_SUBJECTS, Scored, Subjects, template_scores
from leakscan.decide.table import PairTable
from leakscan.match.pictures import Side
from leakscan.settings import DecodeOptions
from leakscan.types import Engine, Progress

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

_STRANGERS = 300  # strangers of a run whose details are matched; their mean is known to 0.1 nats
_EACH_SIDE = 700  # films of each dataset among whom they are sought

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FilmSide:
    """The films of one dataset.

    Attributes:
        side: Its distinct pictures.
        keys: The name of each picture, equal for equal pictures.
        readable: ``(pictures,)`` whether it is a picture whose pixels are at hand.
    """

    side: Side
    keys: Sequence[str]
    readable: Bools

    @classmethod
    def of(cls, columns: Columns) -> FilmSide:
        """The films of a dataset that is compared."""
        side = columns.side
        return cls(side, columns.picture_keys, (side.ndim == 2) & columns.at_hand[side.rows])


@dataclass(frozen=True)
class PicturePairs:
    """Pairs of pictures, each end in one of two datasets.

    Attributes:
        left: The dataset of the first pictures: 0 for A, 1 for B.
        right: The dataset of the second.
        first: ``(n,)`` pictures of ``left``.
        second: ``(n,)`` pictures of ``right``.
    """

    left: int
    right: int
    first: Ints
    second: Ints

    def __len__(self) -> int:
        return len(self.first)


def match_details(pair: DatasetPair, table: PairTable, scored: Sequence[Scored], context: RunContext) -> None:
    """Matches the details of the best pair of pictures of every two subjects that score high enough.

    What is found, less what the run's own strangers match better than the calibration's, goes into the
    column ``detail`` of the table.

    Args:
        pair: The two datasets.
        table: Their pairs.
        scored: What the fingerprints say of them.
        context: The matchers, the memory of pairs, the engine and the time that is left.

    Example:
        ``match_details(pair, table, scored, context)``, then ``table.detail`` is NaN where nothing was
        matched.
    """
    for one in scored:
        matcher = context.models.matchers.get(one.calibration.encoder)
        if matcher is None or not one.calibration.matches_details:
            continue
        a, b = FilmSide.of(pair.a), FilmSide.of(pair.b)
        matching = _Matching(pair, matcher, context)
        others = strangers(one, a, b)
        shift = one.calibration.detail_shift(matching.of(others), choices(one, others))
        rows = due(one, table, a, b)
        candidates = PicturePairs(0, 1, table.a[rows], table.b[rows])
        table.detail[rows] = matching.of(candidates) - shift.of(choices(one, candidates))


class _Matching:
    """Detail matches by one network, each remembered for this run and the next."""

    def __init__(self, pair: DatasetPair, matcher: DetailMatcher, context: RunContext) -> None:
        self._columns = pair.a, pair.b
        self._digest = matcher.digest
        self._context = context
        self._films = FilmDetails(matcher, context.engine, context.settings.reading)

    def of(self, pairs: PicturePairs) -> Floats:
        """``(n,)`` from the memory, else computed, as far as time and pixels allow; else NaN."""
        left, right = self._columns[pairs.left], self._columns[pairs.right]
        keys = [
            (left.picture_keys[i], right.picture_keys[j])
            for i, j in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
        ]
        memory, context = self._context.memory, self._context
        known = memory.detail_matches(self._digest, keys)
        out = np.array([known.get(key, np.nan) for key in keys], np.float64)
        waiting = [
            (at, PixelPair(key_a=keys[at][0], key_b=keys[at][1], a=first, b=second, ndim=2))
            for at in np.flatnonzero(np.isnan(out)).tolist()
            if (first := left.pixels(int(pairs.first[at]))) is not None
            and (second := right.pixels(int(pairs.second[at]))) is not None
        ]
        places = iter(waiting)
        tasks = [task for _, task in waiting]
        for window in self._films.windows(tasks, context.budget.left, context.progress) if tasks else ():
            fresh = [
                (at, task, found)
                for found, (at, task) in zip(window, places, strict=False)
                if found is not None
            ]
            memory.keep_detail_matches(self._digest, [(t.key_a, t.key_b, found) for _, t, found in fresh])
            for at, _, found in fresh:
                out[at] = found
        return out


def strangers(one: Scored, a: FilmSide, b: FilmSide) -> PicturePairs:
    """Best pictures of two subjects each whose score just misses a detail match, hardly any of one person.

    The subjects come from where the bulk of the scores came from. Where there were too few for that, scores
    count as they are: how alike strangers are in detail takes fewer of them than how their scores spread. As
    with candidates (:func:`due`), the two pictures most alike are matched: the more pictures there are to
    choose from, the better strangers match. Who is taken hangs on names, so that the datasets may change
    places.

    Args:
        one: The scores of the two datasets.
        a: The films of the dataset named first.
        b: The films of the other.

    Returns:
        At most 300 pairs, none where the calibration has nothing to hold them against.

    Example::

        pairs = strangers(scored, FilmSide.of(pair.a), FilmSide.of(pair.b))
        pairs.first[0], pairs.second[0]  # two films, hardly ever of one person
    """
    calibration = one.calibration
    ends = [_End(0, a, one.a), _End(1, b, one.b)]
    if calibration.strangers_found is None:
        return PicturePairs(0, 1, np.zeros(0, np.int64), np.zeros(0, np.int64))
    if one.bulk is None or min(len(one.a.templates), len(one.b.templates)) >= CHECKABLE_SUBJECTS:
        left, right = ends
        chosen_left, chosen_right = _some(one.a), _some(one.b)
    else:
        left = right = ends[0] if one.a.declared >= one.b.declared else ends[1]
        chosen = _some(left.subjects, declared=True)
        chosen_left, chosen_right = chosen[::2], chosen[1::2]
    scores = template_scores(left.subjects, right.subjects, chosen_left, chosen_right)
    mapped = scores if one.bulk is None else one.bulk.to_tail(scores)
    low = just_too_low(calibration.tail.p_value(mapped), calibration.detail_p)
    names_left = [left.first_key(int(code)) for code in chosen_left]
    names_right = [right.first_key(int(code)) for code in chosen_right]
    drawn = sorted(low.tolist(), key=lambda ij: _drawn(names_left[ij[0]], names_right[ij[1]]))[:_STRANGERS]
    best = [
        _most_alike(left, right, int(chosen_left[i]), int(chosen_right[j]), calibration.encoder)
        for i, j in drawn
    ]
    first, second = np.array(best, np.int64).reshape(-1, 2).T
    return PicturePairs(left.number, right.number, first, second)


@dataclass(frozen=True)
class _End:
    """One of the two datasets: its number, its films and its subjects."""

    number: int
    films: FilmSide
    subjects: Subjects

    @cached_property
    def pictures(self) -> dict[int, Ints]:
        """Subject -> its pictures, ascending."""
        order = np.argsort(self.subjects.code, kind="stable")
        codes, starts = np.unique(self.subjects.code[order], return_index=True)
        return dict(zip(codes.tolist(), np.split(order, starts[1:]), strict=True))

    def first_key(self, code: int) -> str:
        """The name of the first picture of a subject."""
        return self.films.keys[int(self.pictures[code][0])]


def _most_alike(left: _End, right: _End, one: int, other: int, encoder: str) -> tuple[int, int]:
    """The two pictures of two subjects whose fingerprints are most alike."""
    own, theirs = left.pictures[one], right.pictures[other]
    alike = left.films.side.prints(encoder, own) @ right.films.side.prints(encoder, theirs).T
    i, j = np.unravel_index(int(alike.argmax()), alike.shape)
    return int(own[i]), int(theirs[j])


def choices(one: Scored, pairs: PicturePairs) -> Ints:
    """``(n,)`` how many pairs of pictures the subjects of each pair of pictures have.

    Example::

        choices(scored, pairs)  # 6 where one subject has two films and the other three
    """
    counts = [np.bincount(side.code[side.code >= 0])[side.code] for side in (one.a, one.b)]
    return np.asarray(counts[pairs.left][pairs.first] * counts[pairs.right][pairs.second], np.int64)


def _drawn(a: str, b: str) -> tuple[int, str, str]:
    """A key to draw pairs by, the same either way round."""
    first, second = sorted((a, b))
    return zlib.crc32(f"{first} {second}".encode()), first, second


def _some(subjects: Subjects, declared: bool = False) -> Ints:
    """Some subjects, in the order of a draw that hangs on their number alone."""
    codes = np.flatnonzero(subjects.is_declared) if declared else np.arange(len(subjects.templates))
    return np.random.default_rng(len(codes)).permutation(codes)[:_EACH_SIDE].astype(np.int64)


def due(one: Scored, table: PairTable, a: FilmSide, b: FilmSide) -> Ints:
    """Rows of the pairs to match, best first: the best two pictures of every two subjects.

    Ties are broken by the names of the pictures, so that the order is the same whichever dataset is A.

    Args:
        one: The scores of the two datasets.
        table: Their pairs.
        a: The films of the dataset named first.
        b: The films of the other.

    Example::

        rows = due(scored, table, FilmSide.of(pair.a), FilmSide.of(pair.b))
        table.a[rows[0]], table.b[rows[0]]  # the two films to match first
    """
    if not one.calibration.matches_details:
        return np.zeros(0, np.int64)
    p = one.calibration.tail.p_value(one.score)
    rows = one.at
    high = ~one.settled & (p <= one.calibration.detail_p)
    at = np.flatnonzero(high & a.readable[table.a[rows]] & b.readable[table.b[rows]])
    own, at_own = np.unique(table.a[rows[at]], return_inverse=True)
    theirs, at_theirs = np.unique(table.b[rows[at]], return_inverse=True)
    ranks = _ranks([a.keys[k] for k in own.tolist()] + [b.keys[k] for k in theirs.tolist()])
    one_end, other_end = ranks[at_own], ranks[len(own) + at_theirs]
    low, top = np.minimum(one_end, other_end), np.maximum(one_end, other_end)
    code = one.pair_of_subjects[at]
    order = np.lexsort((rows[at], top, low, -one.picture[at], code))
    first = np.ones(len(order), bool)
    first[1:] = np.diff(code[order]) != 0
    best = order[first]
    ranked = best[np.lexsort((rows[at[best]], top[best], low[best], -one.score[at[best]]))]
    return rows[at[ranked]]


def _ranks(names: Sequence[str]) -> Ints:
    """The place of each name among all different ones, in their order."""
    place = {name: rank for rank, name in enumerate(sorted(set(names)))}
    return np.fromiter((place[name] for name in names), np.int64, len(names))


def detail_match_of(
    pixels: Sequence[Pixels | None],
    matcher: DetailMatcher,
    engine: Engine,
    options: DecodeOptions,
    progress: Progress,
) -> MatchPairs:
    """What matches pairs of one set of films, for ``fit_calibration``.

    Args:
        pixels: Where the pixels of each film are, ``None`` where they are not at hand.
        matcher: The network that describes and compares.
        engine: What runs the decoding.
        options: The limits and choices for reading files.
        progress: Receives how far the work is.

    Example:
        ``match = detail_match_of(refs, matcher, engine, DecodeOptions(), progress)``, then
        ``match(np.array([[0, 1]]))`` is how well the details of the first two films agree.
    """
    films = FilmDetails(matcher, engine, options)

    def match(pairs: Ints) -> Floats:
        out = np.full(len(pairs), np.nan)
        at, tasks = [], []
        for position, (i, j) in enumerate(pairs.tolist()):
            first, second = pixels[i], pixels[j]
            if first is not None and second is not None:
                at.append(position)
                tasks.append(PixelPair(key_a=str(i), key_b=str(j), a=first, b=second, ndim=2))
        for position, found in zip(at, films(tasks, np.inf, progress), strict=True):
            if found is not None:
                out[position] = found
        return out

    return match

"""Detail matches of the films whose fingerprints are most alike: best first, within a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.fit_detail import MatchPairs
from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.copies.describing import Pixels
from leakscan.decide.persons.film_details import DetailMatcher, Film, FilmDetails, FilmPair
from leakscan.decide.persons.own_strangers import FEW_BEST, OwnStrangers
from leakscan.decide.persons.scores import Scored
from leakscan.decide.persons.subjects import Subjects
from leakscan.decide.rounding import on_steps
from leakscan.decide.table import PairTable
from leakscan.fingerprint.encoders.film.kept_details import KeptDetails
from leakscan.match.pictures import Side
from leakscan.settings import DecodeOptions
from leakscan.types import Engine, Progress

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

_OWN_TIME = 0.5  # of what is left that own strangers may take

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FilmSide:
    """The films of one dataset.

    Attributes:
        side: Its distinct pictures.
        keys: The name of each picture, equal for equal pictures.
        readable: ``(pictures,)`` whether it is a picture whose pixels or details are at hand.
    """

    side: Side
    keys: Sequence[str]
    readable: Bools

    @classmethod
    def of(cls, columns: Columns, digest: str) -> FilmSide:
        """The films of a dataset that is compared.

        Args:
            columns: The dataset.
            digest: The digest of the networks whose details count.
        """
        side = columns.side
        readable = (columns.at_hand | columns.has_details(digest))[side.rows]
        return cls(side, columns.picture_keys, (side.ndim == 2) & readable)


class DetailMatching:
    """Detail matches by one network, each remembered for this run and the next.

    The memory saves time and changes no answer: it is asked only of pairs whose pixels or details are at
    hand, which would be matched if it knew nothing.

    Args:
        matcher: The network.
        encoder: The encoder whose fingerprints chose the pairs.
        context: The memory of pairs, the engine and the time that is left.

    Example:
        ``DetailMatching(matcher, encoder, context).of(pair.a, pair.b, pictures_a, pictures_b)``
    """

    def __init__(self, matcher: DetailMatcher, encoder: str, context: RunContext) -> None:
        self.encoder = encoder
        self.digest = matcher.digest
        self._context = context
        self._films = FilmDetails(matcher, context.engine, context.settings.reading)

    @property
    def unread(self) -> int:
        """How many films could not be read when their details were asked for."""
        return len(self._films.unread)

    def of(
        self, left: Columns, right: Columns, first: Ints, second: Ints, share: float | None = 1.0
    ) -> Floats:
        """Matches pairs of pictures in their order, as far as time and pixels allow.

        Args:
            left: The dataset of the first pictures.
            right: The dataset of the second.
            first: ``(n,)`` pictures of ``left``.
            second: ``(n,)`` pictures of ``right``.
            share: The share of the time left that these pairs may take; ``None`` for as long as it takes.

        Returns:
            ``(n,)`` rounded as scores are, NaN where nothing was matched.
        """
        keys = [
            (left.picture_keys[i], right.picture_keys[j])
            for i, j in zip(first.tolist(), second.tolist(), strict=True)
        ]
        memory, context = self._context.memory, self._context
        out = np.full(len(keys), np.nan)
        at_hand = np.flatnonzero(self._at_hand(left, first) & self._at_hand(right, second)).tolist()
        known = memory.detail_matches(self.digest, [keys[i] for i in at_hand])
        out[at_hand] = [known.get(keys[i], np.nan) for i in at_hand]
        waiting = [
            (at, FilmPair(keys[at], (one, other)))
            for at in np.array(at_hand)[np.isnan(out[at_hand])].tolist()
            if (one := self._film(left, int(first[at]))) is not None
            and (other := self._film(right, int(second[at]))) is not None
        ]
        places = iter(waiting)
        tasks = [task for _, task in waiting]
        seconds = np.inf if share is None else context.budget.left * share
        for window in self._films.windows(tasks, seconds, context.progress) if tasks else ():
            fresh = [(at, found) for found, (at, _) in zip(window, places, strict=False) if found is not None]
            memory.keep_detail_matches(self.digest, [(*keys[at], found) for at, found in fresh])
            for at, found in fresh:
                out[at] = found
        return on_steps(out)

    def can_match(self, columns: Columns) -> bool:
        """Whether any film of a dataset can be matched."""
        return bool(columns.at_hand.any() or columns.has_details(self.digest).any())

    def _at_hand(self, side: Columns, pictures: Ints) -> Bools:
        return np.asarray((side.at_hand | side.has_details(self.digest))[side.side.rows[pictures]], np.bool_)

    def _film(self, side: Columns, picture: int) -> Film | None:
        """What a picture is described from: what was kept or put aside of its details, else its pixels."""
        if side.has_details(self.digest)[side.side.rows[picture]]:
            return side.details(picture)
        aside = self._context.shelf.get(side.picture_keys[picture], self.digest)
        return side.pixels(picture) if aside is None else KeptDetails(aside)


def match_candidates(pair: DatasetPair, table: PairTable, one: Scored, matching: DetailMatching) -> None:
    """Matches the details of the few best partners of every subject whose score is high enough.

    What is found goes into the column ``detail`` of the table, as it is.

    Args:
        pair: The two datasets.
        table: Their pairs.
        one: What the fingerprints of one encoder say of them.
        matching: What matches.

    Example:
        ``match_candidates(pair, table, scored, matching)``, then ``table.detail`` is NaN where nothing was
        matched.
    """
    sides = (FilmSide.of(columns, matching.digest) for columns in (pair.a, pair.b))
    rows = due(one, table, *sides)
    table.detail[rows] = matching.of(pair.a, pair.b, table.a[rows], table.b[rows])


@dataclass(frozen=True, kw_only=True)
class OwnMatches:
    """Detail matches of own strangers of one dataset.

    Attributes:
        rows: ``(n,)`` which of the own strangers were due one, best first.
        found: ``(n,)`` detail matches, NaN where there is none.
        choices: ``(n,)`` how many pairs of pictures each was the most alike of.
    """

    rows: Ints
    found: Floats
    choices: Ints

    @property
    def whole(self) -> bool:
        """Whether nearly all of them were matched, so that they say how often strangers match well."""
        return len(self.rows) > 0 and float(np.isfinite(self.found).mean()) >= 0.95


def match_own(
    columns: Columns, people: Subjects, own: OwnStrangers, chosen: Ints, matching: DetailMatching
) -> OwnMatches:
    """Matches own strangers that were chosen as the candidates are, best first.

    Args:
        columns: The dataset.
        people: Its subjects.
        own: Its own strangers.
        chosen: ``(n,)`` which of them to match, best first.
        matching: What matches.

    Example::

        own_matches = match_own(pair.a, scored.a, own, own.chosen(high)[:1_000], matching)
    """
    films = FilmSide.of(columns, matching.digest)
    first, second = most_alike(films.side, people, own.first[chosen], own.second[chosen], matching.encoder)
    readable = films.readable[first] & films.readable[second]
    rows, first, second = chosen[readable], first[readable], second[readable]
    return OwnMatches(
        rows=rows,
        found=matching.of(columns, columns, first, second, _OWN_TIME),
        choices=people.pictures[own.first[rows]] * people.pictures[own.second[rows]],
    )


def most_alike(side: Side, people: Subjects, one: Ints, other: Ints, encoder: str) -> tuple[Ints, Ints]:
    """For pairs of subjects of one dataset the two pictures whose fingerprints are most alike.

    Args:
        side: The distinct pictures of the dataset.
        people: Its subjects.
        one: ``(n,)`` one subject of each pair.
        other: ``(n,)`` the other.
        encoder: The encoder whose fingerprints count.

    Example:
        ``first, second = most_alike(side, people, own.first, own.second, encoder)``
    """
    order, starts = people.by_subject
    first, second = order[starts[one]], order[starts[other]]
    several = np.flatnonzero((people.pictures[one] > 1) | (people.pictures[other] > 1))
    for at in several.tolist():
        own = order[starts[one[at]] : starts[one[at] + 1]]
        theirs = order[starts[other[at]] : starts[other[at] + 1]]
        alike = side.prints(encoder, own) @ side.prints(encoder, theirs).T
        i, j = np.unravel_index(int(alike.argmax()), alike.shape)
        first[at], second[at] = own[i], theirs[j]
    return first, second


def few_best(own: Ints, other: Ints, score: Floats) -> Bools:
    """Which pairs are among the ``FEW_BEST`` partners of their first or of their second subject.

    Args:
        own: ``(n,)`` the first subject of each pair; every two subjects stand once.
        other: ``(n,)`` the second.
        score: ``(n,)`` their scores; ties count as one place.

    Example:
        >>> few_best(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 2]), np.array([0.9, 0.8, 0.7, 0.9])).tolist()
        [True, True, True, True]
    """
    out = np.zeros(len(own), np.bool_)
    for unit in (own, other):
        order = np.lexsort((-score, unit))
        begins = np.searchsorted(unit[order], unit[order])
        last = np.minimum(begins + FEW_BEST - 1, len(order) - 1)
        # The last place of a subject with fewer partners is another's: all of its own count.
        of_own = unit[order][last] == unit[order]
        out[order] |= ~of_own | (score[order] >= score[order][last])
    return out


def due(one: Scored, table: PairTable, a: FilmSide, b: FilmSide) -> Ints:
    """Rows of the pairs to match, best first: the best two pictures of two subjects.

    They are the few best partners of every subject. Ties are broken by the names of the pictures, so that the
    order is the same whichever dataset is A.

    Args:
        one: The scores of the two datasets.
        table: Their pairs.
        a: The films of the dataset named first.
        b: The films of the other.

    Example::

        rows = due(scored, table, *(FilmSide.of(side, matcher.digest) for side in (pair.a, pair.b)))
        table.a[rows[0]], table.b[rows[0]]  # the two films to match first
    """
    if not one.calibration.matches_details:
        return np.zeros(0, np.int64)
    chosen = chosen_for_details(one)
    rows = one.at
    at = np.flatnonzero(chosen & a.readable[table.a[rows]] & b.readable[table.b[rows]])
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


def chosen_for_details(one: Scored) -> Bools:
    """``(m,)`` which pairs of pictures are of subjects that get a detail match if their pixels are at hand.

    Example:
        ``chosen_for_details(scored).sum()``
    """
    high = ~one.settled & (one.calibration.tail.p_value(one.score) <= one.calibration.detail_p)
    out = np.zeros(len(high), np.bool_)
    at = np.flatnonzero(high)
    _, first, where = np.unique(one.pair_of_subjects[at], return_index=True, return_inverse=True)
    each = at[first]
    out[at] = few_best(one.code_a[each], one.code_b[each], one.score[each])[where]
    return out


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
    lost: set[int] | None = None,
) -> MatchPairs:
    """What matches pairs of one set of films, for ``fit_calibration``.

    Args:
        pixels: Where the pixels of each film are, ``None`` where they are not at hand.
        matcher: The network that describes and compares.
        engine: What runs the decoding.
        options: The limits and choices for reading files.
        progress: Receives how far the work is.
        lost: Receives the numbers of the films that could not be read for it.

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
                tasks.append(FilmPair((str(i), str(j)), (first, second)))
        for position, found in zip(at, films(tasks, np.inf, progress), strict=True):
            if found is not None:
                out[position] = found
        if lost is not None:
            lost.update(map(int, films.unread))
        return out

    return match

"""Looks again at the pairs of films whose fingerprints are most alike: best first, within a time."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.fit_detail import Look, just_too_low
from leakscan.decide.columns import Columns, Known
from leakscan.decide.copies.copy_check import PixelPair, Pixels
from leakscan.decide.persons.film_details import DetailMatcher, FilmDetails
from leakscan.decide.persons.scores import CHECKABLE_SUBJECTS, Scored, Subjects, template_scores
from leakscan.match.candidates import Side
from leakscan.types import DecodeOptions, Engine, Progress

if TYPE_CHECKING:
    from leakscan.run.memory import PairMemory

_STRANGERS = 300  # of a run, looked at to see how alike its people look; their mean is known to 0.1 nats
_EACH_SIDE = 700  # films of each dataset among whom they are sought

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def match_details(
    scored: Sequence[Scored],
    pairs: Ints,
    known: Known,
    matchers: Mapping[str, DetailMatcher],
    cache: PairMemory,
    engine: Engine,
    options: DecodeOptions,
    seconds: float,
    progress: Progress,
) -> dict[int, float]:
    """Looks at the best pair of pictures of every two subjects that score high enough.

    Args:
        scored: from ``score_persons``.
        pairs: ``(n, 2)`` of pictures.
        known: rows and pixels of both datasets.
        matchers: encoder -> what looks at pairs of its films.
        cache: what was looked at before; is added to.
        engine: runs the decoding.
        options: for decoding.
        seconds: of wall time; the rest stay unseen.
        progress: is told.

    Returns:
        Position of a pair -> what was found, less what the run's own strangers look more alike than the
        calibration's.
    """
    found: dict[int, float] = {}
    sides = known.a, known.b
    deadline = time.monotonic() + seconds
    for one in scored:
        matcher = matchers.get(one.calibration.encoder)
        if matcher is None or not one.calibration.looks:
            continue
        films = FilmDetails(matcher, engine, options)

        def look(
            pairs: Sequence[tuple[Film, Film]], films: FilmDetails = films, digest: str = matcher.digest
        ) -> list[float | None]:
            return _remembered(films, digest, cache, pairs, deadline, progress)

        places = strangers(one, known.a.side, known.b.side, lambda at: _film(sides[at[0]], at[1]).name)
        others = look([(_film(sides[m], i), _film(sides[n], j)) for (m, i), (n, j) in places])
        shift = one.calibration.detail_shift(
            [np.nan if f is None else f for f in others], choices(one, places)
        )
        positions = due([one], partial(_names, known, pairs))
        more = shift.of(choices(one, [((0, i), (1, j)) for i, j in pairs[positions].tolist()]))
        findings = look([_films(pairs, known, position) for position in positions])
        found |= {
            p: f - m for p, f, m in zip(positions, findings, more.tolist(), strict=True) if f is not None
        }
    return found


@dataclass(frozen=True)
class Film:
    """A picture of one of the datasets: its name, equal for equal pictures, and its pixels."""

    name: str
    pixels: Pixels | None


def _film(of: Columns, picture: int) -> Film:
    row = int(of.side.rows[picture])
    return Film(of.look(row), of.pixels(row))


def _films(pairs: Ints, known: Known, position: int) -> tuple[Film, Film]:
    i, j = pairs[position].tolist()
    return _film(known.a, i), _film(known.b, j)


def _remembered(
    films: FilmDetails,
    digest: str,
    cache: PairMemory,
    pairs: Sequence[tuple[Film, Film]],
    deadline: float,
    progress: Progress,
) -> list[float | None]:
    """What is found of pairs: from the cache, else by looking, as far as time and pixels allow."""
    known = cache.detail_matches(digest, [(a.name, b.name) for a, b in pairs])
    out = [known.get((a.name, b.name)) for a, b in pairs]
    waiting = [
        (at, PixelPair(key_a=a.name, key_b=b.name, a=a.pixels, b=b.pixels, ndim=2))
        for at, (a, b) in enumerate(pairs)
        if out[at] is None and a.pixels is not None and b.pixels is not None
    ]
    if waiting:
        fresh = films([task for _, task in waiting], max(0.0, deadline - time.monotonic()), progress)
        for (at, _), finding in zip(waiting, fresh, strict=True):
            out[at] = finding
        matched = zip(waiting, fresh, strict=True)
        found = [(task.key_a, task.key_b, match) for (_, task), match in matched if match is not None]
        cache.keep_detail_matches(digest, found)
    return out


Place = tuple[int, int]
"""A picture of one of two datasets: 0 or 1, and which."""


def strangers(one: Scored, a: Side, b: Side, named: Callable[[Place], str]) -> list[tuple[Place, Place]]:
    """Best pictures of two subjects each whose score just misses a look, hardly any of them of one person.

    The subjects come from where the bulk of the scores came from. Where there were too few for that, scores
    count as they are: how alike strangers look takes fewer of them than how their scores spread. As with
    candidates (:func:`due`), the two pictures most alike are looked at: the more pictures there are to choose
    from, the more alike strangers look. Who is taken hangs on names, so that the datasets may change places.

    Args:
        one: scores of the two datasets.
        a: pictures of the dataset named first.
        b: of the other.
        named: what a picture is called.
    """
    calibration = one.calibration
    if calibration.strangers_found is None:
        return []
    if one.bulk is None or min(len(one.a.templates), len(one.b.templates)) >= CHECKABLE_SUBJECTS:
        left, right = (0, a, one.a, _some(one.a)), (1, b, one.b, _some(one.b))
    else:
        which = 0 if one.a.declared >= one.b.declared else 1
        side, subjects = (a, one.a) if which == 0 else (b, one.b)
        chosen = _some(subjects, declared=True)
        left, right = (which, side, subjects, chosen[::2]), (which, side, subjects, chosen[1::2])
    scores = template_scores(left[2], right[2], left[3], right[3])
    mapped = scores if one.bulk is None else one.bulk.to_tail(scores)
    at = just_too_low(calibration.tail.p_value(mapped), calibration.detail_p)
    pictures = [_pictures(subjects.code) for _, _, subjects, _ in (left, right)]
    firsts = [
        [named((place, int(own[int(code)][0]))) for code in chosen]
        for (place, _, _, chosen), own in zip((left, right), pictures, strict=True)
    ]
    drawn = sorted(at.tolist(), key=lambda ij: _drawn(firsts[0][ij[0]], firsts[1][ij[1]]))[:_STRANGERS]
    out = []
    for i, j in drawn:
        own, other = pictures[0][int(left[3][i])], pictures[1][int(right[3][j])]
        alike = left[1].prints(calibration.encoder, own) @ right[1].prints(calibration.encoder, other).T
        best = np.unravel_index(int(alike.argmax()), alike.shape)
        out.append(((left[0], int(own[best[0]])), (right[0], int(other[best[1]]))))
    return out


def choices(one: Scored, places: Sequence[tuple[Place, Place]]) -> Ints:
    """``(n,)`` how many pairs of pictures the subjects of two pictures each have."""
    codes = one.a.code, one.b.code
    counts = [np.bincount(code[code >= 0]) for code in codes]
    each = [counts[m][codes[m][i]] * counts[n][codes[n][j]] for (m, i), (n, j) in places]
    return np.array(each, np.int64)


def _drawn(a: str, b: str) -> tuple[int, str, str]:
    first, second = sorted((a, b))
    return zlib.crc32(f"{first} {second}".encode()), first, second


def _some(subjects: Subjects, declared: bool = False) -> Ints:
    """Some subjects, in the order of a draw that hangs on their number alone."""
    codes = np.flatnonzero(subjects.is_declared) if declared else np.arange(len(subjects.templates))
    return np.random.default_rng(len(codes)).permutation(codes)[:_EACH_SIDE].astype(np.int64)


def _pictures(code: Ints) -> dict[int, Ints]:
    """Subject -> its pictures, ascending."""
    order = np.argsort(code, kind="stable")
    codes, starts = np.unique(code[order], return_index=True)
    return dict(zip(codes.tolist(), np.split(order, starts[1:]), strict=True))


def detail_match_of(
    pixels: Sequence[Pixels | None],
    matcher: DetailMatcher,
    engine: Engine,
    options: DecodeOptions,
    progress: Progress,
) -> Look:
    """Looks at pairs of one set of films, for ``fit_calibration``.

    Args:
        pixels: of each film, ``None`` where they are not at hand.
        matcher: looks.
        engine: runs the decoding.
        options: for decoding.
        progress: is told.
    """
    films = FilmDetails(matcher, engine, options)

    def look(pairs: Ints) -> Floats:
        out = np.full(len(pairs), np.nan)
        at, tasks = [], []
        for position, (i, j) in enumerate(pairs.tolist()):
            first, second = pixels[i], pixels[j]
            if first is not None and second is not None:
                at.append(position)
                tasks.append(PixelPair(key_a=str(i), key_b=str(j), a=first, b=second, ndim=2))
        for position, finding in zip(at, films(tasks, np.inf, progress), strict=True):
            if finding is not None:
                out[position] = finding
        return out

    return look


def due(scored: Sequence[Scored], named: Callable[[int], tuple[str, str] | None]) -> list[int]:
    """Positions of the pairs to look at, best first: the best two pictures of every two subjects.

    Args:
        scored: from ``score_persons``.
        named: position of a pair -> what its two pictures are called, ``None`` where nobody can look at
            them. Names break ties, so that the order is the same whichever dataset is A.
    """
    ranked: list[tuple[float, str, str, int]] = []
    for one in scored:
        if not one.calibration.looks:
            continue
        p = one.calibration.tail.p_value(one.score)
        codes = one.pair_of_subjects
        best: dict[int, tuple[float, str, str, int]] = {}
        for m in np.flatnonzero(~one.settled & (p <= one.calibration.detail_p)).tolist():
            position = int(one.at[m])
            names = named(position)
            if names is None:
                continue
            entry = (-float(one.picture[m]), min(names), max(names), position)
            best[int(codes[m])] = min(entry, best.get(int(codes[m]), entry))
        by_position = dict(zip(one.at.tolist(), one.score.tolist(), strict=True))
        ranked += [(-by_position[position], a, b, position) for _, a, b, position in best.values()]
    return [position for *_, position in sorted(ranked)]


def _names(known: Known, pairs: Ints, position: int) -> tuple[str, str] | None:
    a, b = _films(pairs, known, position)
    flat = known.a.side.ndim[pairs[position, 0]] == known.b.side.ndim[pairs[position, 1]] == 2
    return (a.name, b.name) if flat and a.pixels is not None and b.pixels is not None else None

"""Looks again at the pairs of films whose fingerprints are most alike: best first, within a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from leakscan.decide.columns import Known
from leakscan.decide.film_looks import FilmLooks, Looker
from leakscan.decide.fit_look import Look
from leakscan.decide.looks import LookCache
from leakscan.decide.scored import Scored
from leakscan.decide.verification import Pixels, Task
from leakscan.types import DecodeOptions, Engine, Progress

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def look_again(
    scored: Sequence[Scored],
    pairs: Ints,
    known: Known,
    lookers: Mapping[str, Looker],
    cache: LookCache,
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
        lookers: encoder -> what looks at pairs of its films.
        cache: what was looked at before; is added to.
        engine: runs the decoding.
        options: for decoding.
        seconds: of wall time; the rest stay unseen.
        progress: is told.

    Returns:
        Position of a pair -> what was found.
    """
    found: dict[int, float] = {}
    deadline = time.monotonic() + seconds
    for one in scored:
        looker = lookers.get(one.calibration.encoder)
        if looker is None:
            continue
        tasks: list[Task] = []
        waiting: list[tuple[int, str, str]] = []
        for position in due([one], partial(_names, known, pairs)):
            (row_a, look_a), (row_b, look_b) = _pictures(pairs, known, position)
            before = cache.get(looker.digest, look_a, look_b)
            if before is not None:
                found[position] = before
                continue
            pixels_a, pixels_b = known.a.pixels(row_a), known.b.pixels(row_b)
            if pixels_a is not None and pixels_b is not None:
                tasks.append(Task(f"a/{row_a}", f"b/{row_b}", pixels_a, pixels_b, 2))
                waiting.append((position, look_a, look_b))
        if tasks:
            look = FilmLooks(looker, engine, options)
            fresh = look(tasks, max(0.0, deadline - time.monotonic()), progress)
            for (position, look_a, look_b), finding in zip(waiting, fresh, strict=True):
                if finding is not None:
                    found[position] = finding
                    cache.add(looker.digest, look_a, look_b, finding)
    return found


def look_of(
    pixels: Sequence[Pixels | None],
    looker: Looker,
    engine: Engine,
    options: DecodeOptions,
    progress: Progress,
) -> Look:
    """Looks at pairs of one set of films, for ``fit_calibration``.

    Args:
        pixels: of each film, ``None`` where they are not at hand.
        looker: looks.
        engine: runs the decoding.
        options: for decoding.
        progress: is told.
    """
    films = FilmLooks(looker, engine, options)

    def look(pairs: Ints) -> Floats:
        out = np.full(len(pairs), np.nan)
        at, tasks = [], []
        for position, (i, j) in enumerate(pairs.tolist()):
            first, second = pixels[i], pixels[j]
            if first is not None and second is not None:
                at.append(position)
                tasks.append(Task(str(i), str(j), first, second, 2))
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
        for m in np.flatnonzero(~one.settled & (p <= one.calibration.look_p)).tolist():
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
    (row_a, look_a), (row_b, look_b) = _pictures(pairs, known, position)
    flat = known.a.side.ndim[pairs[position, 0]] == known.b.side.ndim[pairs[position, 1]] == 2
    at_hand = known.a.pixels(row_a) is not None and known.b.pixels(row_b) is not None
    return (look_a, look_b) if flat and at_hand else None


def _pictures(pairs: Ints, known: Known, position: int) -> tuple[tuple[int, str], tuple[int, str]]:
    """Row and name of the two pictures of a pair."""
    i, j = pairs[position].tolist()
    row_a, row_b = int(known.a.side.rows[i]), int(known.b.side.rows[j])
    return (row_a, known.a.look(row_a)), (row_b, known.b.look(row_b))

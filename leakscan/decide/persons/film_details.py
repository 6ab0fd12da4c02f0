"""Detail matches of given pairs of chest films: workers decode and describe, the network compares.

Imports nothing heavy: worker processes start with this module.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from leakscan.decide.copies.describing import Pixels, load_pixels, nothing
from leakscan.engines.careful import Careful
from leakscan.errors import ImageError
from leakscan.fingerprint.encoders.film.detail_grid import Details
from leakscan.fingerprint.encoders.film.detail_matcher import matcher_here
from leakscan.fingerprint.encoders.film.kept_details import KeptDetails, film_of, from_bytes
from leakscan.settings import DecodeOptions
from leakscan.types import Engine, Progress

Film = Pixels | KeptDetails
"""What the details of a film come from."""

_WINDOW = 32  # pairs a worker, after which findings are kept: some 4 s, which is what a kill may lose
_KEPT = 2000  # films whose details are kept from window to window, 38 kB each
_BATCH = 64  # films described at once, where workers do not describe them
_CHUNK = 4  # films that a worker gets at a time
_COMPARED = 16  # pairs that it gets at a time, 1.2 MB


class DetailMatcher(Protocol):
    """A network that tells how well the details of two chest films agree.

    ``describe`` takes canonical radiographs ``(n, side, side)`` uint8 and returns the detail of each,
    ``(n, ...)``; ``compare`` takes two of those and returns a number for each pair, higher for one person.
    ``digest`` changes with whatever it finds. ``for_workers`` is the file of the networks where every process
    can run them, and ``None`` where films are described in this one.
    """

    digest: str
    side: int

    @property
    def for_workers(self) -> Path | None: ...

    def describe(self, canonical: npt.NDArray[np.uint8]) -> Details: ...

    def compare(self, a: Details, b: Details) -> npt.NDArray[np.float32]: ...


@dataclass(frozen=True)
class FilmPair:
    """Two films whose details are to be compared.

    Attributes:
        keys: What they are called, equal for equal films.
        films: Their pixels, or what a store kept of their details.
    """

    keys: tuple[str, str]
    films: tuple[Film, Film]


class FilmDetails:
    """Matches pairs of films, whose details are kept while few enough others come between.

    Attributes:
        unread: The keys of the films that could not be read.

    Args:
        matcher: The network that describes and compares.
        engine: What runs the decoding.
        options: The limits and choices for reading files.
        kept: How many films keep their details from window to window.

    Example:
        ``found = FilmDetails(matcher, engine, DecodeOptions())(pairs, 600.0, progress)``
    """

    def __init__(
        self, matcher: DetailMatcher, engine: Engine, options: DecodeOptions, kept: int = _KEPT
    ) -> None:
        self._matcher, self._engine, self._kept = matcher, engine, kept
        self._read = partial(_canonical, side=matcher.side, options=options)
        self._for_workers = partial(_described, options=options)
        self._details: dict[str, Details | None] = {}
        self.unread: set[str] = set()

    def __call__(self, pairs: Sequence[FilmPair], seconds: float, progress: Progress) -> list[float | None]:
        """Matches pairs in the given order until the time is up.

        Args:
            pairs: The pairs, best first. Equal keys name equal pictures, over all calls.
            seconds: The wall time for all of them.
            progress: Receives how far the work is.

        Returns:
            One number for each pair: ``None`` for one that was not reached or cannot be read.
        """
        out = [found for window in self.windows(pairs, seconds, progress) for found in window]
        return out + [None] * (len(pairs) - len(out))

    def windows(
        self, pairs: Sequence[FilmPair], seconds: float, progress: Progress
    ) -> Iterator[list[float | None]]:
        """The same as a call, but some pairs at a time, so that what was found can be kept at once."""
        progress.start("Matching details", len(pairs))
        deadline = time.monotonic() + seconds
        length = _WINDOW * max(1, self._engine.workers)
        for start in range(0, len(pairs), length):
            if time.monotonic() > deadline:
                return
            window = pairs[start : start + length]
            yield self._window(window)
            progress.advance(len(window))

    def _window(self, tasks: Sequence[FilmPair]) -> list[float | None]:
        self._describe({key: film for t in tasks for key, film in zip(t.keys, t.films, strict=True)})
        out: list[float | None] = [None] * len(tasks)
        at, pairs = [], []
        for i, task in enumerate(tasks):
            a, b = (self._details[key] for key in task.keys)
            if a is not None and b is not None:
                at.append(i)
                # A pair has one order, whichever dataset was named first.
                pairs.append((a, b) if a.tobytes() <= b.tobytes() else (b, a))
        for i, found in zip(at, self._compared(pairs), strict=True):
            out[i] = found
        return out

    def _compared(self, pairs: Sequence[tuple[Details, Details]]) -> list[float]:
        path = self._matcher.for_workers
        if path is None:
            return _agreement(pairs, self._matcher) if pairs else []
        blocks = [pairs[at : at + _COMPARED] for at in range(0, len(pairs), _COMPARED)]
        found = self._engine.map(partial(_agreement_here, path=path), blocks, 1)
        return [each for block in found for each in block]

    def _describe(self, needed: dict[str, Film]) -> None:
        """Sees to it that the details of all films are at hand."""
        missing = {key: film for key, film in needed.items() if key not in self._details}
        # What is needed now goes to the end; the front, unused for longest, makes room.
        known = {key: self._details.pop(key) for key in needed if key in self._details}
        for key in list(self._details)[: max(0, len(self._details) + len(needed) - self._kept)]:
            del self._details[key]
        self._details |= known
        kept = {key: film for key, film in missing.items() if isinstance(film, KeptDetails)}
        self._details |= {key: from_bytes(film.raw, self._matcher.digest) for key, film in kept.items()}
        self._describe_pixels({k: f for k, f in missing.items() if not isinstance(f, KeptDetails)})
        self.unread.update(key for key in missing if self._details[key] is None)

    def _describe_pixels(self, missing: dict[str, Pixels]) -> None:
        if not missing:
            return
        path = self._matcher.for_workers
        if path is not None:
            work = Careful(partial(self._for_workers, path=path), nothing)
            described = self._engine.map(work, missing.values(), _CHUNK)
            self._details |= zip(missing, described, strict=True)
            return
        films = zip(missing, self._engine.map(Careful(self._read, nothing), missing.values()), strict=True)
        for block in _batches(films):
            readable = [(key, film) for key, film in block if film is not None]
            self._details |= dict.fromkeys((key for key, _ in block), None)
            if readable:
                found = self._matcher.describe(np.stack([film for _, film in readable]))
                self._details |= {key: details for (key, _), details in zip(readable, found, strict=True)}


def _described(pixels: Pixels | None, path: Path, options: DecodeOptions) -> Details | None:
    """The details of a film, ``None`` if it cannot be read or is no picture."""
    matcher = matcher_here(path)
    film = _canonical(pixels, matcher.side, options)
    return None if film is None else np.asarray(matcher.describe(film[None])[0])


def _agreement_here(pairs: Sequence[tuple[Details, Details]], path: Path) -> list[float]:
    return _agreement(pairs, matcher_here(path))


def _agreement(pairs: Sequence[tuple[Details, Details]], matcher: DetailMatcher) -> list[float]:
    """How well the details of each two films agree."""
    a, b = (np.stack(side) for side in zip(*pairs, strict=True))
    found: list[float] = matcher.compare(a, b).tolist()
    return found


def _batches(
    films: Iterable[tuple[str, npt.NDArray[np.uint8] | None]],
) -> Iterator[list[tuple[str, npt.NDArray[np.uint8] | None]]]:
    iterator = iter(films)
    while block := list(islice(iterator, _BATCH)):
        yield block


def _canonical(pixels: Pixels | None, side: int, options: DecodeOptions) -> npt.NDArray[np.uint8] | None:
    """The film as the network sees it, ``None`` if it cannot be read or is no picture."""
    try:
        values = load_pixels(pixels, options).values
    except (ImageError, OSError):
        return None
    return film_of(values, side) if values.ndim == 2 else None

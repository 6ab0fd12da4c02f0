"""Notes what every worker does when: for the timings of a run, and for its timeline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from leakscan.engines.careful import Careful, Loss
from leakscan.types import Engine

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work that one process did without a break.

    Attributes:
        stage: What the run was doing.
        process: The number of the process.
        began: The reading of the monotonic clock, which all processes of a machine share, in seconds.
        seconds: How long it took.
    """

    stage: str
    process: int
    began: float
    seconds: float


class TimedEngine:
    """An :class:`leakscan.types.Engine` that notes how long every item took, and in which process.

    Args:
        engine: The engine that does the work.

    Attributes:
        stage: What the run is doing now; pieces are noted under it.
        pieces: What was done so far; pieces of one process that follow each other closely are one.

    Example:
        >>> from leakscan.engines.local import LocalEngine
        >>> engine = TimedEngine(LocalEngine(workers=0))
        >>> engine.stage = "Sums"
        >>> list(engine.map(abs, [-1, 2]))
        [1, 2]
        >>> [(piece.stage, piece.process == os.getpid()) for piece in engine.pieces]
        [('Sums', True)]
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.workers = engine.workers
        self.is_cluster = engine.is_cluster
        self.stage = ""
        self.pieces: list[Piece] = []
        self._last: dict[int, int] = {}

    def map(self, function: Callable[[T], R], items: Iterable[T], chunk: int = 8) -> Iterator[R]:
        """See :class:`leakscan.types.Engine`."""
        timed: Callable[[T], _Timed[R]] = partial(_timed, function)
        if isinstance(function, Careful):
            lost = partial(_lost, function.lost)
            timed = Careful(partial(_timed, function.function), lost, function.seconds)
        for result, process, began, seconds in self._engine.map(timed, items, chunk):
            self._note(process, began, seconds)
            yield result

    def _note(self, process: int, began: float, seconds: float) -> None:
        at = self._last.get(process)
        if at is not None:
            last = self.pieces[at]
            if last.stage == self.stage and began - (last.began + last.seconds) < _CLOSE_SECONDS:
                self.pieces[at] = Piece(last.stage, process, last.began, began + seconds - last.began)
                return
        self._last[process] = len(self.pieces)
        self.pieces.append(Piece(self.stage, process, began, seconds))


_CLOSE_SECONDS = 0.002


_Timed = tuple[R, int, float, float]


def _lost(lost: Callable[[T, Loss], R], item: T, why: Loss) -> _Timed[R]:
    return lost(item, why), os.getpid(), time.monotonic(), 0.0


def _timed(function: Callable[[T], R], item: T) -> _Timed[R]:
    began = time.monotonic()
    result = function(item)
    return result, os.getpid(), began, time.monotonic() - began

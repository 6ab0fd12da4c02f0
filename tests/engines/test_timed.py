"""An engine that notes times does what the engine below it does."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from leakscan.engines.careful import Careful
from leakscan.engines.local import LocalEngine
from leakscan.engines.timed import TimedEngine


def double(item: int) -> int:
    return 2 * item


class Losing:
    """An engine that loses every odd item."""

    workers, is_cluster = 1, False

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], chunk: int = 8) -> Iterator[Any]:
        assert isinstance(function, Careful)
        assert function.seconds == 5.0
        for item in items:
            yield function.lost(item, "died") if item % 2 else function(item)


def test_results_and_errors_come_out_as_they_are() -> None:
    engine = TimedEngine(LocalEngine(workers=0))
    assert list(engine.map(double, range(5))) == [0, 2, 4, 6, 8]
    with pytest.raises(TypeError):
        list(engine.map(double, [None]))  # type: ignore[list-item]


def test_careful_functions_stay_careful() -> None:
    engine = TimedEngine(Losing())
    careful = Careful(double, lambda item, why: f"{item} {why}", 5.0)
    assert list(engine.map(careful, [2, 3])) == [4, "3 died"]


def test_pieces_of_one_stage_that_follow_each_other_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: next(readings) * 1e-4)
    engine = TimedEngine(LocalEngine(workers=0))
    engine.stage = "one"
    list(engine.map(double, range(50)))
    engine.stage = "two"
    list(engine.map(double, range(50)))
    assert [(piece.stage, piece.process) for piece in engine.pieces] == [
        ("one", os.getpid()),
        ("two", os.getpid()),
    ]


def test_a_break_between_items_begins_a_new_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: next(readings) * 0.5)
    engine = TimedEngine(LocalEngine(workers=0))
    engine.stage = "one"
    list(engine.map(double, range(3)))
    assert [piece.seconds for piece in engine.pieces] == [0.5, 0.5, 0.5]

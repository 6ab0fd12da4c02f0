"""Where there is no terminal, a long run says a line every half minute; on a terminal it draws bars."""

from __future__ import annotations

import threading

import pytest

from leakscan.cli.line_progress import LineProgress
from leakscan.cli.output import Output, RichProgress


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_comes_every_half_minute_with_stage_share_and_time_left() -> None:
    clock, lines = Clock(), list[str]()
    with LineProgress(lines.append, clock) as progress:
        progress.start("Reading ward", 1000)
        for _ in range(600):
            clock.now += 0.25
            progress.advance()
        assert [line.partition(",")[0] for line in lines] == [
            f"Reading ward: {n} of 1" for n in (120, 240, 360, 480, 600)
        ]
        assert lines[-1] == "Reading ward: 600 of 1,000 (60 %), about 2 min left"
        clock.now += 1
        progress.start("Checking copies", None)
        assert len(lines) == 5
        clock.now += 30
        progress.note("of brains")
        progress.advance(7)
        assert lines[5:] == ["Checking copies of brains: 7 so far"]
        clock.now += 31
        progress.tick()  # as its thread does where nothing moves
        assert lines[5:] == 2 * ["Checking copies of brains: 7 so far"]
        clock.now += 7200
        progress.start("Reading clinic", 10)
        clock.now += 3600
        progress.advance()
        assert lines[-1] == "Reading clinic: 1 of 10 (10 %), about 9 h 0 min left"


def test_a_stage_that_does_not_move_is_said_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakscan.cli.line_progress._POLL_SECONDS", 0.001)
    clock, said = Clock(), threading.Event()
    with LineProgress(lambda _: said.set(), clock) as progress:
        progress.start("Fitting", None)
        clock.now += 31
        assert said.wait(20)


def test_a_short_run_says_nothing() -> None:
    clock, lines = Clock(), list[str]()
    with LineProgress(lines.append, clock) as progress:
        progress.start("Reading ward", 3)
        for _ in range(3):
            clock.now += 9
            progress.advance()
    assert lines == []


def test_lines_go_to_standard_error_and_keep_their_marks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr("leakscan.cli.output.LineProgress", lambda say: LineProgress(say, clock))
    for as_json in (False, True):
        with Output(as_json).progress() as progress:
            clock.now += 60
            progress.start("Reading [bold]ward", 3)
        out, err = capsys.readouterr()
        assert (out, err) == ("", "Reading [bold]ward: 0 of 3 (0 %)\n")
    assert isinstance(Output(quiet=True).progress(), RichProgress)  # which draws nothing


def test_a_terminal_gets_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # by which rich takes any stream for a terminal
    assert isinstance(Output().progress(), RichProgress)

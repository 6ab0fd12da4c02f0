"""What a run did when: which stage, in which process, and how busy the processors were."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from leakscan.engines.memory import MemoryWatch
from leakscan.engines.timed import Piece, TimedEngine
from leakscan.errors import OutputError
from leakscan.types import Engine, Progress
from leakscan.writable import written_whole


class Timeline:
    """Times the stages of a run, and what its workers did in each.

    Args:
        engine: The engine of the run.
        progress: Receives how far the run is.
        watch: What stops the run where it holds too much memory, if anything does.

    Attributes:
        engine: The engine that the run uses in its place.
        progress: The progress that the run uses in its place.

    Example:
        >>> from leakscan.engines import start_engine
        >>> from leakscan.types import Silent
        >>> timeline = Timeline(start_engine(workers=0), Silent())
        >>> timeline.progress.start("Reading", None)
        >>> _ = list(timeline.engine.map(abs, [-1]))
        >>> timeline.progress.finish()
        >>> [event["name"] for event in timeline.events() if event["ph"] == "X"]
        ['Reading', 'Reading']
    """

    def __init__(self, engine: Engine, progress: Progress, watch: MemoryWatch | None = None) -> None:
        self._watch = watch
        self._began, self._worked = time.monotonic(), time.process_time()
        self.engine = TimedEngine(engine)
        self._stages: list[Piece] = []
        self._since = self._began
        self.progress: Progress = _TimedProgress(progress, self)

    def enter(self, stage: str) -> None:
        """Ends the stage that runs, and begins another; an empty name begins none."""
        self.check()
        now = time.monotonic()
        if self.engine.stage:
            since = self._since
            self._stages.append(Piece(self.engine.stage, os.getpid(), since, now - since))
        self.engine.stage, self._since = stage, now

    def check(self) -> None:
        """Stops the run where it holds too much memory.

        Raises:
            LeakscanError: It does.
        """
        if self._watch is not None:
            self._watch.check()

    def busy(self) -> dict[str, Any]:
        """How busy the processors were so far.

        Returns:
            ``main``: the share of the wall time that this process worked, which may exceed 1 where a library
            runs threads. ``workers``: the share that each worker process worked, busiest first.
        """
        wall = max(time.monotonic() - self._began, 1e-9)
        worked: dict[int, float] = defaultdict(float)
        for piece in self.engine.pieces:
            worked[piece.process] += piece.seconds
        worked.pop(os.getpid(), None)
        return {
            "main": round((time.process_time() - self._worked) / wall, 3),
            "workers": [round(seconds / wall, 3) for seconds in sorted(worked.values(), reverse=True)],
        }

    def events(self) -> list[dict[str, Any]]:
        """The timeline in the Trace Event Format, which Perfetto and Chrome's tracing open."""
        main = os.getpid()
        lanes = {main: 0}
        for piece in self.engine.pieces:
            lanes.setdefault(piece.process, len(lanes))
        named = [
            {"name": "thread_name", "ph": "M", "pid": 1, "tid": lane, "args": {"name": name}}
            for process, lane in lanes.items()
            for name in ("main" if process == main else f"worker {lane} ({process})",)
        ]
        done = []
        for piece in (*self._stages, *self.engine.pieces):
            # Both ends are rounded, so that what lies in another, or follows it, still does.
            begins, ends = (
                round((at - self._began) * 1e6) for at in (piece.began, piece.began + piece.seconds)
            )
            lane = lanes[piece.process]
            done.append(
                {
                    "name": piece.stage or "start",
                    "ph": "X",
                    "pid": 1,
                    "tid": lane,
                    "ts": begins,
                    "dur": ends - begins,
                }
            )
        return named + done

    def write(self, path: Path) -> None:
        """Writes the timeline; https://ui.perfetto.dev opens it.

        Args:
            path: The file, such as ``run.trace.json``.

        Raises:
            OutputError: It cannot be written.
        """
        self.enter("")
        try:
            with written_whole(path) as part:
                part.write_text(json.dumps({"traceEvents": self.events()}), encoding="utf-8")
        except OSError as e:
            raise OutputError(
                f"The timeline {{path}} cannot be written: {e.strerror or e}.", path=path
            ) from e


class _TimedProgress:
    """A progress that tells a timeline which stage runs."""

    def __init__(self, progress: Progress, timeline: Timeline) -> None:
        self._progress, self._timeline = progress, timeline

    def start(self, stage: str, total: int | None) -> None:
        self._timeline.enter(stage)
        self._progress.start(stage, total)

    def advance(self, n: int = 1) -> None:
        self._timeline.check()
        self._progress.advance(n)

    def note(self, text: str) -> None:
        self._progress.note(text)

    def tell(self, text: str) -> None:
        self._progress.tell(text)

    def finish(self) -> None:
        self._timeline.enter("")
        self._progress.finish()

"""Progress where there is no terminal: a log gets a line now and then, not a bar."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

EVERY_SECONDS = 30.0
_POLL_SECONDS = 1.0


class LineProgress:
    """A :class:`leakscan.types.Progress` that says one line every half minute.

    A line has the stage, its share and the time left, each as far as it is known. It comes from a thread of
    its own where a stage does not move. A run that takes less than half a minute says nothing.

    Args:
        say: Receives the lines.
        clock: Seconds that only grow.

    Example:
        >>> now = [0.0]
        >>> with LineProgress(print, lambda: now[-1]) as progress:
        ...     progress.start("Reading ward", 4)
        ...     now.append(31.0)
        ...     progress.advance(2)
        Reading ward: 2 of 4 (50 %), about 31 s left
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._stage, self._note = "", ""
        self._total: int | None = None
        self._done = 0
        self._said = self._began = clock()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> LineProgress:
        threading.Thread(target=self._watch, name="progress", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.finish()

    def start(self, stage: str, total: int | None) -> None:
        """See :class:`leakscan.types.Progress`."""
        with self._lock:
            self._stage, self._note, self._total, self._done = stage, "", total, 0
            self._began = self._clock()
        self.tick()

    def advance(self, n: int = 1) -> None:
        """See :class:`leakscan.types.Progress`."""
        with self._lock:
            self._done += n
        self.tick()

    def note(self, text: str) -> None:
        """See :class:`leakscan.types.Progress`."""
        self._note = f" {text}"

    def tell(self, text: str) -> None:
        """See :class:`leakscan.types.Progress`."""
        self._say(text)

    def finish(self) -> None:
        """See :class:`leakscan.types.Progress`."""
        self._stage = ""

    def tick(self) -> None:
        """Says a line if the last one is half a minute old."""
        with self._lock:
            now = self._clock()
            if self._stage and now - self._said >= EVERY_SECONDS:
                self._said = now
                self._say(f"{self._stage}{self._note}{self._far(now)}")

    def _watch(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            self.tick()

    def _far(self, now: float) -> str:
        """How far the stage is, and when it may end if it goes on as it went."""
        if not self._total:
            return f": {self._done:,} so far" if self._done else ""
        share = f": {self._done:,} of {self._total:,} ({self._done / self._total:.0%})".replace("%", " %")
        if not 0 < self._done < self._total:
            return share
        left = (now - self._began) * (self._total - self._done) / self._done
        return f"{share}, about {_span(left)} left"


def _span(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"

"""What was done when, and in which process: from this come timings and timelines."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """One piece of work.

    Attributes:
        stage: The name of the work, for example ``decode``.
        began: The reading of the monotonic clock, which all processes of a machine share, in seconds.
        seconds: How long it took.
        process: The number of the process.
    """

    stage: str
    began: float
    seconds: float
    process: int


class Stopwatch:
    """Notes spans of this process.

    Example:
        >>> watch = Stopwatch()
        >>> with watch.stage("decode"):
        ...     pass
        >>> [span.stage for span in watch.spans]
        ['decode']
    """

    def __init__(self) -> None:
        self._spans: list[Span] = []

    @property
    def spans(self) -> tuple[Span, ...]:
        """What has been noted so far."""
        return tuple(self._spans)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Notes what is done inside."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._spans.append(Span(name, began, time.monotonic() - began, os.getpid()))

"""A function whose items may kill the process that works on them, or never come to an end."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Loss = Literal["died", "took_too_long"]
"""Why an item has no result: the worker that had it died twice, or it took longer than it may."""

_AGAIN_SECONDS = 1.0  # between two signals at most: code that swallowed the first gets another
_TIMES_BY_THE_CLOCK = 10.0  # a limit of processor time, for what waits and uses none
_LONGEST = 1e9  # seconds; some timers take no more than 2**31


@dataclass(frozen=True)
class Careful(Generic[T, R]):
    """A function, and what stands for its result where an item kills the worker that has it.

    An engine that runs workers gives such an item to a worker alone once more. If that one dies as well, or
    the item takes too long, ``lost`` makes the result, and the other items go on as if nothing had happened.

    Attributes:
        function: The function. It can be pickled, as every function that an engine maps.
        lost: Makes a result of an item and of the reason why it has none. It runs in the calling process.
        seconds: How much processor time one item may take at most before its worker is killed, or ten times
            as long by the clock; ``None`` sets no limit.

    Example:
        >>> from leakscan.engines import start_engine
        >>> careful = Careful(abs, lambda item, why: why)
        >>> list(start_engine(workers=0).map(careful, [-1, 2]))
        [1, 2]
    """

    function: Callable[[T], R]
    lost: Callable[[T, Loss], R]
    seconds: float | None = None

    def __call__(self, item: T) -> R:
        """What the function makes of an item."""
        return self.function(item)


class TookTooLong(BaseException):
    """More time has gone by than was given.

    It is no ``Exception``, because readers take every exception of a library for a damaged file.
    """


def by_the_clock(seconds: float) -> float:
    """How long something may take by the clock that may use so much processor time.

    The first bound is what a file costs, and is the same however much else the machine does. What waits for
    ever uses no processor, so it meets the second.

    Args:
        seconds: The processor time.

    Example:
        >>> by_the_clock(30.0)
        300.0
    """
    return seconds * _TIMES_BY_THE_CLOCK


def processor_seconds() -> float:
    """The processor time of this process, and of those that it started and that have ended, in seconds.

    Example:
        >>> before = processor_seconds()
        >>> _ = sum(range(3_000_000))
        >>> processor_seconds() > before
        True
    """
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stops what stands inside after so much processor time, as soon as Python has the word again.

    On a machine that does much else, the inside may take longer by the clock, up to ten times as long.
    Code of other languages is not interrupted; an engine kills a worker that stays in it. In other threads
    than the main one, and on Windows, nothing is stopped. A limit around another one leaves it in force.

    Args:
        seconds: How much processor time the inside may take.

    Raises:
        TookTooLong: It took more, or ten times as long by the clock.

    Example:
        >>> try:
        ...     with time_limit(0.01):
        ...         while True:
        ...             pass
        ... except TookTooLong:
        ...     print("stopped")
        stopped
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        spent = processor_seconds() - before
        if spent >= seconds or time.monotonic() - began >= by_the_clock(seconds):
            raise TookTooLong

    began, before = time.monotonic(), processor_seconds()
    handler = signal.signal(signal.SIGALRM, stop)
    first = min(seconds, _LONGEST)
    outer, interval = signal.setitimer(signal.ITIMER_REAL, first, min(first, _AGAIN_SECONDS))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if outer:
            left = outer - (time.monotonic() - began)
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), interval)

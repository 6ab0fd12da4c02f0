"""A function whose items may kill the process that works on them, or never come to an end."""

from __future__ import annotations

import contextlib
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

_AGAIN_SECONDS = 1.0  # between two signals: code that swallowed the first gets another
_LONGEST = 1e9  # seconds; some timers take no more than 2**31


@dataclass(frozen=True)
class Careful(Generic[T, R]):
    """A function, and what stands for its result where an item kills the worker that has it.

    An engine that runs workers gives such an item to a worker alone once more. If that one dies as well, or
    the item takes too long, ``lost`` makes the result, and the other items go on as if nothing had happened.

    Attributes:
        function: The function. It can be pickled, as every function that an engine maps.
        lost: Makes a result of an item and of the reason why it has none. It runs in the calling process.
        seconds: How long one item may take at most before its worker is killed; ``None`` sets no limit.

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


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stops what stands inside after so many seconds, as soon as Python has the word again.

    Code of other languages is not interrupted; an engine kills a worker that stays in it. In other threads
    than the main one, and on Windows, nothing is stopped. A limit around another one leaves it in force.

    Args:
        seconds: How long the inside may take.

    Raises:
        TookTooLong: It took longer.

    Example:
        >>> try:
        ...     with time_limit(0.01):
        ...         time.sleep(10)
        ... except TookTooLong:
        ...     print("stopped")
        stopped
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLong

    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, stop)
    outer, interval = signal.setitimer(signal.ITIMER_REAL, min(seconds, _LONGEST), _AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:
            left = outer - (time.monotonic() - began)
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), interval)

"""How much memory one item may take in a worker, where the system can hold a process to it."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from leakscan.engines.allocator import give_back_memory
from leakscan.engines.portable import is_portable

_LEAST_ROOM = 0.75  # of what a worker may hold: for an item, whatever encoders and the like take
_NEARLY_ALL = 0.7
_ALWAYS = 100_000_000  # bytes: for stacks of threads, libraries that are loaded and the like
_STATUS = Path("/proc/self/status")


def data_bytes() -> int | None:
    """The bytes of private memory that this process has asked the system for; ``None`` where nobody tells.

    Example:
        >>> held = data_bytes()
        >>> held is None or held > 1_000_000
        True
    """
    if not sys.platform.startswith("linux") or is_portable():
        return None
    try:
        words = _STATUS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    kilobytes = words.partition("VmData:")[2].split(maxsplit=1)[:1]
    return int(kilobytes[0]) * 1024 if kilobytes and kilobytes[0].isdigit() else None


class WorkerIsFull(SystemExit):
    """Ends a worker whose kept memory left an item less than it may take.

    An engine gives the item to a new worker, as if a decoder had crashed.
    """


@dataclass(frozen=True)
class Room:
    """What the inside of :func:`memory_limit` may take.

    Attributes:
        is_limited: Whether anything is in force.
        is_all: Whether that is as much as in a new worker.
    """

    is_limited: bool
    is_all: bool = True


@contextlib.contextmanager
def memory_limit(most: int) -> Iterator[Room]:
    """Lets what stands inside bring this worker to so many bytes, on Linux.

    What a worker keeps for itself, such as encoders, counts, but leaves three quarters to the inside. What
    asks for more gets none: Python raises ``MemoryError``, and libraries say it in their own ways. A
    calling process is not held to it, because all its threads would be.

    Args:
        most: The bytes that the worker may hold with it.

    Example:
        >>> with memory_limit(1_000_000_000) as room:
        ...     print(room.is_limited)  # this is no worker
        False
    """
    held = data_bytes() if multiprocessing.parent_process() is not None else None
    if held is None:
        yield Room(False)
        return
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = min(_limit(held, most), 1 << 62)  # the call takes no more
    if soft != resource.RLIM_INFINITY and soft <= limit:  # somebody holds this process to less
        yield Room(False)
        return
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield Room(True, limit - held >= (most - _least[0].resident) * _NEARLY_ALL)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@dataclass(frozen=True)
class _Held:
    """What a worker holds.

    Attributes:
        asked_for: The bytes that it has asked the system for; much of that it never touches.
        resident: The bytes that take memory.
    """

    asked_for: int
    resident: int


_least: list[_Held] = []
"""What this worker held when it was asked first."""


def _limit(held: int, most: int) -> int:
    """How many bytes this worker may have asked for, so that it holds no more than so many.

    A worker keeps freed memory for the next item (:mod:`leakscan.engines.allocator`), and a small block above
    it hinders the system from taking it back. The next item gets it, so it is no reason to give it more.
    """
    if not _least:
        _least.append(_Held(held, _resident()))
    least = _least[0]
    limit = least.asked_for + most - least.resident - _ALWAYS
    if limit < held + most * _LEAST_ROOM:
        give_back_memory()
        kept = max(0, _resident() - least.resident)
        limit = max(limit, least.asked_for + kept + int(most * _LEAST_ROOM))
    return max(limit, min(held, limit) + _ALWAYS)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


_WORDS = ("insufficient memory", "out of memory", "failed to map segment")
"""What libraries, and the loader of libraries, say for want of memory."""


def wants_memory(error: BaseException) -> bool:
    """Whether an error, or one behind it, says that memory is missing.

    Example:
        >>> wants_memory(MemoryError()), wants_memory(ValueError("truncated"))
        (True, False)
    """
    at: BaseException | None = error
    for _ in range(10):
        if at is None:
            return False
        words = str(at).casefold()
        if isinstance(at, MemoryError) or "bad_alloc" in words or ("alloc" in words and "memory" in words):
            return True
        if any(said in words for said in _WORDS):
            return True
        at = at.__cause__ or at.__context__
    return False

"""How much memory one item may take in a worker, where the system can hold a process to it."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path

from leakscan.engines.allocator import give_back_memory
from leakscan.engines.portable import is_portable

_MAY_GROW = 400_000_000  # bytes: encoders and other things that a worker loads once
_ALWAYS = 32_000_000  # bytes: for stacks of threads and the like, whatever is kept
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
    """Ends a worker in which a library could not be loaded for want of memory: half of it may be there now.

    An engine gives the item to a new worker, as if a decoder had crashed.
    """


@contextlib.contextmanager
def memory_limit(more: int) -> Iterator[bool]:
    """Lets what stands inside take so many bytes more than this worker has, on Linux.

    What asks for more gets none: Python raises ``MemoryError``, and libraries say it in their own ways. A
    calling process is not held to it, because all its threads would be. Whether it is in force is yielded.

    Args:
        more: The bytes that may be added.

    Example:
        >>> with memory_limit(1_000_000_000) as is_held:
        ...     print(is_held)  # this is no worker
        False
    """
    held = data_bytes() if multiprocessing.parent_process() is not None else None
    if held is None:
        yield False
        return
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = min(
        max(_held_beside_items(held) + more, held + _ALWAYS), 1 << 62
    )  # no machine has more, and the call takes no more
    if soft != resource.RLIM_INFINITY and soft <= limit:  # somebody holds this process to less
        yield False
        return
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield True
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


_least: list[int] = []
"""The private memory that this worker held when it was asked first."""


def _held_beside_items(held: int) -> int:
    """What this worker holds for itself, without what it keeps of items before.

    A worker keeps freed memory for the next item (:mod:`leakscan.engines.allocator`), and a small block above
    it hinders the system from taking it back. If that were counted as held, each item might take as much
    more as it may take in all. So it counts as room for the next item, which has little beside it.
    """
    if not _least:
        _least.append(held)
    own = min(held, _least[0] + _MAY_GROW)
    if own < held:
        give_back_memory()
    return own


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

"""How many threads a library may use in this process."""

from __future__ import annotations

import os

_given: list[int] = []


def cores() -> int:
    """The number of processors that this process may use.

    Example:
        >>> cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_here() -> int:
    """Threads for a network in this process: one in a worker, whose like are on the other processors.

    Example:
        >>> threads_here() == cores()  # this is no worker
        True
    """
    return _given[-1] if _given else cores()


def use_threads(number: int) -> None:
    """Says how many threads networks may use in this process from now on.

    Example:
        >>> before = threads_here()
        >>> use_threads(1)
        >>> threads_here()
        1
        >>> use_threads(before)
    """
    _given[:] = [number]

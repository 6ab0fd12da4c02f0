"""Keeps a run within a number of megabytes: by fewer workers, by smaller images, and by an end in time."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import psutil

from leakscan.errors import LeakscanError, UsageError

_LIBRARIES_MB = 150  # code that all processes share
_MAIN_MB = 450  # what the main process needs beside the tables of the images
_WORKER_MB = 350  # what a worker needs for pictures of up to some 30 megapixels
_MOST_MAIN = 0.6  # share of the limit that the main process may take, beside workers
_BYTES_A_PIXEL = 16  # while an image is decoded, hashed and reduced
_WATCH_SECONDS = 0.5
_OWN_MB = 300  # what leakscan itself may hold before a run begins


@dataclass(frozen=True)
class MemoryShares:
    """Who may have how much.

    Attributes:
        workers: The number of worker processes, 0 to work in the main one.
        main_mb: What the main process may hold.
        worker_mb: What each worker may hold.
    """

    workers: int
    main_mb: int
    worker_mb: int

    @property
    def max_pixels(self) -> int:
        """The pixels or voxels of the largest image that there is room for."""
        room = self.worker_mb if self.workers else self.main_mb - _MAIN_MB // 2
        return room * 1_000_000 // _BYTES_A_PIXEL


def shared_out(limit_mb: int, workers: int) -> MemoryShares:
    """Shares memory out among the processes of a run; with too little for all workers, fewer work.

    Args:
        limit_mb: The most memory of all processes together.
        workers: The number of workers wanted.

    Raises:
        UsageError: It is less than what one image needs.

    Example:
        >>> shared_out(4000, workers=2)
        MemoryShares(workers=2, main_mb=2310, worker_mb=770)
        >>> shared_out(4000, workers=2).max_pixels
        48125000
        >>> shared_out(700, workers=2)
        MemoryShares(workers=0, main_mb=550, worker_mb=0)
        >>> shared_out(200, workers=2)
        Traceback (most recent call last):
        leakscan.errors.UsageError: 200 MB of memory are less than a run needs, which is 600 MB.
        Allow more.
    """
    least = _LIBRARIES_MB + _MAIN_MB
    if limit_mb < least:
        raise UsageError(
            f"{limit_mb:,} MB of memory are less than a run needs, which is {least:,} MB.",
            "Allow more.",
            code="memory_too_small",
        )
    left = limit_mb - _LIBRARIES_MB
    possible = min(workers, (left - _MAIN_MB) // _WORKER_MB)
    if possible < 1:
        return MemoryShares(0, left, 0)
    worker = max(_WORKER_MB, int((1 - _MOST_MAIN) * left / possible))
    return MemoryShares(possible, left - possible * worker, worker)


class MemoryWatch:
    """Watches what this process and its workers hold together, and stops the run where that is too much.

    A thread measures twice a second. Whoever drives the run asks :meth:`check` now and then. What the calling
    process held before, beyond what leakscan takes by itself, is not the run's.

    Args:
        limit_mb: The most memory of all processes together.

    Example:
        >>> watch = MemoryWatch(limit_mb=100_000)
        >>> watch.check()  # says nothing
        >>> watch.stop()
    """

    def __init__(self, limit_mb: int) -> None:
        self._limit, self._most = limit_mb, 0.0
        self._before = max(0.0, _held_mb() - _OWN_MB)
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="memory", daemon=True).start()

    def check(self) -> None:
        """Stops the run where more was held than is allowed.

        Raises:
            LeakscanError: It was; what was finished is kept.
        """
        if self._most > self._limit:
            raise LeakscanError(
                f"The run needed {self._most:,.0f} MB of memory, and {self._limit:,} MB are allowed; what "
                "was finished is kept.",
                "Allow more, or run it again with fewer workers: it goes on where it stopped.",
                code="memory_limit",
            )

    def stop(self) -> None:
        """Ends the thread."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(_WATCH_SECONDS):
            try:
                held = _held_mb()
            except psutil.Error:  # a worker ended in between
                continue
            self._most = max(self._most, held - self._before)


def _held_mb() -> float:
    """What this process and those that it started hold."""
    me = psutil.Process()
    return sum(held_bytes(process) for process in (me, *me.children(recursive=True))) / 1e6


def held_bytes(process: psutil.Process) -> int:
    """What a process holds; pages that it shares with others count in parts on Linux.

    Args:
        process: The process.

    Example:
        >>> held_bytes(psutil.Process()) > 1_000_000
        True
    """
    try:
        full = process.memory_full_info()
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    return int(getattr(full, "pss", full.uss))

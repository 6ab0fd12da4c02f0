"""Runs a stage on this machine's cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from multiprocessing.connection import wait
from typing import TypeVar

from threadpoolctl import threadpool_limits

from leakscan.engines.allocator import keep_freed_memory
from leakscan.engines.careful import Careful
from leakscan.engines.pool import STARTS_ON_IMPORT, Pool, StartsOnImport, WorkerLost
from leakscan.engines.portable import is_portable
from leakscan.engines.threads import cores, use_threads
from leakscan.errors import LeakscanError

T = TypeVar("T")
R = TypeVar("R")

_FEW = 24  # items for which starting processes costs more than it saves
_FEW_LONG = 8  # of those that are handed out one by one, because each takes long

NEEDED_BY_WORKERS = (
    "leakscan.fingerprint.prepare",
    "leakscan.decide.copies.copy_check",
    "leakscan.decide.copies.volume_check",
    "leakscan.decide.persons.film_details",
    "scipy.fft",
)
"""The modules that workers start with; none of them may load torch."""


class LocalEngine:
    """An :class:`leakscan.types.Engine` over worker processes.

    Results come in the order of the items, and a bounded number of items is in flight. A few items, fewer
    than starting processes would pay for, are worked on in the calling process, unless there are processes
    already or the function may kill its process. Workers start when there is work for them and stay for the
    next, with what they have loaded, as long as the engine lives.

    Args:
        workers: The number of worker processes; ``None`` for one per core, 0 to work in the calling process.

    Example:
        >>> engine = LocalEngine(workers=0)
        >>> list(engine.map(str.upper, ["one", "two"]))
        ['ONE', 'TWO']
    """

    is_cluster = False

    def __init__(self, workers: int | None = None) -> None:
        self.workers = cores() if workers is None else workers
        self._asked_for = workers is not None
        self._pool: Pool | None = None

    def map(self, function: Callable[[T], R], items: Iterable[T], chunk: int = 8) -> Iterator[R]:
        """Yields what the function makes of every item.

        Args:
            function: The function. It can be pickled, and its exceptions come out here. If it is
                :class:`~leakscan.engines.careful.Careful`, an item that kills its worker, or takes too long,
                costs that item only.
            items: The items. They can be pickled, and are taken as they are needed.
            chunk: How many items a worker gets at a time.

        Raises:
            LeakscanError: A worker process died of the same item twice, or the user's script lacks its
                import guard.
        """
        if self.workers and getattr(multiprocessing.current_process(), "_inheriting", False):
            os._exit(STARTS_ON_IMPORT)  # a worker that imports the script; who started it says why
        iterator = iter(items)
        if self.workers == 0:
            yield from map(function, iterator)
            return
        few = _FEW if chunk > 1 else _FEW_LONG
        first = list(islice(iterator, few))
        are_few = len(first) < few
        stay = are_few and self._pool is None and not isinstance(function, Careful)
        if not first or stay:
            yield from map(function, first)
            yield from map(function, iterator)
            return
        try:
            each = min(chunk, max(1, len(first) // (2 * self.workers))) if are_few else chunk
            yield from self._started().run(function, _chunks(_chain(first, iterator), each))
        except StartsOnImport:
            if are_few and not self._asked_for:  # a short script without its guard: as it was without workers
                yield from map(function, first)
                return
            raise LeakscanError(
                "Worker processes import the script that started them, and this one starts a run on import.",
                'Put the call below a line: if __name__ == "__main__":',
                code="no_import_guard",
            ) from None
        except WorkerLost:
            raise LeakscanError(
                "A worker process was killed, most likely for want of memory; what was finished is kept.",
                "Run it again with fewer workers. In a script of your own, the call must stand "
                'under if __name__ == "__main__".',
                code="worker_killed",
            ) from None

    def _started(self) -> Pool:
        """The worker processes, which live as long as the engine."""
        if self._pool is None:
            self._pool = Pool(self.workers, _context(), _become_worker)
            weakref.finalize(self, self._pool.close)
        return self._pool


def ready_workers() -> None:
    """Starts the server that workers are forked from, which loads what they need beside this process.

    Whoever calls it early has workers half a second sooner, or the server for nothing.

    Example:
        >>> ready_workers()
        >>> list(LocalEngine(workers=1).map(str, range(30)))[-1]
        '29'
    """
    if _context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


def _context() -> multiprocessing.context.BaseContext:
    """Workers are forked from a server that has loaded what they need and runs no threads.

    Forking this process itself would copy the locks of OpenCV's, torch's and Arrow's threads in
    whatever state they are, and deadlock. Where there is no such server (on Windows), every worker is a new
    process.
    """
    if is_portable() or "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(NEEDED_BY_WORKERS))
    return context


def _become_worker() -> None:
    # Ctrl-C is the parent's business. Threads of OpenCV and of NumPy's BLAS inside every worker would
    # fight over the same cores: six times slower on two of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import cv2

    cv2.setNumThreads(1)
    threadpool_limits(1)
    use_threads(1)
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed, which could not tell it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _chain(first: list[T], rest: Iterator[T]) -> Iterator[T]:
    yield from first
    yield from rest


def _chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while block := list(islice(items, size)):
        yield block

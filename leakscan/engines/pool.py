"""Worker processes that know which item each of them has, so that one that dies loses that item only."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import psutil

from leakscan.engines.careful import Careful, Loss, by_the_clock
from leakscan.engines.working import PLACES, Raised, work

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 3  # blocks for every worker that are taken before the first of them is asked for
_GRACE_SECONDS = 5.0  # for a worker to stop by itself, see leakscan.engines.careful.time_limit
_HELD = 2  # tasks that a worker has at once
_LOOK_SECONDS = 1.0
_NOT_BEGUN = -1
_MOST_DEATHS = 3  # of workers that had not begun: something else kills them


STARTS_ON_IMPORT = 86
"""The exit code of a worker that imports the user's script, which would start a run of its own."""


class StartsOnImport(Exception):
    """Workers cannot start, because the script that they import starts a run."""


class WorkerLost(Exception):
    """Workers die again and again, and nobody said what stands for an item that kills one."""


@dataclass
class _Block:
    """Neighbouring items, and the results there are so far, by place."""

    items: list[Any]
    results: dict[int, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return len(self.results) == len(self.items)


@dataclass
class _Task:
    """Some items of a block that one worker gets; alone where the item has killed a worker before."""

    block: _Block
    places: list[int]
    alone: bool = False
    deaths: int = 0


class _Worker:
    """One process with the two ends of a pipe, and what it has to do.

    It holds a task more than the one it is at, so that it need not wait while this process is busy.
    """

    def __init__(self, context: Any, become: Callable[[], None]) -> None:
        here, there = context.Pipe()
        self.connection: Connection = here
        self._mark, self._spent = context.RawValue("q", _NOT_BEGUN), context.RawValue("d", 0.0)
        marks = self._mark, self._spent
        # A daemon: it ends with this process, however that ends.
        self.process = context.Process(target=work, args=(there, marks, become), daemon=True)
        self.process.start()
        there.close()
        self.tasks: OrderedDict[int, _Task] = OrderedDict()
        self._given = 0
        self._seen = _NOT_BEGUN, 0.0

    def give(self, task: _Task, function: Callable[[Any], Any]) -> bool:
        """Sends items. Returns whether the worker is there to take them."""
        self._given += 1
        self.tasks[self._given] = task
        try:
            self.connection.send((self._given, function, [task.block.items[i] for i in task.places]))
        except OSError:
            return False
        return True

    def take(self) -> bool:
        """Takes one answer. Returns whether there was one: a worker that has died says nothing."""
        try:
            number, answer = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            return False
        task = self.tasks.pop(number)
        task.block.results.update(zip(task.places, answer, strict=False))
        return True

    def take_rest(self) -> None:
        """Takes every answer that a worker left behind."""
        with contextlib.suppress(OSError):
            while self.connection.poll() and self.take():
                pass

    @property
    def at(self) -> tuple[int, int] | None:
        """The number of the task that the worker has begun last, and the place in it, from 0."""
        mark = int(self._mark.value)
        return None if mark == _NOT_BEGUN else divmod(mark, PLACES)

    def is_late(self, seconds: float) -> bool:
        """Whether one item has taken more processor time than this, or far longer by the clock."""
        mark, now = int(self._mark.value), time.monotonic()
        if mark != self._seen[0]:
            self._seen = mark, now
        at, taken = self.at, now - self._seen[1] - _GRACE_SECONDS
        if at is None or at[0] not in self.tasks or taken <= seconds:
            return False
        return taken > by_the_clock(seconds) or self._used() > seconds + _GRACE_SECONDS

    def _used(self) -> float:
        """The processor time that the item it is at has taken so far, in seconds."""
        try:
            times = psutil.Process(self.process.pid).cpu_times()
        except psutil.Error:  # it has died; the pipe says so
            return 0.0
        children = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return float(times.user + times.system + children - self._spent.value)

    def end(self) -> None:
        """Kills the process, and waits until it is gone."""
        with contextlib.suppress(OSError):
            self.connection.close()
        self.process.kill()
        self.process.join()


class Pool:
    """Worker processes that start when there is work for them.

    Args:
        workers: How many at most.
        context: How processes are started, of :mod:`multiprocessing`.
        become: What every worker does first. It can be pickled.

    Example::

        pool = Pool(2, multiprocessing.get_context("spawn"), print)
        list(pool.run(abs, iter([[-1, 2], [-3]])))  # [1, 2, 3]
    """

    def __init__(
        self, workers: int, context: multiprocessing.context.BaseContext, become: Callable[[], None]
    ) -> None:
        self.most = workers
        self._context = context
        self._become = become
        self._workers: list[_Worker] = []

    def run(self, function: Callable[[T], R], blocks: Iterator[list[T]]) -> Iterator[R]:
        """Yields what the function makes of every item, in order.

        Args:
            function: The function.
            blocks: The items, as many at a time as one worker gets. Few are taken ahead.

        Raises:
            WorkerLost: A worker died of an item twice, or workers die whatever they do, and the function is
                not :class:`~leakscan.engines.careful.Careful`.
        """
        job = _Job(function, self)
        try:
            yield from job.results(blocks)
        except (KeyboardInterrupt, SystemExit):
            self.close()  # half a message may be on its way
            raise
        finally:
            # What is still at work belongs to nobody now. Its worker goes on, and its answer is dropped.
            for worker in self._workers:
                worker.tasks = OrderedDict((number, _Task(_Block([]), [])) for number in worker.tasks)

    def least_busy(self) -> _Worker | None:
        """A worker that can be given something; a new one, if there may be more and all have work."""
        worker = min(self._workers, key=lambda worker: len(worker.tasks), default=None)
        if (worker is None or worker.tasks) and len(self._workers) < self.most:
            worker = _Worker(self._context, self._become)
            self._workers.append(worker)
        return worker if worker is not None and len(worker.tasks) < _HELD else None

    def new_one(self) -> _Worker:
        """A new worker, in the place of an idle one where there are as many as may be."""
        idle = [worker for worker in self._workers if not worker.tasks]
        if len(self._workers) >= self.most and idle:
            self.drop(idle[0])
        worker = _Worker(self._context, self._become)
        self._workers.append(worker)
        return worker

    def busy(self) -> list[_Worker]:
        """The workers that have work."""
        return [worker for worker in self._workers if worker.tasks]

    def drop(self, worker: _Worker) -> None:
        """Ends a worker; another one takes its place when there is work."""
        worker.end()
        self._workers.remove(worker)

    def close(self) -> None:
        """Ends all workers."""
        for worker in list(self._workers):
            self.drop(worker)


class _Job:
    """One function that is mapped, and where its items are."""

    def __init__(self, function: Callable[[Any], Any], pool: Pool) -> None:
        self._careful = function if isinstance(function, Careful) else None
        self._function = function.function if isinstance(function, Careful) else function
        self._pool = pool
        self._blocks: deque[_Block] = deque()  # in order, until their results are asked for
        self._waiting: deque[_Task] = deque()
        self._suspects: deque[_Task] = deque()

    def results(self, blocks: Iterator[list[Any]]) -> Iterator[Any]:
        more = True
        while True:
            while more and len(self._blocks) < _AHEAD * self._pool.most and not self._suspects:
                block = _Block(next(blocks, []))
                more = bool(block.items)
                if more:
                    self._blocks.append(block)
                    self._waiting.append(_Task(block, list(range(len(block.items)))))
            self._hand_out()
            if self._blocks and self._blocks[0].is_done:
                block = self._blocks.popleft()
                for place in range(len(block.items)):
                    result = block.results[place]
                    if isinstance(result, Raised):
                        raise result.error
                    yield result
            elif self._blocks:
                self._listen()
            else:
                return

    def _hand_out(self) -> None:
        """Gives work to workers that can take some; an item that killed one, to a new worker alone."""
        while self._waiting and (worker := self._pool.least_busy()) is not None:
            if not worker.give(self._waiting.popleft(), self._function):
                self._bury(worker)
        if self._suspects and not self._waiting and not self._pool.busy():
            worker = self._pool.new_one()
            if not worker.give(self._suspects.popleft(), self._function):
                self._bury(worker)

    def _listen(self) -> None:
        """Waits until a worker says something, dies, or is late."""
        busy = self._pool.busy()
        seconds = self._careful.seconds if self._careful else None
        ready = wait([worker.connection for worker in busy], _LOOK_SECONDS if seconds else None)
        for worker in busy:
            if worker.connection in ready:
                if not worker.take():
                    self._bury(worker)
            elif seconds and worker.is_late(seconds):
                self._bury(worker, late=True)

    def _bury(self, worker: _Worker, late: bool = False) -> None:
        """What follows from the death of a worker: its items are done again, but for the one it died of."""
        worker.take_rest()
        at, tasks = worker.at, worker.tasks
        self._pool.drop(worker)
        if worker.process.exitcode == STARTS_ON_IMPORT:
            raise StartsOnImport
        guilty = tasks.pop(at[0], None) if at is not None else None
        if guilty is None and tasks:
            first = next(iter(tasks.values()))
            first.deaths += 1
            if first.deaths >= _MOST_DEATHS:
                raise WorkerLost
        for task in reversed(tasks.values()):
            (self._suspects if task.alone else self._waiting).appendleft(task)
        if guilty is not None and at is not None and guilty.places:  # it has none if nobody waits for it
            self._blame(guilty, at[1], late)

    def _blame(self, task: _Task, at: int, late: bool) -> None:
        """Deals with the item that a worker died of, and with its neighbours."""
        place = task.places[at]
        others = [_Task(task.block, part) for part in (task.places[:at], task.places[at + 1 :]) if part]
        self._waiting.extendleft(reversed(others))
        if not (late or task.alone):
            self._suspects.append(_Task(task.block, [place], alone=True))
            return
        if self._careful is None:
            raise WorkerLost
        why: Loss = "took_too_long" if late else "died"
        task.block.results[place] = self._careful.lost(task.block.items[place], why)

"""What one worker process does: takes items, works on them and answers, until nobody asks any more."""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from leakscan.engines.careful import processor_seconds

PLACES = 1 << 20
"""More than a task has items: marks count tasks in steps of it."""


@dataclass(frozen=True)
class Raised:
    """An exception that the function raised, in the place of a result."""

    error: BaseException


def work(connection: Connection, marks: tuple[Any, Any], become: Callable[[], None]) -> None:
    """The life of a worker: takes items, works on them, answers, until nobody asks any more.

    Args:
        connection: Where a task comes from, as its number, the function and the items, and where the answer
            goes.
        marks: Shared numbers: the item that it is at, as ``task * PLACES + place``, and the processor time
            that it had used when it began that item, in seconds.
        become: What it does first.

    Example::

        process = context.Process(target=work, args=(there, marks, become), daemon=True)
    """
    become()
    mark, spent = marks
    given: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, given), daemon=True).start()
    while True:
        number, function, items = pickle.loads(given.get())
        answer: list[Any] = []
        for place, item in enumerate(items):
            spent.value = processor_seconds()
            mark.value = number * PLACES + place
            try:
                answer.append(function(item))
            except Exception as error:
                # What comes after it is never asked for; what came before it is.
                answer += [Raised(_portable(error))] * (len(items) - place)
                break
        try:
            packed = pickle.dumps((number, answer))
        except Exception as error:  # a result that cannot leave this process
            packed = pickle.dumps((number, [Raised(_portable(error))] * len(items)))
        with contextlib.suppress(OSError):
            connection.send_bytes(packed)


def _receive(connection: Connection, given: SimpleQueue[bytes]) -> None:
    """Takes messages at once, so that nobody waits who sends one; ends the worker after the last."""
    while True:
        try:
            given.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)
        except MemoryError:  # the item at work has taken all that it may; half a message may be lost
            os._exit(1)


def _portable(error: Exception) -> Exception:
    """The exception, or its words where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error

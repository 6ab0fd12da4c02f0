"""Jobs as forked children of a process that has loaded the program and has run nothing.

So a job starts in milliseconds, and hundreds of them take minutes.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event

from leakscan.cli.output import Output
from leakscan.errors import LeakscanError

_SECONDS = 300.0
_SLOW = (
    "torch",
    "torch.optim.swa_utils",
    "torchvision",
    "pytorch_metric_learning.losses",
    "matplotlib.figure",
    "leakscan.review.page.server",
    "leakscan.run.calibrate",
    "leakscan.run.compare",
    "leakscan.training.films.lesson",
)


def load_program() -> None:
    """Loads what jobs would load at their start, so that what they take is their work alone.

    Example:
        >>> load_program()
    """
    for name in _SLOW:
        with contextlib.suppress(ImportError):  # of an extra; a job that needs it says so
            importlib.import_module(name)


def started(work: Callable[[], int]) -> BaseProcess:
    """Starts a job in the current folder, with a cache of its own there, as a console script would run it.

    Args:
        work: Does it, and returns the exit code.

    Example::

        ended(started(lambda: 0))  # 0
    """
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    child = fork.Process(target=_child, args=(work, ready))
    child.start()
    ready.wait(30)  # before that it is no job yet, and a signal meets what Python does at a start
    return child


def _child(work: Callable[[], int], ready: Event) -> None:
    from leakscan.cli.app import stop_at_sigterm

    os.environ["LEAKSCAN_CACHE"] = ".leakscan"  # one of its own, which every attempt begins without
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    stop_at_sigterm()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        ready.set()
        code = work()
    except KeyboardInterrupt:
        code = 130
    except LeakscanError as error:
        Output().error(error)
        code = error.exit_code
    os._exit(code)


def ended(child: BaseProcess) -> int | None:
    """The exit code of a job, once it ends; ``None`` for one that had to be killed because it did not.

    Example::

        ended(started(lambda: 3))  # 3
    """
    child.join(_SECONDS)
    if child.is_alive():
        child.kill()
        child.join()
        return None
    return child.exitcode

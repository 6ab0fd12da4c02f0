"""Ctrl-C at a moment that suits the run: after a step, with a checkpoint."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from leakscan.errors import LeakscanError


class Stopped(LeakscanError):
    """The user stopped a training run, and it can go on from where it is."""

    exit_code = 130  # as shells report Ctrl-C


def stopped(step: int, steps: int) -> Stopped:
    """What to raise once the checkpoint of a stopped run is saved."""
    return Stopped(
        f"Stopped after step {step:,} of {steps:,}; the checkpoint is saved.",
        "The same command goes on from there.",
    )


class Asked:
    """Whether the user has asked to stop.

    Attributes:
        yes: set by the first Ctrl-C.
    """

    yes = False

    def check(self) -> None:
        """Raises :class:`Interrupt` once the user has asked."""
        if self.yes:
            raise Interrupt


class Interrupt(Exception):
    """A step was left before it changed anything."""


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Asked]:
    """The first Ctrl-C only sets a flag; a second one stops at once, as ever.

    Outside the main thread, where Python cannot take signals, Ctrl-C stays what it was.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked.yes:
            raise KeyboardInterrupt
        asked.yes = True

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)

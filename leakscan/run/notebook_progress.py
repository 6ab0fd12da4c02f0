"""Progress in a notebook: one bar below the cell, where a caller asked for none."""

from __future__ import annotations

import sys
import time
from html import escape
from importlib import import_module
from typing import Any

from leakscan.types import Progress, Silent

_EVERY_SECONDS = 0.3


def usual_progress() -> Progress:
    """A bar in a notebook, silence everywhere else.

    Example:
        >>> type(usual_progress()).__name__
        'Silent'
    """
    ipython = sys.modules.get("IPython")  # whoever runs in a notebook has loaded it
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or "IPKernelApp" not in getattr(shell, "config", {}):
        return Silent()
    shown = import_module("IPython.display")
    return NotebookProgress(lambda text: shown.display(shown.HTML(text), display_id=True), shown.HTML)


class NotebookProgress:
    """A :class:`leakscan.types.Progress` that draws one bar and keeps it up to date.

    Args:
        show: Shows a text as HTML and returns a handle whose ``update`` replaces it.
        made: Makes of a text what the handle takes.

    Example:
        >>> class Shown:
        ...     def update(self, text): print(text[-60:])
        >>> progress = NotebookProgress(lambda text: Shown(), str)
        >>> progress.start("Reading ward", 4)
        >>> progress.finish()
        <progress max="1" value="1"></progress> Reading ward: done
    """

    def __init__(self, show: Any, made: Any) -> None:
        self._show, self._made = show, made
        self._handle: Any = None
        self._stage, self._note = "", ""
        self._told: list[str] = []
        self._total: int | None = None
        self._done = 0
        self._drawn = 0.0

    def start(self, stage: str, total: int | None) -> None:
        """See :class:`leakscan.types.Progress`."""
        self._stage, self._note, self._total, self._done = stage, "", total, 0
        self._draw(now=True)

    def advance(self, n: int = 1) -> None:
        """See :class:`leakscan.types.Progress`."""
        self._done += n
        self._draw()

    def note(self, text: str) -> None:
        """See :class:`leakscan.types.Progress`."""
        self._note = text
        self._draw()

    def tell(self, text: str) -> None:
        """See :class:`leakscan.types.Progress`."""
        self._told.append(text)
        self._draw(now=True)

    def finish(self) -> None:
        """See :class:`leakscan.types.Progress`."""
        if self._handle is not None:
            self._put(f'<progress max="1" value="1"></progress> {escape(self._stage)}: done')

    def _draw(self, now: bool = False) -> None:
        if not now and time.monotonic() - self._drawn < _EVERY_SECONDS:
            return
        self._drawn = time.monotonic()
        known = self._total is not None and self._total > 0
        place = f' max="{self._total}" value="{min(self._done, self._total or 0)}"' if known else ""
        count = f" {self._done:,} of {self._total:,}" if known else ""
        self._put(f"<progress{place}></progress> {escape(f'{self._stage}{count} {self._note}'.strip())}")

    def _put(self, text: str) -> None:
        text += "".join(f"<div>{escape(sentence)}</div>" for sentence in self._told)
        if self._handle is None:
            self._handle = self._show(text)
        else:
            self._handle.update(self._made(text))

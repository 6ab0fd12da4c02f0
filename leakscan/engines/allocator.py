"""What the C library does with memory that is no longer needed."""

from __future__ import annotations

import ctypes
import sys
import time

from leakscan.engines.portable import is_portable

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_ALL, _BLOCK, _PAD = 2**31 - 1, 2**30, 2**26  # bytes

_CHECK_SECONDS = 0.1
_GROWN = 100_000_000  # bytes, at which it is worth looking for what is free


def give_back_memory() -> None:
    """Gives freed memory back to the system, where that can be asked for: after a large scan, say.

    Example:
        >>> give_back_memory()
    """
    give_back_cells()
    trim = None if is_portable() or not sys.platform.startswith("linux") else ctypes.CDLL(None)
    if trim is not None and hasattr(trim, "malloc_trim"):
        trim.malloc_trim(0)


class GivingBack:
    """Gives freed memory back now and then, where this process has come to hold much more.

    What opens one large file after the other would otherwise add up what each of their libraries keeps.

    Example:
        >>> giving_back = GivingBack()
        >>> giving_back.check()
    """

    def __init__(self) -> None:
        self._checked = time.monotonic()
        self._held = _resident()

    def check(self) -> None:
        """Gives back if this process holds much more now; it may be asked at every step."""
        now = time.monotonic()
        if now - self._checked < _CHECK_SECONDS:
            return
        self._checked = now
        if _resident() > self._held + _GROWN:
            give_back_memory()
            self._held = _resident()


def _resident() -> int:
    import psutil  # the command line need not wait for it

    return int(psutil.Process().memory_info().rss)


def give_back_cells() -> None:
    """Gives back what Arrow keeps of tables that were read; without that it would add up over tables.

    Example:
        >>> give_back_cells()
    """
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()


def keep_freed_memory() -> None:
    """Keeps large blocks for the next layer instead of giving them back to the system after every one.

    A network frees and asks for the same blocks layer after layer, and Linux clears every page it hands out
    anew: without this EfficientNet-Lite0 fingerprints half as many films a second. The process keeps its
    highest memory until it ends, so this is for a program of our own, not for one that imports leakscan.
    Elsewhere than on Linux with the GNU C library it does nothing.

    Example::

        keep_freed_memory()  # once, where a program starts
        leakscan.compare("hospital_a", "hospital_b")
    """
    if not sys.platform.startswith("linux") or is_portable():
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _BLOCK)
        mallopt(_TRIM_THRESHOLD, _ALL)
        mallopt(_TOP_PAD, _PAD)

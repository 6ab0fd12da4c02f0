"""What the C library does with memory that is no longer needed."""

from __future__ import annotations

import ctypes
import sys

from leakscan.engines.portable import is_portable

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_ALL, _BLOCK, _PAD = 2**31 - 1, 2**30, 2**26  # bytes


def give_back_memory() -> None:
    """Gives freed memory back to the system, where that can be asked for: after a large scan, say.

    Example:
        >>> give_back_memory()
    """
    trim = None if is_portable() or not sys.platform.startswith("linux") else ctypes.CDLL(None)
    if trim is not None and hasattr(trim, "malloc_trim"):
        trim.malloc_trim(0)


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

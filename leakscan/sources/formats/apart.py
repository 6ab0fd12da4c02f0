"""Looks into files in a process of its own, where the library that does it may end the process that it is in.

A scan looks into every file in the main process, and would end with it. What comes out is small; the pixels
are read by workers anyway.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from leakscan.engines.careful import Careful, Loss
from leakscan.engines.local import LocalEngine
from leakscan.errors import ImageError
from leakscan.sources.formats.bounds import over_time
from leakscan.sources.left_out import DECODER_CRASHED

T = TypeVar("T")
R = TypeVar("R")

_lock = threading.Lock()
_engine: list[LocalEngine] = []
"""Its one worker stays for the next file."""


def apart(function: Callable[[T], R], item: T, seconds: float) -> R:
    """What a function makes of an item, in a process of its own unless this is a worker already.

    Args:
        function: The function. It can be pickled.
        item: What it works on. It can be pickled.
        seconds: How much processor time it may take.

    Raises:
        ImageError: The function raised it, took too long, or ended its process twice.

    Example:
        >>> apart(str.upper, "film", seconds=30.0)
        'FILM'
    """
    if multiprocessing.parent_process() is not None:
        return function(item)
    with _lock:
        if not _engine:
            _engine.append(LocalEngine())
        work: Careful[T, R | ImageError] = Careful(
            partial(_tried, function), partial(_lost, seconds=seconds), seconds
        )
        found = next(iter(_engine[0].map(work, [item], chunk=1)))
    if isinstance(found, ImageError):
        raise found
    return found


def _tried(function: Callable[[T], R], item: T) -> R | ImageError:
    try:
        return function(item)
    except ImageError as error:
        return error


def _lost(item: object, why: Loss, seconds: float) -> ImageError:
    if why == "took_too_long":
        return over_time(seconds)
    sentence = "Its decoder crashed, and again when it was read alone."
    return ImageError("unreadable", sentence, left_out=DECODER_CRASHED)

"""What a reader may not do while it is at a file: take for ever, or talk to the terminal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from leakscan.engines.careful import TookTooLong, by_the_clock, time_limit
from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.left_out import OVER_MEMORY, OVER_TIME

_STANDARD_ERROR = 2


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps what libraries of other languages say off the terminal: a row says it in a sentence.

    Their lines may hold names of files with codes that a terminal obeys, and paths that are to be hidden.

    Example:
        >>> with quiet():
        ...     _ = os.write(2, b"TIFFFillStrip: Read error at scanline 7.")
    """
    try:
        kept = os.dup(_STANDARD_ERROR)
    except OSError:  # it is closed already
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STANDARD_ERROR)
        yield
    finally:
        os.dup2(kept, _STANDARD_ERROR)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def limited(options: DecodeOptions) -> Iterator[None]:
    """Gives a file up that takes longer than it may.

    Args:
        options: ``max_seconds`` is the limit.

    Raises:
        ImageError: It took longer.

    Example:
        >>> with limited(DecodeOptions(max_seconds=5.0)):
        ...     pass
    """
    try:
        with time_limit(options.max_seconds):
            yield
    except TookTooLong:
        raise over_time(options.max_seconds) from None


def over_time(seconds: float) -> ImageError:
    """What is said of a file that took too long.

    Args:
        seconds: How much processor time it might take.

    Example:
        >>> print(over_time(30.0).sentence.partition(";")[0])
        It takes longer to read than the limit of 30 seconds of a processor, or 300 seconds by the clock
    """
    sentence = (
        f"It takes longer to read than the limit of {seconds:g} seconds of a processor, or "
        f"{by_the_clock(seconds):g} seconds by the clock; raise max_seconds to read it."
    )
    return ImageError("unreadable", sentence, left_out=OVER_TIME)


def over_memory(megabytes: int) -> ImageError:
    """What is said of a file that takes too much memory.

    Args:
        megabytes: How much it might take.

    Example:
        >>> over_memory(1000).sentence
        'It takes more memory to read than the limit of 1,000 MB; raise max_file_mb to read it.'
    """
    sentence = (
        f"It takes more memory to read than the limit of {megabytes:,} MB; raise max_file_mb to read it."
    )
    return ImageError("unreadable", sentence, left_out=OVER_MEMORY)

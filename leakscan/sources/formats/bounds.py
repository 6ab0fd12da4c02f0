"""What a reader may not do while it is at a file: take for ever, swell, or talk to the terminal."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator

from leakscan.engines.careful import TookTooLong, by_the_clock, time_limit
from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.contents import bytes_behind, outer_bytes
from leakscan.sources.left_out import OVER_FRAMES, OVER_MEMORY, OVER_TIME

_STANDARD_ERROR = 2
_BYTES_A_FRAME = 128  # the smallest pictures that people keep by the hundred thousand in one file take 260
_PIXELS_A_BYTE = 50  # films in lossy JPEG have 10 to 30
_TIMES_READ = 25  # how often the pixels of a file may be unpacked, where each frame needs all
_BYTES_A_SECOND = 10_000  # a brain of 90 kB takes 2.4 s, a picture of 260 bytes some milliseconds
_MOST_UNREAD = 1_000_000  # frames of a file of which only the first is wanted


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


def file_over_time(seconds: float) -> ImageError:
    """What is said of an image whose file has taken too long with the images before it.

    Args:
        seconds: How much processor time the file might take.

    Example:
        >>> file_over_time(30.0).sentence
        'The images in its file take longer to read than the limit of 30 seconds of a processor for a file ...
    """
    sentence = (
        f"The images in its file take longer to read than the limit of {seconds:,.0f} seconds of a processor "
        "for a file of its size; raise max_seconds to read them, or set frames to first."
    )
    return ImageError("unreadable", sentence, left_out=OVER_TIME)


def most_seconds(place: str | os.PathLike[str], options: DecodeOptions) -> float:
    """How much processor time all images in a file on disk may take together.

    A small file may hold thousands of frames, or thousands of names for the same bytes, each of which takes
    less than an image may. What is allowed grows with the bytes of the file, as if they were files of their
    own.

    Args:
        place: The file, or what lies inside it. A file whose length nobody tells has no limit.
        options: ``max_seconds`` is the limit for small files.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("small.zip").write_bytes(b"PK"), Path("large.zip").write_bytes(bytes(2_560_000))
        >>> most_seconds("small.zip", DecodeOptions()), most_seconds("large.zip", DecodeOptions())
        (30.0, 256.0)
    """
    size = outer_bytes(place)
    return math.inf if size is None else max(options.max_seconds, size / _BYTES_A_SECOND)


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


def most_frames(place: str | os.PathLike[str], options: DecodeOptions) -> int:
    """How many frames a file may hold.

    A small file may claim, or really hold, more frames than anybody can wait for. Many files as long as it
    would cost as much only if they held less each, so what is allowed grows with the bytes of the file.

    Args:
        place: The file; in an archive its packed bytes count.
        options: ``max_frames`` is the limit for small files. Where only first frames are wanted, as many as
            a million may follow.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("small.tiff").write_bytes(b"II"), Path("large.tiff").write_bytes(bytes(2_560_000))
        >>> most_frames("small.tiff", DecodeOptions()), most_frames("large.tiff", DecodeOptions())
        (10000, 20000)
    """
    most = max(options.max_frames, bytes_behind(place) // _BYTES_A_FRAME)
    return max(most, _MOST_UNREAD) if options.frames == "first" else most


def most_members(place: str | os.PathLike[str], options: DecodeOptions) -> int:
    """How many files or rows an archive or a table of pictures may hold.

    Entries of a zip file may share their bytes, and the rows of a table too.

    Args:
        place: The archive.
        options: ``max_frames`` is the limit for small ones.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("small.zip").write_bytes(b"PK")
        >>> most_members("small.zip", DecodeOptions())
        10000
    """
    size = bytes_behind(place)
    # How long a file behind a URL is nobody asks here.
    return max(options.max_frames, size // _BYTES_A_FRAME) if size else _MOST_UNREAD


def check_frames(frames: int, pixels: int, place: str | os.PathLike[str], options: DecodeOptions) -> None:
    """Refuses a file whose frames are more than anybody can wait for, before any of them is read.

    None of its frames is kept: a file that was read in part would look as if it were compared.

    Args:
        frames: How many images the file holds.
        pixels: The pixels or voxels of all of them together.
        place: The file; in an archive its packed bytes count.
        options: ``max_frames`` and ``max_file_pixels`` are the limits for small files; larger ones may hold
            more. Where only the first frame is wanted, nothing is refused.

    Raises:
        ImageError: ``unreadable``: they are more than a file of its size may hold.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("cine.dcm").write_bytes(bytes(2_560_000))
        >>> check_frames(20_000, 2_000_000_000, "cine.dcm", DecodeOptions())
        >>> check_frames(20_001, 1_000_000, "cine.dcm", DecodeOptions())
        Traceback (most recent call last):
        leakscan.errors.ImageError: It has more frames than the limit of 20,000 for a file of its size; ...
    """
    if frames < 2 or options.frames == "first":
        return
    if frames > (most := most_frames(place, options)):
        raise over_frames(most)
    if pixels > (most := _most_pixels(place, options)):
        raise ImageError(
            "unreadable",
            f"Its {frames:,} frames have more pixels together than the limit of {most:,} for a file of its "
            "size; raise max_file_pixels to read it, or set frames to first.",
            left_out=OVER_FRAMES,
        )


def check_work(frames: int, pixels: int, place: str | os.PathLike[str], options: DecodeOptions) -> None:
    """Refuses a file that must be read as a whole for each of its many frames.

    Args:
        frames: How many images the file holds.
        pixels: The pixels or voxels of all of them together.
        place: The file; in an archive its packed bytes count.
        options: ``max_file_pixels``; a file may be read 25 times as far.

    Raises:
        ImageError: ``unreadable``: it would take longer than anybody waits.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("series.mgz").write_bytes(b"")
        >>> check_work(25, 1_000_000_000, "series.mgz", DecodeOptions())
        >>> check_work(51, 1_000_000_000, "series.mgz", DecodeOptions())
        Traceback (most recent call last):
        leakscan.errors.ImageError: It must be read as a whole for each of its 51 frames, ...
    """
    if frames < 2 or options.frames == "first":
        return
    if frames * pixels > (most := _TIMES_READ * _most_pixels(place, options)):
        raise ImageError(
            "unreadable",
            f"It must be read as a whole for each of its {frames:,} frames, which is more than the limit of "
            f"{most:,} pixels; raise max_file_pixels to read it, set frames to first, or write it as NIfTI.",
            left_out=OVER_FRAMES,
        )


def _most_pixels(place: str | os.PathLike[str], options: DecodeOptions) -> int:
    return max(options.max_file_pixels, bytes_behind(place) * _PIXELS_A_BYTE)


def over_frames(most: int) -> ImageError:
    """What is said of a file with too many frames.

    Args:
        most: How many it might have.

    Example:
        >>> over_frames(10_000).sentence
        'It has more frames than the limit of 10,000 for a file of its size; raise max_frames to read it, ...
    """
    sentence = (
        f"It has more frames than the limit of {most:,} for a file of its size; raise max_frames to read it, "
        "or set frames to first."
    )
    return ImageError("unreadable", sentence, left_out=OVER_FRAMES)

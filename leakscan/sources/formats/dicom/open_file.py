"""Opening a DICOM file up to its pixels, whatever is missing around them."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_partial, read_preamble

from leakscan.errors import ImageError, reason
from leakscan.sources.contents import open_place
from leakscan.sources.formats.dicom.streams import BoundedStream, Shifted
from leakscan.sources.formats.dicom.values import quiet, text
from leakscan.sources.inflating import Inflating

PIXEL_DATA = 0x7FE00010
FLOAT_PIXELS = (0x7FE00008, 0x7FE00009)
UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_TAGS = frozenset((PIXEL_DATA, *FLOAT_PIXELS))
_META_GROUP = 2
_TRANSFER_SYNTAX = 0x00020010
_DEFLATED = "1.2.840.10008.1.2.1.99"
_HEAD_BYTES = 1 << 16
_COUNTED_AT_ONCE = 1 << 20
_LOST_PREAMBLE = b"DICM\2\0"
_PREAMBLE = 132  # bytes before the first element
_MOST_NOTHING = 4096  # elements of zeros, after which a file is taken to end
"""How a file begins that lacks the 128 bytes before its first letters."""


@dataclass(kw_only=True)
class OpenFile:
    """A file read up to its pixels.

    Attributes:
        dataset: The elements before the pixels: all, or those asked for.
        pixels: The stream, at the first byte of the pixel data's value; ``None`` if there is none.
        start: The offset of that byte.
        tag: The tag of the pixel data; 0 if there is none.
        vr: The value representation of the pixel data; empty for implicit encodings.
        length: The declared length of the pixel data in bytes; ``UNDEFINED_LENGTH`` when encapsulated.
        there: The number of bytes of it that are really there; ``None`` in a deflated file, until they are
            counted.
        transfer_syntax: The declared transfer syntax, or empty.
        size: The file's size in bytes.
        items: Where every compressed frame begins behind the table of offsets, and how long it is, once that
            was sought; two empty lists where it is not one item a frame.
    """

    dataset: FileDataset
    pixels: BinaryIO | None = None
    start: int = 0
    tag: int = 0
    vr: str = ""
    length: int = 0
    there: int | None = 0
    transfer_syntax: str
    size: int
    items: tuple[list[int], list[int]] | None = None

    @property
    def available(self) -> int:
        """The number of bytes of the pixel data that are really there.

        Raises:
            ImageError: ``unsupported``: it is deflated and swells beyond reason.
        """
        if self.there is None:
            self.there = _counted(cast(BinaryIO, self.pixels), self.start, self.length)
        return self.there


def _counted(stream: BinaryIO, start: int, most: int) -> int:
    """How many bytes there are behind a place, at most so many, without keeping them."""
    stream.seek(start)
    found = 0
    while found < most and (data := stream.read(min(most - found, _COUNTED_AT_ONCE))):
        found += len(data)
    stream.seek(start)
    return found


@contextmanager
def opened(path: Path, tags: list[int] | None = None) -> Iterator[OpenFile]:
    r"""Opens a file and parses it up to the pixel data.

    Args:
        path: The file.
        tags: The elements to keep; all if ``None``.

    Raises:
        ImageError: ``unreadable`` when it cannot be opened or parsed; whatever else goes wrong while
            the caller works on the file becomes one too, because all of it comes from the file.

    Example:
        >>> from pydicom.examples import get_path
        >>> with opened(get_path("ct")) as file:
        ...     print(file.dataset.Rows, file.vr, file.length, file.pixels.read(4))
        128 OW 32768 b'\xaf\x00\xb4\x00'
    """
    with quiet(), damages(), parsed(path, tags) as found:
        yield found


@contextmanager
def parsed(path: str | os.PathLike[str], tags: list[int] | None = None) -> Iterator[OpenFile]:
    """Like :func:`opened`, but errors of parsers come out as they are: for files that stay open.

    Args:
        path: The file.
        tags: The elements to keep; all if ``None``.

    Raises:
        ImageError: ``unreadable`` when it cannot be opened.

    Example:
        >>> from pydicom.examples import get_path
        >>> with parsed(get_path("ct")) as file:
        ...     file.length
        32768
    """
    try:
        stream = open_place(path)
    except OSError as error:
        raise ImageError("unreadable", f"It cannot be opened: {reason(error)}.") from error
    with stream:
        whole: BinaryIO = stream
        if stream.read(6) == _LOST_PREAMBLE:
            whole = cast(BinaryIO, Shifted(stream, front=bytes(128)))
        yield _parsed(whole, tags)


@contextmanager
def damages() -> Iterator[None]:
    """Whatever a parser of foreign bytes raises, as the sentence of a row.

    Raises:
        ImageError: ``unreadable``.

    Example:
        >>> with damages():
        ...     raise KeyError("Rows")
        Traceback (most recent call last):
        leakscan.errors.ImageError: It is damaged (KeyError).
    """
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # parsers fail in more ways than can be listed
        raise ImageError("unreadable", f"It is damaged ({type(error).__name__}).") from error


def _parsed(stream: BinaryIO, tags: list[int] | None) -> OpenFile:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if tags is not None and size > _HEAD_BYTES:
        # A scan needs no pixels, and parsing from memory is a third faster. Where the pixels do not
        # begin inside the head, or parsing runs over its end, the file is parsed from the stream.
        with contextlib.suppress(Exception):
            found = _parsed_up_to_pixels(io.BytesIO(stream.read(_HEAD_BYTES)), stream, tags)
            if found.tag:
                return found
        stream.seek(0)
    return _parsed_up_to_pixels(stream, stream, tags)


def _is_empty(source: BinaryIO) -> bool:
    """Whether there are only zeros where the data set should begin, as where a transfer broke off.

    Every eight of them are an element to pydicom, which takes two seconds a megabyte for that.
    """
    began = source.tell()
    head = source.read(_PREAMBLE + 16)
    start = _PREAMBLE if head[_PREAMBLE - 4 : _PREAMBLE] == b"DICM" else 0
    if head[start : start + 8] == b"\x02\x00\x00\x00UL\x04\x00":  # the length of what describes the file
        start += 12 + int.from_bytes(head[start + 8 : start + 12], "little")
    source.seek(start)
    found = source.read(8 * _MOST_NOTHING)
    source.seek(began)
    return len(found) == 8 * _MOST_NOTHING and not any(found)


def _deflated(source: BinaryIO) -> tuple[FileMetaDataset, int] | None:
    """What describes a deflated file, and where its deflated part begins; ``None`` for others.

    Left to itself, pydicom inflates such a file as a whole, and 3 MB may become 3 GB.
    """
    source.seek(0)
    if _DEFLATED.encode() not in source.read(_HEAD_BYTES):
        return None
    source.seek(0)
    read_preamble(source, force=True)
    meta = read_dataset(source, False, True, stop_when=lambda tag, vr, length: tag >> 16 != _META_GROUP)
    return (FileMetaDataset(meta), source.tell()) if text(meta, _TRANSFER_SYNTAX) == _DEFLATED else None


def _parsed_up_to_pixels(source: BinaryIO, stream: BinaryIO, tags: list[int] | None) -> OpenFile:
    """Parses ``source``, which is the whole ``stream`` or its head."""
    size = stream.seek(0, os.SEEK_END)
    source.seek(0)
    if _is_empty(source):
        return OpenFile(dataset=FileDataset(source, {}), transfer_syntax="", size=size)
    stopped: list[tuple[int, str, int]] = []
    nothing = 0

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        nonlocal nothing
        nothing += tag == 0
        if nothing > _MOST_NOTHING:  # the rest was never written
            return True
        if int(tag) not in _PIXEL_TAGS:
            return False
        stopped.append((int(tag), str(vr or ""), length))
        return True

    wanted = cast("list[int]", tags)
    # What is short cannot hold much, and is parsed faster as it is.
    parser = BoundedStream(source).as_file() if source is stream and size > _HEAD_BYTES else source
    deflated = _deflated(parser)
    if deflated is not None:
        meta, begins = deflated
        inner = cast(BinaryIO, Inflating(lambda: cast(BinaryIO, Shifted(stream, skip=begins)), "deflate"))
        parser = BoundedStream(inner).as_file()
        found = read_dataset(parser, False, True, stop_when=at_pixels, specific_tags=wanted)
        dataset = FileDataset(source, found, None, meta, False, True)
        dataset.set_original_encoding(False, True, found.original_character_set)
    else:
        inner = source
        parser.seek(0)
        dataset = read_partial(parser, stop_when=at_pixels, force=True, specific_tags=wanted)
    syntax = text(dataset.file_meta, _TRANSFER_SYNTAX) if dataset.file_meta else ""
    if not stopped:
        return OpenFile(dataset=dataset, transfer_syntax=syntax, size=size)
    tag, vr, length = stopped[-1]
    # The parser went back to the start of the element: its header has 8 bytes, or 12 where an
    # explicit VR takes a 32-bit length.
    start = inner.tell() + (12 if vr in ("OB", "OW", "OF", "OD", "UN") else 8)
    inner.seek(start)
    there = None
    if deflated is None:
        there = max(0, size - start) if length == UNDEFINED_LENGTH else min(max(0, size - start), length)
    return OpenFile(
        dataset=dataset,
        pixels=inner,
        start=start,
        tag=tag,
        vr=vr,
        length=length,
        there=there,
        transfer_syntax=syntax,
        size=size,
    )

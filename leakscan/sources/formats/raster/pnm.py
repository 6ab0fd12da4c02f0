"""Portable grey and colour maps (PGM, PPM, PBM), at the depth that they are stored in."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.bounds import over_frames
from leakscan.sources.formats.raster.pixels import Array, blended, check_size

_HEADER_BYTES = 1 << 16
_TOKEN = re.compile(rb"(?:\s|#[^\n]*\n)*(\d+)")


def maps_of(stream: BinaryIO, most: int = 1_000_000) -> list[int]:
    r"""Where each map of a file begins: of the kinds P4 to P6 one may follow another.

    Args:
        stream: The file.
        most: How many maps it may have.

    Raises:
        ImageError: ``unreadable``: it has more.

    Example:
        >>> maps_of(io.BytesIO(b"P5 1 1 255\n\x07P5 1 1 255\n\x09"))
        [0, 12]
    """
    starts = [0]
    while True:
        stream.seek(starts[-1])
        head = stream.read(_HEADER_BYTES)
        found = re.match(rb"P([456])" + _TOKEN.pattern * 2, head)
        if found is None:
            return starts
        width, height = int(found[2]), int(found[3])
        end, row = found.end(), (width + 7) // 8
        if found[1] != b"4":
            top = _TOKEN.match(head, end)
            if top is None:
                return starts
            end, row = top.end(), width * (3 if found[1] == b"6" else 1) * (2 if int(top[1]) > 255 else 1)
        after = starts[-1] + end + 1 + row * height
        stream.seek(after)
        if re.match(rb"P[456]\s", stream.read(3)) is None:
            return starts
        if len(starts) == most:
            raise over_frames(most)
        starts.append(after)


@dataclass(frozen=True)
class OpenMaps:
    r"""A file of maps that is open.

    Attributes:
        stream: Its bytes.
        starts: Where each map begins.

    Example:
        >>> OpenMaps(io.BytesIO(b"P5 1 1 255\n\x07"), [0]).starts
        [0]
    """

    stream: BinaryIO
    starts: list[int]


def map_at(maps: OpenMaps, number: int) -> bytes:
    r"""The bytes of a map.

    Raises:
        ImageError: ``unreadable``: there are fewer maps.

    Example:
        >>> stream = io.BytesIO(b"P5 1 1 255\n\x07P5 1 1 255\n\x09")
        >>> map_at(OpenMaps(stream, maps_of(stream)), 1)
        b'P5 1 1 255\n\t'
    """
    if number >= len(maps.starts):
        raise ImageError("unreadable", f"It has no frame {number + 1} any more.")
    maps.stream.seek(maps.starts[number])
    behind = maps.starts[number + 1 : number + 2]
    return maps.stream.read(behind[0] - maps.starts[number] if behind else -1)


def decode_pnm(data: bytes, options: DecodeOptions) -> Array:
    r"""Decodes a map of the kinds P1 to P6 (netpbm's pgm(5) and ppm(5)); numbers are not rescaled.

    Args:
        data: The file.
        options: ``max_pixels`` is checked before anything is decoded.

    Raises:
        ImageError: ``unreadable`` if truncated or too large.

    Example:
        >>> decode_pnm(b"P5\n# a film\n2 1\n4095\n\x00\x07\x0f\xff", DecodeOptions()).tolist()
        [[7, 4095]]
    """
    kind = data[:2]
    if kind in (b"Pf", b"PF"):
        return _floats(data, options)
    if kind == b"P7":
        return _any_map(data, options)
    at, numbers = 2, []
    for _ in range(2 if kind in (b"P1", b"P4") else 3):
        found = _TOKEN.match(data, at)
        if found is None or len(found[1]) > 9:
            raise ImageError("unreadable", "Its header is damaged.")
        numbers.append(int(found[1]))
        at = found.end()
    width, height = numbers[:2]
    check_size(width, height, options)
    if kind in (b"P1", b"P4"):
        picture = Image.open(io.BytesIO(data), formats=["PPM"])
        return np.asarray(picture).astype(np.uint8)
    top = numbers[2]
    if not 0 < top < 65536:
        raise ImageError("unreadable", "Its header is damaged.")
    shape = (height, width, 3) if kind in (b"P3", b"P6") else (height, width)
    if kind in (b"P2", b"P3"):
        count = int(np.prod(shape))
        # Comments may stand anywhere between the numbers.
        words = re.sub(rb"#[^\n]*", b"", data[at:]).split(maxsplit=count)
        values = np.array(words[:count], np.int64)
        if len(values) < count:
            raise ImageError("unreadable", "It is truncated or damaged.")
        return values.reshape(shape).astype(np.uint16 if top > 255 else np.uint8)
    return _samples(data, at + 1, shape, ">u2" if top > 255 else "u1")


def _samples(data: bytes, at: int, shape: tuple[int, ...], dtype: str) -> Array:
    """The numbers that follow a header, in the machine's own byte order."""
    kind = np.dtype(dtype)
    count = int(np.prod(shape))
    if len(data) < at + count * kind.itemsize:
        raise ImageError("unreadable", "It is truncated or damaged.")
    values: Array = np.frombuffer(data, kind, count, at).reshape(shape).astype(kind.newbyteorder("="))
    return values


def _floats(data: bytes, options: DecodeOptions) -> Array:
    """A map of floats (netpbm's pfm(5)): the rows run upwards, a negative scale says little-endian."""
    found = re.match(rb"P[fF]\s+(\d{1,9})\s+(\d{1,9})\s+(-?[\d.eE+]+)\s", data)
    if found is None:
        raise ImageError("unreadable", "Its header is damaged.")
    width, height = int(found[1]), int(found[2])
    check_size(width, height, options)
    shape = (height, width, 3) if data[:2] == b"PF" else (height, width)
    return _samples(data, found.end(), shape, "<f4" if found[3].startswith(b"-") else ">f4")[::-1]


def _any_map(data: bytes, options: DecodeOptions) -> Array:
    """A map of one to four channels (netpbm's pam(5)); the second or fourth is alpha."""
    head, end, _ = data.partition(b"ENDHDR\n")
    fields = dict(re.findall(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d{1,9})\s*$", head, re.MULTILINE))
    if not end or len(fields) < 4:
        raise ImageError("unreadable", "Its header is damaged.")
    width, height, depth, top = (int(fields[k]) for k in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    check_size(width, height, options)
    if depth not in (1, 2, 3, 4) or not 0 < top < 65536:
        raise ImageError("unsupported", f"It has {depth} channels, which are not read.")
    shape = (height, width, depth) if depth > 1 else (height, width)
    return blended(_samples(data, len(head) + len(end), shape, ">u2" if top > 255 else "u1"))

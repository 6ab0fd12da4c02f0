"""JPEG XL pictures, where the package imagecodecs is installed."""

from __future__ import annotations

import re
import struct
from typing import Any, BinaryIO

import numpy as np

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.raster.pixels import Array, blended, check_size

_NO_ROOM = (1, 1, 1, 1, 1)
_NEEDED = re.compile(r", shape=\(([\d, ]+)\)")
"""Where the decoder says which shape it needs."""
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def frames_of_jpeg_xl(stream: BinaryIO, options: DecodeOptions) -> tuple[int, int]:
    """How many frames a file has, and how many pixels each of them. No frame is decoded for that.

    Args:
        stream: The file, at its start.
        options: ``max_pixels`` is checked before anything is decoded.

    Raises:
        ImageError: What :func:`decode_jpeg_xl` raises.

    Example:
        ``frames_of_jpeg_xl(Path("film.jxl").open("rb"), DecodeOptions())``
    """
    data = stream.read()
    width, height, animated = _size(data)
    return _frames(data, options) if animated else 1, width * height


def decode_jpeg_xl(data: bytes, frame: int, options: DecodeOptions) -> Array:
    """Decodes a picture; alpha is composited on black.

    Args:
        data: The file.
        frame: The number of the frame, counted from 0.
        options: ``max_pixels`` is checked before anything is decoded.

    Raises:
        ImageError: ``unsupported`` without imagecodecs, ``unreadable`` if damaged or too large.

    Example:
        ``decode_jpeg_xl(Path("film.jxl").read_bytes(), 0, DecodeOptions()).shape``
    """
    frames = _frames(data, options)
    if frame >= frames:
        raise ImageError("unreadable", f"It has no frame {frame + 1} any more.")
    pixels: Array = _imagecodecs().jpegxl_decode(data, index=frame if frames > 1 else None)
    return blended(pixels[0] if pixels.ndim == 4 or (pixels.ndim == 3 and pixels.shape[2] > 4) else pixels)


def _frames(data: bytes, options: DecodeOptions) -> int:
    """How many frames there are; the decoder counts them before it finds that there is no room for any."""
    width, height, animated = _size(data)
    check_size(width, height, options)
    try:
        _imagecodecs().jpegxl_decode(data, out=np.empty(_NO_ROOM, np.uint8))
    except ValueError as error:
        if found := _NEEDED.search(str(error)):
            shape = [int(n) for n in found[1].split(",") if n.strip()]
            return shape[0] if len(shape) == 4 or (len(shape) == 3 and (animated or shape[2] > 4)) else 1
        raise
    return 1


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        missing = "It is JPEG XL, which needs the package imagecodecs: pip install 'leakscan[formats]'."
        raise ImageError("unsupported", missing, left_out="JPEG XL") from error
    return imagecodecs


def _size(data: bytes) -> tuple[int, int, bool]:
    """Width, height and whether it is an animation (ISO/IEC 18181-1, SizeHeader and ImageMetadata)."""
    stream = _codestream(data)
    bits = int.from_bytes(stream[2:16], "little")

    def take(n: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << n) - 1), bits >> n
        return value

    def length(small: int) -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    def size() -> tuple[int, int]:
        small = take(1)
        height = length(small)
        ratio = take(3)
        if not ratio:
            return length(small), height
        across, down = _RATIOS[ratio]
        return height * across // down, height

    width, height = size()
    if take(1) or not take(1):  # all is as usual, or there are no further fields
        return width, height, False
    take(3)  # its orientation, which the decoder applies
    if take(1):
        size()
    return width, height, bool(not take(1) and take(1))  # a preview, which hides what follows, or frames


def _codestream(data: bytes) -> bytes:
    """The coded picture, out of its boxes where it lies in some."""
    if data[:2] == b"\xff\x0a":
        return data
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1 and at + 16 <= len(data):
            size, header = struct.unpack_from(">Q", data, at + 8)[0], 16
        if kind in (b"jxlc", b"jxlp"):
            return data[at + header + 4 * (kind == b"jxlp") :]
        if size < header:
            break
        at += size
    raise ImageError("unreadable", "It is truncated or damaged.")

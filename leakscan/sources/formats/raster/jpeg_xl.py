"""JPEG XL pictures, where the package imagecodecs is installed."""

from __future__ import annotations

import struct

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.raster.pixels import Array, blended, check_size

_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def decode_jpeg_xl(data: bytes, options: DecodeOptions, notes: list[str]) -> Array:
    """Decodes a picture; alpha is composited on black.

    Args:
        data: The file.
        options: ``max_pixels`` is checked before anything is decoded.
        notes: Gets a sentence where it is an animation, of which the first frame is read.

    Raises:
        ImageError: ``unsupported`` without imagecodecs, ``unreadable`` if damaged or too large.

    Example:
        ``decode_jpeg_xl(Path("film.jxl").read_bytes(), DecodeOptions(), []).shape``
    """
    width, height = _size(data)
    check_size(width, height, options)
    try:
        import imagecodecs
    except ImportError as error:
        missing = "It is JPEG XL, which needs the package imagecodecs: pip install 'leakscan[formats]'."
        raise ImageError("unsupported", missing, left_out="JPEG XL") from error
    pixels: Array = imagecodecs.jpegxl_decode(data)
    if pixels.ndim == 4 or (pixels.ndim == 3 and pixels.shape[2] > 4):
        notes.append(f"It has {len(pixels)} frames; only the first is read.")
        pixels = pixels[0]  # the frames of an animation come first
    return blended(pixels)


def _size(data: bytes) -> tuple[int, int]:
    """Width and height from the SizeHeader (ISO/IEC 18181-1, 9.2.1)."""
    stream = _codestream(data)
    bits = int.from_bytes(stream[2:16], "little")

    def take(n: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << n) - 1), bits >> n
        return value

    def length(small: int) -> int:
        return (take(5) + 1) * 8 if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    height = length(small)
    ratio = take(3)
    if ratio:
        across, down = _RATIOS[ratio]
        return height * across // down, height
    return length(small), height


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

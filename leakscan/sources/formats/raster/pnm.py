"""Portable grey and colour maps (PGM, PPM, PBM), at the depth that they are stored in."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.raster.pixels import Array, check_size

_TOKEN = re.compile(rb"(?:\s|#[^\n]*\n)*(\d+)")


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
    count = int(np.prod(shape))
    if kind in (b"P2", b"P3"):
        # Comments may stand anywhere between the numbers.
        words = re.sub(rb"#[^\n]*", b"", data[at:]).split(maxsplit=count)
        values = np.array(words[:count], np.int64)
    else:
        deep = np.dtype(">u2") if top > 255 else np.dtype("u1")
        raw = data[at + 1 : at + 1 + count * deep.itemsize]
        values = np.frombuffer(raw[: len(raw) // deep.itemsize * deep.itemsize], deep)
    if len(values) < count:
        raise ImageError("unreadable", "It is truncated or damaged.")
    return values.reshape(shape).astype(np.uint16 if top > 255 else np.uint8)

"""The kinds of JPEG that Pillow does not read: JPEG-LS, and more than 8 bits a sample."""

from __future__ import annotations

import io
from typing import BinaryIO, Literal

import numpy as np

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.raster.pixels import Array, check_size

_END = b"\xff\xd9"
RareJpeg = Literal["", "JPEG-LS", "JPEG of more than 8 bits"]

_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
"""Markers that begin a frame: ITU-T T.81, table B.1, and T.87 for JPEG-LS (0xF7)."""


def rare_jpeg(stream: BinaryIO) -> RareJpeg:
    """Which of the rare kinds a JPEG is, empty for a usual one; the stream is at its start again then.

    Example:
        >>> from PIL import Image
        >>> Image.new("L", (8, 8)).save(film := io.BytesIO(), "JPEG")
        >>> _ = film.seek(0)
        >>> rare_jpeg(film), film.tell()
        ('', 0)
    """
    kind: RareJpeg = ""
    if (frame := _frame(stream)) is not None:
        marker, precision = frame[0], frame[3]
        if marker == 0xF7:
            kind = "JPEG-LS"
        elif precision != 8:
            kind = "JPEG of more than 8 bits"
    stream.seek(0)
    return kind


def decode_rare_jpeg(data: bytes, kind: RareJpeg, options: DecodeOptions) -> Array:
    """Decodes one of the rare kinds.

    Args:
        data: The file.
        kind: What :func:`rare_jpeg` said.
        options: ``max_pixels`` is checked before anything is decoded.

    Raises:
        ImageError: ``unsupported`` without imagecodecs where it is needed, ``unreadable`` if too large
            or cut short.

    Example:
        ``decode_rare_jpeg(Path("film.jls").read_bytes(), "JPEG-LS", DecodeOptions()).shape``
    """
    frame = _frame(io.BytesIO(data))
    if frame is not None:
        check_size(frame[2], frame[1], options)
    if kind == "JPEG-LS":
        if _END not in data:  # CharLS goes on for minutes where a stream ends without it
            raise ImageError("unreadable", "Its pixel data is cut short.")
        import jpeg_ls

        pixels: Array = np.asarray(jpeg_ls.decode(np.frombuffer(data, np.uint8)))
        return pixels
    try:
        import imagecodecs
    except ImportError as error:
        missing = f"It is a {kind}, which needs the package imagecodecs: pip install 'leakscan[formats]'."
        raise ImageError("unsupported", missing, left_out=kind) from error
    lossless = frame is not None and frame[0] == 0xC3
    decoded: Array = (imagecodecs.ljpeg_decode if lossless else imagecodecs.jpeg8_decode)(data)
    return decoded


def _frame(stream: BinaryIO) -> tuple[int, int, int, int] | None:
    """The first frame's marker, height, width and bits a sample, or ``None`` where there is none."""
    stream.seek(2)
    while len(head := stream.read(4)) == 4 and head[0] == 0xFF:
        if head[1] == 0xFF:  # fill bytes may stand before a marker
            stream.seek(-3, 1)
            continue
        length = int.from_bytes(head[2:])
        if head[1] in _FRAMES:
            body = stream.read(5)
            size = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
            return (head[1], *size, body[0]) if len(body) == 5 else None
        if length < 2 or head[1] == 0xDA:
            return None
        stream.seek(length - 2, 1)
    return None

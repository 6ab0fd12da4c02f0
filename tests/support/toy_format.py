"""A format that no scanner writes: portable grey maps with the magic of nobody. See CONTRIBUTING.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import FileFormat, FrameInfo
from leakscan.types import DecodedImage, ImageRef
from support.makers import Picture

_MAGIC = b"TOY1"

TOY = FileFormat(name="toy", suffixes=(".toy",), opens=lambda head: head.startswith(_MAGIC), module=__name__)


def write(path: Path, pixels: Picture) -> Path:
    """A picture ``(height, width)`` uint8 behind its two sizes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_MAGIC + np.array(pixels.shape, "<u4").tobytes() + pixels.tobytes())
    return path


def inspect(path: Path, format: str, options: DecodeOptions) -> list[FrameInfo]:
    """One picture a file."""
    return [FrameInfo()]


def decode(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """See :func:`leakscan.sources.formats.decode`."""
    raw = Path(ref.files[0]).read_bytes()
    height, width = np.frombuffer(raw, "<u4", count=2, offset=len(_MAGIC))
    if len(raw) != len(_MAGIC) + 8 + height * width:
        raise ImageError("unreadable", "It is truncated or damaged.")
    stored = np.frombuffer(raw, np.uint8, offset=len(_MAGIC) + 8).reshape(height, width)
    return DecodedImage(stored=stored, values=stored.astype(np.float32))

"""PNG, JPEG, TIFF, BMP and WebP files to arrays, with every stored bit kept.

Pillow reads what it can without loss. OpenCV reads the rest: 16-bit colour, which Pillow would
reduce to 8 bits, and TIFF sample types that Pillow does not know.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from leakscan.settings import DecodeOptions
from leakscan.sources.formats import FrameInfo
from leakscan.sources.formats.raster.pixels import (
    Array,
    blended,
    by_opencv,
    check_size,
    one_channel_if_equal,
    orientation,
    reasons,
    strict_pillow,
    turned,
    without_palette,
)
from leakscan.sources.formats.raster.tiff import decode_page, pages_of
from leakscan.types import DecodedImage, ImageRef

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Luminance of red, green and blue, ITU-R BT.601."""


def inspect(path: Path, format: str, options: DecodeOptions) -> list[FrameInfo]:
    """One entry per picture: every page of a TIFF, else the file.

    Args:
        path: The file.
        format: ``png``, ``jpeg``, ``tiff``, ``bmp`` or ``webp``.
        options: ``frames`` chooses between the first page and all.

    Raises:
        ImageError: ``unreadable`` TIFF structure.

    Example:
        >>> pages = [Image.new("L", (8, 8), grey) for grey in (0, 255)]
        >>> pages[0].save("scan.tiff", save_all=True, append_images=pages[1:])
        >>> (page,) = inspect(Path("scan.tiff"), "tiff", DecodeOptions(frames="first"))
        >>> page.notes
        ('It has 2 pages; only the first is read.',)
    """
    if format != "tiff":
        return [FrameInfo()]
    with reasons(), path.open("rb") as stream:
        pages = pages_of(stream)
    # Bit 0 of NewSubfileType marks a smaller copy of another page, bit 2 a mask: neither is an image.
    kept = [i for i, page in enumerate(pages) if not page.subfile & 0b101] or [0]
    notes: list[str] = []
    if len(kept) < len(pages):
        notes.append(f"{len(pages) - len(kept)} reduced copies or masks among its pages were left out.")
    if options.frames == "first" and len(kept) > 1:
        notes.append(f"It has {len(kept)} pages; only the first is read.")
        kept = kept[:1]
    return [FrameInfo(frame=i, notes=tuple(notes)) for i in kept]


def decode(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """Reads one picture.

    Args:
        ref: A raster image.
        options: ``max_pixels`` is checked against the header before anything is decoded.

    Returns:
        ``stored`` as in the file (1-bit as 0 and 1), alpha composited on black, EXIF orientation
        applied, equal channels as one; ``values`` the same as luminance (:data:`LUMA`).

    Raises:
        ImageError: ``unreadable`` when truncated, damaged or too large; ``unsupported`` for sample
            types that nothing here reads.

    Example:
        >>> Image.new("RGBA", (2, 1), (200, 200, 200, 51)).save("film.png")  # a fifth of grey, on black
        >>> ref = ImageRef(image_id="1", path="film.png", format="png", files=("film.png",))
        >>> decode(ref, DecodeOptions()).stored.tolist()
        [[40, 40]]
    """
    notes: list[str] = []
    with reasons(), Path(ref.files[0]).open("rb") as stream, strict_pillow():
        if ref.format == "tiff":
            stored = decode_page(stream, ref.frame, options)
        else:
            stored = _picture(stream, ref.format, options, notes)
    stored = one_channel_if_equal(stored)
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        odd = ~np.isfinite(stored)
        notes.append(f"{int(odd.sum())} pixels were not finite and count as 0.")
        stored = np.where(odd, stored.dtype.type(0), stored)
    values = stored.astype(np.float32) if stored.ndim == 2 else stored.astype(np.float32) @ LUMA
    if stored.dtype == np.float64:  # whose largest numbers float32 cannot hold
        values = np.nan_to_num(values)
    return DecodedImage(np.ascontiguousarray(stored), np.ascontiguousarray(values), notes=tuple(notes))


def _picture(stream: BinaryIO, format: str, options: DecodeOptions, notes: list[str]) -> Array:
    im = Image.open(stream, formats=[format.upper()])
    check_size(*im.size, options)
    if (frames := getattr(im, "n_frames", 1)) > 1:
        notes.append(f"It has {frames} frames; only the first is read.")
    encoding = str(im.tile[0].args) if im.tile else ""
    im.load()
    if ";16B" in encoding and im.mode in ("RGB", "RGBA", "LA"):
        stream.seek(0)
        pixels = blended(by_opencv(stream.read(), 0))
    else:
        pixels = without_palette(im, encoding)
    return turned(pixels, orientation(im))

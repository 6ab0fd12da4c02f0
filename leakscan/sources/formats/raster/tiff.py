"""The pixels of one page of a TIFF, whatever its sample type and compression."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.raster.pixels import (
    Array,
    blended,
    by_opencv,
    check_size,
    inverted,
    turned,
    without_palette,
)
from leakscan.sources.formats.raster.tiff_pages import Page, moved

_KNOWN_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 34676, 34677, 34925, 50000})
"""What the libtiff that comes with Pillow decodes (tag 259)."""
_COMPRESSIONS = {
    9: "JBIG", 10: "JBIG", 32809: "ThunderScan", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000",
    33007: "JPEG with an old mark", 34661: "JBIG", 34712: "JPEG 2000", 34713: "Nikon NEF", 34887: "LERC",
    34892: "lossy JPEG of DNG", 34926: "Zstandard", 34927: "WebP", 34933: "PNG", 34934: "JPEG XR",
    50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL", 22610: "JPEG XR",
}  # fmt: skip


@dataclass
class OpenTiff:
    """A TIFF that is open.

    Attributes:
        stream: Its bytes.
        pages: What :func:`pages_of` says.
        image: The same as Pillow opened it, once a page was read by it.

    Example:
        >>> Image.new("L", (8, 6)).save("film.tiff")
        >>> from leakscan.sources.formats.raster.tiff_pages import pages_of
        >>> with open("film.tiff", "rb") as stream:
        ...     len(OpenTiff(stream, pages_of(stream)).pages)
        1
    """

    stream: BinaryIO
    pages: list[Page]
    image: ImageFile.ImageFile | None = None


def decode_page(tiff: OpenTiff, frame: int, options: DecodeOptions) -> tuple[Array, float]:
    """The pixels of one page, upright, MINISWHITE inverted, alpha on black; and their height over width.

    Args:
        tiff: The file.
        frame: The index of the page among all directories.
        options: The limits for reading.

    Raises:
        ImageError: ``unreadable`` or ``unsupported``.

    Example:
        >>> from leakscan.sources.formats.raster.tiff_pages import pages_of
        >>> first, second = (Image.fromarray(np.array([[0, x]], np.uint16)) for x in (900, 4095))
        >>> first.save("films.tiff", save_all=True, append_images=[second])
        >>> with open("films.tiff", "rb") as stream:
        ...     pixels, aspect = decode_page(OpenTiff(stream, pages_of(stream)), 1, DecodeOptions())
        >>> pixels.tolist(), aspect
        ([[0, 4095]], 1.0)
    """
    if frame >= len(tiff.pages):
        raise ImageError("unreadable", f"It has no page {frame + 1} any more.")
    page = tiff.pages[frame]
    check_size(page.width, page.height, options)
    tiff.stream.seek(0)
    if page.under:
        stream = io.BytesIO(moved(tiff.stream.read(), page))
        return _pixels(OpenTiff(stream, [page]), 0, page), page.shown_aspect
    return _pixels(tiff, frame, page), page.shown_aspect


def _pixels(tiff: OpenTiff, frame: int, page: Page) -> Array:
    stream = tiff.stream
    if page.start:
        return _following(stream, page)
    if page.compression not in _KNOWN_COMPRESSIONS:
        return _by_tifffile(stream, frame, page)
    float_or_deep_colour = (page.sample_format == 3 and page.bits != 32) or (
        page.samples > 1 and page.bits > 8
    )
    if float_or_deep_colour or (page.sample_format == 3 and page.samples > 1):
        return _tiff_by_opencv(stream, frame, page)
    try:
        # An open stream, not a path: from a path Pillow maps turned pages with their sides swapped.
        im = tiff.image = tiff.image or Image.open(stream, formats=["TIFF"])
        im.seek(frame)
    except UnidentifiedImageError:
        stream.seek(0)
        return _tiff_by_opencv(stream, frame, page)
    pixels = without_palette(im, "")
    if page.bits == 32 and page.sample_format == 1 and pixels.dtype == np.int32:
        pixels = pixels.view(np.uint32)
    if page.bits == 8 and page.sample_format == 2 and pixels.dtype == np.uint8:
        pixels = pixels.view(np.int8)
    # Pillow inverts 8-bit MINISWHITE pages itself, deeper ones not; the page is turned already.
    return inverted(pixels) if page.photometric == 0 and page.bits > 8 else pixels


def _following(stream: BinaryIO, page: Page) -> Array:
    """A page without a directory of its own, whose pixels follow those of the first."""
    stream.seek(page.start)
    raw = stream.read(page.size)
    if len(raw) < page.size or page.dtype is None:
        raise ImageError("unreadable", "It is truncated or damaged.")
    shape = (page.height, page.width, page.samples) if page.samples > 1 else (page.height, page.width)
    pixels: Array = np.frombuffer(raw, page.dtype).reshape(shape)
    return _shown(pixels.astype(page.dtype.newbyteorder("=")), page)


def _shown(pixels: Array, page: Page) -> Array:
    """Stored samples as they are shown: turned upright, white at zero inverted, alpha on black."""
    if pixels.ndim == 3 and pixels.shape[2] == 4 and page.extra == 0:
        pixels = pixels[..., :3]
    pixels = turned(pixels, page.orientation)
    return inverted(pixels) if page.photometric == 0 and pixels.dtype.kind in "ui" else blended(pixels)


def _tiff_by_opencv(stream: BinaryIO, frame: int, page: Page) -> Array:
    readable = page.sample_format in (1, 2, 3) and page.bits in (8, 16, 32, 64) and page.samples in (1, 3, 4)
    odd = not readable or (page.sample_format == 3 and page.bits == 16) or page.photometric > 2
    if odd or page.orientation != 1 or (page.planar and page.samples > 1):
        return _by_tifffile(stream, frame, page)
    pixels = by_opencv(stream.read(), frame)
    if pixels.ndim == 3 and pixels.shape[2] == 4 and page.extra == 0:
        pixels = pixels[..., :3]
    return inverted(pixels) if page.photometric == 0 else blended(pixels)


def _by_tifffile(stream: BinaryIO, frame: int, page: Page) -> Array:
    """What Pillow and OpenCV do not know, where tifffile and imagecodecs are installed."""
    what = f"Its pages of {page.samples} x {page.bits} bits (sample format {page.sample_format}) are"
    if page.compression not in _KNOWN_COMPRESSIONS:
        named = _COMPRESSIONS.get(page.compression, f"method {page.compression}")
        what = f"Its compression ({named}) is"
    kind = f"TIFF in {_COMPRESSIONS[page.compression]}" if page.compression in _COMPRESSIONS else "TIFF"
    if page.photometric > 2 and page.compression in _KNOWN_COMPRESSIONS:
        raise ImageError("unsupported", f"Its colours (photometric {page.photometric}) are not read.")
    try:
        import imagecodecs  # noqa: F401 - tifffile finds it by itself
        import tifffile
    except ImportError as error:
        advice = "not read here; pip install 'leakscan[formats]' reads most of the kind."
        raise ImageError("unsupported", f"{what} {advice}", left_out=kind) from error
    stream.seek(0)
    try:
        with tifffile.TiffFile(stream) as file:
            pixels: Array = file.pages[frame].asarray()
    except ValueError as error:  # what tifffile raises for a compression that it does not know
        if "damage" in str(error).lower() or "corrupt" in str(error).lower():
            raise
        raise ImageError("unsupported", f"{what} not read.", left_out=kind) from error
    if pixels.ndim == 3 and page.samples in (3, 4) and pixels.shape[0] == page.samples != pixels.shape[2]:
        pixels = np.moveaxis(pixels, 0, -1)  # the colours lie in planes
    if pixels.ndim not in (2, 3):
        raise ImageError("unsupported", f"{what} not read.", left_out=kind)
    return _shown(pixels, page)

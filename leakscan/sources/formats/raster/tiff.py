"""TIFF pages: which there are, and the pixels of one, whatever its sample type."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.raster.pixels import (
    ORIENTATION_TAG,
    Array,
    blended,
    by_opencv,
    check_size,
    inverted,
    without_palette,
)

_MAX_PAGES = 100_000


@dataclass(frozen=True, kw_only=True)
class Page:
    """The tags of a TIFF page that decide how it is read (TIFF 6.0, section 8)."""

    width: int
    height: int
    bits: int
    samples: int
    sample_format: int
    photometric: int
    orientation: int
    extra: int
    subfile: int


def pages_of(stream: BinaryIO) -> list[Page]:
    """The pages of a TIFF or BigTIFF in the order of their directories.

    Raises:
        ImageError: ``unreadable``: no page, or one without a size.

    Example:
        >>> thumbnail = Image.new("L", (4, 3))
        >>> Image.new("L", (8, 6)).save("film.tiff", save_all=True, append_images=[thumbnail])
        >>> with open("film.tiff", "rb") as stream:
        ...     [(page.width, page.height, page.bits) for page in pages_of(stream)]
        [(8, 6, 8), (4, 3, 8)]
    """
    head = stream.read(8)
    if 43 in (int.from_bytes(head[2:4], "little"), int.from_bytes(head[2:4], "big")):
        head += stream.read(8)  # BigTIFF
    directory = ImageFileDirectory_v2(head)
    pages: list[Page] = []
    visited: set[int] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while (offset := int(directory.next)) and offset not in visited and len(pages) < _MAX_PAGES:
            visited.add(offset)
            stream.seek(offset)
            directory.load(stream)
            if 256 not in directory or 257 not in directory:
                raise ImageError("unreadable", "It is truncated or damaged: a page has no size.")
            pages.append(_page(directory))
    if not pages:
        raise ImageError("unreadable", "It is truncated or damaged: it has no page.")
    return pages


def _page(tags: ImageFileDirectory_v2) -> Page:
    def first(tag: int, default: int) -> int:
        value = tags.get(tag, default)
        return int(value[0] if isinstance(value, tuple) else value)

    return Page(
        width=first(256, 0),
        height=first(257, 0),
        bits=first(258, 1),
        samples=first(277, 1),
        sample_format=first(339, 1),
        photometric=first(262, 1),
        orientation=first(ORIENTATION_TAG, 1),
        extra=first(338, 0),
        subfile=first(254, 0),
    )


def decode_page(stream: BinaryIO, frame: int, options: DecodeOptions) -> Array:
    """The pixels of one page: turned upright, MINISWHITE inverted, alpha on black.

    Args:
        stream: The file, at its start.
        frame: The index of the page among all directories.
        options: The limits for reading.

    Raises:
        ImageError: ``unreadable`` or ``unsupported``.

    Example:
        >>> first, second = (Image.fromarray(np.array([[0, x]], np.uint16)) for x in (900, 4095))
        >>> first.save("films.tiff", save_all=True, append_images=[second])
        >>> with open("films.tiff", "rb") as stream:
        ...     decode_page(stream, 1, DecodeOptions()).tolist()
        [[0, 4095]]
    """
    pages = pages_of(stream)
    if frame >= len(pages):
        raise ImageError("unreadable", f"It has no page {frame + 1} any more.")
    page = pages[frame]
    check_size(page.width, page.height, options)
    stream.seek(0)
    float_or_deep_colour = (page.sample_format == 3 and page.bits != 32) or (
        page.samples > 1 and page.bits > 8
    )
    if float_or_deep_colour or (page.sample_format == 3 and page.samples > 1):
        return _tiff_by_opencv(stream, frame, page)
    try:
        # An open stream, not a path: from a path Pillow maps turned pages with their sides swapped.
        im = Image.open(stream, formats=["TIFF"])
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


def _tiff_by_opencv(stream: BinaryIO, frame: int, page: Page) -> Array:
    what = f"a TIFF page of {page.samples} x {page.bits} bits (sample format {page.sample_format})"
    readable = page.sample_format in (1, 2, 3) and page.bits in (8, 16, 32, 64) and page.samples in (1, 3, 4)
    if not readable or (page.sample_format == 3 and page.bits == 16) or page.photometric > 2:
        raise ImageError("unsupported", f"It is {what}, which is not read.")
    if page.orientation != 1:
        raise ImageError("unsupported", f"It is {what} stored turned, which is not read.")
    pixels = by_opencv(stream.read(), frame)
    if pixels.ndim == 3 and pixels.shape[2] == 4 and page.extra == 0:
        pixels = pixels[..., :3]
    return inverted(pixels) if page.photometric == 0 else blended(pixels)

"""The pages of a TIFF: those that have a directory, and those that only the first one speaks of."""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from leakscan.errors import ImageError
from leakscan.sources.formats.bounds import over_frames
from leakscan.sources.formats.raster.pixels import SIDEWAYS

_MAX_UNDER = 64
_SUBDIRECTORIES = 330
_IMAGEJ = re.compile(r"^images=(\d+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Page:
    """The tags of a TIFF page that decide how it is read (TIFF 6.0, section 8).

    Attributes:
        width, height: Its size in pixels.
        bits, samples, sample_format: Bits of a sample, samples of a pixel, and what the samples are.
        photometric: What the numbers mean: 0 for white at zero, 1 for black, 2 for red, green and blue.
        orientation: EXIF tag 274.
        extra: What a fourth sample is; 0 for unknown.
        subfile: Tag 254: whether it is a smaller copy or a mask.
        compression: Tag 259.
        planar: Whether every colour lies in a plane of its own.
        start: Where its pixels begin, if they follow those of an earlier page without a directory of their
            own; else 0.
        order: The byte order of the file, ``<`` or ``>``.
        aspect: The height of a pixel over its width, as it is stored.
        under: Where its directory lies, if another page leads to it and not the chain of pages; else 0.
    """

    width: int
    height: int
    bits: int
    samples: int
    sample_format: int
    photometric: int
    orientation: int
    extra: int
    subfile: int
    compression: int = 1
    planar: bool = False
    start: int = 0
    order: str = "<"
    aspect: float = 1.0
    under: int = 0

    @property
    def shown_aspect(self) -> float:
        """The height of a pixel over its width, once the page is turned upright."""
        return 1 / self.aspect if self.orientation in SIDEWAYS else self.aspect

    @property
    def dtype(self) -> np.dtype[np.generic] | None:
        """The type of its samples, or ``None`` where numpy has none."""
        kinds = {1: "u", 2: "i", 3: "f"}
        if self.sample_format not in kinds or self.bits not in (8, 16, 32, 64):
            return None
        return np.dtype(f"{self.order}{kinds[self.sample_format]}{self.bits // 8}")

    @property
    def size(self) -> int:
        """How many bytes its pixels take uncompressed."""
        return self.width * self.height * self.samples * self.bits // 8


def pages_of(stream: BinaryIO, most: int = 1_000_000) -> list[Page]:
    """The pages of a TIFF or BigTIFF in the order of their directories.

    ImageJ and others write large stacks as one directory that is followed by the pixels of all pages;
    those pages are listed as well, as far as the file holds them.

    Args:
        stream: The file, at its start.
        most: How many pages it may have.

    Raises:
        ImageError: ``unreadable``: no page, one without a size, or too many.

    Example:
        >>> from PIL import Image
        >>> thumbnail = Image.new("L", (4, 3))
        >>> Image.new("L", (8, 6)).save("film.tiff", save_all=True, append_images=[thumbnail])
        >>> with open("film.tiff", "rb") as stream:
        ...     [(page.width, page.height, page.bits) for page in pages_of(stream)]
        [(8, 6, 8), (4, 3, 8)]
    """
    head = stream.read(8)
    if 43 in (int.from_bytes(head[2:4], "little"), int.from_bytes(head[2:4], "big")):
        head += stream.read(8)  # BigTIFF
    # Pillow takes the big-endian kind of BigTIFF for a TIFF.
    mistaken = head[:4] == b"MM\0+"
    directory = ImageFileDirectory_v2(head[:8] if mistaken else head)
    if mistaken:
        directory._bigtiff = True
        directory.next = int.from_bytes(head[8:16])
    order = "<" if head[:2] == b"II" else ">"
    pages: list[Page] = []
    followers: list[Page] = []
    under: list[int] = []
    visited: set[int] = set()
    end = stream.seek(0, os.SEEK_END)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while (offset := int(directory.next)) and offset not in visited:
            if len(pages) + len(followers) + len(under) >= most:
                raise over_frames(most)
            visited.add(offset)
            stream.seek(offset)
            directory.load(stream)
            if 256 not in directory or 257 not in directory:
                raise ImageError("unreadable", "It is truncated or damaged: a page has no size.")
            pages.append(_page(directory, order))
            under += _numbers(directory.get(_SUBDIRECTORIES))[:_MAX_UNDER]
            followers += _followers(directory, pages[-1], end, not directory.next and len(pages) == 1, most)
    if not pages:
        raise ImageError("unreadable", "It is truncated or damaged: it has no page.")
    below = [page for offset in under if offset not in visited and (page := _under(stream, head, offset))]
    return pages + followers + below


def _under(stream: BinaryIO, head: bytes, offset: int) -> Page | None:
    """A page that only a directory of another leads to: a smaller copy, or what its page is a preview of."""
    try:
        directory = ImageFileDirectory_v2(head[:8] if head[:4] == b"MM\0+" else head)
        directory._bigtiff = head[2:4] in (b"+\0", b"\0+")
        stream.seek(offset)
        directory.load(stream)
        page = _page(directory, "<" if head[:2] == b"II" else ">")
    except Exception:  # of damaged ones the page that leads there is whole all the same
        return None
    return replace(page, under=offset) if page.width > 0 and page.height > 0 else None


def moved(data: bytes, page: Page) -> bytes:
    r"""A file whose first page is another one of its pages.

    Args:
        data: The bytes of a TIFF or BigTIFF.
        page: A page of it with a directory of its own, whose place ``under`` says.

    Example:
        >>> page = Page(width=1, height=1, bits=8, samples=1, sample_format=1, photometric=1, orientation=1,
        ...     extra=0, subfile=0, under=258)
        >>> moved(b"II*\0\x08\0\0\0", page)[4:]
        b'\x02\x01\x00\x00'
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = int.from_bytes(data[2:4], order) == 43
    at, size = (8, 8) if big else (4, 4)
    return data[:at] + page.under.to_bytes(size, order) + data[at + size :]


def _page(tags: ImageFileDirectory_v2, order: str) -> Page:
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
        orientation=first(274, 1),
        extra=first(338, 0),
        subfile=first(254, 0),
        compression=first(259, 1),
        planar=first(284, 1) == 2,
        order=order,
        aspect=_aspect(tags),
    )


def _aspect(tags: ImageFileDirectory_v2) -> float:
    """XResolution over YResolution (tags 282 and 283), 1 where either is absent or makes no sense."""
    try:
        across, down = float(tags[282]), float(tags[283])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 1.0
    return across / down if 0 < across < math.inf and 0 < down < math.inf else 1.0


def _followers(tags: ImageFileDirectory_v2, page: Page, end: int, alone: bool, most: int) -> list[Page]:
    """The pages that follow one with a directory and have none of their own.

    Either its strip is as long as several pages, or it is the only directory and its description says so,
    or as many pixels as make whole pages lie behind it at the end of the file.
    """
    starts, counts = (_numbers(tags.get(tag)) for tag in (273, 279))
    in_a_row = len(starts) == 1 or all(
        a + n == b for a, n, b in zip(starts, counts, starts[1:], strict=False)
    )
    if page.compression != 1 or page.dtype is None or not starts or not in_a_row or page.size < 1:
        return []
    stated = max(1, sum(counts) // page.size)
    if alone:
        behind = end - starts[0]
        whole = behind // page.size if behind % page.size == 0 else 1
        stated = max(stated, whole, _stated(str(tags.get(270, "")), page))
    held = min(stated, (end - starts[0]) // page.size)
    if held > most:
        raise over_frames(most)
    return [replace(page, start=starts[0] + i * page.size) for i in range(1, held)]


def _stated(description: str, page: Page) -> int:
    """How many pages a description speaks of: that of ImageJ, or the shape that tifffile writes."""
    if description.startswith("ImageJ=") and (found := _IMAGEJ.search(description)):
        return int(found[1])
    if description.startswith("{"):
        try:
            shape = json.loads(description).get("shape", [])
            pixels = page.width * page.height * page.samples
            return int(np.prod([int(n) for n in shape], dtype=object)) // pixels if shape else 1
        except (ValueError, TypeError, AttributeError, ZeroDivisionError):
            return 1
    return 1


def _numbers(value: object) -> list[int]:
    values = value if isinstance(value, tuple) else () if value is None else (value,)
    return [int(v) for v in values]

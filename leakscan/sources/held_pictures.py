"""Files that are no image format and hold pictures all the same: texts, tables of pixels, PDFs, raw arrays.

None of them is read. They are named, because what looks like an image and was not compared counts.
"""

from __future__ import annotations

import os
import re

from leakscan.errors import ImageError
from leakscan.sources.contents import open_place
from leakscan.sources.formats.signatures import HEAD_BYTES

_TEXTS = (
    ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".xml", ".txt", ".svg",
    ".ipynb", ".yaml", ".yml", ".b64", ".base64",
)  # fmt: skip
_PAGES = (".html", ".htm", ".xhtml", ".mht", ".mhtml", ".eml", ".md")
"""Texts for people, in which a small picture is a logo."""
_IN_BASE64 = (b"iVBORw0KGgo", b"/9j/4AAQ", b"/9j/2wB", b"SUkqAA", b"UklGR", b"R0lGODlh")
"""How PNG, JPEG, TIFF, WebP and GIF begin in base64."""
_LARGE = re.compile(b"(?:" + b"|".join(map(re.escape, _IN_BASE64)) + rb")[A-Za-z0-9+/\s]{4000}")
"""Three kilobytes of a picture."""
_ZARR = ("zarr.json", ".zarray", "attributes.json")
_ZARR_ARRAY = (rb'"node_type"\s*:\s*"array"', rb'"chunks"\s*:', rb'"blockSize"\s*:')
_MOST_OF_TEXT = 1 << 22
_LEAST_PIXELS = 64
_PDF_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_MOST_OF_PDF = 1 << 25


def unread_content(name: str, head: bytes, place: str) -> ImageError | None:
    """What to say of a file that holds pictures in a way that is not read, ``None`` of all others.

    Args:
        name: The file's name in its source.
        head: Its first bytes, 2,048 where it has as many.
        place: Where its bytes are; see :mod:`leakscan.sources.contents`.

    Raises:
        OSError: It cannot be read.

    Example:
        >>> text = b'{"image": "iVBORw0KGgoAAAANSUhEUg"}'
        >>> unread_content("films.jsonl", text, "films.jsonl").left_out
        'text with images in base64'
    """
    lower, own = name.lower(), name.rpartition("/")[2]
    if lower.endswith(_TEXTS) and (text := _pictures_in_text(_whole_text(head, place))) is not None:
        return text
    if lower.endswith(_PAGES) and _LARGE.search(_whole_text(head, place)):
        return _text_with_images()
    if head.startswith(b"%PDF-") and _is_scanned(place):
        return _named("It is a PDF of pictures", "save its pages as PNG", "PDF of pictures")
    if own in _ZARR and any(re.search(mark, head) for mark in _ZARR_ARRAY):
        return _named("It describes a Zarr array", "save its images as PNG, TIFF or NIfTI", "Zarr array")
    if lower.endswith(".bin") and _is_cifar(place):
        words = "It has the length of a file of CIFAR's pictures"
        return _named(words, "save them as PNG", "file of CIFAR's pictures")
    return None


def _named(what: str, advice: str, left_out: str) -> ImageError:
    return ImageError("unsupported", f"{what}, which is not read here; {advice}.", left_out=left_out)


def _whole_text(head: bytes, place: str) -> bytes:
    """A text, as far as it is searched."""
    if len(head) < HEAD_BYTES:
        return head
    with open_place(place) as stream:
        return stream.read(_MOST_OF_TEXT)


def _text_with_images() -> ImageError:
    error = "It is a text that holds images in base64, which are not read here; save them as files."
    return ImageError("unsupported", error, left_out="text with images in base64")


def _pictures_in_text(data: bytes) -> ImageError | None:
    """What to say of a text that holds images, or numbers that are the pixels of some; ``None`` of others."""
    if any(mark in data for mark in _IN_BASE64):
        return _text_with_images()
    columns, _, rows = data.partition(b"\n")
    pixels = len(re.findall(rb"\bpixel_?\d+", columns)) >= _LEAST_PIXELS
    if pixels or (re.search(rb"\bpixels\b", columns) and re.search(rb"(?:\d{1,3} ){196}", rows)):
        error = "It is a table of the pixels of pictures, which is not read here; save them as PNG."
        return ImageError("unsupported", error, left_out="table of pixels")
    return None


def _is_cifar(place: str) -> bool:
    """Whether a file is as long as many pictures of CIFAR-10 or CIFAR-100 with their labels."""
    with open_place(place) as stream:
        size = stream.seek(0, os.SEEK_END)
    return size >= 307_300 and (size % 3073 == 0 or size % 3074 == 0)


def _is_scanned(place: str) -> bool:
    """Whether most of a PDF is pictures, as where films were scanned; others are texts about them."""
    with open_place(place) as stream:
        data = stream.read(_MOST_OF_PDF)
    held = 0
    for found in _PDF_STREAM.finditer(data):
        opening = data[max(0, found.start() - 800) : found.start()].rpartition(b"obj")[2]
        if re.search(rb"/Subtype\s*/Image\b", opening):
            end = data.find(b"endstream", found.end())
            held += (len(data) if end < 0 else end) - found.end()
    return 2 * held > len(data)

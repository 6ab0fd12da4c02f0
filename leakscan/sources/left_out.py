"""What looks like an image and was not compared: what such things are called, and how many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from leakscan.counted import counted
from leakscan.types import Status

LINK_OUTSIDE = "link that leaves the folder"
LINK_BROKEN = "link to nothing"
LINK_LOOP = "link that leads back to itself"
NOT_FETCHED = "pointer to a file that was not fetched"
HIDDEN = "hidden file"
ROW_OUTSIDE = "row of the manifest that leaves its folder"
ROW_MISSING = "row of the manifest without its file"
ARCHIVE = "archive"
SPLIT = "part of a split archive"
OF_TOOLS = "file in a folder of a tool"
VIDEO = "video"
EMPTY = "empty file"
NO_PERMISSION = "file that could not be opened"
DECODER_CRASHED = "file whose decoder crashed"
OVER_FRAMES = "file over the limit of frames"
OVER_TIME = "file over the time limit"
OVER_MEMORY = "file over the memory limit"

_SEVERAL = {
    LINK_OUTSIDE: "links that leave the folder",
    LINK_BROKEN: "links to nothing",
    LINK_LOOP: "links that lead back to themselves",
    NOT_FETCHED: "pointers to files that were not fetched",
    HIDDEN: "hidden files",
    ROW_OUTSIDE: "rows of the manifest that leave its folder",
    ROW_MISSING: "rows of the manifest without their files",
    ARCHIVE: "archives",
    SPLIT: "parts of split archives",
    OF_TOOLS: "files in folders of tools",
    VIDEO: "videos",
    EMPTY: "empty files",
    NO_PERMISSION: "files that could not be opened",
    DECODER_CRASHED: "files whose decoders crashed",
    OVER_FRAMES: "files over the limit of frames",
    OVER_TIME: "files over the time limit",
    OVER_MEMORY: "files over the memory limit",
}
_NAMES = {
    "png": "PNG", "jpeg": "JPEG", "tiff": "TIFF", "webp": "WebP", "bmp": "BMP", "dicom": "DICOM",
    "nifti": "NIfTI", "gif": "GIF", "jpeg2000": "JPEG 2000", "jpegxl": "JPEG XL", "apng": "PNG",
    "pnm": "PGM or PPM", "minc": "MINC", "metaimage": "MetaImage", "parrec": "PAR/REC",
    "mpo": "JPEG", "psd": "Photoshop document", "sun": "Sun raster",
    "npy": "NumPy array", "npz": "NumPy archive",
}  # fmt: skip
_KINDS_NAMED = 6

ONLY_FIRST = "only the first"
"""The words by which a note says that a file holds frames that were not asked for."""


def format_name(format: str) -> str:
    """What people call a format.

    Example:
        >>> format_name("jpeg2000"), format_name("mgh"), format_name("")
        ('JPEG 2000', 'MGH', '')
    """
    return _NAMES.get(format, format.upper())


def left_out_as(status: Status, format: str, given: str = "") -> str:
    """What kind of thing was left out, empty for what was read and for what is surely no image.

    Args:
        status: The status of the image.
        format: The name of its format, or empty.
        given: What was said of it already; it is kept.

    Example:
        >>> left_out_as("unreadable", "png"), left_out_as("unsupported", "", "video"), left_out_as("ok", "")
        ('unreadable PNG', 'video', '')
    """
    if status not in ("unreadable", "unsupported"):
        return ""
    if given:
        return given
    name = format_name(format)
    if status == "unsupported":
        return name or "file of another kind"
    return f"unreadable {name}" if name else "unreadable file"


def kinds_in_words(kinds: Iterable[str]) -> str:
    """The kinds and their counts, the most frequent first.

    Args:
        kinds: What was left out, one entry each, as :func:`left_out_as` calls it.

    Example:
        >>> kinds_in_words(["JPEG 2000", "link that leaves the folder", "JPEG 2000", "JPEG 2000"])
        '3 JPEG 2000, 1 link that leaves the folder'
    """
    found = Counter(kinds).most_common()
    words = [counted(n, kind, _SEVERAL.get(kind, kind)) for kind, n in found[:_KINDS_NAMED]]
    if others := sum(n for _, n in found[_KINDS_NAMED:]):
        words.append(f"{others:,} others")
    return ", ".join(words)

"""Why a file has no image in it: it is none, it is known and not read, or it should be one."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from leakscan.errors import ImageError
from leakscan.sources.contents import beside, is_inside
from leakscan.sources.formats import has_image_suffix
from leakscan.sources.formats.unread import unread_kind
from leakscan.sources.formats.volumes.partners import holder_of
from leakscan.sources.held_pictures import unread_content
from leakscan.sources.left_out import ARCHIVE, EMPTY, NOT_FETCHED

ARCHIVE_SUFFIXES = (
    ".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4", ".tar.lzma", ".tbz2",
    ".tbz", ".txz", ".tzst", ".tlz",
)  # fmt: skip
"""The endings of names that promise an archive."""

_NOT_FETCHED = "It is a {} pointer; the image was not fetched ({})."
_POINTERS = {
    b"version https://git-lfs.github.com": _NOT_FETCHED.format("Git LFS", "git lfs pull"),
    b"version https://hawser.github.com": _NOT_FETCHED.format("Git LFS", "git lfs pull"),
    b"annex/objects/": _NOT_FETCHED.format("git-annex", "git annex get"),
    b"git/annex/objects/": _NOT_FETCHED.format("git-annex", "git annex get"),
}
"""How the small files begin that stand for others, and what a row says of them."""
_HEADERS = {
    ".brik": (".HEAD", ".head"), ".brik.gz": (".HEAD", ".head"), ".rec": (".PAR", ".par"),
    ".raw": (".mhd", ".nhdr"), ".zraw": (".mhd",), ".raw.gz": (".nhdr",),
}  # fmt: skip
"""The endings of files that hold voxels, and of the headers that speak of them."""
_MAY_HOLD = (
    *ARCHIVE_SUFFIXES, ".parquet", ".arrow", ".feather", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma",
    ".bin", ".img", ".raw", ".rec", ".brik",
)  # fmt: skip
"""The endings of files that may hold images once they are fetched."""
_VOXEL_SUFFIXES = (*_HEADERS, ".img", ".img.gz")


def why_no_image(name: str, head: bytes, place: str) -> ImageError:
    """What the row of a file says that no format reads.

    Args:
        name: The file's name in its source.
        head: Its first bytes.
        place: Where its bytes are; see :mod:`leakscan.sources.contents`.

    Example:
        >>> why_no_image("notes.txt", b"two films", "notes.txt").status
        'ignored'
        >>> why_no_image("film.png", b"", "film.png").message
        'The file is empty.'
    """
    if (header := _header_beside(place, name)) is not None:
        return ImageError("ignored", "It holds the voxels of {path}.", header)
    promised = has_image_suffix(name)
    if not head:
        if promised:
            return ImageError("unreadable", "The file is empty.", left_out=EMPTY)
        return ImageError("ignored", "It is no image.")
    if pointer := _pointer(head):
        may_be = promised or "." not in name.rpartition("/")[2] or name.lower().endswith(_MAY_HOLD)
        return ImageError("unreadable" if may_be else "ignored", pointer, left_out=NOT_FETCHED)
    if name.lower().endswith(".dvc") and (missing := _missing_of_dvc(head, place)):
        error = f"It is a DVC pointer, and {missing} was not fetched (dvc pull)."
        return ImageError("unreadable", error, left_out=NOT_FETCHED)
    if kind := unread_kind(name, head):
        return ImageError("unsupported", kind.sentence, left_out=kind.name)
    if compressed := _unread_compression(name):
        return ImageError("unsupported", compressed, left_out="file compressed in a way that is not read")
    if (unread := unread_content(name, head, place)) is not None:
        return unread
    if name.lower().endswith(_VOXEL_SUFFIXES):
        error = "It may hold voxels, but no header that is read lies beside it."
        return ImageError("unreadable", error, left_out="voxel file without its header")
    if promised:
        error = "Its name promises an image, but its content is none."
        return ImageError("unreadable", error)
    if name.lower().endswith(ARCHIVE_SUFFIXES):
        error = "Its name promises an archive, but its content is none."
        return ImageError("unreadable", error, left_out=ARCHIVE)
    return ImageError("ignored", "It is no image.")


def _missing_of_dvc(head: bytes, place: str) -> str:
    """The file or folder that a pointer of DVC speaks of, where it does not lie beside it, else empty."""
    found = re.search(rb"^[\s-]*path:\s*(.+?)\s*$", head, re.MULTILINE)
    if found is None or b"md5" not in head or is_inside(place):
        return ""
    name = found[1].decode("utf-8", "replace").strip("'\"")
    return "" if Path(place).parent.joinpath(name).exists() else name


def _unread_compression(name: str) -> str:
    """What to say of a file that is compressed in a way that is not read, empty for all others."""
    stem, _, ending = name.rpartition(".")
    if ending.lower() not in ("z", "br", "zz", "lzo", "sz", "lz", "rz", "lrz"):
        return ""
    if not (has_image_suffix(stem) or stem.lower().endswith(ARCHIVE_SUFFIXES)):
        return ""
    return f"Its compression (.{ending}) is not read here; unpack it, or pack it with gzip or zstd."


def _header_beside(place: str, name: str) -> str | None:
    """The name of the header that describes a file of voxels, or ``None``."""
    folder, _, own = name.rpartition("/")
    for ending, headers in _HEADERS.items():
        if own.lower().endswith(ending):
            for header in headers:
                companion = own[: -len(ending)] + header
                if beside(Path(place), companion) is not None:
                    return f"{folder}/{companion}" if folder else companion
    if own.lower().endswith(_VOXEL_SUFFIXES) and (named := holder_of(Path(place))) is not None:
        return posixpath.normpath(f"{folder}/{named}") if folder else named
    return None


def _pointer(head: bytes) -> str:
    """What to say of a small file that stands for one that was not fetched, empty for all others."""
    opening = head[:300].removeprefix(b"\xef\xbb\xbf").replace(b"\\", b"/").lstrip(b"./")
    return next((words for mark, words in _POINTERS.items() if opening.startswith(mark)), "")

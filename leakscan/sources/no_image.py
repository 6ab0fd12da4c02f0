"""Why a file has no image in it: it is none, it is known and not read, or it should be one."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import zipfile
import zlib
from pathlib import Path

from leakscan.errors import ImageError
from leakscan.sources.archives import inside, packing_of
from leakscan.sources.contents import beside, head_of, is_inside, open_place
from leakscan.sources.formats import has_image_suffix, recognised
from leakscan.sources.formats.signatures import HEAD_BYTES
from leakscan.sources.formats.unread import is_transform, unread_kind
from leakscan.sources.formats.volumes.partners import holder_of
from leakscan.sources.held_pictures import BARE, unread_content
from leakscan.sources.left_out import ARCHIVE, EMPTY, NOT_FETCHED, SPLIT
from leakscan.sources.pixel_statistics import bytes_look_like_pixels
from leakscan.sources.split_archives import first_of, is_named_part, parts_of

ARCHIVE_SUFFIXES = (
    ".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.lz4", ".tar.lzma", ".tbz2",
    ".tbz", ".txz", ".tzst", ".tlz",
)  # fmt: skip
"""The endings of names that promise an archive."""

_NOT_FETCHED = "It is a {} pointer; the image was not fetched ({})."
_POINTERS = {
    b"version https://git-lfs.github.com": _NOT_FETCHED.format("Git LFS", "git lfs pull"),
    b"version https://hawser.github.com": _NOT_FETCHED.format("Git LFS", "git lfs pull"),
    b"# xet version ": _NOT_FETCHED.format("Xet", "with git-xet"),
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
_ENCRYPTED = re.compile(r"(.+)\.(?:gpg|pgp|asc|age|aes|enc|crypt|p7m|axx|cpt)", re.IGNORECASE)
_COMPRESSED = "file compressed in a way that is not read"
_OF_ZLIB = 1 << 19
_MOST_EMPTY = 1 << 20  # bytes of a tar file without any file in it
_VOXEL_SUFFIXES = (*_HEADERS, ".img", ".img.gz")


def joins(first: str, head: bytes) -> bool:
    r"""Whether a file on disk and those that are counted after it are parts of one archive that is read.

    Args:
        first: The file by which the archive would be known.
        head: Its first bytes.

    Raises:
        OSError: A part cannot be read.

    Example:
        >>> for name, data in (("films.tar.gz.aa", b"\x1f\x8b\x08"), ("films.tar.gz.ab", b"more of it")):
        ...     _ = Path(name).write_bytes(data)
        >>> joins("films.tar.gz.aa", b"\x1f\x8b\x08")
        True
    """
    packing, parts = packing_of(head, ""), parts_of(first)
    if len(parts) < 2 or (first == parts[0] and packing not in ("zip", "tar", "compressed")):
        return False
    if first == parts[-1]:
        return True
    following = head_of(parts[1], HEAD_BYTES)
    if packing == packing_of(following, "") and (packing != "tar" or _ends_as_tar(first)):
        return False  # each is an archive of its own
    if is_named_part(first):
        return True
    sizes = [Path(part).stat().st_size for part in parts]
    in_one_size = len(set(sizes[:-1])) == 1 and sizes[-1] <= sizes[0]
    return in_one_size and not packing_of(following, "") and not any(recognised(following, parts[1]))


def _ends_as_tar(path: str) -> bool:
    """Whether a tar file ends with its mark, two blocks of zeros."""
    with Path(path).open("rb") as stream:
        stream.seek(-min(1024, os.path.getsize(path)), os.SEEK_END)  # noqa: PTH202
        return not any(stream.read())


def part_of_other(name: str, place: str) -> ImageError | None:
    r"""What to say of a part of a split archive that is read with the part by which the archive is known.

    Args:
        name: The file's name in its source.
        place: Where its bytes are.

    Raises:
        OSError: Another part cannot be read.

    Example:
        >>> for name, data in (("films.tar.gz.aa", b"\x1f\x8b\x08"), ("films.tar.gz.ab", b"more of it")):
        ...     _ = Path(name).write_bytes(data)
        >>> part_of_other("films.tar.gz.ab", "films.tar.gz.ab").sentence
        'It is a part of the split archive {path}, and is read with it.'
    """
    first = first_of(place)
    if not first or not joins(first, head_of(first, HEAD_BYTES)):
        return None
    folder, _, _ = name.rpartition("/")
    own = Path(first).name
    words = "It is a part of the split archive {path}, and is read with it."
    return ImageError("ignored", words, f"{folder}/{own}" if folder else own)


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
    if head and (part := part_of_other(name, place)) is not None:
        return part
    promised = has_image_suffix(name) and not is_transform(name, head)
    if not head:
        if promised or name.lower().endswith(ARCHIVE_SUFFIXES):
            return ImageError("unreadable", "The file is empty.", left_out=EMPTY)
        return ImageError("ignored", "It is no image.")
    if pointer := _pointer(head):
        may_be = promised or "." not in name.rpartition("/")[2] or name.lower().endswith(_MAY_HOLD)
        return ImageError("unreadable" if may_be else "ignored", pointer, left_out=NOT_FETCHED)
    if name.lower().endswith(".dvc") and (missing := _missing_of_dvc(head, place)):
        error = f"It is a DVC pointer, and {missing} was not fetched (dvc pull)."
        return ImageError("unreadable", error, left_out=NOT_FETCHED)
    lower = name.lower()
    if lower.endswith(ARCHIVE_SUFFIXES) and _is_empty_tar(place, head):
        return ImageError("ignored", "It is an archive without files.")
    if (known := _known_and_not_read(name, head, place)) is not None:
        return known if known.left_out != BARE else voxels_of_other(name, place) or known
    if lower.endswith(_VOXEL_SUFFIXES):
        error = "It may hold voxels, but no header that is read lies beside it."
        return ImageError("unreadable", error, left_out="voxel file without its header")
    if promised:
        error = "Its name promises an image, but its content is none."
        return ImageError("unreadable", error)
    if lower.endswith(ARCHIVE_SUFFIXES):
        error = "Its name promises an archive, but its content is none."
        return ImageError("unreadable", error, left_out=ARCHIVE)
    return ImageError("ignored", "It is no image.")


def _known_and_not_read(name: str, head: bytes, place: str) -> ImageError | None:
    """What to say of a file that is known to hold images in a way that is not read, ``None`` of others."""
    if kind := unread_kind(name, head):
        return ImageError("unsupported", kind.sentence, left_out=kind.name)
    if is_named_part(name):
        words = "It is a part of a split archive that is not read; join its parts with cat and unpack them."
        return ImageError("unsupported", words, left_out=SPLIT)
    if (encrypted := _ENCRYPTED.fullmatch(name)) and _promises(encrypted[1]):
        words = "It is an encrypted file, which is not read here; decrypt it."
        return ImageError("unsupported", words, left_out="encrypted file")
    if compressed := _unread_compression(name):
        return ImageError("unsupported", compressed, left_out=_COMPRESSED)
    if head.startswith(b"MZ") and _unpacks_images(place):
        words = (
            "It is a program that unpacks images from itself, which is not read here; run it, or unpack it."
        )
        return ImageError("unsupported", words, left_out="self-extracting archive")
    if _is_zlib(head, place):
        words = "It is compressed by zlib alone, which is not read here; pack it with gzip or zstd."
        return ImageError("unsupported", words, left_out=_COMPRESSED)
    return unread_content(name, head, place)


def _is_empty_tar(place: str, head: bytes) -> bool:
    """Whether a file is what tar writes for no files at all, packed or not: a few blocks of zeros."""
    packed = packing_of(head, "") == "compressed"
    with contextlib.suppress(ImageError), open_place(inside(place) if packed else place) as stream:
        content = stream.read(_MOST_EMPTY + 1)
        return 0 < len(content) <= _MOST_EMPTY and len(content) % 512 == 0 and not any(content)
    return False


def _missing_of_dvc(head: bytes, place: str) -> str:
    """The file or folder that a pointer of DVC speaks of, where it does not lie beside it, else empty."""
    found = re.search(rb"^[\s-]*path:\s*(.+?)\s*$", head, re.MULTILINE)
    if found is None or b"md5" not in head or is_inside(place):
        return ""
    name = found[1].decode("utf-8", "replace").strip("'\"")
    return "" if Path(place).parent.joinpath(name).exists() else name


def _promises(name: str) -> bool:
    """Whether a name promises an image or an archive."""
    return has_image_suffix(name) or name.lower().endswith(ARCHIVE_SUFFIXES)


def _unread_compression(name: str) -> str:
    """What to say of a file that is compressed in a way that is not read, empty for all others."""
    stem, _, ending = name.rpartition(".")
    if ending.lower() not in (
        "z",
        "br",
        "zz",
        "lzo",
        "sz",
        "lz",
        "rz",
        "lrz",
        "snappy",
        "zpaq",
        "lzf",
        "bsc",
    ):
        return ""
    if not _promises(stem):
        return ""
    return f"Its compression (.{ending}) is not read here; unpack it, or pack it with gzip or zstd."


def _unpacks_images(place: str) -> bool:
    """Whether a zip file with images in it stands behind a program."""
    faults = (zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError)
    with contextlib.suppress(*faults), open_place(place) as stream, zipfile.ZipFile(stream) as archive:
        return any(map(has_image_suffix, archive.namelist()))
    return False


def _is_zlib(head: bytes, place: str) -> bool:
    """Whether a file is a stream of zlib with an image, an archive or pixels in it."""
    if head[:1] != b"\x78" or int.from_bytes(head[:2]) % 31:
        return False
    with contextlib.suppress(zlib.error), open_place(place) as stream:
        content = zlib.decompressobj().decompress(stream.read(_OF_ZLIB), _OF_ZLIB)
        known = any(recognised(content[:HEAD_BYTES], "")) or packing_of(content, "")
        return bool(known or unread_kind("", content[:HEAD_BYTES])) or bytes_look_like_pixels(content)
    return False


def _header_beside(place: str, name: str) -> str | None:
    """The name of the header that describes a file of voxels, or ``None``."""
    folder, _, own = name.rpartition("/")
    for ending, headers in _HEADERS.items():
        if own.lower().endswith(ending):
            for header in headers:
                companion = own[: -len(ending)] + header
                if beside(Path(place), companion) is not None:
                    return f"{folder}/{companion}" if folder else companion
    if own.lower().endswith(_VOXEL_SUFFIXES):
        return _named_by(name, place)
    return None


def voxels_of_other(name: str, place: str) -> ImageError | None:
    r"""What to say of bare pixels that a header speaks of, whatever their name is; ``None`` of others.

    Args:
        name: The file's name in its source.
        place: Where its bytes are.

    Example:
        >>> _ = Path("head.mhd").write_text("NDims = 3\nElementDataFile = voxels.of_mine\n")
        >>> _ = Path("voxels.of_mine").write_bytes(b"voxels")
        >>> voxels_of_other("voxels.of_mine", "voxels.of_mine").path
        'head.mhd'
    """
    header = _named_by(name, place)
    return None if header is None else ImageError("ignored", "It holds the voxels of {path}.", header)


def _named_by(name: str, place: str) -> str | None:
    """The name of the header that names a file of voxels, or ``None``."""
    folder, _, _ = name.rpartition("/")
    if (named := holder_of(Path(place))) is None:
        return None
    return posixpath.normpath(f"{folder}/{named}") if folder else named


def _pointer(head: bytes) -> str:
    """What to say of a small file that stands for one that was not fetched, empty for all others."""
    opening = head[:300].removeprefix(b"\xef\xbb\xbf").replace(b"\\", b"/").lstrip(b"./")
    if not opening.startswith(tuple(_POINTERS)):
        return ""
    return next((words for mark, words in _POINTERS.items() if opening.startswith(mark)), "")

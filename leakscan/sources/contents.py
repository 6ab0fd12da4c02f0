r"""The bytes of a file, wherever they lie: in a file of their own, in an archive, or inside other files.

A *place* names them. It is a path, and for what lies inside a file one more step for every layer:
``"/data/films.zip\0ward/a.dcm\0z3"`` is the entry 3 of a zip file, called ``ward/a.dcm``. No path holds
the character that parts the steps, so a place is never mistaken. A place is a ``str`` or, for readers
that take one, a ``Path``; only this module and :mod:`leakscan.sources.unpacking` look inside.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from leakscan.errors import ImageError

STEP = "\0"
"""What parts the steps of a place."""

REMOTE = "/(remote)"
"""What stands in place of a file on disk where the first step of a place is a URL."""

_SAMPLE = 4096
_WHEN_AND_WHERE = re.compile(r"^(\d+)--?\d+-\d+-(?=[0-9a-f]{16})")
"""The size, the modification time and the inode with which the mark of a file on disk begins."""


def is_inside(place: str | os.PathLike[str]) -> bool:
    r"""Whether a place lies inside another file.

    Example:
        >>> is_inside("films.zip"), is_inside("films.zip\0a.png\0z0")
        (False, True)
    """
    return STEP in os.fspath(place)


def outer_file(place: str | os.PathLike[str]) -> Path:
    r"""The file on disk that holds a place.

    Example:
        >>> str(outer_file("films.zip\0a.png\0z0"))
        'films.zip'
    """
    return Path(os.fspath(place).partition(STEP)[0])


def outer_place(place: str) -> str:
    r"""The file on disk, in parts, or behind a URL that holds a place, as a place.

    Example:
        >>> outer_place("films.zip\0a.png\0z0"), outer_place("f.zip.001\0\0j\0a.png\0z0").split(STEP)
        ('films.zip', ['f.zip.001', '', 'j'])
    """
    path, *steps = place.split(STEP)
    return STEP.join([path, *steps[:2]]) if steps[1:2] and steps[1][:1] in ("u", "j") else path


def compressed_file(place: str) -> str:
    r"""A place without the steps into a file that is compressed as a whole.

    Example:
        >>> compressed_file("film.dcm.gz\0\0g"), compressed_file("film.dcm")
        ('film.dcm.gz', 'film.dcm')
    """
    while place.endswith(f"{STEP}{STEP}g"):
        place = place[: -len(f"{STEP}{STEP}g")]
    return place


def shown(place: str | os.PathLike[str]) -> str:
    r"""A place as people read it: the path of the archive, and below it the names inside.

    Example:
        >>> shown("films.zip\0ward/a.dcm.gz\0z3\0\0g")
        'films.zip/ward/a.dcm.gz'
    """
    path, *steps = os.fspath(place).split(STEP)
    return "/".join([path, *(name for name in steps[::2] if name)])


def open_place(place: str | os.PathLike[str]) -> BinaryIO:
    """Opens a file for reading, or what lies inside one. The stream can seek.

    Raises:
        OSError: The file cannot be opened.
        ImageError: The archive is damaged, or holds more than is unpacked into memory.

    Example:
        >>> _ = Path("film.png").write_bytes(b"pixels")
        >>> with open_place("film.png") as stream:
        ...     stream.read()
        b'pixels'
    """
    if is_inside(place):
        from leakscan.sources.unpacking import unpacked

        return unpacked(os.fspath(place))
    return Path(place).open("rb")


def head_of(place: str | os.PathLike[str], size: int) -> bytes:
    """The first bytes of a file, or of what lies inside one, however long it is.

    Raises:
        OSError: The file cannot be opened or read.
        ImageError: The archive is damaged.

    Example:
        >>> _ = Path("film.png").write_bytes(b"pixels")
        >>> head_of("film.png", 3)
        b'pix'
    """
    if is_inside(place):
        from leakscan.sources.unpacking import unpacked_head

        return unpacked_head(os.fspath(place), size)
    with Path(place).open("rb", buffering=0) as stream:
        return stream.read(size)


def beside(place: Path, name: str) -> Path | None:
    """A file that lies beside another, in its folder or in its archive, or ``None``.

    Args:
        place: The file that has a companion.
        name: The companion's name, or its path from the folder of the other.

    Example:
        >>> _ = Path("head.img").write_bytes(b"voxels")
        >>> str(beside(Path("head.hdr"), "head.img")), beside(Path("head.hdr"), "tail.img")
        ('head.img', None)
    """
    if is_inside(place):
        from leakscan.sources.archives import sibling

        found = sibling(os.fspath(place), name)
        return None if found is None else Path(found)
    path = place.parent / name
    return path if path.is_file() else None


@dataclass(frozen=True)
class Sample:
    """What a scan takes of a file on disk.

    Attributes:
        info: What the system says of it.
        head: Its first 4,096 bytes, or fewer.
        mark: Its mark, see :func:`mark_of`; empty where it is no regular file.
    """

    info: os.stat_result
    head: bytes
    mark: str


def sampled(path: str) -> Sample:
    """The first bytes of a file on disk and its mark, read in one go.

    Raises:
        OSError: The file cannot be read.

    Example:
        >>> _ = Path("film.png").write_bytes(b"pixels")
        >>> sample = sampled("film.png")
        >>> sample.head, sample.mark == mark_of("film.png")
        (b'pixels', True)
    """
    # Straight to the system, because a scan does this for every file; a pipe does not keep it waiting.
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        info = os.fstat(file)
        if not stat.S_ISREG(info.st_mode):
            return Sample(info, b"", "")
        head = ends = os.read(file, _SAMPLE)
        if info.st_size > _SAMPLE:
            ends += os.pread(file, _SAMPLE, max(_SAMPLE, info.st_size - _SAMPLE))
    finally:
        os.close(file)
    digest = blake3(ends).hexdigest(length=8)
    return Sample(info, head, f"{info.st_size}-{info.st_mtime_ns}-{info.st_ino}-{digest}")


def bytes_behind(place: str | os.PathLike[str]) -> int:
    """How many bytes on disk stand behind a place: of what is packed, those that it takes packed.

    Where only the archive around it tells, it is no more than the bytes of that. What lies behind a URL, or
    is gone, has none.

    Example:
        >>> _ = Path("film.png").write_bytes(b"pixels")
        >>> bytes_behind("film.png"), bytes_behind("absent.png")
        (6, 0)
    """
    try:
        size = outer_file(place).stat().st_size
        if is_inside(place):
            from leakscan.sources.unpacking import packed_bytes

            return packed_bytes(os.fspath(place), size)
    except (OSError, ImageError):
        return 0
    return size


def mark_of(place: str | os.PathLike[str]) -> str:
    """A text that changes with a file, as far as a cheap check can see.

    It holds the size, the modification time, the inode, and a hash of the first and last 4 kB, so that a
    file that was replaced by one of equal size and time is read again. Of what lies inside an archive, it
    is that of the archive and the place inside.

    Raises:
        OSError: The file cannot be read.

    Example:
        >>> _ = Path("film.png").write_bytes(b"pixels")
        >>> before, now = mark_of("film.png"), os.stat("film.png")
        >>> _ = Path("film.png").write_bytes(b"PIXELS")
        >>> os.utime("film.png", ns=(now.st_atime_ns, now.st_mtime_ns))
        >>> mark_of("film.png") == before
        False
    """
    mark = outer_mark(place)
    inside = os.fspath(place).partition(STEP)[2]
    return f"{mark}-{inside}" if inside else mark


def outer_mark(place: str | os.PathLike[str]) -> str:
    """The mark of the file, on disk or behind a URL, that holds a place.

    Raises:
        OSError: The file cannot be read.

    Example:
        >>> _ = Path("film.png").write_bytes(b"pixels")
        >>> outer_mark("film.png") == mark_of("film.png")
        True
    """
    text = os.fspath(place)
    if text.startswith(REMOTE + STEP):
        from leakscan.sources.remote import remote_mark

        return remote_mark(text.split(STEP)[2])
    if text.split(STEP, 3)[2:3] == ["j"]:
        from leakscan.sources.split_archives import parts_mark

        return parts_mark(str(outer_file(text)))
    return sampled(str(outer_file(text))).mark


def outer_bytes(place: str | os.PathLike[str]) -> int | None:
    """The bytes of the file, on disk, in parts or behind a URL, that holds a place; ``None`` if nobody tells.

    Example:
        >>> _ = Path("films.zip").write_bytes(b"packed")
        >>> outer_bytes("films.zip"), outer_bytes("absent.zip")
        (6, None)
    """
    try:
        size = outer_mark(place).partition("-")[0]
    except (OSError, ImageError):
        return None
    return int(size) if size.isdecimal() else None


def content_mark(marks: Iterable[str]) -> str:
    """What the marks of one image's files say of content alone, in 16 hex digits.

    It is the same for copies, wherever they lie and whenever they were written. Files that agree in it agree
    in size and in their first and last 4 kB, and may differ in between.

    Args:
        marks: The mark of each file of the image, see :func:`mark_of`.

    Example:
        >>> _ = Path("film.png").write_bytes(b"pixels"), Path("copy.png").write_bytes(b"pixels")
        >>> content_mark([mark_of("film.png")]) == content_mark([mark_of("copy.png")])
        True
    """
    plain = sorted(_WHEN_AND_WHERE.sub(r"\1-", mark) for mark in marks)
    return blake3("\n".join(plain).encode("utf-8", "surrogateescape")).hexdigest(length=8)

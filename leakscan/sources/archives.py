"""Archives and compressed files: what lies inside them, without unpacking anything to disk.

Zip files, tar files, and files compressed as a whole (gzip, bzip2, xz, Zstandard), in one another. A
member is taken into memory when it is read. What a hostile archive may cost is bounded: by the size of a
member, by how far compression goes, by how deep archives lie in one another, and by their number.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from leakscan.errors import ImageError
from leakscan.sources.contents import REMOTE, STEP, outer_file, outer_mark
from leakscan.sources.inflating import Inflating

Packing = Literal["", "zip", "tar", "compressed", "parquet"]

MOST_BYTES = 1 << 30
"""The most that one member may hold to be read."""

_DEPTH = 4
_SUSPECT_BYTES = 1 << 28
_SUSPECT_RATIO = 200
_OPEN_AT_ONCE = 4
_KEPT_BYTES = 1 << 27
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_NO_ARCHIVES = (
    ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".whl", ".egg", ".apk", ".epub", ".pt", ".pth",
    ".ckpt", ".npz", ".keras", ".mlmodel", ".xpi", ".kmz", ".vsdx", ".sketch", ".ipa", ".nupkg", ".rds",
)  # fmt: skip
"""Endings of zip files that are documents, programs or models: surely no images of a dataset."""

_FAULTS = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError, OSError,
    ValueError, NotImplementedError, RuntimeError, KeyError,
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: Its name in the archive, with slashes.
        place: Where its bytes lie; see :mod:`leakscan.sources.contents`.
        size: Its size in bytes as the archive states it, -1 where it states none.
        problem: Why it cannot be read, or empty.
        link_to: The member that it is a link to, or empty.
    """

    name: str
    place: str
    size: int = -1
    problem: str = ""
    link_to: str = ""


def packing_of(head: bytes, name: str) -> Packing:
    r"""How a file packs others, empty where it does not.

    Args:
        head: Its first bytes, 512 at least where it has as many.
        name: Its name; it only tells documents from archives, which both are zip files.

    Example:
        >>> packing_of(b"PK\3\4", "films.zip"), packing_of(b"PK\3\4", "letter.docx")
        ('zip', '')
    """
    lower = name.lower()
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        return "" if lower.endswith(_NO_ARCHIVES) else "zip"
    if head[257:262] == b"ustar" or (lower.endswith(".tar") and _is_old_tar(head)):
        return "tar"
    if head[:4] == b"PAR1":
        return "parquet"
    return "compressed" if compression_of(head) else ""


def _is_old_tar(head: bytes) -> bool:
    """A header of before POSIX has no magic, but a checksum."""
    with contextlib.suppress(tarfile.HeaderError, ValueError):
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
        return True
    return False


def compression_of(head: bytes) -> str:
    """How a file is compressed as a whole: ``gzip``, ``bzip2``, ``xz``, ``zstd``, or empty.

    Example:
        >>> compression_of(gzip.compress(b"voxels"))
        'gzip'
    """
    return next((kind for magic, kind in _COMPRESSED.items() if head.startswith(magic)), "")


def inside(place: str) -> str:
    r"""The place of what a compressed file holds.

    Example:
        >>> inside("film.dcm.gz")
        'film.dcm.gz\x00\x00g'
    """
    return f"{place}{STEP}{STEP}g"


def depth_of(place: str) -> int:
    """In how many archives a place lies.

    Example:
        >>> depth_of("films.zip"), depth_of(inside("film.dcm.gz"))
        (0, 1)
    """
    return place.count(STEP) // 2


def members(place: str, packing: Packing) -> Iterator[Member]:
    """The files in an archive, in its order.

    Args:
        place: The archive.
        packing: What :func:`packing_of` said of it: ``zip`` or ``tar``.

    Raises:
        ImageError: The archive is damaged, from where on nothing can be told of it, or lies too deep.

    Example:
        >>> with zipfile.ZipFile("films.zip", "w") as archive:
        ...     archive.writestr("ward/a.png", b"pixels")
        >>> [(member.name, member.size) for member in members("films.zip", "zip")]
        [('ward/a.png', 6)]
    """
    if sum(step != "g" for step in place.split(STEP)[2::2]) >= _DEPTH:
        raise ImageError("unsupported", "It is an archive deep in other archives; unpack the outer one.")
    try:
        with _LOCK:
            opened = _container(place, packing)
        yield from _zip_members(place, opened) if packing == "zip" else _tar_members(place, opened)
    except ImageError:
        raise
    except _FAULTS as error:
        raise ImageError(
            "unreadable", "It is an archive that is cut short or damaged; what comes first in it is read."
        ) from error


def _zip_members(place: str, archive: zipfile.ZipFile) -> Iterator[Member]:
    for number, info in enumerate(archive.infolist()):
        if info.is_dir():
            continue
        problem = ""
        if info.flag_bits & 1:
            problem = "It is encrypted in its archive; unpack the archive with its password."
        elif info.compress_type not in (0, 8, 12, 14):
            problem = f"Its compression in the zip file (method {info.compress_type}) is not read; unpack it."
        name = info.filename.replace("\\", "/")
        yield Member(name, f"{place}{STEP}{name}{STEP}z{number}", info.file_size, problem)


def _tar_members(place: str, archive: tarfile.TarFile) -> Iterator[Member]:
    with _LOCK:
        each = iter(archive)
    while True:
        with _LOCK:
            info = next(each, None)
        if info is None:
            return
        if info.isdir():
            continue
        problem = ""
        if info.issparse():
            problem = "It is a sparse file in a tar archive, which is not read; unpack it."
        elif not (info.isfile() or info.issym() or info.islnk()):
            continue  # devices and pipes
        link = info.linkname if info.issym() or info.islnk() else ""
        where = f"t{info.offset_data}+{info.size}"
        yield Member(info.name, f"{place}{STEP}{info.name}{STEP}{where}", info.size, problem, link)


_LOCK = threading.RLock()
_open: OrderedDict[str, Any] = OrderedDict()
_kept: dict[str, bytes] = {}


def unpacked(place: str) -> BinaryIO:
    """What lies at a place inside another file, in memory. See :func:`leakscan.sources.contents.open_place`.

    Example:
        >>> _ = Path("film.dcm.gz").write_bytes(gzip.compress(b"pixels"))
        >>> unpacked(inside("film.dcm.gz")).read()
        b'pixels'
    """
    with _LOCK:
        return io.BytesIO(_bytes_of(place, MOST_BYTES))


def unpacked_head(place: str, size: int) -> bytes:
    """The first bytes of what lies at a place inside another file.

    Example:
        >>> _ = Path("film.dcm.gz").write_bytes(gzip.compress(b"pixels"))
        >>> unpacked_head(inside("film.dcm.gz"), 3)
        b'pix'
    """
    with _LOCK:
        return _read(place, size, whole=False)


def sibling(place: str, name: str) -> str | None:
    """The place of a file of another name in the same folder of the same archive, or ``None``.

    Example:
        >>> with zipfile.ZipFile("pair.zip", "w") as archive:
        ...     archive.writestr("a.hdr", b"header")
        ...     archive.writestr("a.img", b"voxels")
        >>> sibling("pair.zip" + STEP + "a.hdr" + STEP + "z0", "a.img").split(STEP)
        ['pair.zip', 'a.img', 'z1']
    """
    outer, own, step = place.rsplit(STEP, 2)
    if step[:1] not in ("z", "t"):
        return None
    wanted = own.rpartition("/")[0] + "/" * ("/" in own) + name
    found = members(outer, "zip" if step[0] == "z" else "tar")
    return next((member.place for member in found if member.name == wanted), None)


def _bytes_of(place: str, most: int) -> bytes:
    mark = f"{place}{STEP}{stamp(place)}"
    if mark not in _kept:
        data = _read(place, most + 1, whole=True)
        if len(data) > most:
            raise ImageError("unsupported", f"Unpacked it is more than {most >> 20:,} MB; unpack it first.")
        if len(data) > _KEPT_BYTES:
            return data
        _kept.clear()  # the same member is inspected, hashed and decoded in a row
        _kept[mark] = data
    return _kept[mark]


def stamp(place: str) -> str:
    """What tells whether the file that holds a place is still the same, at little cost.

    Example:
        >>> _ = Path("films.zip").write_bytes(b"")
        >>> stamp("films.zip").startswith("0-")
        True
    """
    if place.startswith(REMOTE + STEP):
        return outer_mark(place)
    info = outer_file(place).stat()
    return f"{info.st_size}-{info.st_mtime_ns}-{info.st_ino}"


def _read(place: str, size: int, whole: bool) -> bytes:
    """At most ``size`` bytes from the beginning of what lies at a place."""
    outer, _, step = place.rsplit(STEP, 2)
    try:
        if step == "g":
            return cast(bytes, _container(outer, "compressed").read_from(0, size))
        if step[0] == "t":
            offset, length = map(int, step[1:].split("+"))
            archive = _container(outer, "tar")
            archive.fileobj.seek(offset)
            data: bytes = archive.fileobj.read(min(size, length))
            if len(data) < min(size, length):
                raise ImageError("unreadable", "Its archive is cut short.")
            return data
        if step[0] == "u":
            from leakscan.sources.remote import remote_bytes

            return remote_bytes(step, size)
        if step[0] == "p":
            from leakscan.sources.parquet_images import image_bytes

            return image_bytes(outer, step, size)
        archive = _container(outer, "zip")
        info = archive.infolist()[int(step[1:])]
        if whole and info.file_size > _SUSPECT_BYTES and info.file_size > _SUSPECT_RATIO * info.compress_size:
            raise ImageError("unsupported", "It unpacks to far more than images do, as a zip bomb would.")
        with archive.open(info) as stream:
            return cast(bytes, stream.read(size))
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("unreadable", "There is not enough memory to unpack it.") from error
    except _FAULTS as error:
        raise ImageError("unreadable", "It is damaged in its archive, or that is cut short.") from error


def _container(place: str, packing: Packing) -> Any:
    """An archive that is open already, or is opened now; few are kept open."""
    key = f"{packing}{STEP}{place}{STEP}{stamp(place)}"
    if key in _open:
        _open.move_to_end(key)
        return _open[key]
    found = _opened(place, packing)
    _open[key] = found
    while len(_open) > _OPEN_AT_ONCE:
        _, old = _open.popitem(last=False)
        with contextlib.suppress(Exception):
            old.close()
    return found


def _opened(place: str, packing: Packing) -> Any:
    if packing == "compressed":
        return Inflating(lambda: _stream(place), compression_of(_head(place)))
    if packing == "zip":
        # The list of its files stands at the end of a zip file, so it must be at hand as a whole.
        packed = STEP in place
        return zipfile.ZipFile(io.BytesIO(_bytes_of(place, MOST_BYTES)) if packed else _stream(place))
    stream: Any = _stream(place)
    # As a member of a compressed file it is read on from where the last reader stopped.
    return tarfile.open(fileobj=_Careful(stream), mode="r:", errorlevel=2)


def _head(place: str) -> bytes:
    return _read(place, 16, whole=False) if STEP in place else outer_file(place).open("rb").read(16)


def _stream(place: str) -> BinaryIO:
    """A stream that can seek: the file, what is inflated as it is read, or a member in memory."""
    if STEP not in place:
        return Path(place).open("rb")
    outer, _, step = place.rsplit(STEP, 2)
    if step == "g":
        return cast(BinaryIO, Inflating(lambda: _stream(outer), compression_of(_head(outer))))
    return io.BytesIO(_bytes_of(place, MOST_BYTES))


class _Careful(io.RawIOBase):
    """A stream for ``tarfile`` that refuses to read a header of many megabytes."""

    def __init__(self, inner: BinaryIO) -> None:
        self._inner = inner

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > MOST_BYTES + 1:
            raise ValueError("too much at once")
        return self._inner.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()

    def close(self) -> None:
        self._inner.close()
        super().close()

"""What lies inside a file: taken into memory when it is read, from archives that stay open for a while."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import lzma
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from leakscan.errors import ImageError
from leakscan.sources.contents import REMOTE, STEP, outer_file, outer_mark
from leakscan.sources.inflating import Inflating
from leakscan.sources.split_archives import Joined, opened_zip

Packing = Literal["", "zip", "tar", "compressed", "table"]

MOST_BYTES = 1 << 30
"""The most that one member may hold to be read."""

_SUSPECT_BYTES = 1 << 28
_SUSPECT_RATIO = 200
_BOMB = "It unpacks to far more than images do, as a zip bomb would."
_OPEN_AT_ONCE = 4
_KEPT_BYTES = 1 << 27
_COMPRESSED = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4", b"\x5d\0\0": "xz",
}  # fmt: skip
_SKIPPED, _SKIPPED_KINDS = b"\x2a\x4d\x18", [bytes([n]) for n in range(0x50, 0x60)]
"""How frames begin that are to be skipped, as parallel compressors of Zstandard and LZ4 write them first."""
FAULTS = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError, OSError,
    ValueError, NotImplementedError, RuntimeError, KeyError,
)  # fmt: skip
"""What readers of archives raise at damaged ones."""

LOCK = threading.RLock()
"""Held while an archive is read: its readers move one stream."""
_open: OrderedDict[str, Any] = OrderedDict()
_kept: dict[str, bytes] = {}


def compression_of(head: bytes) -> str:
    """How a file is compressed as a whole: ``gzip``, ``bzip2``, ``xz``, ``zstd``, ``lz4``, or empty.

    The forerunner of xz, lzma, is read as xz.

    Example:
        >>> compression_of(gzip.compress(b"voxels"))
        'gzip'
    """
    if head[1:4] == _SKIPPED and head[:1] in _SKIPPED_KINDS:
        behind = 8 + int.from_bytes(head[4:8], "little")
        return compression_of(head[behind:]) if behind + 4 <= len(head) else "zstd"
    return next((kind for magic, kind in _COMPRESSED.items() if head.startswith(magic)), "")


def unpacked(place: str) -> BinaryIO:
    r"""What lies at a place inside another file, in memory. See :func:`leakscan.sources.contents.open_place`.

    Example:
        >>> _ = Path("film.dcm.gz").write_bytes(gzip.compress(b"pixels"))
        >>> unpacked("film.dcm.gz\0\0g").read()
        b'pixels'
    """
    with LOCK:
        return io.BytesIO(_bytes_of(place, MOST_BYTES))


def unpacked_head(place: str, size: int) -> bytes:
    r"""The first bytes of what lies at a place inside another file.

    Example:
        >>> _ = Path("film.dcm.gz").write_bytes(gzip.compress(b"pixels"))
        >>> unpacked_head("film.dcm.gz\0\0g", 3)
        b'pix'
    """
    with LOCK:
        return _read(place, size, whole=False)


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


def is_kept_whole(place: str) -> bool:
    r"""Whether the bytes of a file in an archive are at hand, as those of the last one are if they are few.

    Example:
        >>> is_kept_whole("films.zip\0a.png\0z0")
        False
    """
    try:
        return f"{place}{STEP}{stamp(place)}" in _kept
    except OSError:
        return False


def stamp(place: str) -> str:
    """What tells whether the file that holds a place is still the same, at little cost.

    Example:
        >>> _ = Path("films.zip").write_bytes(b"")
        >>> stamp("films.zip").startswith("0-")
        True
    """
    if place.startswith(REMOTE + STEP) or place.split(STEP, 3)[2:3] == ["j"]:
        return outer_mark(place)
    info = outer_file(place).stat()
    # What is written over keeps its time only where somebody sets it back, and not this one.
    return f"{info.st_size}-{info.st_mtime_ns}-{info.st_ctime_ns}-{info.st_ino}"


def _read(place: str, size: int, whole: bool) -> bytes:
    """At most ``size`` bytes from the beginning of what lies at a place."""
    outer, _, step = place.rsplit(STEP, 2)
    try:
        if step == "g":
            return cast(bytes, container(outer, "compressed").read_from(0, size))
        if step == "j":
            return Joined(outer).read(size)
        if step[0] == "t":
            offset, length = map(int, step[1:].split("+"))
            archive = container(outer, "tar")
            archive.fileobj.seek(offset)
            data: bytes = archive.fileobj.read(min(size, length))
            if len(data) < min(size, length):
                raise ImageError("unreadable", "Its archive is cut short.")
            return data
        if step[0] == "s":
            return _sparse_bytes(container(outer, "tar"), int(step[1:]), size, whole)
        if step[0] == "u":
            from leakscan.sources.remote import remote_bytes

            return remote_bytes(step, size)
        if step[0] == "p":
            from leakscan.sources.table_images import image_bytes

            return image_bytes(outer, step, size)
        archive = container(outer, "zip")
        info = archive.infolist()[int(step[1:])]
        if whole and info.file_size > _SUSPECT_BYTES and info.file_size > _SUSPECT_RATIO * info.compress_size:
            raise ImageError("unsupported", _BOMB)
        with archive.open(info) as stream:
            return cast(bytes, stream.read(size))
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("unreadable", "There is not enough memory to unpack it.") from error
    except FAULTS as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk or the share fails, which is no fault of the archive, and may pass
        raise ImageError("unreadable", "It is damaged in its archive, or that is cut short.") from error


def packed_bytes(place: str, most: int) -> int:
    r"""How many bytes the innermost archive around a place keeps of it, as far as it tells, packed.

    Args:
        place: A place inside another file.
        most: The bytes of the file on disk.

    Example:
        >>> with zipfile.ZipFile("films.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        ...     archive.writestr("a.png", bytes(100_000))
        >>> packed_bytes("films.zip\0a.png\0z0", 9_000) < 200
        True
    """
    outer, _, step = place.rsplit(STEP, 2)
    if step == "g":
        return packed_bytes(outer, most) if STEP in outer else most
    if step[:1] == "z":
        with LOCK:
            return min(most, int(container(outer, "zip").infolist()[int(step[1:])].compress_size))
    if step[:1] == "t":
        return min(most, int(step[1:].split("+")[1]))
    if step == "j":
        from leakscan.sources.split_archives import parts_of

        return sum(Path(part).stat().st_size for part in parts_of(outer))
    return most if step[:1] in ("u", "s") else min(most, len(_bytes_of(place, MOST_BYTES)))


def _sparse_bytes(archive: tarfile.TarFile, offset: int, size: int, whole: bool) -> bytes:
    """The beginning of a file that is stored in a tar file without its zeros; its header is read again."""
    stream, next_header = cast(BinaryIO, archive.fileobj), archive.offset
    stream.seek(offset)
    try:
        info = tarfile.TarInfo.fromtarfile(archive)
    finally:
        archive.offset = next_header  # somebody may be on the way through the archive
    stored = sum(length for _, length in cast(list[tuple[int, int]], getattr(info, "sparse", None) or []))
    if whole and info.size > _SUSPECT_BYTES and info.size > _SUSPECT_RATIO * stored:
        raise ImageError("unsupported", _BOMB)
    held = archive.extractfile(info)
    return held.read(size) if held is not None else b""


def container(place: str, packing: Packing) -> Any:
    """An archive that is open already, or is opened now; few are kept open, and little of them in memory.

    Args:
        place: Where it lies.
        packing: What it is.

    Example:
        >>> with zipfile.ZipFile("films.zip", "w") as archive:
        ...     archive.writestr("a.png", b"pixels")
        >>> [info.filename for info in container("films.zip", "zip").infolist()]
        ['a.png']
    """
    key = f"{packing}{STEP}{place}{STEP}{stamp(place)}"
    if key in _open:
        _open.move_to_end(key)
    else:
        _close_what_others_hold(place)
        _open[key] = _opened(place, packing)
        while len(_open) > _OPEN_AT_ONCE:
            _close(next(iter(_open)))
    return _open[key]


def _close_what_others_hold(place: str) -> None:
    """Closes archives that hold much in memory, but for those around a place: they are read on from there."""
    others = [key for key in _open if not f"{place}{STEP}".startswith(_place_of(key) + STEP)]
    held = {key: _held(_open[key]) for key in others}
    for key in others:
        if sum(held.values()) <= _KEPT_BYTES:
            return
        held.pop(key)
        _close(key)


def _place_of(key: str) -> str:
    return key.split(STEP, 1)[1].rpartition(STEP)[0]


def close_all() -> None:
    """Closes all archives that are open, and lets go what is kept of them in memory: after a scan, say.

    Example:
        >>> close_all()
    """
    with LOCK:
        _kept.clear()
        for key in list(_open):
            _close(key)


def _close(key: str) -> None:
    with contextlib.suppress(Exception):
        _open.pop(key).close()


def _held(archive: Any) -> int:
    """The bytes that an open archive has in memory."""
    stream = getattr(archive, "fp", None) or getattr(getattr(archive, "fileobj", None), "inner", archive)
    if isinstance(stream, Inflating):
        return stream.held
    return stream.getbuffer().nbytes if isinstance(stream, io.BytesIO) else 0


def _opened(place: str, packing: Packing) -> Any:
    if packing == "compressed":
        return Inflating(lambda: _stream(place), compression_of(_head(place)))
    if packing == "zip":
        # The list of its files stands at the end of a zip file, so it must be at hand as a whole.
        if place.endswith(f"{STEP}j"):
            return opened_zip(Joined(outer_file(place).as_posix()))
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
    if step == "j":
        return cast(BinaryIO, Joined(outer))
    return io.BytesIO(_bytes_of(place, MOST_BYTES))


class _Careful(io.RawIOBase):
    """A stream for ``tarfile`` that refuses to read a header of many megabytes."""

    def __init__(self, inner: BinaryIO) -> None:
        self.inner = inner

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > MOST_BYTES + 1:
            raise ValueError("too much at once")
        return self.inner.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.inner.seek(offset, whence)

    def tell(self) -> int:
        return self.inner.tell()

    def close(self) -> None:
        self.inner.close()
        super().close()

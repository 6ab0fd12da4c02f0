"""Archives and compressed files: what lies inside them, without unpacking anything to disk.

Zip files, tar files, and files compressed as a whole (gzip, bzip2, xz, Zstandard), in one another. A
member is taken into memory when it is read. What a hostile archive may cost is bounded: by the size of a
member, by how far compression goes, by how deep archives lie in one another, and by their number.
"""

from __future__ import annotations

import contextlib
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from leakscan.errors import ImageError
from leakscan.sources.contents import STEP
from leakscan.sources.formats import has_image_suffix
from leakscan.sources.unpacking import FAULTS, LOCK, Packing, compression_of, container
from leakscan.types import Status

_DEPTH = 4
_NO_LAYER = ("g", "j")
"""The steps that lead into no archive: into a compressed file, and over the parts of a split one."""
_REST_OF_FILE = b"M"
"""The type of a header with which a later volume of a tar file goes on."""
_MOST_PADDING = 1 << 13
"""The blocks of zeros behind the end of a tar file, beyond which no other is looked for: 4 MB."""
_MODELS = (".pt", ".pth", ".ckpt", ".npz", ".keras", ".mlmodel", ".onnx")
"""Endings of zip files that hold numbers, and no files of a dataset."""
_DOCUMENTS = (
    ".docx", ".docm", ".dotx", ".xlsx", ".xlsm", ".xltx", ".pptx", ".pptm", ".potx", ".ppsx", ".odt", ".ods",
    ".odp", ".odg", ".ott", ".pages", ".numbers", ".key", ".epub", ".vsdx", ".sketch", ".kmz", ".xps",
    ".oxps", ".jar", ".war", ".whl", ".egg", ".apk", ".xpi", ".ipa", ".nupkg",
)  # fmt: skip
"""Endings of zip files that are documents or programs: of what they hold only pictures are of interest."""
_THUMBNAILS = re.compile(
    r"(?:^|/)(?:docProps/thumbnail\.|Thumbnails/|QuickLook/|previews?/|preview\.|mimetype$)"
)
_DOCUMENT_STARTS = (
    b"[Content_Types].xml",
    b"mimetypeapplication/",
    b"META-INF/",
    b"_rels/.rels",
    b"docProps/",
)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A file in an archive.

    Attributes:
        name: Its name in the archive, with slashes.
        place: Where its bytes lie; see :mod:`leakscan.sources.contents`.
        size: Its size in bytes as the archive states it, -1 where it states none.
        problem: Why it cannot be read, or empty.
        link_to: The member that it is a link to, or empty.
        status: The status of its row where it has a problem; ``ok`` where its name decides.
    """

    name: str
    place: str
    size: int = -1
    problem: str = ""
    link_to: str = ""
    status: Status = "ok"


def packing_of(head: bytes, name: str) -> Packing:
    r"""How a file packs others, empty where it does not.

    Args:
        head: Its first bytes, 512 at least where it has as many.
        name: Its name; it only tells networks from archives, which both are zip files.

    Example:
        >>> packing_of(b"PK\3\4", "films.zip"), packing_of(b"PK\3\4", "network.pt")
        ('zip', '')
    """
    lower = name.lower()
    if not head:
        return ""
    # What unpacks itself, and what a mailer put words before, ends as a zip file; its name must say so.
    pointer = head.startswith(b"version https://") or b"annex/objects/" in head[:64]
    if head[:4] in (b"PK\3\4", b"PK\5\6", b"PK00") or (lower.endswith(".zip") and not pointer):
        is_network = lower.endswith(_MODELS) or b"/data.pkl" in head[30:286]
        return "" if is_network else "zip"
    if head[257:262] == b"ustar" or (head[:1] != b"\0" and _is_old_tar(head)):
        return "tar"
    if head[:4] == b"PAR1" or _is_arrow(head, lower):
        return "table"
    return "compressed" if compression_of(head) else ""


def is_document(head: bytes, name: str) -> bool:
    r"""Whether a zip file is a document or a program, of which only pictures are of interest.

    Args:
        head: Its first bytes.
        name: Its name.

    Example:
        >>> is_document(b"PK\3\4", "letter.docx"), is_document(b"PK\3\4", "films.zip")
        (True, False)
    """
    lower = name.lower()
    return lower.endswith(_DOCUMENTS) or (
        not lower.endswith((".zip", ".cbz")) and head[30:60].startswith(_DOCUMENT_STARTS)
    )


def is_picture_of_document(name: str) -> bool:
    """Whether a file in a document is a picture that stands in it, and no small copy of a page.

    Example:
        >>> is_picture_of_document("word/media/image1.png"), is_picture_of_document("docProps/thumbnail.jpeg")
        (True, False)
    """
    return has_image_suffix(name) and _THUMBNAILS.search(name) is None


def _is_arrow(head: bytes, lower: str) -> bool:
    """Arrow's files have a magic; its streams begin with a mark that other files may have too."""
    named = lower.endswith((".arrow", ".arrows", ".feather", ".ipc"))
    length = int.from_bytes(head[4:8], "little")
    schema_follows = head[8:12] == b"\x10\0\0\0" and 0 < length < 1 << 24 and length % 8 == 0
    return head[:6] == b"ARROW1" or (head[:4] == b"\xff\xff\xff\xff" and (named or schema_follows))


def _is_old_tar(head: bytes) -> bool:
    """A header of before POSIX has no magic, but a checksum: digits to the base of eight."""
    written = head[148:156].partition(b"\0")[0].strip()
    if len(head) < 512 or not (written.isdigit() or head[148] >= 0x80):
        return False  # most files, and faster
    with contextlib.suppress(tarfile.HeaderError, ValueError):
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
        return True
    return False


def inside(place: str) -> str:
    r"""The place of what a compressed file holds.

    Example:
        >>> inside("film.dcm.gz")
        'film.dcm.gz\x00\x00g'
    """
    return f"{place}{STEP}{STEP}g"


def is_too_deep(place: str) -> bool:
    """Whether a compressed file lies so deep in others of its kind that what it holds is not looked for.

    Archives around it do not count here: :func:`members` bounds how deep those lie in one another.

    Example:
        >>> film = inside("film.dcm.gz")
        >>> is_too_deep(film), is_too_deep(inside(inside(inside(film))))
        (False, True)
    """
    steps = place.split(STEP)[2::2]
    last_archive = max((i for i, step in enumerate(steps) if step not in _NO_LAYER), default=-1)
    return len(steps) - 1 - last_archive >= _DEPTH


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
    if sum(step not in _NO_LAYER for step in place.split(STEP)[2::2]) >= _DEPTH:
        raise ImageError("unsupported", "It is an archive deep in other archives; unpack the outer one.")
    try:
        with LOCK:
            opened = container(place, packing)
        yield from _zip_members(place, opened) if packing == "zip" else _tar_members(place, opened)
    except ImageError:
        raise
    except FAULTS as error:
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
        yield Member(
            name=name, place=f"{place}{STEP}{name}{STEP}z{number}", size=info.file_size, problem=problem
        )


def _tar_members(place: str, archive: tarfile.TarFile) -> Iterator[Member]:
    with LOCK:
        each = iter(archive)
    while True:
        with LOCK:
            info = next(each, None)
            if info is None and (following := _following_tar(archive)) is not None:
                archive, each = following, iter(following)
                continue
        if info is None:
            return
        if info.isdir():
            continue
        problem = ""
        if info.type == _REST_OF_FILE:
            problem = (
                "It is the rest of a file that begins in another volume of this archive; unpack all volumes "
                "together with tar."
            )
        elif not (info.isfile() or info.issym() or info.islnk()):
            continue  # devices and pipes
        link = info.linkname if info.issym() or info.islnk() else ""
        where = f"s{info.offset}" if info.issparse() else f"t{info.offset_data}+{info.size}"
        yield Member(
            name=info.name,
            place=f"{place}{STEP}{info.name}{STEP}{where}",
            size=info.size,
            problem=problem,
            link_to=link,
        )


def _following_tar(archive: tarfile.TarFile) -> tarfile.TarFile | None:
    """The archive that was appended behind the end of one, as ``cat`` does, or ``None``."""
    stream = cast(BinaryIO, archive.fileobj)
    at = archive.offset
    for _ in range(_MOST_PADDING):
        stream.seek(at)
        block = stream.read(512)
        if len(block) < 512:
            return None
        if any(block):
            stream.seek(at)
            return tarfile.open(fileobj=stream, mode="r:", errorlevel=2) if _is_old_tar(block) else None
        at += 512
    return None


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
    if step[:1] not in ("z", "t", "s"):
        return None
    wanted = own.rpartition("/")[0] + "/" * ("/" in own) + name
    found = members(outer, "zip" if step[0] == "z" else "tar")
    return next((member.place for member in found if member.name == wanted), None)


def members_beside(place: str, endings: tuple[str, ...]) -> list[str]:
    """The places of files with given endings in the folder of one in an archive, or in that above it.

    Args:
        place: A file in an archive.
        endings: The endings of names, in small letters.

    Example:
        >>> with zipfile.ZipFile("pair.zip", "w") as archive:
        ...     archive.writestr("a.mhd", b"header")
        ...     archive.writestr("voxels/a.raw", b"voxels")
        >>> held = "pair.zip" + STEP + "voxels/a.raw" + STEP + "z1"
        >>> [found.split(STEP) for found in members_beside(held, (".mhd",))]
        [['pair.zip', 'a.mhd', 'z0']]
    """
    outer, own, step = place.rsplit(STEP, 2)
    if step[:1] not in ("z", "t", "s"):
        return []
    folder = own.rpartition("/")[0]
    near = {folder, folder.rpartition("/")[0]}
    found = members(outer, "zip" if step[0] == "z" else "tar")
    return [
        member.place
        for member in found
        if member.name.lower().endswith(endings) and member.name.rpartition("/")[0] in near
    ]

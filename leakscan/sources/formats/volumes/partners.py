"""The files beside a header that hold its voxels."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

from leakscan.errors import ImageError
from leakscan.sources.contents import STEP, beside, head_of, is_inside, shown

MOST_HEADER = 1 << 16
"""The bytes of a text header that are read; what names the voxels may follow long comments."""

_BESIDE = {
    "afni": (".BRIK", ".BRIK.gz", ".brik", ".brik.gz"),
    "parrec": (".REC", ".rec"),
}
_BY_NAME = frozenset({"nrrd", "metaimage"})
_KEYS = (b"elementdatafile", b"data file", b"datafile")
_HEADERS = (".mhd", ".nhdr")
_MOST_PARTNERS = 4096
_MOST_HEADERS = 512


def partners_of(path: Path, format: str) -> tuple[Path, ...]:
    r"""The files that hold the voxels of a header; none where the file holds them itself.

    Args:
        path: The header.
        format: Its format.

    Example:
        >>> partners_of(Path("head.mgz"), "mgh")
        ()
        >>> _ = Path("head.mhd").write_text("NDims = 3\nElementDataFile = head.raw\n")
        >>> _ = Path("head.raw").write_bytes(b"voxels")
        >>> [str(partner) for partner in partners_of(Path("head.mhd"), "metaimage")]
        ['head.raw']
    """
    if format in _BESIDE:
        name = shown(path).rpartition("/")[2]
        stem = name.rpartition(".")[0]
        found = (beside(path, stem + ending) for ending in _BESIDE[format])
        return tuple(partner for partner in found if partner is not None)
    return tuple(partner for partner in named_partners(path, format).values() if partner is not None)


def check_partners(path: Path, format: str) -> None:
    r"""Refuses a header whose voxels are not there.

    Raises:
        ImageError: ``unreadable``.

    Example:
        >>> _ = Path("head.mhd").write_text("NDims = 3\nElementDataFile = gone.raw\n")
        >>> check_partners(Path("head.mhd"), "metaimage")
        Traceback (most recent call last):
        leakscan.errors.ImageError: Its voxels are missing: the file that its header names is not there.
    """
    if format in _BESIDE and not partners_of(path, format):
        raise ImageError(
            "unreadable", f"Its voxels are missing: no {_BESIDE[format][0]} file lies beside it."
        )
    if None in named_partners(path, format).values():
        raise ImageError("unreadable", "Its voxels are missing: the file that its header names is not there.")


def named_partners(path: Path, format: str) -> dict[str, Path | None]:
    r"""The files that a header names, as it names them, and where they are; ``None`` where they are not.

    They lie in the folder of the header or below it. A place on another machine, or one that leads out of
    the folder, is taken for its bare name.

    Args:
        path: The header.
        format: Its format; only those of NRRD and MetaImage name files.

    Example:
        >>> _ = Path("head.mhd").write_text("NDims = 3\nElementDataFile = C:\\scans\\head.zraw\n")
        >>> _ = Path("head.zraw").write_bytes(b"voxels")
        >>> named_partners(Path("head.mhd"), "metaimage")
        {'C:\\scans\\head.zraw': PosixPath('head.zraw')}
    """
    if format not in _BY_NAME:
        return {}
    return {said: _found(path, said) for said in _named_in(head_of(path, MOST_HEADER))}


def holder_of(place: Path) -> str | None:
    r"""The name of the header beside or above a file of voxels that names it, or ``None``.

    Args:
        place: A file on disk or in an archive.

    Example:
        >>> Path("voxels").mkdir()
        >>> _ = Path("head.mhd").write_text("NDims = 3\nElementDataFile = voxels/a.raw\n")
        >>> _ = Path("voxels/a.raw").write_bytes(b"voxels")
        >>> holder_of(Path("voxels/a.raw"))
        '../head.mhd'
    """
    if is_inside(place):
        return _holder_in_archive(str(place))
    for above, up in ((place.parent, ""), (place.parent.parent, "../")):
        try:
            changed = above.stat().st_mtime_ns
        except OSError:
            continue
        header = _headers_in(above, changed).get(place)
        if header is not None:
            return up + header
    return None


def _holder_in_archive(place: str) -> str | None:
    """The same for what lies in an archive."""
    from leakscan.sources.archives import members_beside

    folder = place.rsplit(STEP, 2)[1].rpartition("/")[0]
    for header in members_beside(place, _HEADERS)[:_MOST_HEADERS]:
        if Path(place) in named_partners(Path(header), "metaimage").values():
            return posixpath.relpath(header.rsplit(STEP, 2)[1], folder or ".")
    return None


@lru_cache(maxsize=64)
def _headers_in(folder: Path, _changed: int) -> dict[Path, str]:
    """Files of voxels by the headers of a folder that name them."""
    headers = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in _HEADERS]
    found: dict[Path, str] = {}
    for header in headers[:_MOST_HEADERS]:
        try:
            named = named_partners(header, "metaimage")
        except OSError:
            continue
        found |= {partner: header.name for partner in named.values() if partner is not None}
    return found


def _named_in(head: bytes) -> Iterator[str]:
    """The names of files in a header of NRRD or MetaImage."""
    lines = head.split(b"\n")
    for number, line in enumerate(lines):
        key, _, value = line.replace(b"=", b":", 1).partition(b":")
        if key.strip().lower() not in _KEYS:
            continue
        said = value.strip().decode("utf-8", "replace")
        if said.split(maxsplit=1)[:1] in (["LIST"], ["list"]):
            yield from (name for n in lines[number + 1 :] if (name := n.strip().decode("utf-8", "replace")))
        elif counted := re.fullmatch(r"(\S*%0?\d*d\S*)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+\d+)?", said):
            pattern, first, last, step = counted[1], *(int(n) for n in counted.groups()[1:])
            numbers = range(first, last + (1 if step > 0 else -1), step or 1)
            yield from (pattern % n for n in numbers[:_MOST_PARTNERS])
        elif said and said.upper() != "LOCAL":
            yield said
        return


def _found(path: Path, said: str) -> Path | None:
    posix = PurePosixPath(said.replace("\\", "/"))
    below = not posix.is_absolute() and ".." not in posix.parts and ":" not in said and "\0" not in said
    for name in dict.fromkeys((str(posix) if below else posix.name, posix.name)):
        for header in (path, path.resolve()) if not is_inside(path) and path.is_symlink() else (path,):
            if name and (found := beside(header, name)) is not None:
                return found
    return None

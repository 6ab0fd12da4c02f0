"""A volume's files where the libraries that read them can open them, under names that they know."""

from __future__ import annotations

import bz2
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leakscan.errors import ImageError
from leakscan.sources.contents import head_of, is_inside, open_place, shown
from leakscan.sources.formats.volumes.partners import (
    MOST_HEADER,
    check_partners,
    named_partners,
    partners_of,
)
from leakscan.sources.unpacking import MOST_BYTES

KNOWN_BY = {
    "mgh": (".mgh", ".mgz"),
    "minc": (".mnc", ".mnc.gz"),
    "nrrd": (".nrrd", ".nhdr"),
    "metaimage": (".mha", ".mhd"),
    "gipl": (".gipl", ".gipl.gz"),
    "vtk": (".vtk",),
    "afni": (".head",),
    "parrec": (".par",),
    "ecat": (".v",),
}
"""The endings by which nibabel and SimpleITK know a format."""
_LONGEST_LINE, _MOST_LINES = 500, 1 << 20
_MAY_BE_LONG = re.compile(rb"#|content:|[^:=]{1,200}:=", re.IGNORECASE)
_ENCODING = re.compile(rb"^encoding:\s*(\S+)", re.MULTILINE | re.IGNORECASE)


@contextmanager
def on_disk(path: Path, format: str, voxels: bool = True) -> Iterator[Path]:
    """The file where its reader can open it, under a name by which the reader knows it.

    What lies in an archive, what names its voxels by a place that is elsewhere, and NRRD in bzip2 (which
    SimpleITK is built without) is copied for the time of reading, with the files that belong to it, into
    memory where the system has a folder for that.

    Args:
        path: The file, or the header of a pair.
        format: Its format.
        voxels: Whether the voxels are wanted as well; of a compressed file that costs time.

    Raises:
        ImageError: ``unreadable``: its voxels are missing or damaged.

    Example:
        >>> _ = Path("odd.name").write_bytes(b"a volume")
        >>> with on_disk(Path("odd.name"), "mgh") as file:
        ...     file.suffix, file.read_bytes()
        ('.mgh', b'a volume')
    """
    check_partners(path, format)
    name = shown(path).rpartition("/")[2]
    in_bzip2 = format == "nrrd" and encoding_of(path) in ("bzip2", "bz2")
    partners = partners_of(path, format)
    named = named_partners(path, format)
    here = all(found == path.parent / said for said, found in named.items())
    here = here and all(partner.parent == path.parent for partner in partners if not named)
    if not is_inside(path) and name.lower().endswith(KNOWN_BY[format]) and here and not in_bzip2:
        yield path
        return
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        with open_place(path) as stream:
            data = stream.read()
        names = {said: Path(shown(found or "")).name for said, found in named.items()}
        for said, own in names.items():
            data = data.replace(said.encode(), own.encode(), 1) if said != own else data
        for partner in partners:
            with open_place(partner) as stream:
                held = stream.read() if voxels or not in_bzip2 else b""
            copied = _unpacked(held) if in_bzip2 and voxels else held
            Path(folder, shown(partner).rpartition("/")[2]).write_bytes(copied)
        if in_bzip2:
            data = _as_raw(data, voxels and not partners)
        known = bool(partners) and name.lower().endswith(KNOWN_BY[format])
        copy = Path(folder, name if known else _name(format, data, bool(partners)))
        copy.write_bytes(data)
        yield copy


def encoding_of(file: Path) -> str:
    r"""How a NRRD file packs its voxels (its field ``encoding``).

    Example:
        >>> _ = Path("head.nrrd").write_bytes(b"NRRD0004\nencoding: gzip\n\n")
        >>> encoding_of(Path("head.nrrd"))
        'gzip'
    """
    found = _ENCODING.search(_header(head_of(file, MOST_HEADER)))
    return found[1].decode("ascii", "replace").lower() if found else "raw"


def check_lines(file: Path) -> None:
    r"""Refuses a NRRD header with a line that the library which reads it has no room for.

    An error that names a line of a thousand letters overflows a buffer of teem's, inside SimpleITK. Comments,
    the field ``content`` and values of keys of one's own may be long; it takes them as they are.

    Raises:
        ImageError: ``unreadable``: such a line is there.

    Example:
        >>> _ = Path("head.nrrd").write_bytes(b"NRRD0004\nsizes: " + b"9" * 3000 + b"\n\n")
        >>> check_lines(Path("head.nrrd"))
        Traceback (most recent call last):
        leakscan.errors.ImageError: Its NRRD header is damaged: a line of it is far too long.
    """
    data = head_of(file, _MOST_LINES)
    header = _header(data)
    if len(header) == _MOST_LINES:
        raise ImageError("unreadable", "Its NRRD header is damaged: it does not end.")
    for line in re.split(rb"\r?\n|\r", header):
        if len(line) > _LONGEST_LINE and not _MAY_BE_LONG.match(line):
            raise ImageError("unreadable", "Its NRRD header is damaged: a line of it is far too long.")


def _header(data: bytes) -> bytes:
    """The lines of a NRRD file before its voxels."""
    end = re.search(rb"\r?\n\r?\n", data)
    return data[: end.start()] if end else data


def _as_raw(data: bytes, attached: bool) -> bytes:
    """A NRRD file in bzip2 as one without compression, with the voxels behind its header or without any."""
    header = _header(data)
    plain = _ENCODING.sub(b"encoding: raw", header) + b"\n\n"
    behind = re.match(rb"\r?\n\r?\n", data[len(header) :])
    return plain + _unpacked(data[len(header) + behind.end() :]) if attached and behind else plain


def _unpacked(data: bytes) -> bytes:
    try:
        unpacked = bz2.BZ2Decompressor().decompress(data, MOST_BYTES + 1)
    except (OSError, EOFError, ValueError) as error:
        raise ImageError("unreadable", "It is truncated or its compression is damaged.") from error
    if len(unpacked) > MOST_BYTES:
        raise ImageError("unsupported", f"Unpacked it is more than {MOST_BYTES >> 20:,} MB; unpack it first.")
    return unpacked


def _name(format: str, data: bytes, header_only: bool) -> str:
    ending = KNOWN_BY[format][-1 if header_only and format in ("nrrd", "metaimage") else 0]
    zipped_endings = {".mgh": ".mgz", ".mnc": ".mnc.gz", ".gipl": ".gipl.gz"}
    return "volume" + (zipped_endings.get(ending, ending) if data[:2] == b"\x1f\x8b" else ending)

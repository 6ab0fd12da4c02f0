"""What the first bytes of files look like that hold images and are not read here."""

from __future__ import annotations

import pickletools
import re
import struct
from collections.abc import Callable

_LEAST_STEPS = 3
_PARTS = re.compile(
    rb"^content-type:\s*\"?(?:image/|video/|application/(?:dicom(?!\+)|octet-stream))", re.MULTILINE
)


def box(*brands: bytes) -> Callable[[bytes], bool]:
    """ISO base media files (ISO/IEC 14496-12) of one of the major brands."""
    return lambda head: head[4:8] == b"ftyp" and head[8:12] in brands


def is_transport_stream(head: bytes) -> bool:
    """Packets of 188 bytes that begin with one byte (ISO/IEC 13818-1); of 192 on cameras' discs."""
    return len(head) > 600 and (head[0:565:188] == b"GGGG" or head[4:581:192] == b"GGGG")


def is_tfrecord(head: bytes) -> bool:
    """A length and its checksum, whatever the record holds (tensorflow/core/lib/io/record_writer.h)."""
    length = int.from_bytes(head[:8], "little")
    if not 0 < length < 1 << 31 or len(head) < 16:
        return False
    check = 0xFFFFFFFF
    for byte in head[:8]:  # CRC-32C, turned and shifted
        check ^= byte
        for _ in range(8):
            check = check >> 1 ^ (0x82F63B78 if check & 1 else 0)
    check ^= 0xFFFFFFFF
    masked = ((check >> 15 | check << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return masked == int.from_bytes(head[8:12], "little")


def is_avi(head: bytes) -> bool:
    """Video for Windows, a kind of RIFF file."""
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def is_ogg_video(head: bytes) -> bool:
    """An Ogg file with a stream of Theora."""
    return head[:4] == b"OggS" and b"theora" in head[:64]


def is_ar(head: bytes) -> bool:
    """What ``ar`` packs, but libraries of programs, which begin with a list of names or with an object."""
    first = head[8:24]
    return head[:8] == b"!<arch>\n" and first[:1] != b"/" and b".o" not in first and b"debian" not in first


def is_pickle(head: bytes) -> bool:
    """Protocols 2 to 5 begin with their number; from 4 on a frame follows, before that an object."""
    return head[:1] == b"\x80" and (
        (head[1:2] in (b"\4", b"\5") and head[2:3] == b"\x95")
        or (head[1:2] in (b"\2", b"\3") and head[2:3] in b"}](cX\x8a" and len(head) > 2)
    )


def is_old_pickle(head: bytes) -> bool:
    """Protocols 0 and 1 have no number; their first steps are read, none is carried out.

    One that names a class or keeps an object for later must be among them, and all must be sound.
    """
    steps = set()
    try:
        for code, _, _ in pickletools.genops(head):
            steps.add(code.name)
    except (ValueError, UnicodeDecodeError, OverflowError):  # where the first bytes end, or no pickle
        pass
    return len(steps) >= _LEAST_STEPS and not steps.isdisjoint(("PUT", "BINPUT", "LONG_BINPUT"))


def is_old_matlab(head: bytes) -> bool:
    """Version 4: a type of few digits, rows, columns, whether complex, and the name with its length."""
    for order in "<>":
        if len(head) < 24:
            return False
        kind, rows, columns, is_complex, length = struct.unpack_from(f"{order}5i", head)
        if 0 <= kind <= 4052 and rows > 0 < columns and is_complex in (0, 1) and 1 < length < 64:
            name = head[20 : 20 + length]
            if name[-1:] == b"\0" and re.fullmatch(rb"[A-Za-z]\w*", name[:-1]):
                return True
    return False


def is_answer(head: bytes) -> bool:
    """An answer of a server in several parts (RFC 2387), of which the first is of images or bytes."""
    words = head.lower()
    if words.startswith(b"http/"):
        words = words.partition(b"\r\n\r\n")[2]
    if not words.lstrip().startswith(b"--"):
        return False
    opening = words.partition(b"\r\n\r\n")[0] if b"\r\n\r\n" in words else words.partition(b"\n\n")[0]
    return _PARTS.search(opening) is not None


def is_idx(head: bytes) -> bool:
    """The arrays of MNIST: two zeros, a type, three or four axes, and their lengths, the first byte first."""
    axes = head[3] if len(head) > 20 else 0
    sizes = [int.from_bytes(head[4 * i : 4 * i + 4]) for i in range(1, axes + 1)] if axes in (3, 4) else []
    return (
        bool(sizes)
        and head[:2] == b"\0\0"
        and head[2] in (8, 9, 11, 12, 13, 14)
        and all(7 < n < 1 << 24 for n in sizes[1:])
    )


def is_safetensors(head: bytes) -> bool:
    """A header in JSON with its length before it."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 28 and b'"data_offsets"' in head


def is_hdf5(head: bytes) -> bool:
    """At the start, or after a block of the user's own whose length is a power of two."""
    return any(head[at : at + 8] == b"\x89HDF\r\n\x1a\n" for at in (0, 512, 1024))

"""How files of each format begin: by their first bytes alone, never by their names."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

HEAD_BYTES = 2048
"""How much of a file tells its format."""

_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_BMP_DEPTHS = (b"\x01", b"\x04", b"\x08", b"\x18", b"\x20")
_MGH_TYPES = frozenset({0, 1, 3, 4, 10})
_ANALYZE_DATATYPES = frozenset({1, 2, 4, 8, 16, 32, 64, 128})
_DICOM_VRS = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN "
    b"SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_DICOM_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_DICOM_GROUPS = frozenset({0x0002, 0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x7FE0})
_MANY_ELEMENTS = 6
_UNDEFINED = 0xFFFFFFFF
_OF_GROUP_LENGTH = 4
_TIFF_OPENINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Signature:
    r"""How the files of one kind begin.

    Attributes:
        opens: Tells from the first bytes of a file whether it is of the kind.
        first: The bytes of which one is the first of every such file; empty where any may be.

    Example:
        >>> signature = starts_with(b"GIF87a", b"GIF89a")
        >>> signature(b"GIF89a\1\0"), signature.first
        (True, b'GG')
    """

    opens: Callable[[bytes], bool]
    first: bytes = b""

    def __call__(self, head: bytes) -> bool:
        """Whether a file with these first bytes is of the kind."""
        return self.opens(head)


def starts_with(*openings: bytes) -> Signature:
    r"""The signature of files that begin with one of a few words.

    Args:
        openings: The words, none of them empty.

    Example:
        >>> starts_with(b"qoif")(b"qoif\0\0")
        True
    """
    return Signature(lambda head: head.startswith(openings), bytes(word[0] for word in openings))


def by_first_byte(
    kinds: Iterable[tuple[_Kind, Callable[[bytes], bool]]],
) -> tuple[tuple[tuple[_Kind, Callable[[bytes], bool]], ...], ...]:
    """The kinds that a file may be of by its first byte alone, in order: 256 lists, and the last for no byte.

    Most files are of none of many kinds, and a scan asks that of every file.

    Args:
        kinds: Every kind and what tells its files.

    Example:
        >>> lists = by_first_byte([("GIF", starts_with(b"GIF8")), ("text", lambda head: b"text" in head)])
        >>> [kind for kind, _ in lists[ord("G")]], [kind for kind, _ in lists[0]]
        (['GIF', 'text'], ['text'])
    """
    known = [(kind, opens, opens.first if isinstance(opens, Signature) else b"") for kind, opens in kinds]
    lists = [
        tuple((kind, opens) for kind, opens, first in known if not first or byte in first)
        for byte in range(256)
    ]
    return (*lists, tuple((kind, opens) for kind, opens, _ in known))


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_bmp(head: bytes) -> bool:
    if head[:4] == (40).to_bytes(4, "little") and head[12:14] == b"\1\0" and head[14:15] in _BMP_DEPTHS:
        return True  # without the header of a file, as .dib files have it
    return head[:2] == b"BM" and len(head) > 18 and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES


def _is_mgh(head: bytes) -> bool:
    """FreeSurfer's volumes have no magic, but a version, four sizes and a type, big-endian, and zeros."""
    head = _unzipped(head) if head[:2] == b"\x1f\x8b" else head
    if len(head) < 284:
        return False
    version, *shape, kind, _ = struct.unpack_from(">7i", head)
    return version == 1 and all(0 < n < 65536 for n in shape) and kind in _MGH_TYPES and not any(head[90:284])


def _is_minc(head: bytes) -> bool:
    """MINC 1 is a netCDF file and MINC 2 an HDF5 file; both name their variable or group early."""
    head = _unzipped(head) if head[:2] == b"\x1f\x8b" else head
    return (head.startswith(b"CDF") and b"xspace" in head) or (
        head.startswith(b"\x89HDF\r\n\x1a\n") and b"minc-2.0" in head
    )


def _is_metaimage(head: bytes) -> bool:
    """Its keys may be many and long; ITK writes first that the object is an image."""
    if re.match(rb"ObjectType\s*=\s*Image\s", head):
        return True
    return head.startswith((b"ObjectType", b"NDims", b"Comment")) and b"ElementType" in head


def _is_afni(head: bytes) -> bool:
    return b"string-attribute" in head[:200] or (b"name" in head[:400] and b"-attribute" in head[:400])


def _is_parrec(head: bytes) -> bool:
    return head.startswith(b"# === DATA DESCRIPTION FILE")


def _is_npz(head: bytes) -> bool:
    """A zip file whose first entry is a NumPy array."""
    length = int.from_bytes(head[26:28], "little")
    return head.startswith(b"PK\3\4") and head[30 : 30 + length].endswith(b".npy")


_PNM = re.compile(
    rb"P[1-6](?:\s+|\s*#[^\n]*\n)+\d+(?:\s+|\s*#[^\n]*\n)+\d+\s"
    rb"|P[fF]\s+\d+\s+\d+\s+-?\d"
    rb"|P7\n(?:#[^\n]*\n|(?:WIDTH|HEIGHT|DEPTH|MAXVAL|TUPLTYPE)\b[^\n]*\n)"
    rb"|P[1-6](?:\s*#[^\n]*\n)*\s*#[^\n]*\Z"  # a comment that goes on beyond the first bytes
    rb"|P[1-6](?:\s*#[^\n]*\n){8,}"
)


def _is_pnm(head: bytes) -> bool:
    return _PNM.match(head) is not None


def _is_animated_png(head: bytes) -> bool:
    """The chunk that makes a PNG an animation comes before its pixels.

    Long texts and colour profiles may stand before both; then only the file itself tells, and its reader
    counts the frames.
    """
    before, pixels, _ = head.partition(b"IDAT")
    return head.startswith(b"\x89PNG\r\n\x1a\n") and (b"acTL" in before or not pixels)


def _may_hold_pictures(head: bytes) -> bool:
    """A JPEG that may be the first of several in one file (CIPA DC-007).

    The segment that says so stands before the first table. Where the first bytes do not reach that far, only
    the file itself tells, and its reader counts the pictures.
    """
    at = 2
    while head[:3] == b"\xff\xd8\xff" and at + 4 <= len(head) and head[at] == 0xFF:
        if head[at + 1] == 0xE2 and head[at + 4 : at + 8] == b"MPF\0":
            return True
        if not 0xE0 <= head[at + 1] <= 0xEF and head[at + 1] != 0xFE:
            return False
        at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return head[:3] == b"\xff\xd8\xff" and len(head) == HEAD_BYTES and at + 4 > len(head)


def _is_xbm(head: bytes) -> bool:
    return (
        re.match(rb"\s*(?:/\*.*?\*/\s*)?#define\s+\S+_width\s+\d+\s+#define\s+\S+_height\s", head, re.S)
        is not None
    )


def _is_icon(head: bytes) -> bool:
    """A Windows icon or cursor: zero, a kind, a count, and a first entry whose fifth byte is zero."""
    kind, count = int.from_bytes(head[2:4], "little"), int.from_bytes(head[4:6], "little")
    return head[:2] == b"\0\0" and kind in (1, 2) and 0 < count < 256 and len(head) > 22 and head[9] == 0


def _is_pcx(head: bytes) -> bool:
    """ZSoft's PCX: version, run lengths, bits, four corners, and a byte that must be zero."""
    if len(head) < 128 or head[0] != 10 or head[1] not in (0, 2, 3, 4, 5) or head[2] != 1:
        return False
    left, top, right, bottom = struct.unpack_from("<4H", head, 4)
    return head[3] in (1, 2, 4, 8) and left <= right and top <= bottom and head[64] == 0


def _is_sgi(head: bytes) -> bool:
    return head[:2] == b"\x01\xda" and head[2:3] in (b"\0", b"\1") and head[3:4] in (b"\1", b"\2")


def _is_tga(head: bytes) -> bool:
    """Truevision's TGA has no magic; its name must promise it as well."""
    if len(head) < 19 or head[1] > 1 or head[2] not in (1, 2, 3, 9, 10, 11):
        return False
    return head[16] in (8, 15, 16, 24, 32) and head[12:14] != b"\0\0" != head[14:16]


def _is_vtk(head: bytes) -> bool:
    """A legacy VTK file that holds an image; others hold meshes."""
    return head.startswith(b"# vtk DataFile") and b"STRUCTURED_POINTS" in head[:600].upper()


def _is_gipl(head: bytes) -> bool:
    """The magic number stands at the end of the header of 256 bytes."""
    head = _unzipped(head) if head[:2] == b"\x1f\x8b" else head
    return head[252:256] in (b"\x2a\xe3\x89\xb8", b"\xef\xff\xe9\xb0")


def _has_brand(*brands: bytes) -> Signature:
    """Files of the ISO base media format (ISO/IEC 14496-12) by their major brand."""
    return Signature(lambda head: head[4:8] == b"ftyp" and _image_brand(head) in brands)


def _image_brand(head: bytes) -> bytes:
    """The major brand, or where that says only "an image", the compatible one that says which."""
    size = int.from_bytes(head[:4])
    named = [head[8:12], *(head[i : i + 4] for i in range(16, min(size, len(head)), 4))]
    if named[0] in (b"mif1", b"msf1"):
        return next((b for b in named if b in (b"avif", b"avis", b"heic", b"heix")), named[0])
    return named[0]


def _unzipped(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def _is_nifti(head: bytes) -> bool:
    """NIfTI-1 and -2, single or pair, and Analyze 7.5 (which has no magic, only plausible fields)."""
    head = _unzipped(head) if head[:2] == b"\x1f\x8b" else head
    if len(head) < 348:
        return False
    for order in "<>":
        (size,) = struct.unpack_from(f"{order}i", head)
        if size == 540 and head[4:8] in (b"n+2\0", b"ni2\0"):
            return True
        if size == 348:
            if head[344:348] in (b"n+1\0", b"ni1\0"):
                return True
            axes, datatype = (
                struct.unpack_from(f"{order}h", head, 40)[0],
                struct.unpack_from(f"{order}h", head, 70)[0],
            )
            return 1 <= axes <= 7 and datatype in _ANALYZE_DATATYPES
    return False


def _is_dicom(head: bytes) -> bool:
    if head[128:132] == b"DICM" or head[:6] == b"DICM\2\0":  # the second lost its preamble
        return True
    # The first group tells the byte order.
    order = "<" if head[1:2] == b"\0" else ">" if head[:1] == b"\0" else ""
    return bool(order) and _starts_with_dicom_elements(head, order)


def _starts_with_dicom_elements(head: bytes, order: str) -> bool:
    """Whether data elements in rising order open the file (no preamble).

    Two are enough where the first is of group 0002 or 0008. Anonymisers leave out whole groups; then more
    are asked for (DICOM PS3.5 section 7.1 for the layouts).
    """
    tags: list[int] = []
    end: int | None = 0
    while end is not None and len(tags) < _MANY_ELEMENTS and (found := _element(head, end, order)):
        if tags and found[0] <= tags[-1]:
            break
        tags.append(found[0])
        end = found[1]
    if not tags:
        return False
    if tags[0] >> 16 in (0x0002, 0x0008):
        return tags[0] & 0xFFFF <= 0x0100 and len(tags) > 1 and tags[1] >> 16 <= 0x0020
    return len(tags) == _MANY_ELEMENTS and all(tag >> 16 in _DICOM_GROUPS for tag in tags)


def _element(head: bytes, start: int, order: str) -> tuple[int, int | None] | None:
    """Tag and end of the element at ``start``, or ``None`` where none can be.

    The end is ``None`` where the value goes on beyond what is known of the file, as sequences and pixels do.
    """
    if start + 12 > len(head):
        return None
    group, element = struct.unpack_from(f"{order}HH", head, start)
    tag = group << 16 | element
    vr = head[start + 4 : start + 6]
    if vr in _DICOM_LONG_VRS:
        length, header = struct.unpack_from(f"{order}I", head, start + 8)[0], 12
    elif vr in _DICOM_VRS:
        length, header = struct.unpack_from(f"{order}H", head, start + 6)[0], 8
    elif order == ">":  # big-endian files name the kind of every value
        return None
    else:
        length, header = struct.unpack_from("<I", head, start + 4)[0], 8
        if element == 0 and length != _OF_GROUP_LENGTH:  # times and counts of 8 bytes look like tags
            return None
    if length == _UNDEFINED or (length > len(head) and vr == b"SQ") or group == 0x7FE0:
        return tag, None
    if length % 2 or length > len(head):
        return None
    return tag, start + header + length


SIGNATURES: dict[str, Signature] = {
    "dicom": Signature(_is_dicom),
    "apng": Signature(_is_animated_png, b"\x89"),
    "png": starts_with(b"\x89PNG\r\n\x1a\n"),
    "mpo": Signature(_may_hold_pictures, b"\xff"),
    "jpeg": starts_with(b"\xff\xd8\xff"),
    "tiff": starts_with(*_TIFF_OPENINGS),
    "webp": Signature(_is_webp, b"R"),
    "bmp": Signature(_is_bmp, b"B("),
    "gif": starts_with(b"GIF87a", b"GIF89a"),
    "jpeg2000": starts_with(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "avif": _has_brand(b"avif", b"avis"),
    "heic": _has_brand(b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1"),
    "jpegxl": starts_with(b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"),
    "pnm": Signature(_is_pnm, b"P"),
    "pcx": Signature(_is_pcx, b"\x0a"),
    "sgi": Signature(_is_sgi, b"\1"),
    "dcx": starts_with(b"\xb1\x68\xde\x3a"),
    "sun": starts_with(b"\x59\xa6\x6a\x95"),
    "xbm": Signature(_is_xbm, b"#/ \t\n\r\f\v"),
    "xpm": starts_with(b"/* XPM */"),
    "ico": Signature(_is_icon, b"\0"),
    "icns": starts_with(b"icns"),
    "msp": starts_with(b"DanM", b"LinS"),
    "psd": starts_with(b"8BPS\0\1"),
    "qoi": starts_with(b"qoif"),
    "dds": starts_with(b"DDS \x7c\0\0\0"),
    "tga": Signature(_is_tga),
    "mgh": Signature(_is_mgh, b"\0\x1f"),
    "minc": Signature(_is_minc, b"C\x89\x1f"),
    "nrrd": starts_with(b"NRRD000"),
    "metaimage": Signature(_is_metaimage, b"ONC"),
    "afni": Signature(_is_afni),
    "parrec": Signature(_is_parrec, b"#"),
    "vtk": Signature(_is_vtk, b"#"),
    "gipl": Signature(_is_gipl),
    "ecat": starts_with(b"MATRIX7"),
    "npy": starts_with(b"\x93NUMPY"),
    "npz": Signature(_is_npz, b"P"),
    "nifti": Signature(_is_nifti, b"\0\x1f\x5c\x1c"),
}
"""By the name of the format, what tells from the first bytes of a file whether it is of that format."""

"""What a file is, told by its content, and the one door to the modules that read it.

``FORMATS`` lists every format. The module of a format offers ``inspect(path, format, options)``, which
reads headers only, and ``decode(ref, options)``. DICOM is inspected by whole folders instead, because an
image there is a series (``dicom.read_header`` and ``dicom.assemble``).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from leakscan.settings import DecodeOptions
from leakscan.sources.contents import head_of
from leakscan.sources.formats.unread import UNREAD_SUFFIXES
from leakscan.types import DecodedImage, ImageRef, Tags

HEAD_BYTES = 2048
"""How much of a file tells its format."""

_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_MGH_TYPES = frozenset({0, 1, 3, 4, 10})
_ANALYZE_DATATYPES = frozenset({1, 2, 4, 8, 16, 32, 64, 128})
_DICOM_VRS = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN "
    b"SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_DICOM_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


@dataclass(frozen=True)
class FrameInfo:
    """One image inside a file, as its header tells.

    Attributes:
        frame: The page or time point, counted from 0.
        ndim: 2 for a picture, 3 for a volume.
        tags: What the header declares.
        notes: What a curator should know, in sentences.
    """

    frame: int = 0
    ndim: int = 2
    tags: Tags = field(default_factory=Tags)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """One format of files, how it is recognised, and which module reads it.

    Attributes:
        name: The name that stands in the column ``format``.
        suffixes: The endings of names, in small letters, that promise such an image.
        opens: Tells from a file's first bytes (2,048 at most) whether it is of this format.
        module: The module with ``inspect`` and ``decode``. It is loaded when the first such file is read.
        by_folder: Whether images are put together from a folder's files, so that there is no ``inspect``.
    """

    name: str
    suffixes: tuple[str, ...]
    opens: Callable[[bytes], bool]
    module: str
    by_folder: bool = False

    def load(self) -> Any:
        """The module that reads this format."""
        return import_module(self.module)


def has_image_suffix(name: str) -> bool:
    """Whether a file's name promises an image.

    Example:
        >>> has_image_suffix("HEAD.NII.GZ"), has_image_suffix("labels.csv")
        (True, False)
    """
    return name.lower().endswith(_suffixes(FORMATS))


@lru_cache(maxsize=4)
def _suffixes(formats: tuple[FileFormat, ...]) -> tuple[str, ...]:
    return (*(suffix for known in formats for suffix in known.suffixes), *UNREAD_SUFFIXES)


def recognise(path: Path) -> str:
    """The format of a file, by its first bytes and never by its name.

    Args:
        path: A regular file.

    Returns:
        The name of a format of ``FORMATS`` (``nifti`` also for the header of an Analyze or NIfTI pair),
        or ``""`` for everything else.

    Raises:
        OSError: The file cannot be opened or read.

    Example:
        >>> from PIL import Image
        >>> Image.new("L", (8, 8)).save("misnamed.dcm", format="PNG")
        >>> recognise(Path("misnamed.dcm"))
        'png'
    """
    return next(recognised(head_of(path, HEAD_BYTES)), "")


def recognised(head: bytes) -> Iterator[str]:
    r"""The formats that a file's first bytes allow, the likeliest first.

    Most files are of one format. A DICOM file may begin like a TIFF, because its first 128 bytes are
    free for use, and a TIFF may by chance have the letters of DICOM at that place.

    Args:
        head: The first bytes of the file, 2,048 where it has as many.

    Example:
        >>> list(recognised(b"II*\0".ljust(128, b"\0") + b"DICM"))
        ['dicom', 'tiff']
    """
    return (known.name for known in FORMATS if known.opens(head))


def pair_header(path: Path) -> Path | None:
    """The ``.hdr`` file that describes an ``.img`` file of a NIfTI or Analyze pair, if there is one.

    Args:
        path: Any file.

    Raises:
        OSError: The neighbour exists but cannot be read.

    Example:
        >>> _ = Path("head.hdr").write_bytes(struct.pack("<i340x4s", 348, b"ni1"))
        >>> str(pair_header(Path("head.img")))
        'head.hdr'
    """
    name = path.name.lower()
    for suffix in (".img", ".img.gz"):
        if name.endswith(suffix):
            stem, capital = path.name[: -len(suffix)], path.name[-len(suffix) :].isupper()
            for ending in (".hdr", ".hdr.gz"):
                header = path.with_name(stem + (ending.upper() if capital else ending))
                if header.is_file() and recognise(header) == "nifti":
                    return header
    return None


def inspect(path: Path, format: str, options: DecodeOptions) -> list[FrameInfo]:
    """The images in one file, from its header alone.

    Args:
        path: The file.
        format: What :func:`recognise` said, but not ``dicom``.
        options: The limits and choices for reading files.

    Returns:
        At least one.

    Raises:
        ImageError: The file holds no usable image.
        ValueError: ``format`` is not one that is inspected file by file.

    Example:
        >>> from PIL import Image
        >>> pages = [Image.new("L", (8, 8), grey) for grey in (0, 255)]
        >>> pages[0].save("scan.tiff", save_all=True, append_images=pages[1:])
        >>> [page.frame for page in inspect(Path("scan.tiff"), "tiff", DecodeOptions())]
        [0, 1]
    """
    known = _known(format)
    if known is None or known.by_folder:
        raise ValueError(f"{format!r} files are not inspected one by one.")
    frames: list[FrameInfo] = known.load().inspect(path, format, options)
    return frames


def decode(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """Reads the pixels of one image.

    Args:
        ref: An image of status ``ok`` that a scan found.
        options: The limits and choices that the scan had.

    Raises:
        ImageError: The image cannot be used; the status and sentence go to its row.
        ValueError: ``ref.format`` is no image format.

    Example:
        >>> import numpy as np
        >>> from PIL import Image
        >>> from leakscan.sources.open import open_source
        >>> from leakscan.types import Silent
        >>> options = DecodeOptions()
        >>> Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8)).save("film.png")
        >>> (ref,) = open_source("film.png", options).scan(Silent())
        >>> image = decode(ref, options)
        >>> image.stored.shape, image.stored.dtype.name, float(image.values.max())
        ((6, 8), 'uint16', 47.0)
    """
    known = _known(ref.format)
    if known is None:
        raise ValueError(f"There is no decoder for the format {ref.format!r}.")
    image: DecodedImage = known.load().decode(ref, options)
    return image


def _known(format: str) -> FileFormat | None:
    return next((known for known in FORMATS if known.name == format), None)


def _starts_with(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _is_bmp(head: bytes) -> bool:
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
    return head.startswith((b"ObjectType", b"NDims", b"Comment")) and b"ElementType" in head


def _is_afni(head: bytes) -> bool:
    return b"string-attribute" in head[:200] or (b"name" in head[:400] and b"-attribute" in head[:400])


def _is_parrec(head: bytes) -> bool:
    return head.startswith(b"# === DATA DESCRIPTION FILE")


def _is_npz(head: bytes) -> bool:
    """A zip file whose first entry is a NumPy array."""
    length = int.from_bytes(head[26:28], "little")
    return head.startswith(b"PK\3\4") and head[30 : 30 + length].endswith(b".npy")


_PNM = re.compile(rb"P[1-6](?:\s+|\s*#[^\n]*\n)+\d+(?:\s+|\s*#[^\n]*\n)+\d+\s")


def _is_pnm(head: bytes) -> bool:
    return _PNM.match(head) is not None


def _is_animated_png(head: bytes) -> bool:
    """The chunk that makes a PNG an animation comes before its pixels."""
    return head.startswith(b"\x89PNG\r\n\x1a\n") and b"acTL" in head.partition(b"IDAT")[0]


def _has_brand(*brands: bytes) -> Callable[[bytes], bool]:
    """Files of the ISO base media format (ISO/IEC 14496-12) by their major brand."""
    return lambda head: head[4:8] == b"ftyp" and _image_brand(head) in brands


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
    if head[128:132] == b"DICM":
        return True
    # The first group is 0002 or 0008, in either byte order.
    order = {b"\2\0": "<", b"\x08\0": "<", b"\0\2": ">", b"\0\x08": ">"}.get(head[:2])
    return order is not None and _starts_with_dicom_elements(head, order)


def _starts_with_dicom_elements(head: bytes, order: str) -> bool:
    """Whether two data elements in rising order open the file (no preamble).

    The first must be of group 0002 or 0008 (DICOM PS3.5 section 7.1 for the layouts).
    """
    first = _element(head, 0, order)
    if first is None or first[0] >> 16 not in (0x0002, 0x0008) or first[0] & 0xFFFF > 0x0100:
        return False
    tag, end = first
    second = _element(head, end, order)
    return second is not None and tag < second[0] and second[0] >> 16 <= 0x0020


def _element(head: bytes, start: int, order: str) -> tuple[int, int] | None:
    """Tag and end of the element at ``start``, or ``None`` where none can be."""
    if start + 12 > len(head):
        return None
    group, element = struct.unpack_from(f"{order}HH", head, start)
    vr = head[start + 4 : start + 6]
    if vr in _DICOM_LONG_VRS:
        length, header = struct.unpack_from(f"{order}I", head, start + 8)[0], 12
    elif vr in _DICOM_VRS:
        length, header = struct.unpack_from(f"{order}H", head, start + 6)[0], 8
    elif order == ">":  # big-endian files name the kind of every value
        return None
    else:
        length, header = struct.unpack_from("<I", head, start + 4)[0], 8
    if length % 2 or length > len(head):
        return None
    return group << 16 | element, start + header + length


_TIFF_OPENINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RASTER, _VOLUMES, _ARRAYS = f"{__name__}.raster", f"{__name__}.volumes", f"{__name__}.arrays"

FORMATS: tuple[FileFormat, ...] = (
    # The first 128 bytes of DICOM files are free, and some begin like a TIFF.
    FileFormat(
        name="dicom",
        suffixes=(".dcm", ".dicom", ".ima"),
        opens=_is_dicom,
        module=f"{__name__}.dicom",
        by_folder=True,
    ),
    FileFormat(name="apng", suffixes=(".apng",), opens=_is_animated_png, module=_RASTER),
    FileFormat(name="png", suffixes=(".png",), opens=_starts_with(b"\x89PNG\r\n\x1a\n"), module=_RASTER),
    FileFormat(
        name="jpeg",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
        opens=_starts_with(b"\xff\xd8\xff"),
        module=_RASTER,
    ),
    FileFormat(name="tiff", suffixes=(".tif", ".tiff"), opens=_starts_with(*_TIFF_OPENINGS), module=_RASTER),
    FileFormat(name="webp", suffixes=(".webp",), opens=_is_webp, module=_RASTER),
    FileFormat(name="bmp", suffixes=(".bmp", ".dib"), opens=_is_bmp, module=_RASTER),
    FileFormat(name="gif", suffixes=(".gif",), opens=_starts_with(b"GIF87a", b"GIF89a"), module=_RASTER),
    FileFormat(
        name="jpeg2000",
        suffixes=(".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf", ".jph", ".jhc"),
        opens=_starts_with(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
        module=_RASTER,
    ),
    FileFormat(name="avif", suffixes=(".avif", ".avifs"), opens=_has_brand(b"avif", b"avis"), module=_RASTER),
    FileFormat(
        name="heic",
        suffixes=(".heic", ".heif", ".hif"),
        opens=_has_brand(b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1"),
        module=_RASTER,
    ),
    FileFormat(
        name="jpegxl",
        suffixes=(".jxl",),
        opens=_starts_with(b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"),
        module=_RASTER,
    ),
    FileFormat(name="pnm", suffixes=(".pgm", ".ppm", ".pbm", ".pnm"), opens=_is_pnm, module=_RASTER),
    FileFormat(name="mgh", suffixes=(".mgh", ".mgz"), opens=_is_mgh, module=_VOLUMES),
    FileFormat(name="minc", suffixes=(".mnc", ".mnc.gz"), opens=_is_minc, module=_VOLUMES),
    FileFormat(name="nrrd", suffixes=(".nrrd", ".nhdr"), opens=_starts_with(b"NRRD000"), module=_VOLUMES),
    FileFormat(name="metaimage", suffixes=(".mha", ".mhd"), opens=_is_metaimage, module=_VOLUMES),
    FileFormat(name="afni", suffixes=(".head",), opens=_is_afni, module=_VOLUMES),
    FileFormat(name="parrec", suffixes=(".par",), opens=_is_parrec, module=_VOLUMES),
    FileFormat(name="ecat", suffixes=(".v",), opens=_starts_with(b"MATRIX7"), module=_VOLUMES),
    FileFormat(name="npy", suffixes=(".npy",), opens=_starts_with(b"\x93NUMPY"), module=_ARRAYS),
    FileFormat(name="npz", suffixes=(".npz",), opens=_is_npz, module=_ARRAYS),
    FileFormat(name="nifti", suffixes=(".nii", ".nii.gz"), opens=_is_nifti, module=f"{__name__}.nifti"),
)
"""Every format, in the order in which a file is tried: the surest signatures first."""

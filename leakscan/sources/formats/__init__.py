"""What a file is, told by its content, and the one door to the modules that read it.

``FORMATS`` lists every format. The module of a format offers ``inspect(path, format, options)``, which
reads headers only, and ``decode(ref, options)``. DICOM is inspected by whole folders instead, because an
image there is a series (``dicom.read_header`` and ``dicom.assemble``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from leakscan.settings import DecodeOptions
from leakscan.sources.contents import head_of
from leakscan.sources.formats.bounds import limited, quiet
from leakscan.sources.formats.signatures import HEAD_BYTES, SIGNATURES, by_first_byte
from leakscan.sources.formats.square import squared
from leakscan.sources.formats.unread import UNREAD_SUFFIXES
from leakscan.types import DecodedImage, ImageRef, Tags


@dataclass(frozen=True)
class FrameInfo:
    """One image inside a file, as its header tells.

    Attributes:
        frame: The page or time point, counted from 0.
        ndim: 2 for a picture, 3 for a volume.
        tags: What the header declares.
        notes: What a curator should know, in sentences.
        format: The format, where the file tells more than its first bytes do.
    """

    frame: int = 0
    ndim: int = 2
    tags: Tags = field(default_factory=Tags)
    notes: tuple[str, ...] = ()
    format: str = ""


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """One format of files, how it is recognised, and which module reads it.

    Attributes:
        name: The name that stands in the column ``format``.
        suffixes: The endings of names, in small letters, that promise such an image.
        opens: Tells from a file's first bytes (2,048 at most) whether it is of this format.
        module: The module with ``inspect`` and ``decode``. It is loaded when the first such file is read.
        by_folder: Whether images are put together from a folder's files, so that there is no ``inspect``.
        by_name: Whether the first bytes are too weak a sign alone, so that the name must promise it too.
        single: Whether a file is one picture, so that nothing is opened to find out what it holds.
        apart: Whether a scan looks into it in a process of its own, because damaged files may end that.
    """

    name: str
    suffixes: tuple[str, ...]
    opens: Callable[[bytes], bool]
    module: str
    by_folder: bool = False
    by_name: bool = False
    single: bool = False
    apart: bool = False

    def load(self) -> Any:
        """The module that reads this format."""
        return import_module(self.module)


def has_image_suffix(name: str) -> bool:
    """Whether a file's name promises an image.

    Example:
        >>> has_image_suffix("HEAD.NII.GZ"), has_image_suffix("labels.csv")
        (True, False)
    """
    return name.lower().endswith(_gathered_now().suffixes)


@dataclass(frozen=True)
class _Gathered:
    """What is asked of every file, put together from all formats."""

    formats: tuple[FileFormat, ...]
    suffixes: tuple[str, ...]
    by_first_byte: tuple[tuple[tuple[FileFormat, Callable[[bytes], bool]], ...], ...]


_gathered: list[_Gathered] = []


def _gathered_now() -> _Gathered:
    """The formats put together, anew only where one was added: to hash the formats takes longer."""
    if not _gathered or _gathered[0].formats is not FORMATS:
        suffixes = (*(suffix for known in FORMATS for suffix in known.suffixes), *UNREAD_SUFFIXES)
        _gathered[:] = [_Gathered(FORMATS, suffixes, by_first_byte((f, f.opens) for f in FORMATS))]
    return _gathered[0]


def recognise(path: Path) -> str:
    """The format of a file, by its first bytes.

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
    return next(recognised(head_of(path, HEAD_BYTES), path.name), "")


def recognised(head: bytes, name: str) -> Iterator[str]:
    r"""The formats that a file's first bytes allow, the likeliest first.

    Most files are of one format. A DICOM file may begin like a TIFF, because its first 128 bytes are
    free for use, and a TIFF may by chance have the letters of DICOM at that place.

    Args:
        head: The first bytes of the file, 2,048 where it has as many.
        name: The name of the file. It counts for the few formats only whose first bytes say too little.

    Example:
        >>> list(recognised(b"II*\0".ljust(128, b"\0") + b"DICM", "film"))
        ['dicom', 'tiff']
    """
    lower = name.lower()
    if not head:
        return iter(())
    return (
        known.name
        for known, opens in _gathered_now().by_first_byte[head[0] if head else -1]
        if opens(head) and (not known.by_name or lower.endswith(known.suffixes))
    )


def pair_header(path: Path) -> Path | None:
    """The ``.hdr`` file that describes an ``.img`` file of a NIfTI or Analyze pair, if there is one.

    Args:
        path: Any file.

    Raises:
        OSError: The neighbour exists but cannot be read.

    Example:
        >>> import struct
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


def inspect(path: str | os.PathLike[str], format: str, options: DecodeOptions) -> list[FrameInfo]:
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
    if known.single:
        return [FrameInfo()]
    if known.apart:
        from leakscan.sources.formats.apart import apart  # few folders need it

        return apart(partial(_inspect, format=format, options=options), os.fspath(path), options.max_seconds)
    return _inspect(os.fspath(path), format, options)


def _inspect(path: str, format: str, options: DecodeOptions) -> list[FrameInfo]:
    known = _known(format)
    assert known is not None
    with quiet(), limited(options):
        frames: list[FrameInfo] = known.load().inspect(Path(path), format, options)
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
    with quiet():
        image: DecodedImage = known.load().decode(ref, options)
    return squared(image, options.max_pixels)


def _known(format: str) -> FileFormat | None:
    return next((known for known in FORMATS if known.name == format), None)


_RASTER, _VOLUMES, _ARRAYS = f"{__name__}.raster", f"{__name__}.volumes", f"{__name__}.arrays"

FORMATS: tuple[FileFormat, ...] = (
    # The first 128 bytes of DICOM files are free, and some begin like a TIFF.
    FileFormat(
        name="dicom",
        suffixes=(".dcm", ".dicom", ".ima"),
        opens=SIGNATURES["dicom"],
        module=f"{__name__}.dicom",
        by_folder=True,
    ),
    FileFormat(name="apng", suffixes=(".apng",), opens=SIGNATURES["apng"], module=_RASTER),
    FileFormat(name="png", suffixes=(".png",), opens=SIGNATURES["png"], module=_RASTER, single=True),
    FileFormat(name="mpo", suffixes=(".mpo",), opens=SIGNATURES["mpo"], module=_RASTER),
    FileFormat(
        name="jpeg",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif", ".jls"),
        opens=SIGNATURES["jpeg"],
        module=_RASTER,
        single=True,
    ),
    FileFormat(name="tiff", suffixes=(".tif", ".tiff"), opens=SIGNATURES["tiff"], module=_RASTER),
    FileFormat(name="webp", suffixes=(".webp",), opens=SIGNATURES["webp"], module=_RASTER),
    FileFormat(name="bmp", suffixes=(".bmp", ".dib"), opens=SIGNATURES["bmp"], module=_RASTER),
    FileFormat(name="gif", suffixes=(".gif",), opens=SIGNATURES["gif"], module=_RASTER),
    FileFormat(
        name="jpeg2000",
        suffixes=(".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf", ".jph", ".jhc"),
        opens=SIGNATURES["jpeg2000"],
        module=_RASTER,
    ),
    FileFormat(
        name="avif", suffixes=(".avif", ".avifs"), opens=SIGNATURES["avif"], module=_RASTER, apart=True
    ),
    FileFormat(
        name="heic",
        suffixes=(".heic", ".heif", ".hif"),
        opens=SIGNATURES["heic"],
        module=_RASTER,
        apart=True,
    ),
    FileFormat(
        name="jpegxl",
        suffixes=(".jxl",),
        opens=SIGNATURES["jpegxl"],
        module=_RASTER,
        apart=True,
    ),
    FileFormat(
        name="pnm",
        suffixes=(".pgm", ".ppm", ".pbm", ".pnm", ".pam", ".pfm"),
        opens=SIGNATURES["pnm"],
        module=_RASTER,
    ),
    FileFormat(name="qoi", suffixes=(".qoi",), opens=SIGNATURES["qoi"], module=_RASTER),
    FileFormat(
        name="sgi", suffixes=(".sgi", ".bw", ".rgb", ".rgba"), opens=SIGNATURES["sgi"], module=_RASTER
    ),
    FileFormat(name="pcx", suffixes=(".pcx",), opens=SIGNATURES["pcx"], module=_RASTER),
    FileFormat(name="dcx", suffixes=(".dcx",), opens=SIGNATURES["dcx"], module=_RASTER),
    FileFormat(name="sun", suffixes=(".ras", ".sun"), opens=SIGNATURES["sun"], module=_RASTER),
    FileFormat(name="xbm", suffixes=(".xbm",), opens=SIGNATURES["xbm"], module=_RASTER),
    FileFormat(name="xpm", suffixes=(".xpm",), opens=SIGNATURES["xpm"], module=_RASTER),
    FileFormat(name="ico", suffixes=(".ico", ".cur"), opens=SIGNATURES["ico"], module=_RASTER, by_name=True),
    FileFormat(name="icns", suffixes=(".icns",), opens=SIGNATURES["icns"], module=_RASTER),
    FileFormat(name="msp", suffixes=(".msp",), opens=SIGNATURES["msp"], module=_RASTER),
    FileFormat(name="psd", suffixes=(".psd",), opens=SIGNATURES["psd"], module=_RASTER),
    FileFormat(name="dds", suffixes=(".dds",), opens=SIGNATURES["dds"], module=_RASTER),
    FileFormat(name="tga", suffixes=(".tga",), opens=SIGNATURES["tga"], module=_RASTER, by_name=True),
    FileFormat(name="mgh", suffixes=(".mgh", ".mgz"), opens=SIGNATURES["mgh"], module=_VOLUMES),
    FileFormat(
        name="minc", suffixes=(".mnc", ".mnc.gz"), opens=SIGNATURES["minc"], module=_VOLUMES, apart=True
    ),
    FileFormat(
        name="nrrd", suffixes=(".nrrd", ".nhdr"), opens=SIGNATURES["nrrd"], module=_VOLUMES, apart=True
    ),
    FileFormat(
        name="metaimage",
        suffixes=(".mha", ".mhd"),
        opens=SIGNATURES["metaimage"],
        module=_VOLUMES,
        apart=True,
    ),
    FileFormat(name="vtk", suffixes=(".vtk",), opens=SIGNATURES["vtk"], module=_VOLUMES, apart=True),
    FileFormat(
        name="gipl", suffixes=(".gipl", ".gipl.gz"), opens=SIGNATURES["gipl"], module=_VOLUMES, apart=True
    ),
    FileFormat(name="afni", suffixes=(".head",), opens=SIGNATURES["afni"], module=_VOLUMES),
    FileFormat(name="parrec", suffixes=(".par",), opens=SIGNATURES["parrec"], module=_VOLUMES),
    FileFormat(name="ecat", suffixes=(".v",), opens=SIGNATURES["ecat"], module=_VOLUMES),
    FileFormat(name="npy", suffixes=(".npy",), opens=SIGNATURES["npy"], module=_ARRAYS),
    # Any archive whose first file is an array begins so.
    FileFormat(name="npz", suffixes=(".npz",), opens=SIGNATURES["npz"], module=_ARRAYS, by_name=True),
    FileFormat(
        name="nifti", suffixes=(".nii", ".nii.gz"), opens=SIGNATURES["nifti"], module=f"{__name__}.nifti"
    ),
)
"""Every format, in the order in which a file is tried: the surest signatures first."""

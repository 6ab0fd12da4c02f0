"""NIfTI-1, NIfTI-2 and Analyze files (.nii, .nii.gz, .hdr with .img) to RAS+ arrays.

nibabel reads headers and orientations; the voxels of the one frame that is wanted are read straight
from the file.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.contents import REMOTE, mark_of
from leakscan.sources.formats import FrameInfo
from leakscan.sources.formats.bounds import check_frames
from leakscan.sources.formats.colours import real_of
from leakscan.sources.formats.kept_open import KeptOpen
from leakscan.sources.formats.nifti.canonical import canonical, usable
from leakscan.sources.formats.nifti.header import (
    Header,
    check_length,
    check_size,
    opened,
    read_header,
    reasons,
)
from leakscan.sources.formats.square import aspect_of
from leakscan.types import DecodedImage, ImageRef

Array = npt.NDArray[Any]


def files(path: Path) -> tuple[Path, ...]:
    """The file itself or, for a pair, its header and its voxels.

    Raises:
        ImageError: The file is one that :func:`inspect` refuses.

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.Nifti1Pair(np.zeros((4, 4, 4), np.int16), np.eye(4)), "head.img")
        >>> [str(file) for file in files(Path("head.hdr"))]
        ['head.hdr', 'head.img']
    """
    data = read_header(path).data
    return (path,) if data == path else (path, data)


def inspect(path: Path, format: str, options: DecodeOptions) -> list[FrameInfo]:
    """One entry per contrast or time point.

    Args:
        path: A ``.nii``, ``.nii.gz`` or ``.hdr`` file; its content counts, not its name.
        format: ``nifti``, the only format that this module reads.
        options: The limits for reading, and which frames are images.

    Raises:
        ImageError: ``unreadable`` (damaged header, zero dimension, missing or short voxel file, more
            voxels than the limit) or ``unsupported`` (voxels of a type that is not read).

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.Nifti1Image(np.zeros((5, 6, 4, 3), np.int16), np.eye(4)), "time.nii")
        >>> [(image.frame, image.ndim) for image in inspect(Path("time.nii"), "nifti", DecodeOptions())]
        [(0, 3), (1, 3), (2, 3)]
    """
    header = read_header(path)
    check_size(header, options)
    check_frames(header.frames, header.frames * math.prod(header.shape), header.data, options)
    check_length(header)
    ndim = 3 if sum(n > 1 for n in header.shape) > 2 else 2
    notes: list[str] = []
    if header.dtype.fields or header.dtype.kind == "c":
        what = "colours; their luminance" if header.dtype.fields else "complex numbers; their magnitude"
        notes.append(f"Its voxels are {what} is read.")
    if not header.oriented:
        notes.append("It does not say how the patient lies; left and right are as its format assumes.")
    wanted = header.frames
    if options.frames == "first" and header.frames > 1:
        notes.append(f"It holds {header.frames} frames; only the first is read.")
        wanted = 1
    return [FrameInfo(frame=i, ndim=ndim, notes=tuple(notes)) for i in range(wanted)]


def decode(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """Reads one frame.

    Args:
        ref: A NIfTI image; ``ref.files[0]`` is the header.
        options: The limits for reading, and whether label maps are images.

    Returns:
        Volumes as ``(x, y, z)`` in RAS+ order. A single slice is a picture in DICOM's order: rows
        run to the feet (or the back), columns to the left (or the back). ``stored`` holds the
        unscaled numbers, ``values`` the scaled ones; what is not finite is 0 in both.

    Raises:
        ImageError: What :func:`inspect` refuses; also ``unreadable`` when the voxels are cut short or
            damaged, and ``ignored`` for a label map.

    Example:
        >>> import nibabel as nib
        >>> to_the_left = np.diag([-2.0, 1.0, 1.0, 1.0])  # the first axis runs from right to left
        >>> voxels = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
        >>> nib.save(nib.Nifti1Image(voxels, to_the_left), "head.nii")
        >>> ref = ImageRef(image_id="1", path="head.nii", format="nifti", files=("head.nii",), ndim=3)
        >>> image = decode(ref, DecodeOptions())
        >>> image.spacing_mm, bool((image.stored == voxels[::-1]).all())
        ((2.0, 1.0, 1.0), True)
    """
    header = read_header(Path(ref.files[0]))
    check_size(header, options)
    if ref.frame >= header.frames:
        raise ImageError("unreadable", f"It has no frame {ref.frame + 1} any more.")
    stored = _voxels(header, ref.frame)
    stored, spacing, notes = canonical(stored, header.affine, header.mm_per_unit)
    stored, spacing = usable(stored, spacing, notes, options)
    values = _scaled(stored, header)
    return DecodedImage(np.ascontiguousarray(stored), values, spacing, tuple(notes), aspect_of(spacing))


def _voxels(header: Header, frame: int) -> Array:
    size = int(np.prod(header.shape)) * header.dtype.itemsize
    # A zipped file is inflated up to the frame that is wanted, so those behind it go on from there.
    streams = _ZIPPED.of(header.data) if header.frames > 1 else opened(header.data)
    mark = _layout_mark(header, size)
    if mark and frame >= _first_lost.get(mark, header.frames):
        raise ImageError("unreadable", _CUT)
    with reasons(), streams as stream:
        try:
            stream.seek(header.offset + frame * size)
            raw = stream.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            _remember_lost(mark, frame)
            raise
        if len(raw) < size:
            _remember_lost(mark, frame)
            raise ImageError("unreadable", _CUT)
        if frame == header.frames - 1:
            _check_sum(stream)
    native = header.dtype.newbyteorder("=")
    flat = real_of(np.frombuffer(raw, header.dtype).astype(native, copy=False))
    if flat.dtype.itemsize > 8:  # extended precision, which neither hashes nor other machines know
        flat = flat.astype(np.float64)
    return flat.reshape(header.shape, order="F")


_CUT = "It is truncated: the file is shorter than its header says."
_MOST_REMEMBERED = 1000
_first_lost: dict[str, int] = {}
"""The first frame that could not be read, by the mark of its file and layout.

Nothing behind it can be either, and to find that again would take inflating all before it, for every frame.
"""


def _layout_mark(header: Header, size: int) -> str:
    """What tells whether frames of a file still lie where they lay; empty where nothing tells cheaply."""
    name = os.fspath(header.data)
    if header.frames == 1 or name.startswith(REMOTE) or not (mark := mark_of(header.data)):
        return ""
    return f"{name} {mark} {header.offset} {size}"


def _remember_lost(mark: str, frame: int) -> None:
    if not mark:
        return
    while len(_first_lost) >= _MOST_REMEMBERED:
        _first_lost.pop(next(iter(_first_lost)))
    _first_lost[mark] = min(frame, _first_lost.get(mark, frame))


_ZIPPED = KeptOpen(lambda place, way: opened(Path(place)), lambda stream: True)


def _check_sum(stream: BinaryIO) -> None:
    """Reads on to the end of a gzip member, where its checksum is compared."""
    try:
        stream.read(1)
    except gzip.BadGzipFile as error:
        if "CRC" in str(error):
            raise
        # anything else is padding behind a whole file, which harms nothing


def _scaled(stored: Array, header: Header) -> npt.NDArray[np.float32]:
    values = stored.astype(np.float32)
    if (header.slope, header.intercept) != (1.0, 0.0):
        # float32 holds every 16-bit number exactly; wider ones are scaled first and rounded after
        exact = values if stored.dtype.itemsize <= 2 else stored.astype(np.float64)
        values = np.asarray(exact * header.slope + header.intercept, np.float32)
    with np.errstate(over="ignore"):
        finite: npt.NDArray[np.float32] = np.nan_to_num(np.ascontiguousarray(values), copy=False)
    return finite

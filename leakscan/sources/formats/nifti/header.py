"""NIfTI and Analyze headers: what is needed of them to find, turn and scale the voxels."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.contents import beside, open_place, shown

_HEADER_BYTES = 540
_LEAST_OFFSET = {b"n+1": 352, b"n+2": 544}
"""Where voxels begin at the earliest behind the header of a single file; some writers state 0."""
_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}
"""xyzt_units, low three bits: metres, millimetres, micrometres (nifti1.h)."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is needed of a header.

    Attributes:
        data: The file that holds the voxels.
        offset: The byte at which they start, once the file is uncompressed.
        shape: The shape of one frame; it has at most three axes.
        frames: The number of frames that follow each other.
        dtype: The type of the stored numbers, with their byte order.
        slope, intercept: The scale of the numbers: value = stored * slope + intercept.
        affine: The map of voxel indices to RAS+ positions, ``(4, 4)``, in the file's own unit.
        mm_per_unit: The length of the affine's unit in mm.
        oriented: Whether the file says how the patient lies.
    """

    data: Path
    offset: int
    shape: tuple[int, ...]
    frames: int
    dtype: np.dtype[Any]
    slope: float
    intercept: float
    affine: npt.NDArray[np.float64]
    mm_per_unit: float
    oriented: bool


def read_header(path: Path) -> Header:
    """Parses a header and finds its voxels.

    Args:
        path: A single file or the header of a pair, zipped or not.

    Raises:
        ImageError: ``unreadable`` (damaged, zero dimension, missing voxel file) or ``unsupported``
            (voxels of a type that is not read).

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.Nifti1Image(np.zeros((5, 6, 4, 3), np.int16), np.eye(4)), "time.nii.gz")
        >>> header = read_header(Path("time.nii.gz"))
        >>> header.shape, header.frames, header.dtype.name, header.offset, header.oriented
        ((5, 6, 4), 3, 'int16', 352, True)
    """
    from nibabel.imageglobals import LoggingOutputSuppressor  # a run without volumes does not wait for it

    with reasons():
        with opened(path) as stream:
            head = stream.read(_HEADER_BYTES)
        single, kind = _header_class(head)
        with LoggingOutputSuppressor():
            # Only the header itself: extensions of any length may follow before the voxels.
            parsed = kind(head[: kind.template_dtype.itemsize], check=True)
            return _needed(parsed, path if single else _voxel_file(path))


def _header_class(head: bytes) -> tuple[bool, Any]:
    """Whether voxels follow in the same file, and nibabel's class for the header."""
    import nibabel as nib

    if head[:4] in ((540).to_bytes(4, "little"), (540).to_bytes(4, "big")):
        single = head[4:7] == b"n+2"
        return single, (nib.Nifti2Image if single else nib.Nifti2Pair).header_class
    if head[344:347] in (b"n+1", b"ni1"):
        single = head[344:347] == b"n+1"
        return single, (nib.Nifti1Image if single else nib.Nifti1Pair).header_class
    return False, nib.Spm99AnalyzeImage.header_class


def _needed(parsed: Any, data: Path) -> Header:
    shape = tuple(int(n) for n in parsed.get_data_shape())
    text = " x ".join(map(str, shape))
    if not shape or min(shape) < 1:
        raise ImageError("unreadable", f"One of its dimensions is zero ({text or 'it has no axes'}).")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 2:
        raise ImageError("unreadable", f"It has {len(shape)} axes ({text}), which make no image.")
    dtype = parsed.get_data_dtype()
    if not dtype.fields and dtype.kind not in "iufc":
        raise ImageError("unsupported", f"Its voxels are of the type {dtype}, which is not read.")
    slope, intercept = (parsed.get_slope_inter() if parsed.has_data_slope else (None, None))[:2]
    codes = [int(parsed[c]) for c in ("qform_code", "sform_code") if c in parsed.keys()]  # noqa: SIM118
    units = int(parsed["xyzt_units"]) & 7 if "xyzt_units" in parsed.keys() else 2  # noqa: SIM118
    magic = parsed["magic"].tobytes()[:3] if "magic" in parsed.keys() else b""  # noqa: SIM118
    return Header(
        data=data,
        offset=max(int(parsed.get_data_offset()), _LEAST_OFFSET.get(magic, 0)),
        shape=shape[:3],
        frames=int(np.prod(shape[3:], dtype=object)) if len(shape) > 3 else 1,
        dtype=dtype,
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        affine=np.asarray(parsed.get_best_affine(), np.float64),
        mm_per_unit=_MM_PER_UNIT.get(units, 1.0),
        oriented=any(codes),
    )


def _voxel_file(header: Path) -> Path:
    name = shown(header).rpartition("/")[2]
    stem = name[: -len(".gz")] if name.lower().endswith(".gz") else name
    for ending in (".img", ".img.gz", ".IMG", ".IMG.GZ"):
        if path := beside(header, str(Path(stem).with_suffix(ending))):
            return path
    raise ImageError("unreadable", "Its voxels are missing: no .img file of the same name lies beside it.")


def check_size(header: Header, options: DecodeOptions) -> None:
    """Refuses a frame of more voxels than the limit before memory is taken for it.

    Raises:
        ImageError: ``unreadable``.

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.Nifti1Image(np.zeros((5, 6, 4), np.int16), np.eye(4)), "head.nii")
        >>> check_size(read_header(Path("head.nii")), DecodeOptions(max_pixels=100))
        Traceback (most recent call last):
        leakscan.errors.ImageError: It has 5 x 6 x 4 voxels, more than the limit of 100; ...
    """
    count = int(np.prod([int(n) for n in header.shape], dtype=object))
    if count > options.max_pixels:
        text = " x ".join(map(str, header.shape))
        raise ImageError(
            "unreadable",
            f"It has {text} voxels, more than the limit of {options.max_pixels}; "
            "raise max_pixels to read it.",
        )


def check_length(header: Header) -> None:
    """Uncompressed files tell by their size alone that they were cut short.

    Raises:
        ImageError: ``unreadable``.

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.Nifti1Image(np.zeros((5, 6, 4), np.int16), np.eye(4)), "head.nii")
        >>> whole = Path("head.nii").read_bytes()
        >>> _ = Path("head.nii").write_bytes(whole[:-1])
        >>> check_length(read_header(Path("head.nii")))
        Traceback (most recent call last):
        leakscan.errors.ImageError: It is truncated: the file is shorter than its header says.
    """
    with reasons():
        with open_place(header.data) as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
            size = stream.seek(0, os.SEEK_END)
        needed = header.offset + int(np.prod(header.shape)) * header.frames * header.dtype.itemsize
        if not zipped and size < needed:
            raise ImageError("unreadable", "It is truncated: the file is shorter than its header says.")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unzipped where they are zipped, whatever its name says.

    Example:
        >>> _ = Path("zipped.nii").write_bytes(gzip.compress(b"a header"))  # an ending that does not tell
        >>> with opened(Path("zipped.nii")) as stream:
        ...     stream.read()
        b'a header'
    """
    with open_place(path) as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        if zipped:
            with gzip.GzipFile(fileobj=stream, mode="rb") as inner:
                yield cast(BinaryIO, inner)
        else:
            yield stream


@contextmanager
def reasons() -> Iterator[None]:
    """Whatever damaged data provoke, as the sentence of a row.

    Example:
        >>> with reasons():
        ...     gzip.decompress(gzip.compress(b"voxels")[:-9])
        Traceback (most recent call last):
        leakscan.errors.ImageError: It is truncated or its compression is damaged.
    """
    try:
        yield
    except ImageError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageError("unreadable", "It is truncated or its compression is damaged.") from error
    except MemoryError as error:
        raise ImageError("unreadable", "There is not enough memory to read it.") from error
    except OSError as error:
        raise ImageError(
            "unreadable", f"It cannot be read: {(error.strerror or str(error)).lower()}."
        ) from error
    except Exception as error:  # a header of foreign bytes fails in more ways than can be listed
        raise ImageError("unreadable", "Its NIfTI header is damaged.") from error

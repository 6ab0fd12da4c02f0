"""Volumes of other packages: MGH and MGZ, MINC, NRRD, MetaImage, AFNI, PAR/REC and ECAT, to RAS+ arrays.

nibabel and SimpleITK read them; both tell where a volume lies, and its axes are turned as those of NIfTI
files are, so that a faithful copy in any of these formats has the same ``stored`` array.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.contents import bytes_behind
from leakscan.sources.formats import FrameInfo
from leakscan.sources.formats.bounds import check_frames, check_work
from leakscan.sources.formats.nifti.canonical import canonical, usable
from leakscan.sources.formats.square import aspect_of
from leakscan.sources.formats.volumes.partners import partners_of
from leakscan.sources.formats.volumes.reading import MOST_KEPT, Volume, read_volume, volume_shape
from leakscan.types import DecodedImage, ImageRef


def inspect(path: Path, format: str, options: DecodeOptions) -> list[FrameInfo]:
    """One entry per volume of a file; further axes than three are frames.

    Args:
        path: The file, or the header of a pair.
        format: One of the formats of ``FORMATS`` that this module reads.
        options: The limits for reading, and which frames are images.

    Raises:
        ImageError: ``unreadable`` (damaged, missing voxels, more than the limit) or ``unsupported`` (a
            package is missing, colours).

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.MGHImage(np.zeros((5, 6, 4, 2), np.float32), np.eye(4)), "head.mgz")
        >>> [(image.frame, image.ndim) for image in inspect(Path("head.mgz"), "mgh", DecodeOptions())]
        [(0, 3), (1, 3)]
    """
    shape = volume_shape(path, format)
    frames = _checked(shape, options)
    pixels = int(np.prod(shape, dtype=object))
    voxels = max(files(path, format), key=bytes_behind)
    check_frames(frames, pixels, voxels, options)
    if pixels > MOST_KEPT:  # the whole file is unpacked for every frame
        check_work(frames, pixels, voxels, options)
    ndim = 3 if sum(n > 1 for n in shape[:3]) > 2 else 2
    notes: list[str] = []
    if options.frames == "first" and frames > 1:
        notes.append(f"It holds {frames} frames; only the first is read.")
        frames = 1
    return [FrameInfo(frame=i, ndim=ndim, notes=tuple(notes)) for i in range(frames)]


def files(path: Path, format: str) -> tuple[Path, ...]:
    """The file itself, and the files that hold its voxels where it is only a header.

    Example:
        >>> files(Path("head.mgz"), "mgh") == (Path("head.mgz"),)
        True
    """
    return (path, *partners_of(path, format))


def decode(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """Reads one volume.

    Args:
        ref: An image that :func:`inspect` found.
        options: The limits for reading, and whether label maps are images.

    Returns:
        ``stored`` in RAS+ order, a single slice as rows and columns; ``values`` scaled.

    Raises:
        ImageError: What :func:`inspect` refuses, and ``ignored`` for a label map.

    Example:
        >>> import nibabel as nib
        >>> voxels = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
        >>> nib.save(nib.MGHImage(voxels, np.eye(4)), "head.mgz")
        >>> ref = ImageRef(image_id="1", path="head.mgz", format="mgh", files=("head.mgz",), ndim=3)
        >>> bool((decode(ref, DecodeOptions()).stored == voxels).all())
        True
    """
    _checked(volume_shape(Path(ref.files[0]), ref.format), options)
    volume = read_volume(Path(ref.files[0]), ref.format, ref.frame)
    return _image(volume, options)


def _image(volume: Volume, options: DecodeOptions) -> DecodedImage:
    stored, spacing, notes = canonical(volume.stored, volume.affine)
    stored, spacing = usable(stored, spacing, notes, options)
    values = stored.astype(np.float32)
    if (volume.slope, volume.intercept) != (1.0, 0.0):
        values = (stored.astype(np.float64) * volume.slope + volume.intercept).astype(np.float32)
    finite = np.nan_to_num(np.ascontiguousarray(values), copy=False)
    return DecodedImage(np.ascontiguousarray(stored), finite, spacing, tuple(notes), aspect_of(spacing))


def _checked(shape: tuple[int, ...], options: DecodeOptions) -> int:
    """The number of frames, once a frame is known to be small enough."""
    text = " x ".join(map(str, shape))
    if len(shape) < 2 or min(shape) < 1:
        raise ImageError("unreadable", f"One of its dimensions is zero ({text or 'it has no axes'}).")
    voxels = int(np.prod(shape[:3], dtype=object))
    if voxels > options.max_pixels:
        raise ImageError(
            "unreadable",
            f"It has {text} voxels, more than the limit of {options.max_pixels}; "
            "raise max_pixels to read it.",
        )
    return int(np.prod(shape[3:], dtype=object)) if len(shape) > 3 else 1

"""From voxels as they are stored to the order that every reader of volumes gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.nifti.labels import is_label_map

Array = npt.NDArray[Any]


def canonical(
    stored: Array, affine: npt.NDArray[np.float64], mm_per_unit: float = 1.0
) -> tuple[Array, tuple[float, ...], list[str]]:
    """Turns the axes to the nearest RAS+ order; nothing is resampled.

    Args:
        stored: The voxels, of two or three axes.
        affine: The map of voxel indices to RAS+ positions, ``(4, 4)``.
        mm_per_unit: The length of the affine's unit in mm.

    Returns:
        The voxels ``(x, y, z)``, the mm of a step along each axis (empty if unknown), and notes.

    Example:
        >>> voxels = np.arange(8).reshape(2, 2, 2)
        >>> turned, spacing, notes = canonical(voxels, np.diag([-1.0, 1.0, 2.0, 1.0]))
        >>> bool((turned == voxels[::-1]).all()), spacing
        (True, (1.0, 1.0, 2.0))
    """
    from nibabel import orientations  # half a second that a run without volumes does not wait for

    notes: list[str] = []
    shape = (*stored.shape, 1)[:3] if stored.ndim == 2 else stored.shape
    stored = stored.reshape(shape, order="F")
    usable = bool(np.isfinite(affine).all()) and np.linalg.matrix_rank(affine[:3, :3]) == 3
    if not usable:
        affine = np.eye(4)
        notes.append("Its orientation is not valid; the axes are taken as they are stored.")
    turns = orientations.io_orientation(affine)  # type: ignore[no-untyped-call]
    turned_affine = affine @ orientations.inv_ornt_aff(turns, shape)  # type: ignore[no-untyped-call]
    # the length of each column: how far one step along each axis goes
    spacing = np.sqrt((turned_affine[:3, :3] ** 2).sum(axis=0)) * mm_per_unit
    known = tuple(float(round(s, 6)) for s in spacing) if usable else ()
    turned: Array = orientations.apply_orientation(stored, turns)  # type: ignore[no-untyped-call]
    return turned, known, notes


def single_slice(stored: Array, spacing: tuple[float, ...]) -> tuple[Array, tuple[float, ...]]:
    """The single slice of a RAS+ array, flipped and transposed to rows and columns.

    Both axes of the slice point the other way in DICOM's LPS order and in what viewers show, so a
    film kept as NIfTI gets the rows and columns it has as DICOM or PNG.

    Args:
        stored: A volume with an axis of length 1.
        spacing: The mm of a step along each axis, or empty.

    Example:
        >>> single_slice(np.array([[[1], [2]], [[3], [4]]]), (1.0, 2.0, 5.0))
        (array([[4, 2],
               [3, 1]]), (2.0, 1.0))
    """
    axis = max(i for i, n in enumerate(stored.shape) if n == 1)
    flat = np.take(stored, 0, axis=axis)[::-1, ::-1].T
    left = [s for i, s in enumerate(spacing) if i != axis]
    return flat, tuple(left[::-1])


def usable(
    stored: Array, spacing: tuple[float, ...], notes: list[str], options: DecodeOptions
) -> tuple[Array, tuple[float, ...]]:
    """A RAS+ array whose numbers are all finite, and one slice as the picture that it is.

    Args:
        stored: The voxels in RAS+ order.
        spacing: The edges of a voxel in mm.
        notes: Gets a sentence where voxels were not finite.
        options: Whether label maps are images.

    Raises:
        ImageError: ``ignored`` for a label map.

    Example:
        >>> notes = []
        >>> voxels = np.array([[[0.5, np.nan]], [[1.5, 2.5]]])
        >>> picture, _ = usable(voxels, (1.0, 1.0, 1.0), notes, DecodeOptions())
        >>> picture.shape, bool(np.isfinite(picture).all()), notes
        ((2, 2), True, ['1 voxels were not finite and count as 0.'])
    """
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        odd = ~np.isfinite(stored)
        notes.append(f"{int(odd.sum())} voxels were not finite and count as 0.")
        stored = np.where(odd, stored.dtype.type(0), stored)
    if 1 in stored.shape:
        stored, spacing = single_slice(stored, spacing)
    if not options.labels and is_label_map(stored):
        raise ImageError("ignored", "It is a label map; the setting labels includes label maps.")
    return stored, spacing

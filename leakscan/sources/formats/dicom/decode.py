"""From an :class:`ImageRef` to pixels: one frame of a file, or the slices of a volume.

A volume's axes follow the NIfTI convention: an affine takes (column, row, slice) to patient
coordinates, LPS turned to RAS, and the axes are permuted and flipped to the closest canonical order
by the same rule (``nibabel.orientations.io_orientation``) that the NIfTI reader uses. So a series and
a faithful NIfTI copy of it give the same ``stored`` array.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from nibabel.orientations import io_orientation

from leakscan.errors import ImageError
from leakscan.settings import DecodeOptions
from leakscan.sources.formats.dicom import display
from leakscan.sources.formats.dicom.completed import completed
from leakscan.sources.formats.dicom.frames import FunctionalGroups, frame_planes
from leakscan.sources.formats.dicom.header import DicomHeader, header_of
from leakscan.sources.formats.dicom.layout import PixelFormat, pixel_format
from leakscan.sources.formats.dicom.open_file import OpenFile, damages, opened, parsed
from leakscan.sources.formats.dicom.pixels import flipped, read_frame
from leakscan.sources.formats.dicom.planes import Plane, Stack, stacks
from leakscan.sources.formats.dicom.values import numbers, quiet, tag_of
from leakscan.sources.formats.kept_open import KeptOpen
from leakscan.sources.formats.square import aspect_of
from leakscan.types import DecodedImage, ImageRef

_SPACINGS = tuple(map(tag_of, ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")))
_MEASURES = tag_of("PixelMeasuresSequence")
_ASPECT = tag_of("PixelAspectRatio")


def decode(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    """Decodes one image; a volume is the largest thing in memory, once per array.

    Args:
        ref: An image that :func:`leakscan.sources.formats.dicom.series.assemble` found.
        options: ``max_pixels`` is checked against the headers, before any pixel is read.

    Returns:
        A picture, or a volume in RAS+ order. ``stored`` has MONOCHROME1 flipped. ``values`` are
        rescaled; films and photographs also have their VOI LUT or window applied, slices do not.

    Raises:
        ImageError: ``unreadable`` or ``unsupported``, with the reason.

    Example:
        >>> from pydicom.examples import get_path
        >>> from leakscan.sources.formats.dicom import assemble, read_header
        >>> options = DecodeOptions()
        >>> (slice_of_ct,) = assemble([read_header(get_path("ct"))], get_path("ct").parent, options)
        >>> image = decode(slice_of_ct, options)  # in Hounsfield units, because a slice gets no window
        >>> image.values.shape, float(image.values.min()), float(image.values.max())
        ((128, 128), -896.0, 1167.0)
    """
    if len(ref.files) > 1:
        return _series(ref, options)
    with quiet(), damages(), _FILES.of(ref.files[0]) as known:
        file, header = known.file, known.header
        if not header.stacks:
            _check_size(header.rows * header.columns, options)
            return _picture(file, header, ref.frame)
        if ref.frame >= len(known.volumes):
            raise ImageError("unreadable", "The file has changed since it was scanned.")
        members = known.volumes[ref.frame].members
        _check_size(header.rows * header.columns * len(members), options)
        if len(members) == 1:
            return _picture(file, header, members[0])
        return _enhanced(file, header, known.planes, members)


@dataclass(frozen=True)
class _Known:
    """A file that is open, and what its header says."""

    file: OpenFile
    header: DicomHeader
    planes: Sequence[Plane] = ()
    volumes: Sequence[Stack] = ()


@contextmanager
def _known(place: str | os.PathLike[str], way: str) -> Iterator[_Known]:
    path = Path(place)
    with parsed(path) as file:
        header = header_of(file, path)
        planes = (
            frame_planes(file.dataset, header.frames, (header.rows, header.columns)) if header.stacks else []
        )
        yield _Known(file, header, planes, stacks(planes) if planes else ())


_FILES = KeptOpen(_known, lambda known: known.header.frames > 1)
"""Where frames lie, and where volumes are made of them, is sought once for all frames of a file."""


def _check_size(pixels: int, options: DecodeOptions) -> None:
    if pixels > options.max_pixels:
        raise ImageError(
            "unreadable",
            f"It has {pixels:,} pixels, more than the limit of {options.max_pixels:,}; "
            "raise max_pixels to read it.",
        )


def _picture(file: OpenFile, header: DicomHeader, frame: int) -> DecodedImage:
    layout = pixel_format(file, header.rows, header.columns)
    raw = read_frame(file, layout, frame, header.frames)
    groups = FunctionalGroups(file.dataset)
    spacing = _pixel_spacing(file, groups, frame)
    aspect = aspect_of(spacing or _stated_aspect(file))
    if raw.ndim == 3:
        return DecodedImage(raw, display.luminance(raw), spacing, aspect=aspect)
    notes: tuple[str, ...] = ()
    mask = display.padding(raw, file.dataset, layout.signed, layout.stored)
    values = display.rescaled(raw, file.dataset, groups, frame)
    if header.plane is None and not header.stacks:
        values, notes = display.windowed(values, file.dataset, groups, frame, mask)
    values = display.brightened(values, mask, layout.inverted)
    return DecodedImage(flipped(raw, layout), _finite(values), spacing, notes, aspect)


def _stated_aspect(file: OpenFile) -> tuple[float, ...]:
    """PixelAspectRatio: the vertical size of a pixel and the horizontal one, in no unit; empty if absent."""
    values = numbers(file.dataset, _ASPECT)
    return values if len(values) == 2 and min(values) > 0 else ()


def _pixel_spacing(file: OpenFile, groups: FunctionalGroups, frame: int) -> tuple[float, ...]:
    """Mm between rows, then columns, from the first element that gives both; empty if unknown."""
    measures = groups.group(frame, _MEASURES)
    for dataset in filter(None, (file.dataset, measures)):
        for tag in _SPACINGS:
            values = numbers(dataset, tag)
            if len(values) == 2 and min(values) > 0:
                return values
    return ()


def _finite(values: display.Values) -> display.Values:
    return values if np.isfinite(values).all() else np.nan_to_num(values, posinf=0.0, neginf=0.0)


def _series(ref: ImageRef, options: DecodeOptions) -> DecodedImage:
    first, last = _header(ref.files[0]), _header(ref.files[-1])
    if any(header.plane is None or header.spacing[0] <= 0 for header in (first, last)):
        first, *_, last = completed([_header(file) for file in ref.files])
    _check_size(first.rows * first.columns * len(ref.files), options)
    start, end = first.plane, last.plane
    counted = first.lost and last.lost
    if counted:
        start, end = first.counted_plane(0), last.counted_plane(len(ref.files) - 1)
    if start is None or end is None:
        raise ImageError("unreadable", "The files have changed since they were scanned.")
    volume = _Volume(start, end, len(ref.files))
    for k, name in enumerate(ref.files):
        path = Path(name)
        try:
            with opened(path) as file:
                header = header_of(file, path)
                if (header.rows, header.columns) != start.grid:
                    raise ImageError("unreadable", "Its size is not that of the other slices.")
                volume.put(k, file, 0, 1)
        except ImageError as error:
            raise ImageError(error.status, f"Slice {{path}}: {error.sentence}", path.name) from error
    image = volume.image()
    return replace(image, spacing_mm=()) if counted else image  # how far slices lie apart is lost too


def _header(name: str) -> DicomHeader:
    path = Path(name)
    with opened(path) as file:
        return header_of(file, path)


def _enhanced(
    file: OpenFile, header: DicomHeader, planes: Sequence[Plane], members: Sequence[int]
) -> DecodedImage:
    volume = _Volume(planes[members[0]], planes[members[-1]], len(members))
    for k, frame in enumerate(members):
        volume.put(k, file, frame, header.frames)
    return volume.image()


@dataclass
class _Volume:
    """Two arrays in RAS+ order that are filled slice by slice, in the order of the file's axes."""

    first: Plane
    last: Plane
    count: int

    def __post_init__(self) -> None:
        self._affine = _affine(self.first, self.last, self.count)
        self._axes = np.asarray(io_orientation(self._affine))  # type: ignore[no-untyped-call]
        rows, columns = self.first.grid
        sizes = np.array((columns, rows, self.count))
        self._shape = tuple(int(sizes[list(self._axes[:, 0]).index(axis)]) for axis in range(3))
        self._stored: npt.NDArray[Any] | None = None
        self._values = np.empty(self._shape, dtype=np.float32)
        self._padded = False
        self._rescales: set[tuple[float, float]] = set()

    def put(self, k: int, file: OpenFile, frame: int, frames: int) -> None:
        """Decodes a frame into slice ``k``."""
        rows, columns = self.first.grid
        layout: PixelFormat = pixel_format(file, rows, columns)
        raw = read_frame(file, layout, frame, frames)
        if raw.ndim != 2:
            raise ImageError("unreadable", "Its slices have colours.")
        groups = FunctionalGroups(file.dataset)
        mask = display.padding(raw, file.dataset, layout.signed, layout.stored)
        values = display.rescaled(raw, file.dataset, groups, frame)
        self._rescales.add(display.rescale(file.dataset, groups, frame))
        if layout.inverted:
            values = -values
        if mask is not None:
            values[mask] = np.nan
            self._padded = True
        self._native(self._values)[:, :, k] = values.T
        stored = flipped(raw, layout)
        if self._stored is None:
            self._stored = np.zeros(self._shape, dtype=stored.dtype)
        elif not np.can_cast(stored.dtype, self._stored.dtype):
            self._stored = self._stored.astype(np.promote_types(stored.dtype, self._stored.dtype))
        self._native(self._stored)[:, :, k] = cast(Any, stored).T

    def _native(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A view of a RAS+ array with the axes (column, row, slice)."""
        view = array.transpose(self._axes[:, 0].astype(int))
        turned = tuple(slice(None, None, -1 if flip < 0 else 1) for flip in self._axes[:, 1])
        return view[turned]

    def image(self) -> DecodedImage:
        """The finished volume: padding as dark as the darkest voxel, spacing per axis."""
        if self._stored is None:
            raise ImageError("unreadable", "It has no slices.")
        if self._padded:
            darkest = np.fmin.reduce(self._values, axis=None)
            for part in self._values:
                part[np.isnan(part)] = darkest
        steps = np.linalg.norm(self._affine[:3, :3], axis=0)
        order = [list(self._axes[:, 0]).index(axis) for axis in range(3)]
        known = self.first.spacing[0] > 0
        spacing = tuple(float(steps[axis]) for axis in order) if known else ()
        notes = (
            ("Its slices have different rescale slopes.",) if len({s for s, _ in self._rescales}) > 1 else ()
        )
        return DecodedImage(self._stored, _finite(self._values), spacing, notes)


def _affine(first: Plane, last: Plane, count: int) -> npt.NDArray[np.float64]:
    """From voxel (column, row, slice) to RAS+ mm.

    PS3.3 C.7.6.2.1.1 gives the first two columns; the third is the mean step between the positions
    of the first and last slice, so that a tilted gantry keeps its shear, as in the NIfTI converters.
    LPS becomes RAS by turning the first two coordinates round.

    Returns:
        ``(4, 4)``; unknown pixel spacings count as 1 mm.
    """
    between_rows, between_columns = (x or 1.0 for x in first.spacing)
    matrix = np.eye(4)
    matrix[:3, 0] = np.array(first.orientation[:3]) * between_columns
    matrix[:3, 1] = np.array(first.orientation[3:]) * between_rows
    matrix[:3, 2] = (np.array(last.position) - np.array(first.position)) / (count - 1)
    matrix[:3, 3] = first.position
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix

"""What a scan keeps of a DICOM file: identity, geometry and what tells slices apart, no pixels."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset

from leakscan.errors import ImageError
from leakscan.sources.contents import mark_of
from leakscan.sources.formats.dicom.frames import PER_FRAME, SHARED, frame_planes
from leakscan.sources.formats.dicom.open_file import UNDEFINED_LENGTH, OpenFile, opened
from leakscan.sources.formats.dicom.planes import (
    KEYS,
    Cosines,
    Pair,
    Plane,
    Triple,
    normal,
    stacks,
    unit_cosines,
)
from leakscan.sources.formats.dicom.values import calendar_date, integer, numbers, tag_of, text, texts
from leakscan.types import Tags

PROJECTION_MODALITIES = frozenset(
    {"CR", "DX", "MG", "RG", "IO", "PX", "RF", "XA", "XC", "US", "ES", "RTIMAGE"}
)
"""Modalities whose instances are pictures of their own even where they carry a position."""

_FILMS = "1.2.840.10008.5.1.4.1.1.1"  # CR; DX, MG and IO are below it
_PROJECTION_FAMILIES = tuple(f"1.2.840.10008.5.1.4.1.1.{x}" for x in ("1.", "12.", "481.1"))
_READ_DESPITE_NAME = frozenset({"1.2.840.10008.5.1.4.1.1.6.2"})  # Enhanced US Volume
_REFUSED = frozenset(
    f"1.2.840.10008.5.1.4.1.1.77.1.{x}" for x in ("1.1", "2.1", "4.1", "6", "8.1", "9")
)  # videos and tiled slides
_MADE_FROM_IMAGES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{x}" for x in ("66.4", "66.7", "66.5", "481.2", "11.1", "67")
)  # segmentations, doses, maps of values: drawn over images of the same patient, like label maps
_VIDEO_SYNTAXES = "1.2.840.10008.1.2.4.10"  # .100 to .108: MPEG-2, MPEG-4, HEVC
_NAMES = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID"),
    *("Modality", "BodyPartExamined", "ViewPosition", "AcquisitionDate", "AcquisitionDateTime", "StudyDate"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "InstanceNumber"),
)
_TAG = {name: tag_of(name) for name in _NAMES}
_KEY_TAGS = tuple(tag_of(name) for name in KEYS)
_WANTED = [*_TAG.values(), *_KEY_TAGS, SHARED, PER_FRAME]
_SLICES = frozenset(f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("2", "4", "128"))
"""The classes of CT, MR and PET slices, one a file."""
_META_CLASS = 0x00020002
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomHeader:
    """One DICOM file, without pixels. About 1 kB; ``dataclasses.asdict`` of it is JSON.

    Attributes:
        path: The absolute path of the file.
        size: The file's size in bytes.
        mark: A text that changes with the file (:func:`leakscan.sources.contents.mark_of`), or empty.
        sop_class, sop_uid, series_uid, study_uid: The UIDs as they stand in the file, or empty.
        subject: PatientID, or empty.
        modality, body_part, view: What the header declares, in upper case, or empty.
        acquired: The date of acquisition as ``YYYY-MM-DD``, or empty.
        rows, columns, frames: The shape of the pixels; each is at least 1.
        grey: Whether there is one sample per pixel and no palette.
        orientation: ImageOrientationPatient as unit vectors, or empty.
        position: ImagePositionPatient in mm, or empty.
        spacing: The mm between rows and between columns; ``(0, 0)`` if unknown.
        number: InstanceNumber, 0 if absent.
        keys: The values of :data:`leakscan.sources.formats.dicom.planes.KEYS`.
        stacks: The number of frames of each volume of a multi-frame object with plane positions; else
            empty.
        filled: The keywords of what the file lacks and others of its series say.
    """

    path: str
    size: int
    mark: str = ""
    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str
    subject: str
    modality: str
    body_part: str
    view: str
    acquired: str
    rows: int
    columns: int
    frames: int
    grey: bool
    orientation: Cosines | tuple[()]
    position: Triple | tuple[()]
    spacing: Pair
    number: int
    keys: tuple[str, ...]
    stacks: tuple[int, ...]
    filled: tuple[str, ...] = ()

    @property
    def projection(self) -> bool:
        """Whether it is a picture of its own (a film, a photograph), not a slice."""
        by_class = self.sop_class == _FILMS or self.sop_class.startswith(_PROJECTION_FAMILIES)
        return by_class or self.modality in PROJECTION_MODALITIES

    @property
    def plane(self) -> Plane | None:
        """Where the slice lies, or ``None`` if it is no slice of a series."""
        if not self.is_slice or len(self.orientation) != 6 or len(self.position) != 3:
            return None
        return Plane(
            uid=self.sop_uid,
            orientation=self.orientation,
            position=self.position,
            grid=(self.rows, self.columns),
            spacing=self.spacing,
            keys=self.keys,
            number=self.number,
        )

    @property
    def is_slice(self) -> bool:
        """Whether it may be a slice of a volume: one grey frame, and no film or photograph."""
        return self.frames == 1 and self.grey and not self.projection

    @property
    def lost(self) -> bool:
        """Whether it is a slice by its class and does not say where it lies, or how."""
        return self.is_slice and self.sop_class in _SLICES and self.plane is None

    def counted_plane(self, place: int) -> Plane:
        """Where a slice that lost its place would lie if slices were counted in steps of 1 mm.

        Args:
            place: The number of slices before it.
        """
        orientation: Cosines = self.orientation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        x, y, z = (float(c) * place for c in normal(orientation))
        return Plane(
            uid=self.sop_uid,
            orientation=orientation,
            position=(x, y, z),
            grid=(self.rows, self.columns),
            spacing=self.spacing,
            keys=self.keys,
            number=self.number,
        )

    @property
    def tags(self) -> Tags:
        """What the header declares about the image."""
        return Tags(
            modality=self.modality,
            body_part=self.body_part,
            view=self.view,
            subject=self.subject,
            study_uid=self.study_uid,
            series_uid=self.series_uid,
            sop_uid=self.sop_uid,
            acquired=self.acquired,
        )


def read_header(path: Path) -> DicomHeader:
    """Reads a file's header, not its pixels.

    Args:
        path: A DICOM file, with or without preamble, file meta information or ``.dcm``.

    Raises:
        ImageError: ``unreadable`` if it cannot be opened, is no DICOM or contradicts itself;
            ``unsupported`` if it is no image (reports, presentation states, segmentations, videos...).

    Example:
        >>> from pydicom.examples import get_path
        >>> header = read_header(get_path("mr"))
        >>> header.modality, header.acquired, header.rows, header.columns, header.frames
        ('MR', '2004-08-26', 64, 64, 1)
    """
    with opened(path, _WANTED) as file:
        return replace(header_of(file, path), mark=mark_of(path))


def header_of(file: OpenFile, path: Path) -> DicomHeader:
    """The header of an opened file.

    Raises:
        ImageError: The file is one that :func:`read_header` refuses.

    Example:
        >>> from pydicom.examples import get_path
        >>> with opened(get_path("ct")) as file:  # all elements, for a reader that wants the pixels too
        ...     header = header_of(file, get_path("ct"))
        >>> header.plane.position, header.spacing
        ((-158.135803, -179.035797, -75.699997), (0.661468, 0.661468))
    """
    dataset = file.dataset
    sop_class = text(dataset, _TAG["SOPClassUID"]) or text(dataset.file_meta, _META_CLASS)
    _refuse_what_is_no_image(file, sop_class)
    rows, columns = integer(dataset, _TAG["Rows"]), integer(dataset, _TAG["Columns"])
    if rows < 1 or columns < 1:
        raise ImageError("unreadable", f"Its header says that it has {rows} x {columns} pixels.")
    frames = max(1, integer(dataset, _TAG["NumberOfFrames"], 1))
    _refuse_impossible_frames(file, rows * columns, frames)
    samples = integer(dataset, _TAG["SamplesPerPixel"], 1)
    grey = samples == 1 and not text(dataset, _TAG["PhotometricInterpretation"]).upper().startswith("PALETTE")
    planes = frame_planes(dataset, frames, (rows, columns)) if grey and _has_groups(dataset) else []
    orientation = unit_cosines(numbers(dataset, _TAG["ImageOrientationPatient"]))
    position = numbers(dataset, _TAG["ImagePositionPatient"])
    spacing = _pair(numbers(dataset, _TAG["PixelSpacing"]))
    keys = tuple("\\".join(texts(dataset, tag)) for tag in _KEY_TAGS)
    if frames == 1 and planes and orientation is None:
        orientation, position, spacing = planes[0].orientation, planes[0].position, planes[0].spacing
        keys = tuple(own or top for own, top in zip(planes[0].keys, keys, strict=True))
    modality = text(dataset, _TAG["Modality"]).upper()
    return DicomHeader(
        path=str(path.absolute()),
        size=file.size,
        sop_class=sys.intern(sop_class),
        sop_uid=text(dataset, _TAG["SOPInstanceUID"]),
        series_uid=sys.intern(text(dataset, _TAG["SeriesInstanceUID"])),
        study_uid=sys.intern(text(dataset, _TAG["StudyInstanceUID"])),
        subject=sys.intern(text(dataset, _TAG["PatientID"])),
        modality=sys.intern(modality),
        body_part=sys.intern(text(dataset, _TAG["BodyPartExamined"]).upper()),
        view=sys.intern(text(dataset, _TAG["ViewPosition"]).upper()),
        acquired=sys.intern(_acquired(dataset)),
        rows=rows,
        columns=columns,
        frames=frames,
        grey=grey,
        orientation=_shared(orientation) if orientation is not None else (),
        position=(position[0], position[1], position[2]) if len(position) == 3 else (),
        spacing=_shared(spacing),
        number=integer(dataset, _TAG["InstanceNumber"]),
        keys=_shared(keys),
        stacks=tuple(len(stack.members) for stack in stacks(planes)) if frames > 1 and planes else (),
    )


def _refuse_what_is_no_image(file: OpenFile, sop_class: str) -> None:
    name = str(UID_dictionary[sop_class][0]) if sop_class in UID_dictionary else ""
    is_image = "Image" in name or sop_class in _READ_DESPITE_NAME
    if (name and not is_image) or sop_class in _REFUSED:
        thing = name.removesuffix(" Storage")
        article = "an" if thing[:1] in "AEIOU" or thing[:2] in ("MR", "RT") else "a"
        if not is_image and (not file.tag or sop_class in _MADE_FROM_IMAGES):
            raise ImageError("ignored", f"It is {article} {thing}, not an image.")
        raise ImageError(
            "unsupported", f"It is {article} {thing}, which is not read.", left_out=f"DICOM {thing}"
        )
    if file.transfer_syntax.startswith(_VIDEO_SYNTAXES):
        raise ImageError("unsupported", "It is a DICOM video, which is not read.", left_out="DICOM video")
    if not sop_class and not file.tag and _TAG["Rows"] not in file.dataset:
        raise ImageError("unreadable", "It is not a DICOM file, or one without any image in it.")
    if not file.tag:
        raise ImageError("unsupported", "It has no pixels.", left_out="DICOM without pixels")


def _refuse_impossible_frames(file: OpenFile, pixels: int, frames: int) -> None:
    """A damaged NumberOfFrames must not become a million images."""
    if frames == 1:
        return
    if file.length == UNDEFINED_LENGTH:
        possible = frames * 8 <= file.available  # every frame has an item header
    else:
        bits = max(1, integer(file.dataset, _TAG["BitsAllocated"], 8))
        possible = frames * pixels * bits // 8 <= file.available + 1
    if not possible:
        raise ImageError(
            "unreadable", f"Its header says that it has {frames} frames, but the file ends before them."
        )


def _has_groups(dataset: Dataset) -> bool:
    return SHARED in dataset or PER_FRAME in dataset


def _pair(values: tuple[float, ...]) -> Pair:
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else (0.0, 0.0)


def _acquired(dataset: Dataset) -> str:
    dates = (
        calendar_date(text(dataset, _TAG[k])) for k in ("AcquisitionDate", "AcquisitionDateTime", "StudyDate")
    )
    return next(filter(None, dates), "")


@lru_cache(maxsize=4096)
def _shared(value: _T) -> _T:
    """One copy of equal tuples: the slices of a series mostly agree."""
    return value

"""Functional groups of enhanced multi-frame objects (PS3.3 C.7.6.16)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from leakscan.sources.formats.dicom.planes import KEYS, Plane, unit_cosines
from leakscan.sources.formats.dicom.values import items, numbers, tag_of, texts

SHARED = tag_of("SharedFunctionalGroupsSequence")
PER_FRAME = tag_of("PerFrameFunctionalGroupsSequence")
_POSITION_SEQUENCE, _POSITION = tag_of("PlanePositionSequence"), tag_of("ImagePositionPatient")
_ORIENTATION_SEQUENCE, _ORIENTATION = tag_of("PlaneOrientationSequence"), tag_of("ImageOrientationPatient")
_MEASURES, _SPACING = tag_of("PixelMeasuresSequence"), tag_of("PixelSpacing")

# Which functional group holds what a classic slice has at its top level.
_WHERE = {
    "ImageType": (
        ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"),
        "FrameType",
    ),
    "EchoTime": (("MREchoSequence",), "EffectiveEchoTime"),
    "DiffusionBValue": (("MRDiffusionSequence",), "DiffusionBValue"),
    "TemporalPositionIdentifier": (("FrameContentSequence",), "TemporalPositionIndex"),
    "TriggerTime": (("CardiacSynchronizationSequence",), "NominalCardiacTriggerDelayTime"),
    "AcquisitionNumber": (("FrameContentSequence",), "FrameAcquisitionNumber"),
    "AcquisitionTime": (("FrameContentSequence",), "FrameAcquisitionDateTime"),
}
_TAGS = {key: (tuple(map(tag_of, groups)), tag_of(name)) for key, (groups, name) in _WHERE.items()}


class FunctionalGroups:
    """The functional groups of one object, by frame."""

    def __init__(self, dataset: Dataset) -> None:
        shared = items(dataset, SHARED)
        self._shared = shared[0] if shared else Dataset()
        self._frames = items(dataset, PER_FRAME)

    def __len__(self) -> int:
        return len(self._frames)

    def group(self, frame: int, tag: int) -> Dataset | None:
        """The first item of a functional group of a frame, its own before the shared one."""
        own = items(self._frames[frame], tag) if frame < len(self._frames) else []
        found = own or items(self._shared, tag)
        return found[0] if found else None

    def plane(self, frame: int, uid: str, grid: tuple[int, int]) -> Plane | None:
        """Where a frame lies, or ``None`` if the object does not say."""
        position = self._numbers(frame, _POSITION_SEQUENCE, _POSITION)
        orientation = unit_cosines(self._numbers(frame, _ORIENTATION_SEQUENCE, _ORIENTATION))
        spacing = self._numbers(frame, _MEASURES, _SPACING)
        if len(position) != 3 or orientation is None:
            return None
        pair = (spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else (0.0, 0.0)
        keys = tuple(self._key(frame, key) for key in KEYS)
        x, y, z = position
        return Plane(
            uid=uid,
            orientation=orientation,
            position=(x, y, z),
            grid=grid,
            spacing=pair,
            keys=keys,
            number=frame,
        )

    def _numbers(self, frame: int, sequence: int, tag: int) -> tuple[float, ...]:
        group = self.group(frame, sequence)
        return numbers(group, tag) if group is not None else ()

    def _key(self, frame: int, key: str) -> str:
        sequences, tag = _TAGS.get(key, ((), 0))
        for sequence in sequences:
            group = self.group(frame, sequence)
            if group is not None:
                return "\\".join(texts(group, tag))
        return ""


def frame_planes(dataset: Dataset, frames: int, grid: tuple[int, int]) -> list[Plane]:
    """The planes of all frames; empty unless every frame has one.

    Example:
        >>> def item(**elements: object) -> Dataset:
        ...     made = Dataset()
        ...     for keyword, value in elements.items():
        ...         setattr(made, keyword, value)
        ...     return made
        >>> places = [item(ImagePositionPatient=[0, 0, 3 * frame]) for frame in range(2)]
        >>> axes = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
        >>> volume = item(
        ...     SharedFunctionalGroupsSequence=[item(PlaneOrientationSequence=[axes])],
        ...     PerFrameFunctionalGroupsSequence=[item(PlanePositionSequence=[place]) for place in places],
        ... )
        >>> [plane.position for plane in frame_planes(volume, 2, (64, 64))]
        [(0.0, 0.0, 0.0), (0.0, 0.0, 3.0)]
    """
    groups = FunctionalGroups(dataset)
    if frames < 1 or (len(groups) == 0 and frames > 1) or (0 < len(groups) < frames):
        return []
    planes = [groups.plane(frame, "", grid) for frame in range(frames)]
    return [plane for plane in planes if plane is not None] if all(planes) else []

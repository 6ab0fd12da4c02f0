"""Where slices lie in the patient, and which of them make a volume together.

A plane is one slice of a series: a file of a CT or MR series, or a frame of an enhanced object.
Planes of one orientation and one grid are sorted along their normal; where several lie at one
position (echoes, contrasts, time points), they are told apart by what was varied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Triple = tuple[float, float, float]
Pair = tuple[float, float]
Cosines = tuple[float, float, float, float, float, float]

CONTENT_KEYS = (
    "ImageType",
    "SequenceName",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "DiffusionBValue",
    "ConvolutionKernel",
    "ContrastBolusAgent",
)
TIME_KEYS = (
    "TemporalPositionIdentifier",
    "FrameReferenceTime",
    "TriggerTime",
    "AcquisitionNumber",
    "AcquisitionTime",
    "ContentTime",
)
KEYS = CONTENT_KEYS + TIME_KEYS
"""What distinguishes slices at one position, the most telling first."""

_SAME_DIRECTION = 0.01  # of a direction cosine, about half a degree
_SAME_POSITION_MM = 0.01
_MAX_CONTENTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One slice in the patient's coordinates (LPS, mm).

    Attributes:
        uid: SOPInstanceUID and, in a multi-frame object, nothing more; may be empty.
        orientation: The direction cosines of a row (towards increasing column), then those of a column.
        position: The centre of the first pixel, in mm.
        grid: The number of rows and of columns.
        spacing: The mm between rows, then between columns; ``(0, 0)`` if unknown.
        keys: The values of :data:`KEYS`, as text.
        number: InstanceNumber or frame number.
    """

    uid: str
    orientation: Cosines
    position: Triple
    grid: tuple[int, int]
    spacing: Pair
    keys: tuple[str, ...]
    number: int


@dataclass(frozen=True)
class Stack:
    """Planes that make one volume, by their indices.

    Attributes:
        members: The indices of the planes, sorted along the normal.
        repeat: How many stacks at the same positions come before this one; 0 for the first contrast or
            time point.
        dropped: The indices of duplicates, noted on the first stack of a geometry.
        notes: What a curator should know, in sentences.
    """

    members: tuple[int, ...]
    repeat: int = 0
    dropped: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=4096)
def unit_cosines(values: tuple[float, ...]) -> Cosines | None:
    """ImageOrientationPatient as exact unit vectors; ``None`` unless they are nearly that already.

    Example:
        >>> unit_cosines((1.0004, 0.0, 0.0, 0.0, 0.9997, 0.0))
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        >>> unit_cosines((1.0, 0.0, 0.0, 1.0, 0.0, 0.0)) is None  # rows and columns in one direction
        True
    """
    if len(values) != 6:
        return None
    row, column = np.array(values[:3]), np.array(values[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not all(0.9 < length < 1.1 for length in lengths):
        return None
    row, column = row / lengths[0], column / lengths[1]
    if abs(float(row @ column)) > 0.05:
        return None
    a, b, c, d, e, f = (round(float(x), 6) + 0.0 for x in (*row, *column))
    return a, b, c, d, e, f


def normal(orientation: Cosines) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Unit normal of a plane, row x column (PS3.3 C.7.6.2.1.1). Shape ``(3,)``.

    Example:
        >>> normal((0.0, 1.0, 0.0, 0.0, 0.0, -1.0)).tolist()  # a sagittal slice, seen from the left
        [-1.0, 0.0, 0.0]
    """
    vector = np.cross(np.array(orientation[:3]), np.array(orientation[3:]))
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)


def stacks(planes: Sequence[Plane]) -> list[Stack]:
    """Sorts planes into volumes.

    The order of the input does not matter, except that of several equal planes the first is kept.

    Returns:
        Stacks ordered by geometry (largest first), then by what distinguishes their slices.

    Example:
        >>> def slice_at(mm: float, echo: str) -> Plane:
        ...     keys = tuple(echo if key == "EchoTime" else "" for key in KEYS)
        ...     axes, grid, spacing = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (64, 64), (1.0, 1.0)
        ...     place = {"orientation": axes, "position": (0.0, 0.0, mm), "grid": grid, "spacing": spacing}
        ...     return Plane(uid="", keys=keys, number=0, **place)
        >>> two_echoes = [slice_at(mm, echo) for echo in ("30", "90") for mm in (5.0, 0.0)]
        >>> [(stack.members, stack.notes[0]) for stack in stacks(two_echoes)][1]
        ((3, 2), 'Its series has 2 volumes at the same positions; this is number 2 (EchoTime 90).')
    """
    groups = _by_geometry(planes)
    shared: tuple[str, ...] = ()
    if len({group_id for group_id, _ in groups}) > 1:
        orientations = len({group_id for group_id, _ in groups})
        shared = (f"Its series has slices in {orientations} orientations, each kept apart.",)
    elif len(groups) > 1:
        shared = (f"Its series has slices of {len(groups)} sizes or spacings, each kept apart.",)
    found: list[Stack] = []
    for _, members in groups:
        found.extend(_stacks_of_one_geometry(planes, members, shared))
    return found


def _by_geometry(planes: Sequence[Plane]) -> list[tuple[int, list[int]]]:
    """Indices by orientation, grid and pixel spacing, with the number of their orientation."""
    orientations: list[Cosines] = []
    groups: dict[tuple[int, tuple[int, int], Pair], list[int]] = defaultdict(list)
    for index, plane in enumerate(planes):
        number = next(
            (
                k
                for k, known in enumerate(orientations)
                if max(abs(a - b) for a, b in zip(known, plane.orientation, strict=True)) < _SAME_DIRECTION
            ),
            len(orientations),
        )
        if number == len(orientations):
            orientations.append(plane.orientation)
        spacing = (round(plane.spacing[0], 3), round(plane.spacing[1], 3))
        groups[number, plane.grid, spacing].append(index)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), orientations[item[0][0]], item[0][1:]))
    return [(key[0], members) for key, members in ordered]


def _stacks_of_one_geometry(
    planes: Sequence[Plane], members: list[int], shared: tuple[str, ...]
) -> list[Stack]:
    place, heights = _places(planes, members)
    kept, dropped = _without_duplicates(planes, members, place)
    volumes = _apart(planes, kept, place, "")
    found = []
    for repeat, (label, indices) in enumerate(volumes):
        ordered = tuple(sorted(indices, key=lambda i: place[i]))
        notes = list(shared)
        if len(volumes) > 1:
            kind = f" ({label})" if label else ""
            which = f"this is number {repeat + 1}{kind}"
            notes.append(f"Its series has {len(volumes)} volumes at the same positions; {which}.")
        if dropped and repeat == 0:
            noun = (
                "slice is there more than once; the copy was"
                if len(dropped) == 1
                else "copies of slices were"
            )
            notes.append(f"{len(dropped)} {noun} left out.")
        notes.extend(_gaps([heights[place[i]] for i in ordered]))
        found.append(Stack(ordered, repeat, tuple(dropped) if repeat == 0 else (), tuple(notes)))
    return found


def _places(planes: Sequence[Plane], members: list[int]) -> tuple[dict[int, int], list[float]]:
    """The number of each plane's position along the normal, and the positions in mm."""
    axis = normal(planes[members[0]].orientation)
    height = {i: float(np.dot(axis, planes[i].position)) for i in members}
    pixel = min((x for x in planes[members[0]].spacing if x > 0), default=1.0)
    tolerance = min(_SAME_POSITION_MM, pixel / 10)
    place: dict[int, int] = {}
    heights: list[float] = []
    for i in sorted(members, key=lambda i: height[i]):
        if not heights or height[i] - heights[-1] > tolerance:
            heights.append(height[i])
        place[i] = len(heights) - 1
    return place, heights


def _without_duplicates(
    planes: Sequence[Plane], members: list[int], place: dict[int, int]
) -> tuple[list[int], list[int]]:
    """Drops planes with the UID, or with everything we know, of one before at the same position."""
    seen: set[object] = set()
    kept: list[int] = []
    dropped: list[int] = []
    for i in members:
        plane = planes[i]
        marks: set[object] = {(place[i], plane.keys, plane.number)}
        if plane.uid:
            marks.add((place[i], plane.uid))
        (dropped if marks & seen else kept).append(i)
        seen |= marks
    return kept, dropped


def _apart(
    planes: Sequence[Plane], members: list[int], place: dict[int, int], label: str
) -> list[tuple[str, list[int]]]:
    """Splits planes until no position is taken twice; each part with what sets it apart."""
    most = _most_at_one_place(members, place)
    if most == 1:
        return [(label, members)]
    for k, key in enumerate(KEYS):
        parts: dict[str, list[int]] = defaultdict(list)
        for i in members:
            parts[planes[i].keys[k]].append(i)
        left = max(_most_at_one_place(part, place) for part in parts.values())
        if len(parts) < 2 or left == most:
            continue
        # A key that differs from slice to slice would tear volumes apart: the number of parts has
        # to be explained by how many planes share a position.
        explained = len(parts) * left <= most
        if not explained and not (
            key in CONTENT_KEYS and len(parts) <= min(_MAX_CONTENTS, len(members) // 2)
        ):
            continue
        found = []
        for value, part in sorted(parts.items(), key=lambda item: _natural(item[0])):
            name = ", ".join(filter(None, (label, f"{key} {value or 'absent'}")))
            found.extend(_apart(planes, part, place, name))
        return found
    # Nothing known tells them apart: the first at every position, the second, and so on.
    turns: dict[int, list[int]] = defaultdict(list)
    taken: dict[int, int] = defaultdict(int)
    for i in sorted(members, key=lambda i: (planes[i].number, i)):
        turns[taken[place[i]]].append(i)
        taken[place[i]] += 1
    return [
        (", ".join(filter(None, (label, "by InstanceNumber"))), part) for _, part in sorted(turns.items())
    ]


def _most_at_one_place(members: list[int], place: dict[int, int]) -> int:
    count: dict[int, int] = defaultdict(int)
    for i in members:
        count[place[i]] += 1
    return max(count.values())


def _natural(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value


def _gaps(heights: list[float]) -> list[str]:
    """Sentences about slices that are missing inside a volume."""
    if len(heights) < 3:
        return []
    steps = np.diff(heights)
    step = float(np.median(steps))
    notes = []
    for k in np.flatnonzero(steps > 1.5 * step)[:5]:
        missing = round(float(steps[k]) / step) - 1
        noun = "slice is" if missing == 1 else "slices are"
        notes.append(f"{missing} {noun} missing between {heights[k]:.1f} and {heights[k + 1]:.1f} mm.")
    if len(wide := np.flatnonzero(steps > 1.5 * step)) > 5:
        notes.append(f"It has {len(wide)} gaps.")
    return notes

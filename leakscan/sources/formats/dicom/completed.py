"""Slices that lost a tag which the others of their series have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from leakscan.sources.formats.dicom.header import DicomHeader

_LEAST = 3
"""Whole slices from which on they say how the others of a series lie."""
_TOLERANCE_MM = 0.05
_Value = TypeVar("_Value", bound=Hashable)


def completed(headers: Sequence[DicomHeader]) -> list[DicomHeader]:
    """Headers whose slices say how and where they lie, as far as the others of their series tell.

    A direction or a pixel spacing is that of the other slices where they all agree. A position follows from
    the InstanceNumber where those of all others do so, evenly, and nothing lies there.

    Args:
        headers: The headers of one dataset.

    Returns:
        As many, in the same order. What was filled in is named in ``filled``.

    Example:
        >>> from pydicom.examples import get_path
        >>> from leakscan.sources.formats.dicom import read_header
        >>> one = read_header(get_path("ct"))
        >>> x, y, z = one.position
        >>> slices = [replace(one, number=k, position=(x, y, z + 5 * k)) for k in range(5)]
        >>> slices[2] = replace(slices[2], position=())
        >>> whole = completed(slices)[2]
        >>> round(whole.position[2] - z), whole.filled
        (10, ('ImagePositionPatient',))
    """
    series: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, header in enumerate(headers):
        if header.series_uid and header.is_slice:
            grid = header.rows, header.columns
            series[header.subject, header.study_uid, header.series_uid, header.sop_class, grid].append(i)
    found = list(headers)
    for members in series.values():
        whole = [i for i in members if found[i].plane is not None and found[i].spacing[0] > 0]
        if _LEAST <= len(whole) < len(members):
            known = [found[i] for i in whole]
            for i in set(members) - set(whole):
                found[i] = _filled(found[i], known)
    return found


def _filled(header: DicomHeader, known: Sequence[DicomHeader]) -> DicomHeader:
    """One header with what the whole ones of its series say."""
    filled = []
    if len(header.orientation) != 6 and (direction := _only(known, lambda h: h.orientation)):
        header = replace(header, orientation=direction)
        filled.append("ImageOrientationPatient")
    if header.spacing[0] <= 0 and (spacing := _only(known, lambda h: h.spacing)):
        header = replace(header, spacing=spacing)
        filled.append("PixelSpacing")
    if not header.position and (position := _counted_place(header.number, known)) is not None:
        x, y, z = position
        header = replace(header, position=(x, y, z))
        filled.append("ImagePositionPatient")
    return replace(header, filled=tuple(filled)) if filled and header.plane is not None else header


def _only(known: Sequence[DicomHeader], of: Callable[[DicomHeader], _Value]) -> _Value | None:
    """The value that all have, or ``None``."""
    values = Counter(map(of, known))
    return next(iter(values)) if len(values) == 1 else None


def _counted_place(number: int, known: Sequence[DicomHeader]) -> tuple[float, ...] | None:
    """Where the slice of a number lies, if the places of the others follow theirs, and none has it."""
    numbers = np.array([header.number for header in known], np.float64)
    places = np.array([header.position for header in known], np.float64)
    if len(set(numbers.tolist())) < len(numbers) or number in numbers:
        return None
    design = np.stack([numbers, np.ones_like(numbers)], axis=1)
    line, *_ = np.linalg.lstsq(design, places, rcond=None)
    if np.abs(design @ line - places).max() > _TOLERANCE_MM:
        return None
    return tuple(float(round(value, 4)) for value in np.array([number, 1.0]) @ line)

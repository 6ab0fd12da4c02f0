"""Slices that say nowhere where they lie: series in the order in which their files are counted."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from leakscan.sources.contents import shown
from leakscan.sources.formats.dicom.header import DicomHeader

_LEAST = 4
"""Slices from which on they are put together: fewer are as well scouts or single pictures."""

_BY_PLACE = "Its slices lost their orientations; they are in the order of their positions."
_BY_NUMBER = "Its slices lost their positions; they are in the order of their InstanceNumbers."
_BY_NAME = "Its slices lost their positions and InstanceNumbers; they are in the order of their names."
_APART = "It lost its position, and no InstanceNumber says where it belongs; it is kept as a picture."


def counted_series(lost: Sequence[DicomHeader]) -> Iterator[tuple[list[DicomHeader], str]]:
    """Series of slices without positions, in order, each with a note.

    Slices of one series with one grid and direction are one volume: by their positions if only their
    orientations are lost, else by their InstanceNumbers, or where none has one by their names as people
    count (``im2`` before ``im10``). Where each slice names a series of its own, those of one study in one
    folder are taken together. What cannot be put in order stays apart.

    Args:
        lost: The headers of slices without a position.

    Example:
        >>> list(counted_series([]))
        []
    """
    series: dict[tuple[object, ...], list[DicomHeader]] = defaultdict(list)
    for header in lost:
        series[_kind(header), header.series_uid, "" if header.series_uid else _folder(header)].append(header)
    whole = [members for members in series.values() if len(members) > 1]
    lone: dict[tuple[object, ...], list[DicomHeader]] = defaultdict(list)
    for members in series.values():
        if len(members) == 1:
            lone[_kind(members[0]), _folder(members[0])].append(members[0])
    for members in [*whole, *lone.values()]:
        yield from _ordered(members)


def _kind(header: DicomHeader) -> tuple[object, ...]:
    """What slices of one volume have in common."""
    grid = (header.rows, header.columns)
    return header.subject, header.study_uid, header.modality, grid, header.spacing, header.orientation


def _folder(header: DicomHeader) -> str:
    return str(PurePath(shown(header.path)).parent)


def _ordered(members: list[DicomHeader]) -> Iterator[tuple[list[DicomHeader], str]]:
    numbers = [header.number for header in members]
    if len(members) < _LEAST:
        yield from (([header], "") for header in members)
    elif (places := _along(members)) and len(set(places)) == len(members):
        by_place = sorted(zip(places, members, strict=True), key=lambda one: one[0])
        yield [header for _, header in by_place], _BY_PLACE
    elif len(set(numbers)) == len(members):
        yield sorted(members, key=lambda header: header.number), _BY_NUMBER
    elif not any(numbers):
        yield sorted(members, key=_counted_name), _BY_NAME
    else:
        yield from (([header], _APART) for header in members)


def _along(members: Sequence[DicomHeader]) -> list[float]:
    """How far along the axis on which they differ most slices lie, or nothing where one does not say."""
    if not all(len(header.position) == 3 for header in members):
        return []
    columns = list(zip(*(header.position for header in members), strict=True))
    axis = max(range(3), key=lambda k: max(columns[k]) - min(columns[k]))
    return [float(value) for value in columns[axis]]


def _counted_name(header: DicomHeader) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", shown(header.path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

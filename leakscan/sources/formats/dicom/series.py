"""From headers to images: films one by one, slices by series and geometry."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
from blake3 import blake3

from leakscan.settings import DecodeOptions
from leakscan.sources.contents import content_mark, shown
from leakscan.sources.formats.dicom.completed import completed
from leakscan.sources.formats.dicom.counted import counted_series
from leakscan.sources.formats.dicom.header import DicomHeader
from leakscan.sources.formats.dicom.planes import KEYS, Plane, Stack, normal, stacks
from leakscan.types import ImageRef

_Slices = list[tuple[DicomHeader, Plane]]
_IMAGE_TYPE = KEYS.index("ImageType")


def assemble(headers: Sequence[DicomHeader], root: Path, options: DecodeOptions) -> list[ImageRef]:
    """Sorts headers into images.

    - A film, photograph or other file without a place in the patient is an image by itself, every
      frame of it. Its id is the hash of its path.
    - Slices are put together by subject, study and series (by folder where a series has no UID; slices
      of one study and folder that each name a series of their own are one if they stand in a row),
      then by orientation, grid and spacing, then by what distinguishes slices at one position. Their
      id is the hash of their SOPInstanceUIDs, so it survives a move of the files.
    - Slices that lost their positions are put in the order of their InstanceNumbers, or of their names.
    - An enhanced multi-frame object is split into volumes in the same way; ``frame`` numbers them.

    Args:
        headers: The headers of one dataset, in any order.
        root: The folder that paths are relative to.
        options: ``frames="first"`` keeps the first frame, or the first of several volumes at the
            same positions.

    Returns:
        Images ordered by path, then by their first file and frame.

    Example:
        >>> from pydicom.examples import get_path
        >>> from leakscan.sources.formats.dicom import read_header
        >>> here = read_header(get_path("ct"))
        >>> x, y, z = here.position
        >>> above = replace(here, path=here.path + ".2", sop_uid=here.sop_uid + ".2", position=(x, y, z + 5))
        >>> (volume,) = assemble([above, here], get_path("ct").parent, DecodeOptions())
        >>> volume.ndim, [PurePath(file).name for file in volume.files]
        (3, ['CT_small.dcm', 'CT_small.dcm.2'])
    """
    top = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow symlinks
    series: dict[tuple[str, ...], list[tuple[DicomHeader, Plane]]] = defaultdict(list)
    found: list[ImageRef] = []
    lost: list[DicomHeader] = []
    for header in completed(sorted(headers, key=lambda h: (h.sop_uid, h.path))):
        plane = header.plane
        if plane is not None:
            folder = "" if header.series_uid else str(PurePath(shown(header.path)).parent)
            series[header.subject, header.study_uid, header.series_uid, folder].append((header, plane))
        elif header.stacks:
            found.extend(_enhanced(header, top, options))
        elif header.lost:
            lost.append(header)
        else:
            found.extend(_pictures(header, top, options))
    for members in _rejoined(series):
        found.extend(_volumes([h for h, _ in members], [p for _, p in members], top, options))
    for headers_of_one, note in counted_series(lost):
        if len(headers_of_one) == 1:
            found.extend(_pictures(headers_of_one[0], top, options, note))
        else:
            uids = [header.sop_uid for header in headers_of_one]
            paths = [_relative(header.path, top) for header in headers_of_one]
            identity = sorted(uids) if all(uids) and len(set(uids)) == len(uids) else sorted(paths)
            shared = _shared_folder(paths)
            found.append(_ref(headers_of_one, _hash(identity), shared, ndim=3, notes=[note]))
    found.sort(key=lambda ref: (ref.path, ref.files[0], ref.frame))
    return _with_unique_ids(found)


def _rejoined(series: Mapping[tuple[str, ...], _Slices]) -> list[_Slices]:
    """The series, where slices with a SeriesInstanceUID each are one series if they stand in a row.

    Some machines and anonymisers give every slice a series of its own, or a study as well. Slices of one
    study, or of one person, in one folder that lie parallel, equal in grid and spacing, at even steps are
    one volume all the same.
    """
    whole = [members for members in series.values() if len(members) > 1]
    lone: dict[tuple[object, ...], list[_Slices]] = defaultdict(list)
    for (subject, _, _, _), members in series.items():
        if len(members) == 1:
            header, plane = members[0]
            folder = str(PurePath(shown(header.path)).parent)
            key = (subject, folder, header.modality, plane.orientation, plane.grid, plane.spacing)
            lone[key].append(members)
    for (owner, *_), each in lone.items():
        for group in _by_study(each):
            together = [one for members in group for one in members]
            known = owner or together[0][0].study_uid
            if known and _in_a_row([plane for _, plane in together]):
                whole.append(together)
            else:
                whole += group
    return whole


def _by_study(slices: list[_Slices]) -> list[list[_Slices]]:
    """Single slices of one person by their studies, or all of them where each names a study of its own."""
    studies: dict[str, list[_Slices]] = defaultdict(list)
    for members in slices:
        studies[members[0][0].study_uid].append(members)
    if len(studies) == len(slices) and slices[0][0][0].subject:
        return [slices]
    return list(studies.values())


def _in_a_row(planes: Sequence[Plane]) -> bool:
    """Whether three slices or more lie behind each other at even steps; single ones may be missing."""
    if len(planes) < 3:
        return False
    across = normal(planes[0].orientation)
    places = np.array([plane.position for plane in planes])
    along = np.sort(places @ across)
    steps = np.diff(along)
    sideways = places - np.outer(places @ across, across)
    if steps.min() < 0.05 or np.abs(sideways - sideways[0]).max() > 1.0:
        return False
    counts = steps / np.median(steps)
    return bool((np.abs(counts - np.rint(counts)) < 0.1).all() and counts.max() < 4)


def _pictures(header: DicomHeader, root: Path, options: DecodeOptions, note: str = "") -> list[ImageRef]:
    path = _relative(header.path, root)
    count = header.frames if options.frames == "all" else 1
    notes: tuple[str, ...] = (note,) if note else ()
    if count < header.frames:
        notes = (f"It holds {header.frames} frames; only the first is read.", *notes)
    return [
        _ref([header], _hash([path]) + _suffix(frame), path, frame=frame, notes=notes)
        for frame in range(count)
    ]


def _enhanced(header: DicomHeader, root: Path, options: DecodeOptions) -> list[ImageRef]:
    """The volumes of a multi-frame object with plane positions."""
    path = _relative(header.path, root)
    count = len(header.stacks) if options.frames == "all" else 1
    notes = (
        (f"It holds {len(header.stacks)} volumes; only the first is read.",)
        if count < len(header.stacks)
        else ()
    )
    return [
        _ref(
            [header],
            _hash([header.sop_uid or path]) + _suffix(k),
            path,
            frame=k,
            ndim=3 if header.stacks[k] > 1 else 2,
            notes=notes,
        )
        for k in range(count)
    ]


def _volumes(
    headers: Sequence[DicomHeader], planes: Sequence[Plane], root: Path, options: DecodeOptions
) -> list[ImageRef]:
    found = []
    parts = stacks(planes)
    for k, stack in enumerate(parts):
        if options.frames == "first" and stack.repeat > 0:
            continue
        members = [headers[i] for i in stack.members]
        notes = [*stack.notes, *_extra_notes(members, stack, [headers[i] for i in stack.dropped], root)]
        if filled := {name for header in members for name in header.filled}:
            notes.append(f"Some of its slices lack {' and '.join(sorted(filled))}, which others of it say.")
        if options.frames == "first" and k + 1 < len(parts) and parts[k + 1].repeat > 0:
            notes.append("It holds several volumes at the same positions; only the first is read.")
        uids = [header.sop_uid for header in members]
        paths = [_relative(header.path, root) for header in members]
        identity = sorted(uids) if all(uids) else sorted(paths)
        path = paths[0] if len(members) == 1 else _shared_folder(paths)
        ndim = 3 if len(members) > 1 else 2
        found.append(_ref(members, _hash(identity), path, ndim=ndim, notes=notes))
    return found


def _extra_notes(
    members: Sequence[DicomHeader], stack: Stack, dropped: Sequence[DicomHeader], root: Path
) -> list[str]:
    notes = []
    if folders := sorted({str(PurePath(_relative(h.path, root)).parent) for h in dropped}):
        notes.append(
            f"The copies lie in {', '.join(folders[:3])}{' and elsewhere' if len(folders) > 3 else ''}."
        )
    if "MOSAIC" in members[0].keys[_IMAGE_TYPE].upper().split("\\"):
        notes.append("It is a mosaic of slices, kept as the picture it is stored as.")
    if len({h.series_uid for h in members}) > 1:
        notes.append("Its slices have different SeriesInstanceUIDs; by their places they are one volume.")
    if len({h.sop_uid for h in members}) < len(members):
        notes.append("Some of its slices share a SOPInstanceUID.")
    return notes


def _ref(
    members: Sequence[DicomHeader],
    image_id: str,
    path: str,
    *,
    frame: int = 0,
    ndim: int = 2,
    notes: Iterable[str] = (),
) -> ImageRef:
    marks = [h.mark for h in members]
    return ImageRef(
        image_id=image_id,
        path=path,
        format="dicom",
        files=tuple(h.path for h in members),
        signature=marks[0] if len(marks) == 1 else _hash(marks),
        content="" if len(marks) == 1 else content_mark(marks),
        frame=frame,
        ndim=ndim,
        tags=members[0].tags,
        notes=tuple(notes),
    )


def _with_unique_ids(refs: list[ImageRef]) -> list[ImageRef]:
    """Broken anonymisation repeats UIDs: an id taken already is made from the paths instead."""
    taken: set[str] = set()
    found = []
    for ref in refs:
        unique = ref
        if ref.image_id in taken:
            note = "Its SOPInstanceUIDs are those of another image; its id comes from its path."
            names = [ref.path, *(PurePath(shown(f)).name for f in ref.files)]
            unique = replace(ref, image_id=_hash(names) + _suffix(ref.frame), notes=(*ref.notes, note))
        taken.add(unique.image_id)
        found.append(unique)
    return found


def _relative(path: str, root: Path) -> str:
    relative = os.path.relpath(shown(path), root)
    return unicodedata.normalize("NFC", PurePath(relative).as_posix())


def _shared_folder(paths: Sequence[str]) -> str:
    folder = os.path.commonpath([str(PurePath(p).parent) for p in paths])
    return PurePath(folder).as_posix()


def _hash(parts: Iterable[str]) -> str:
    return blake3("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _suffix(frame: int) -> str:
    return f"#{frame}" if frame else ""

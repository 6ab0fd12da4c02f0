"""Is a picture a slice of a volume? Hashes of all slices find it, and the copy check of pictures decides.

A volume is cut along its three axes. Slices of CT are hashed in the windows in which they are usually saved;
others as they are. What is near to a picture by its hash is checked like any two pictures, and so are the
slices beside it, because neighbours resemble each other: the one that agrees best is the one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.decide.copies.describing import Pixels, load_pixels
from leakscan.decide.copies.picture_check import STRETCHED, check_pictures, stretch_between
from leakscan.decide.copies.picture_features import describe_picture, glance, worth_a_check
from leakscan.engines.careful import Loss
from leakscan.errors import ImageError
from leakscan.fingerprint.hashing import hamming, is_blank, perceptual_hashes
from leakscan.settings import DecodeOptions
from leakscan.types import ImageRef

Floats = npt.NDArray[np.float32]

AXES = "xyz"
"""From left to right, from back to front, and from the feet up."""

NEAR_BITS = 18
"""The most bits in which the hashes of a picture and of the slice that it is may differ: grey levels that
were windowed otherwise than here, and borders that were cut off, cost up to so many."""

SLICE_SEARCH_VERSION = "slices-2"
"""Changes whenever a search or the check of a slice may find something else."""

_LEAST_SIDE = 32  # px, below which a slice is no picture
_HASHED_SIDE = 96
_HOPELESS = 0.4  # correlation of a slice, below which those beside it are not checked
_OTHER_AXIS = 4  # bits by which the nearest slice across another axis may be farther
_BESIDE = 2  # slices on either side that are checked as well
_AIR = -200.0  # Hounsfield units; what goes below is CT
_WINDOWS = ((-600.0, 1500.0), (40.0, 400.0), (40.0, 90.0), (500.0, 2000.0))
"""Centre and width for lungs, soft tissue, brain and bone; what most programs offer."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One slice of a volume, as it was shown.

    Attributes:
        axis: The axis across which it lies, 0 to 2.
        index: Its place along the axis.
        window: The number of the window it is shown in, -1 for none.
        bits: The number of bits in which its hash differs from that of a picture.
    """

    axis: int
    index: int
    window: int
    bits: int


Hits = list[tuple[int, Cut]]
"""Numbers of pictures, each with a slice that it resembles; of one volume at most one across each axis."""


def spelt(hits: Hits) -> str:
    """Hits as a text that is kept for the next run.

    Example:
        >>> spelt([(3, Cut(2, 21, -1, 4))]), read_hits("3 2 21 -1 4")
        ('3 2 21 -1 4', [(3, Cut(axis=2, index=21, window=-1, bits=4))])
    """
    return ",".join(f"{number} {c.axis} {c.index} {c.window} {c.bits}" for number, c in hits)


def read_hits(text: str) -> Hits:
    """Hits as :func:`spelt` wrote them.

    Raises:
        ValueError: The text is damaged.

    Example:
        >>> read_hits("")
        []
    """
    rows = [[int(number) for number in part.split()] for part in text.split(",") if part]
    if any(len(row) != 5 for row in rows):
        raise ValueError("a hit has five numbers")
    return [(row[0], Cut(*row[1:])) for row in rows]


@dataclass(frozen=True)
class SliceTask:
    """One volume, and the pictures that may be slices of it.

    Attributes:
        volume: The volume.
        pictures: The place of the pixels of each picture.
        cuts: The slices that each picture resembles, at most one across each axis.
    """

    volume: ImageRef
    pictures: tuple[Pixels, ...]
    cuts: tuple[tuple[Cut, ...], ...]


def by_picture(hits: Hits) -> dict[int, tuple[Cut, ...]]:
    """The slices that each picture resembles.

    Example:
        >>> by_picture([(3, Cut(2, 21, -1, 4)), (3, Cut(0, 7, -1, 6))])[3][1].index
        7
    """
    found: dict[int, tuple[Cut, ...]] = {}
    for number, cut in hits:
        found[number] = (*found.get(number, ()), cut)
    return found


def nearest_cuts(volume: ImageRef, pictures: npt.NDArray[np.uint64], options: DecodeOptions) -> Hits | None:
    """For every picture that is near to a slice of a volume: its number, and the nearest slice of each axis.

    Args:
        volume: The volume.
        pictures: ``(n, 8)`` the hashes of the pictures in all orientations.
        options: The limits and choices for reading files.

    Returns:
        The hits, ``None`` where the volume cannot be read.

    Example:
        ``nearest_cuts(volume, side.phash, DecodeOptions())``
    """
    try:
        values = load_pixels(volume, options).values
    except (ImageError, OSError):
        return None
    if values.ndim != 3:
        return []
    places, hashes = [], []
    for axis, index, window, shown in _cuts(values):
        hashes.append(perceptual_hashes(shown)[0])
        places.append((axis, index, window))
    if not places:
        return []
    known, across = np.array(hashes, np.uint64), np.array([axis for axis, _, _ in places])
    found = []
    for number, variants in enumerate(pictures):
        bits = hamming(variants[:, None], known[None]).min(axis=0)
        # Letters and frames may bring a slice across another axis nearer than the one that it is.
        farthest = min(NEAR_BITS, int(bits.min()) + _OTHER_AXIS)
        for axis in range(3):
            own = np.flatnonzero((across == axis) & (bits <= farthest))
            if len(own):
                best = int(own[bits[own].argmin()])
                found.append((number, Cut(*places[best], int(bits[best]))))
    return found


def check_slices(task: SliceTask, options: DecodeOptions) -> list[CopyCheck | None]:
    """Checks pictures against the slices of one volume that they resemble.

    Args:
        task: The volume, the pictures, and where to look.
        options: The limits and choices for reading files.

    Returns:
        What each check came to; the first word of its ``transform`` names the slice. ``None`` where the
        pixels of one cannot be read.

    Example:
        ``check_slices(SliceTask(volume, (picture,), ((cut,),)), DecodeOptions())``
    """
    try:
        values = load_pixels(task.volume, options).values
    except (ImageError, OSError):
        return [None] * len(task.pictures)
    return [
        _checked(pixels, cuts, values, options) for pixels, cuts in zip(task.pictures, task.cuts, strict=True)
    ]


def no_checks(task: SliceTask, why: Loss) -> list[CopyCheck | None]:
    """What is known where a worker dies of a volume or a picture: nothing could be checked.

    Example:
        >>> no_checks(SliceTask(b"", (b"",), ((),)), "died")
        [None]
    """
    return [None] * len(task.pictures)


def _checked(pixels: Pixels, cuts: Sequence[Cut], values: Floats, options: DecodeOptions) -> CopyCheck | None:
    """The best that a check of a picture against some slices and those beside them came to."""
    try:
        picture = load_pixels(pixels, options).values
    except (ImageError, OSError):
        return None
    best = NOT_ALIGNED
    for cut in sorted(cuts, key=lambda one: one.bits):
        found = _compared(picture, cut, values)
        best = found if _strength(found) > _strength(best) else best
        if best.same_image:
            break
    return best


def _compared(picture: Floats, cut: Cut, values: Floats) -> CopyCheck:
    nearest = _shown(_cut(values, cut.axis, cut.index), cut.window)
    # Voxels are often longer between slices than within them, and some save such cuts with square pixels.
    stretched = stretch_between(_sides(picture), _sides(nearest)) > STRETCHED
    if not stretched and not worth_a_check(glance(picture), glance(nearest)):
        return NOT_ALIGNED
    features = describe_picture(picture)
    best = NOT_ALIGNED
    for index in _outwards(cut.index, values.shape[cut.axis]):
        one = describe_picture(_shown(_cut(values, cut.axis, index), cut.window))
        check = _named(check_pictures(features, one), cut.axis, index)
        if _strength(check) > _strength(best):
            best = check
        if index == cut.index and not check.correlation >= _HOPELESS:
            break
    return best


def _strength(check: CopyCheck) -> tuple[bool, float]:
    return check.same_image, -1.0 if math.isnan(check.correlation) else check.correlation


def _outwards(index: int, count: int) -> Iterator[int]:
    """A place and those beside it, as far as there are some."""
    for step in sorted(range(-_BESIDE, _BESIDE + 1), key=abs):
        if 0 <= index + step < count:
            yield index + step


def _named(check: CopyCheck, axis: int, index: int) -> CopyCheck:
    words = f"slice-{AXES[axis]}-{index + 1}"
    return replace(check, transform=f"{words}+{check.transform}" if check.transform else words)


def _cuts(values: Floats) -> Iterator[tuple[int, int, int, Floats]]:
    """The slices of a volume across all axes in all windows, small, but for those with nothing in them."""
    windows = _windows_of(values)
    for axis in range(3):
        if min(n for other, n in enumerate(values.shape) if other != axis) < _LEAST_SIDE:
            continue
        for index in range(values.shape[axis]):
            small = _small(_cut(values, axis, index))
            for window in windows:
                shown = _shown(small, window)
                if not is_blank(shown):
                    yield axis, index, window, shown


def _windows_of(values: Floats) -> Sequence[int]:
    """The windows in which a volume is usually shown: those of CT, or none."""
    return range(-1, len(_WINDOWS)) if float(values.min()) <= _AIR else (-1,)


def _cut(values: Floats, axis: int, index: int) -> Floats:
    return np.ascontiguousarray(values.take(index, axis))


def _sides(picture: Floats) -> tuple[int, int]:
    return picture.shape[0], picture.shape[1]


def _small(picture: Floats) -> Floats:
    scale = _HASHED_SIDE / max(picture.shape)
    if scale >= 1:
        return picture
    height, width = (max(1, round(n * scale)) for n in picture.shape)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _shown(picture: Floats, window: int) -> Floats:
    if window < 0:
        return picture
    centre, width = _WINDOWS[window]
    return np.clip(picture, centre - width / 2, centre + width / 2)

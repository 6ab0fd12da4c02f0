"""Keypoints of a picture in two kilobytes: enough to tell in a millisecond that another is no copy of it.

They are SIFT's (Lowe, IJCV 2004), the strongest of every part of the picture, so that letters burnt into it
do not take them all. Of a descriptor's 128 numbers only remains which are above their median. A mirror, or a
negative, permutes these bits as it permutes the numbers, so a picture needs no second description for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

VERSION = "keypoints-1"
"""Changes whenever a picture would get other keypoints."""

SIDE = 160
"""Pixels of the longest side of the picture that they are found in."""
MOST = 120
"""Keypoints of a picture at most."""
FEW_LEVELS = 4
"""Grey levels up to which a picture is little more than its steps."""

_FOUND = 400  # keypoints to choose from
_WINDOW = 6.0  # side of what a descriptor sees, in sizes of its keypoint: 12 sigma, as SIFT's
_SAMPLES = 16  # along that side
_LEVELS = 4  # pictures of half the size each
_ROWS, _COLUMNS = (
    axis.ravel().astype(np.float32) - (_SAMPLES - 1) / 2 for axis in np.mgrid[:_SAMPLES, :_SAMPLES]
)
_NEAR = np.exp(-(_ROWS**2 + _COLUMNS**2) / (2 * (_SAMPLES / 2) ** 2)).astype(np.float32)
_CELL = (np.arange(_SAMPLES)[:, None] // 4 * 4 + np.arange(_SAMPLES) // 4).ravel()
_CELLS, _EACH = 4, 8  # cells along a side, and keypoints of each at most
_PERCENTILES = (0.5, 99.5)
_BYTES = 2 + 16  # of a keypoint: its place, and a bit for each number of its descriptor

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def _variants() -> npt.NDArray[np.intp]:
    bins = np.arange(128).reshape(4, 4, 8)
    mirrored = bins[::-1, :, (8 - np.arange(8)) % 8]
    return np.stack([v.ravel() for v in (bins, mirrored, bins[::-1, ::-1], mirrored[::-1, ::-1])])


VARIANTS = _variants()
"""Where a descriptor, as it is, mirrored, inverted or both, has its 128 bits: ``(4, 128)``.

The reasons are those of ``leakscan.decide.copies.picture_features``.
"""


@dataclass(frozen=True)
class Keypoints:
    """The keypoints of one picture.

    Attributes:
        points: ``(n, 2)`` float32: x and y, in pixels of the picture at ``SIDE``.
        bits: ``(n, 128)`` bool, which numbers of each descriptor are above their median.
    """

    points: Floats
    bits: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.points)

    def to_bytes(self) -> bytes:
        """18 bytes a keypoint; places are rounded to pixels.

        Example:
            >>> film = np.random.default_rng(0).random((24, 24), np.float32)
            >>> found = find_keypoints(cv2.resize(film, (160, 160), interpolation=cv2.INTER_CUBIC))
            >>> len(found.to_bytes()) == 18 * len(found) > 0
            True
        """
        places = np.clip(np.rint(self.points), 0, 255).astype(np.uint8)
        return np.hstack([places, np.packbits(self.bits, axis=1)]).tobytes()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Keypoints:
        """What :meth:`to_bytes` wrote.

        Example:
            >>> len(Keypoints.from_bytes(b""))
            0
        """
        rows = np.frombuffer(raw, np.uint8).reshape(-1, _BYTES)
        return cls(rows[:, :2].astype(np.float32), np.unpackbits(rows[:, 2:], axis=1).view(np.bool_))


def find_keypoints(values: npt.NDArray[np.float32]) -> Keypoints:
    """Finds the keypoints of a picture.

    Args:
        values: ``(height, width)`` in any range; values that are not finite count as 0.

    Returns:
        None where the picture has a few grey levels only: the edges of its steps are nowhere in the picture
        that it was made from, so its keypoints would say that the two are strangers.

    Example:
        >>> len(find_keypoints(np.zeros((100, 80), np.float32)))
        0
    """
    picture, blank = working_picture(values, SIDE)
    if blank or level_shares(values):
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.bool_))
    even = np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(picture), np.uint8)
    found = _sift(_FOUND).detect(even, None)
    if not found:
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.bool_))
    # x, y, size, direction and strength of each
    table = np.array([(*p.pt, p.size, p.angle, p.response) for p in found], np.float32)
    table = table[_spread(table[:, :2], table[:, 4], picture.shape)]
    places = _Places(
        table[:, :2],
        np.asarray(table[:, 2] * (_WINDOW / _SAMPLES), np.float32),
        np.asarray(np.deg2rad(table[:, 3]), np.float32),
    )
    return Keypoints(places.points, _described(even, places))


def level_shares(values: npt.NDArray[np.float32]) -> tuple[float, ...]:
    """The share of pixels up to each grey level but the last, where a picture has 2 to 4 levels; else none.

    Args:
        values: ``(height, width)`` in any range.

    Example:
        >>> level_shares(np.array([[0, 0, 0, 7]], np.float32)), level_shares(np.zeros((2, 2), np.float32))
        ((0.75,), ())
    """
    flat = values.ravel()
    if len(np.unique(flat[:: max(1, len(flat) // 2048)])) > FEW_LEVELS:
        return ()
    levels, counts = np.unique(flat, return_counts=True)
    if not 1 < len(levels) <= FEW_LEVELS:
        return ()
    return tuple((np.cumsum(counts)[:-1] / len(flat)).tolist())


def working_picture(values: npt.NDArray[np.float32], side: int) -> tuple[Picture, bool]:
    """A picture at another size, its robust range stretched to 0..255, and whether there is nothing to see.

    Args:
        values: ``(height, width)`` in any range; values that are not finite count as 0.
        side: The longest side of the result in pixels.

    Example:
        >>> picture, blank = working_picture(np.zeros((100, 80), np.float32), 50)
        >>> picture.shape, blank
        ((50, 40), True)
    """
    scale = side / max(values.shape)
    size = (max(1, round(values.shape[1] * scale)), max(1, round(values.shape[0] * scale)))
    film = cv2.resize(
        np.nan_to_num(values.astype(np.float32, copy=False), posinf=0.0, neginf=0.0),
        size,
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
    )
    low, high = np.percentile(film[::2, ::2], _PERCENTILES)
    if high <= low:
        low, high = float(film.min()), float(film.max())
    blank = bool(high - low <= 1e-6 * max(abs(low), abs(high), 1e-30))
    span = 255.0 / (high - low) if not blank else 0.0
    return np.clip((film - low) * span + 0.5, 0, 255).astype(np.uint8), blank


def sift(picture: Picture, most: int) -> tuple[Floats, Picture]:
    """The strongest SIFT keypoints of a picture after local equalisation.

    Args:
        picture: ``(height, width)`` uint8.
        most: The most keypoints to find.

    Returns:
        Their places ``(n, 2)`` and descriptors ``(n, 128)`` uint8.

    Example:
        >>> points, descriptors = sift(np.zeros((64, 64), np.uint8), 10)
        >>> descriptors.shape
        (0, 128)
    """
    even = cv2.createCLAHE(2.0, (8, 8)).apply(picture)
    found, descriptors = _sift(most).detectAndCompute(even, None)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8)
    points = np.array([point.pt for point in found], np.float32).reshape(-1, 2)[:most]
    # Ties come on top of what was asked for.
    return points, np.clip(descriptors[:most], 0, 255).astype(np.uint8)


def _sift(most: int) -> cv2.SIFT:
    return cv2.SIFT.create(nfeatures=most, contrastThreshold=0.02, edgeThreshold=15)


@dataclass(frozen=True)
class _Places:
    """Where keypoints are ``(n, 2)``, the pixels between two samples of each, its direction in radians."""

    points: Floats
    step: Floats
    angle: Floats


def _described(even: Picture, places: _Places) -> npt.NDArray[np.bool_]:
    """The bits of each keypoint's descriptor, ``(n, 128)``.

    The descriptor is SIFT's, of 16 x 16 samples around the keypoint along its direction: slopes by cell and
    orientation. All keypoints together take a quarter of the time that OpenCV takes for one after another.
    """
    n = len(places.points)
    cos, sin = np.cos(places.angle)[:, None], np.sin(places.angle)[:, None]
    step = places.step[:, None]
    x = places.points[:, :1] + step * (cos * _COLUMNS - sin * _ROWS)
    y = places.points[:, 1:] + step * (sin * _COLUMNS + cos * _ROWS)
    # Samples that lie far apart are taken from a smaller picture, which is smoother.
    level = np.clip(np.rint(np.log2(np.maximum(places.step, 1e-3))), 0, _LEVELS - 1).astype(np.intp)
    picture = cv2.GaussianBlur(even, (0, 0), 1.0)
    slopes = np.empty((2, n, _SAMPLES**2), np.float32)
    for number in range(_LEVELS):
        picture = cv2.pyrDown(picture) if number else picture
        at = np.flatnonzero(level == number)
        if len(at):
            columns, rows = ((v[at] + 0.5) / 2**number - 0.5 for v in (x, y))
            for axis in range(2):
                slope = cv2.Sobel(picture, cv2.CV_32F, 1 - axis, axis, ksize=3)
                slopes[axis, at] = cv2.remap(
                    slope, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR
                )
    along, across = cos * slopes[0] + sin * slopes[1], cos * slopes[1] - sin * slopes[0]
    size, direction = cv2.cartToPolar(along.astype(np.float32), across.astype(np.float32))
    size *= _NEAR
    bins = direction * (8 / (2 * np.pi))
    low = np.floor(bins)
    share, low = bins - low, low.astype(np.intp)
    first = (np.arange(n)[:, None] * 16 + _CELL) * 8
    descriptors = np.bincount((first + (low & 7)).ravel(), (size * (1 - share)).ravel(), n * 128)
    descriptors += np.bincount((first + ((low + 1) & 7)).ravel(), (size * share).ravel(), n * 128)
    descriptors = descriptors.reshape(n, 128)
    return np.asarray(descriptors > np.median(descriptors, axis=1, keepdims=True), np.bool_)


def _spread(points: Floats, strength: Floats, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """The strongest keypoints of every cell, the strongest of all first."""
    order = np.argsort(-strength, kind="stable")
    size = np.array([shape[1], shape[0]], np.float32)
    column, row = np.minimum(points[order] * _CELLS // size, _CELLS - 1).astype(np.intp).T
    cell = row * _CELLS + column
    by_cell = np.argsort(cell, kind="stable")
    rank = np.empty(len(order), np.intp)
    rank[by_cell] = np.arange(len(order)) - np.searchsorted(cell[by_cell], cell[by_cell])
    return order[rank < _EACH][:MOST]

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

_FOUND = 400  # keypoints to choose from
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

    Example:
        >>> len(find_keypoints(np.zeros((100, 80), np.float32)))
        0
    """
    picture, blank = working_picture(values, SIDE)
    if blank:
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.bool_))
    points, descriptors, strength = sift(picture, _FOUND)
    kept = _spread(points, strength, picture.shape)
    middle = np.median(descriptors[kept], axis=1, keepdims=True) if len(kept) else np.zeros((0, 1))
    return Keypoints(points[kept], descriptors[kept] > middle)


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


def sift(picture: Picture, most: int) -> tuple[Floats, Picture, Floats]:
    """The strongest SIFT keypoints of a picture after local equalisation.

    Args:
        picture: ``(height, width)`` uint8.
        most: The most keypoints to find.

    Returns:
        Their places ``(n, 2)``, descriptors ``(n, 128)`` uint8 and strengths ``(n,)``.

    Example:
        >>> points, descriptors, strength = sift(np.zeros((64, 64), np.uint8), 10)
        >>> descriptors.shape
        (0, 128)
    """
    even = cv2.createCLAHE(2.0, (8, 8)).apply(picture)
    finder = cv2.SIFT.create(nfeatures=most, contrastThreshold=0.02, edgeThreshold=15)
    found, descriptors = finder.detectAndCompute(even, None)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8), np.zeros(0, np.float32)
    points = np.array([point.pt for point in found], np.float32).reshape(-1, 2)[:most]
    strength = np.array([point.response for point in found], np.float32)[:most]
    # Ties come on top of what was asked for.
    return points, np.clip(descriptors[:most], 0, 255).astype(np.uint8), strength


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

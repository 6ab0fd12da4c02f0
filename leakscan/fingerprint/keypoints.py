"""Keypoints of a picture in two kilobytes: enough to tell in a millisecond that another is no copy of it.

They are described as SIFT's (Lowe, IJCV 2004), the strongest of every part of the picture, so that letters
burnt into it do not take them all. Of a descriptor's 128 numbers only remains which are above their median.
A mirror, or a negative, permutes these bits as it permutes the numbers, so a picture needs no second
description for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.blobs import Blobs, find_blobs
from leakscan.fingerprint.insets import Inset, find_inset
from leakscan.fingerprint.working_picture import level_shares, working_picture

VERSION = "keypoints-3"
"""Changes whenever a picture would get other keypoints."""

SIDE = 176
"""Pixels of the longest side of the picture that they are found in."""
MOST = 120
"""Keypoints of a picture at most."""
_OF_THE_WHOLE = 40  # of these, where most are of a picture that stands within it
_WINDOW = 10.0  # side of what a descriptor sees, in sizes of its blob
_LEVELS = 4  # pictures of half the size each, for samples that lie far apart
_CELLS, _EACH = 4, 8  # cells along a side of the picture, and keypoints of each at most
_BYTES = 2 + 16  # of a keypoint: its place, and a bit for each number of its descriptor
_MARK = b"\2"  # that begins the keypoints of a picture: those of other versions are of other places

_ROUND = 9.0  # side of what gives a blob its direction, in its sizes
_DIRECTIONS = 36  # that are told apart for that
_ALSO = 0.8  # of the strongest direction, from which another counts as well

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
        """A byte for the version and 18 bytes a keypoint, whose place is rounded to pixels; none for none.

        Example:
            >>> film = np.random.default_rng(0).random((24, 24), np.float32)
            >>> found = find_keypoints(cv2.resize(film, (160, 160), interpolation=cv2.INTER_CUBIC))
            >>> len(found.to_bytes()) == 1 + 18 * len(found) > 1
            True
        """
        if not len(self):
            return b""
        places = np.clip(np.rint(self.points), 0, 255).astype(np.uint8)
        return _MARK + np.hstack([places, np.packbits(self.bits, axis=1)]).tobytes()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Keypoints:
        """What :meth:`to_bytes` wrote; no keypoints where another version of it did, which say nothing here.

        Example:
            >>> len(Keypoints.from_bytes(b"")), len(Keypoints.from_bytes(bytes(36)))
            (0, 0)
        """
        known = raw[:1] == _MARK and len(raw) % _BYTES == 1
        rows = np.frombuffer(raw[1:] if known else b"", np.uint8).reshape(-1, _BYTES)
        return cls(rows[:, :2].astype(np.float32), np.unpackbits(rows[:, 2:], axis=1).view(np.bool_))


_NONE = Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.bool_))


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
        return _NONE
    inset = find_inset(picture)
    if inset is None:
        return _found(picture, MOST)
    within = _within(values, inset, picture.shape)
    whole = _found(picture, MOST - min(len(within), MOST - _OF_THE_WHOLE))
    most = MOST - len(whole)
    return Keypoints(
        np.concatenate([within.points[:most], whole.points]), np.concatenate([within.bits[:most], whole.bits])
    )


def _within(values: npt.NDArray[np.float32], inset: Inset, shape: tuple[int, ...]) -> Keypoints:
    """The keypoints of a picture that stands within another, found as if it stood alone.

    Args:
        values: ``(height, width)`` of the other picture.
        inset: Where it stands.
        shape: Height and width of the other picture as its keypoints are found.

    Returns:
        Its keypoints, placed in the other picture.
    """
    part = inset.of(values)
    picture, blank = working_picture(part, SIDE)
    if blank:
        return _NONE
    found = _found(picture, MOST)
    sizes = [np.array(one[1::-1], np.float32) for one in (part.shape, picture.shape, values.shape, shape)]
    own, small, all_of_it, seen = sizes
    start = np.rint(np.array([inset.left, inset.top], np.float32) * all_of_it)
    places = ((found.points + 0.5) * (own / small) + start) * (seen / all_of_it) - 0.5
    return Keypoints(places.astype(np.float32), found.bits)


def _found(picture: Picture, most: int) -> Keypoints:
    """The keypoints of a picture as it is, the strongest of every part."""
    even = np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(picture), np.uint8)
    blobs = find_blobs(even)
    if not len(blobs):
        return _NONE
    blobs = blobs[_spread(blobs, picture.shape)]
    slopes = _Slopes(even)
    owner, angle = _directions(slopes, blobs)
    owner, angle = owner[:most], angle[:most]
    return Keypoints(blobs.points[owner], _described(slopes, blobs[owner], angle))


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


class _Samples:
    """A square of samples around a keypoint, as wide as the number of them along a side.

    Args:
        side: The samples along a side.
        spread: The standard deviation of their weights, in samples.
    """

    def __init__(self, side: int, spread: float) -> None:
        axes = np.mgrid[:side, :side].astype(np.float32) - (side - 1) / 2
        self.rows, self.columns = axes[0].ravel(), axes[1].ravel()
        self.weights = np.exp(-(self.rows**2 + self.columns**2) / (2 * spread**2)).astype(np.float32)
        cells = np.arange(side) * 4 // side
        self.cell = (cells[:, None] * 4 + cells).ravel()
        self.side = side


_SEEN = _Samples(12, 6.0)
"""What a descriptor sees."""
_NEAR = _Samples(12, 2.0)
"""What gives a blob its direction."""


class _Slopes:
    """The slopes of a picture along x and y, at four sizes of it.

    Args:
        picture: ``(height, width)`` uint8.
    """

    def __init__(self, picture: Picture) -> None:
        self._levels = []
        small = cv2.GaussianBlur(picture, (0, 0), 1.0)
        for number in range(_LEVELS):
            small = cv2.pyrDown(small) if number else small
            both = [cv2.Sobel(small, cv2.CV_32F, 1 - axis, axis, ksize=3) for axis in range(2)]
            self._levels.append(cv2.merge(both))

    def at(self, points: Floats, step: Floats, turn: tuple[Floats, Floats], seen: _Samples) -> Floats:
        """Slopes along x and y at the samples around points.

        Args:
            points: ``(n, 2)``.
            step: ``(n,)`` the pixels between two samples.
            turn: Cosines and sines ``(n, 1)`` of how the samples are turned.
            seen: The samples.

        Returns:
            ``(n, samples, 2)``.
        """
        cos, sin = step[:, None] * turn[0], step[:, None] * turn[1]
        x = points[:, :1] + (cos * seen.columns - sin * seen.rows)
        y = points[:, 1:] + (sin * seen.columns + cos * seen.rows)
        # Samples that lie far apart are taken from a smaller picture, which is smoother.
        level = np.clip(np.rint(np.log2(np.maximum(step, 1e-3))), 0, _LEVELS - 1).astype(np.intp)
        out = np.empty((*x.shape, 2), np.float32)
        for number, slopes in enumerate(self._levels):
            at = np.flatnonzero(level == number)
            if len(at):
                part = 0.5**number
                columns, rows = ((v[at] + 0.5) * part - 0.5 for v in (x, y))
                out[at] = cv2.remap(slopes, columns, rows, cv2.INTER_LINEAR)
        return out


def _directions(slopes: _Slopes, blobs: Blobs) -> tuple[npt.NDArray[np.intp], Floats]:
    """Which way the picture rises around each blob: the strongest direction, and a second one nearly as
    strong.

    Returns:
        The blob of each direction, in order, and its angle in radians.
    """
    n = len(blobs)
    one, none = np.ones((n, 1), np.float32), np.zeros((n, 1), np.float32)
    found = slopes.at(blobs.points, blobs.size * np.float32(_ROUND / _NEAR.side), (one, none), _NEAR)
    size, angle = cv2.cartToPolar(found[..., 0], found[..., 1])
    bins = np.minimum((angle * np.float32(_DIRECTIONS / (2 * np.pi))).astype(np.intp), _DIRECTIONS - 1)
    bins += np.arange(n)[:, None] * _DIRECTIONS
    counts = np.bincount(bins.ravel(), (size * _NEAR.weights).ravel(), n * _DIRECTIONS)
    how = np.asarray(counts, np.float64).reshape(n, -1)
    for _ in range(3):
        how = (np.roll(how, 1, axis=1) + np.roll(how, -1, axis=1) + 2 * how) / 4
    before, after = np.roll(how, 1, axis=1), np.roll(how, -1, axis=1)
    peak = (how > before) & (how >= after) & (how >= _ALSO * how.max(axis=1, keepdims=True))
    owner, at = np.nonzero(peak)
    order = np.lexsort((-how[owner, at], owner))
    owner, at = owner[order], at[order]
    first = np.arange(len(owner)) - np.searchsorted(owner, owner) < 2
    owner, at = owner[first], at[first]
    left, top, right = before[owner, at], how[owner, at], after[owner, at]
    exact = at + 0.5 + 0.5 * (left - right) / np.minimum(left - 2 * top + right, -1e-12)
    return owner, (exact * (2 * np.pi / _DIRECTIONS)).astype(np.float32)


def _described(slopes: _Slopes, blobs: Blobs, angle: Floats) -> npt.NDArray[np.bool_]:
    """The bits of each keypoint's descriptor, ``(n, 128)``.

    The descriptor is SIFT's: slopes around the keypoint along its direction, by cell and orientation.
    """
    n = len(blobs)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    found = slopes.at(blobs.points, blobs.size * np.float32(_WINDOW / _SEEN.side), (cos, sin), _SEEN)
    x, y = found[..., 0], found[..., 1]
    size, direction = cv2.cartToPolar(cos * x + sin * y, cos * y - sin * x)
    size *= _SEEN.weights
    bins = direction * np.float32(8 / (2 * np.pi))
    low = np.floor(bins)
    share = bins - low
    low, first = low.astype(np.intp), (np.arange(n)[:, None] * 16 + _SEEN.cell) * 8
    above = size * share
    descriptors = np.bincount((first + (low & 7)).ravel(), (size - above).ravel(), n * 128)
    descriptors += np.bincount((first + ((low + 1) & 7)).ravel(), above.ravel(), n * 128)
    descriptors = descriptors.reshape(n, 128)
    middle = np.partition(descriptors, (63, 64), axis=1)[:, 63:65].mean(axis=1, keepdims=True)
    return np.asarray(descriptors > middle, np.bool_)


def _spread(blobs: Blobs, shape: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """The strongest blobs of every cell, the strongest of all first."""
    order = np.argsort(-blobs.strength, kind="stable")
    size = np.array([shape[1], shape[0]], np.float32)
    column, row = np.clip(blobs.points[order] * _CELLS // size, 0, _CELLS - 1).astype(np.intp).T
    cell = row * _CELLS + column
    by_cell = np.argsort(cell, kind="stable")
    rank = np.empty(len(order), np.intp)
    rank[by_cell] = np.arange(len(order)) - np.searchsorted(cell[by_cell], cell[by_cell])
    return order[rank < _EACH][:MOST]

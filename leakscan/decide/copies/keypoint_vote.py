"""Do the keypoints of two pictures agree on how one lies on the other? It stands before every copy check.

Strangers who are most alike have few keypoints in common that also lie alike; a copy has many, however it was
cropped, turned, mirrored, inverted or framed. Of 70 films of ChestX-ray14 in eleven alterations (those of
``tests/decide/copies/test_keypoint_vote.py``, JPEG at quality 15, stretched by 1.3, turned by 15 degrees) the
weakest copy had 7 that agree, half of any kind 23 and more; of crops by 0.45 three of 70 had fewer than 7.
Of 5,330 pairs of films most alike by fingerprint 187 had 7 or more: 96 of 100 are told apart here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.keypoints import MOST, SIDE, VARIANTS, Keypoints

AGREEING = 7
"""Keypoints that agree, from which two pictures may be one."""
FEW = 24
"""Keypoints of a picture below which they say nothing."""

_FARTHEST = 40  # bits of 128 that two descriptors of one place may differ in
_RATIO = 0.85  # of the second nearest
_LOOSE = 8.0 / 160 * SIDE  # px by which a similarity of two matches may miss the others
_TIGHT = 2.5 / 160 * SIDE  # px by which the affine map of those may
_APART = 15.0 / 160 * SIDE  # px between two matches that a similarity is taken from
_TRIED = 300  # similarities
_MOST_SCALE = 5.0
_STEADY = 1e-6 * np.eye(3)
_LEAST = 4  # matches without which there is no affine map worth the name


def may_be_one(a: bytes, b: bytes) -> bool:
    """Whether two pictures may be one acquisition, by their keypoints as they are kept.

    It says yes as well where a picture has too few keypoints to tell.

    Example:
        >>> may_be_one(b"", b"")
        True
    """
    one, other = Keypoints.from_bytes(a), Keypoints.from_bytes(b)
    return min(len(one), len(other)) < FEW or agreeing(one, other, AGREEING) >= AGREEING


def agreeing(a: Keypoints, b: Keypoints, enough: int | None = None) -> int:
    """How many matched keypoints of two pictures agree on one affine map, mirrors and negatives included.

    Args:
        a: The keypoints of the one picture.
        b: Those of the other.
        enough: A number that is enough: more are not counted, and where there are fewer, it may say 0.

    Example:
        >>> import cv2
        >>> from leakscan.fingerprint.keypoints import find_keypoints
        >>> small = np.random.default_rng(0).random((24, 24), np.float32)
        >>> film = cv2.resize(small, (160, 160), interpolation=cv2.INTER_CUBIC)
        >>> agreeing(find_keypoints(film), find_keypoints(-film[:, ::-1])) > 20
        True
    """
    if not len(a) or not len(b):
        return 0
    wanted = max(_LEAST, enough or 0)
    best = 0
    for _, variant, pairs in sorted(_matches(a, b, wanted), key=lambda found: -found[0]):
        if len(pairs) <= best or best >= (enough or MOST):
            break
        there = b.points[pairs[:, 1]]
        if variant % 2:
            there = there * np.array([-1, 1], np.float32)
        best = max(best, _agree(a.points[pairs[:, 0]], there))
    return best


def _matches(a: Keypoints, b: Keypoints, wanted: int) -> Iterator[tuple[int, int, npt.NDArray[np.intp]]]:
    """The matches to be trusted, of every variant of b that has so many.

    Yields:
        Their number, the variant, and the keypoints of a and b ``(n, 2)``.
    """
    left, right = (k.bits.astype(np.float32) * 2 - 1 for k in (a, b))
    for variant, order in enumerate(VARIANTS):
        alike = left @ right[:, order].T  # 128 less twice the number of bits that differ
        rows = np.flatnonzero(alike.max(axis=1) >= 128 - 2 * _FARTHEST)
        if len(rows) < wanted:
            continue
        own, number = alike[rows], np.arange(len(rows))
        nearest = own.argmax(axis=1)
        mutual = alike.argmax(axis=0)[nearest] == rows
        first = own[number, nearest]
        own[number, nearest] = -128.0
        trusted = mutual & (128 - first < _RATIO * (128 - own.max(axis=1)))
        if np.count_nonzero(trusted) >= wanted:
            yield int(trusted.sum()), variant, np.stack([rows[trusted], nearest[trusted]], axis=1)


def _agree(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> int:
    """How many of the matches ``(n, 2)`` lie on one affine map.

    Every two matches propose a similarity. The matches near the best of these propose an affine map, twice.
    """
    first, second = _tried(len(a))
    za, zb = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    da, db = za[first] - za[second], zb[first] - zb[second]
    la, lb = np.abs(da), np.abs(db)
    sound = (np.minimum(la, lb) > _APART) & (np.maximum(la, lb) < _MOST_SCALE * np.minimum(la, lb))
    if not sound.any():
        return 0
    turn, start = da[sound] / db[sound], first[sound]
    shift = za[start] - turn * zb[start]
    miss = np.abs(za - (turn[:, None] * zb + shift[:, None]))
    inside = miss[(miss < _LOOSE).sum(axis=1).argmax()] < _LOOSE
    there = np.column_stack([b, np.ones(len(b), np.float32)]).astype(np.float64)
    for _ in range(2):
        if inside.sum() < _LEAST:
            return 0
        own = there[inside]
        # A little on the diagonal, for matches that lie on one line.
        matrix = np.linalg.solve(own.T @ own + _STEADY, own.T @ a[inside])
        inside = np.hypot(*(there @ matrix - a).T) < _TIGHT
    # Keypoints with two directions count once.
    return len(set(np.rint(za[inside]).tolist()))


@lru_cache(maxsize=256)
def _tried(n: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Every two of so many matches, or some of them, evenly spread."""
    first, second = np.triu_indices(n, 1)
    some = np.linspace(0, len(first) - 1, min(len(first), _TRIED)).astype(np.intp)
    return first[some], second[some]

"""Do the keypoints of two pictures agree on how one lies on the other? It stands before every copy check.

Strangers who are most alike have few keypoints in common that also lie alike; a copy has many, however it was
cropped, turned, mirrored, inverted or framed. Of 70 films of ChestX-ray14 in eleven alterations (those of
``tests/decide/copies/test_keypoint_vote.py``, JPEG at quality 15, stretched by 1.3, turned by 15 degrees) the
weakest copy had 7 that agree, half of any kind 23 and more; of crops by 0.45 three of 70 had fewer than 7.
Of 5,330 pairs of films most alike by fingerprint 187 had 7 or more: 96 of 100 are told apart here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from leakscan.decide.copies.picture_features import four_products, spectrum
from leakscan.fingerprint.keypoints import SIDE, VARIANTS, Keypoints

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
_FLAT = 1e-9  # of the squared spread of points: below it they lie on a line
_GAINED = 2  # matches that an affine map wins at most, over the similarity that it starts from
_LEAST = 4  # matches without which there is no affine map worth the name

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def vote(a: bytes, b: bytes) -> bool | None:
    """Whether two pictures may be one acquisition; ``None`` where one has too few keypoints to tell.

    Example:
        >>> vote(b"", b"") is None
        True
    """
    one, other = Keypoints.from_bytes(a), Keypoints.from_bytes(b)
    if min(len(one), len(other)) < FEW:
        return None
    return agreeing(one, other, AGREEING) >= AGREEING


def agreeing(a: Keypoints, b: Keypoints, enough: int | None = None) -> int:
    """How many matched keypoints of two pictures agree on one affine map, mirrors and negatives included.

    Args:
        a: The keypoints of the one picture.
        b: Those of the other.
        enough: A number from which on it does not matter how many more agree; fewer are not counted.

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
    return voted(a, b, enough).agreeing


@dataclass(frozen=True)
class Vote:
    """What the keypoints of two pictures say.

    Attributes:
        agreeing: How many agree on one affine map, mirrors and negatives included.
        matrix: ``(2, 3)``: that map, from pixels of b to pixels of a, both of ``SIDE``; ``None`` if none.
        inverted: Whether it is from the negative of b.
    """

    agreeing: int = 0
    matrix: Doubles | None = None
    inverted: bool = False


def voted(a: Keypoints, b: Keypoints, enough: int | None = None) -> Vote:
    """What the keypoints of two pictures say of how one lies on the other; see :func:`agreeing`.

    Example:
        >>> voted(Keypoints.from_bytes(b""), Keypoints.from_bytes(b"")).agreeing
        0
    """
    if not len(a) or not len(b):
        return Vote()
    nearest, kept = _matches(a, b)
    counts = kept.sum(axis=1)
    order = [v for v in np.argsort(-counts, kind="stable").tolist() if counts[v] >= max(_LEAST, enough or 0)]
    mirrors = [np.array([-1.0, 1.0]) if variant % 2 else np.ones(2) for variant in order]
    matched = [
        (a.points[kept[variant]].astype(np.float64), b.points[nearest[variant][kept[variant]]] * mirror)
        for variant, mirror in zip(order, mirrors, strict=True)
    ]
    best = Vote()
    for number, inside in enumerate(_near_one_similarity(matched)):
        if counts[order[number]] <= best.agreeing or (enough is not None and best.agreeing >= enough):
            break
        if enough is not None and inside.sum() + _GAINED < enough:
            continue
        agree, matrix = _agree(*matched[number], inside)
        if agree > best.agreeing:
            best = Vote(agree, matrix * np.array([*mirrors[number], 1.0]), inverted=order[number] >= 2)
    return best


def _matches(a: Keypoints, b: Keypoints) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """For every variant of b and keypoint of a: its nearest in b, and whether the match is to be trusted."""
    left, right = (_spectrum(k.bits) for k in (a, b))
    # 128 less twice the number of bits that differ; whole numbers, so the sums are exact.
    alike = four_products(left, right, np.empty((len(VARIANTS), len(a), len(b)), np.float32))
    number, rows = np.arange(len(VARIANTS))[:, None], np.arange(len(a))
    nearest = alike.argmax(axis=2)
    first = alike[number, rows, nearest]
    alike[number, rows, nearest] = -128.0
    second = alike.max(axis=2)
    alike[number, rows, nearest] = first
    kept = (first >= 128 - 2 * _FARTHEST) & (128 - first < _RATIO * (128 - second))
    # Few matches get here, so only these are asked whether they are the nearest from the other side too.
    variant, row = np.nonzero(kept)
    kept[variant, row] = alike[variant, :, nearest[variant, row]].argmax(axis=1) == row
    return nearest, kept


_BASIS = spectrum(np.eye(128, dtype=np.float32)).transpose(1, 0, 2).reshape(128, 128)


def _spectrum(bits: Bools) -> npt.NDArray[np.float32]:
    """The :func:`spectrum` of bits ``(n, 128)`` as +1 and -1, by one product; it is exact."""
    signs = bits.astype(np.float32)
    signs *= 2.0
    signs -= 1.0
    return (signs @ _BASIS).reshape(len(bits), 4, 32).transpose(1, 0, 2)


def _near_one_similarity(matched: Sequence[tuple[Doubles, Doubles]]) -> list[Bools]:
    """Which matches lie near the similarity that most of them lie near, for several lists of matches.

    Every two matches of a list propose a similarity. All lists are tried in one go, as they are short.

    Args:
        matched: The places ``(n, 2)`` of the matches in the one picture, and in the other.

    Returns:
        ``(n,)`` for each list; none where no two matches lie far enough apart.
    """
    lengths = [len(one) for one, _ in matched]
    if not lengths:
        return []
    places = np.full((2, len(lengths), max(lengths)), np.nan + 0j, np.complex64)
    for number, both in enumerate(matched):
        for side, points in zip(places, both, strict=True):
            side[number, : len(points)] = points[:, 0] + 1j * points[:, 1]
    twos = [_twos(length) for length in lengths]
    first, second = (np.concatenate(ends) for ends in zip(*twos, strict=True))
    own = np.repeat(np.arange(len(lengths)), [len(one) for one, _ in twos])
    za, zb = places
    da, db = za[own, first] - za[own, second], zb[own, first] - zb[own, second]
    la, lb = np.abs(da), np.abs(db)
    sound = (np.minimum(la, lb) > _APART) & (np.maximum(la, lb) < _MOST_SCALE * np.minimum(la, lb))
    own, first = own[sound], first[sound]
    turn = da[sound] / db[sound]
    shift = za[own, first] - turn * zb[own, first]
    off = za[own] - (turn[:, None] * zb[own] + shift[:, None])
    near = off.real**2 + off.imag**2 < _LOOSE**2
    count = np.count_nonzero(near, axis=1)
    out = []
    for number, length in enumerate(lengths):
        start, end = np.searchsorted(own, (number, number + 1))
        best = near[start + count[start:end].argmax()] if end > start else np.zeros(length, np.bool_)
        out.append(best[:length])
    return out


def _agree(a: Doubles, b: Doubles, inside: Bools) -> tuple[int, Doubles]:
    """How many of the matches ``(n, 2)`` lie on one affine map, and that map, ``(2, 3)``.

    Those of ``inside`` propose the map, and those that lie on it propose it again.
    """
    matrix = np.eye(2, 3)
    for _ in range(2):
        if inside.sum() < _LEAST:
            return 0, matrix
        matrix = _fitted(b[inside], a[inside])
        inside = np.hypot(*(b @ matrix[:, :2].T + matrix[:, 2] - a).T) < _TIGHT
    # Keypoints with two directions count once.
    return len(set(map(tuple, np.rint(a[inside]).tolist()))), matrix


def _fitted(here: Doubles, there: Doubles) -> Doubles:
    """The affine map ``(2, 3)`` that takes ``here`` to ``there`` with least squares."""
    middle = here.mean(axis=0)
    own, theirs = here - middle, there - there.mean(axis=0)
    square = own.T @ own
    (p, q), (_, r) = square.tolist()
    det = p * r - q * q
    # Points on a line leave many maps; the pseudo-inverse takes the one that stretches least across it.
    inverse = np.array([[r, -q], [-q, p]]) / det if det > _FLAT * (p + r) ** 2 else np.linalg.pinv(square)
    linear = (inverse @ (own.T @ theirs)).T
    return np.column_stack([linear, there.mean(axis=0) - linear @ middle])


@lru_cache(maxsize=128)
def _twos(n: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Every two of n matches, or as many of them as are tried."""
    first, second = np.triu_indices(n, 1)
    some = np.linspace(0, len(first) - 1, min(len(first), _TRIED)).astype(np.intp)
    return first[some], second[some]

"""Candidates for a copy check among pictures without a fingerprint: those that share keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.match.candidates import NO_SCORE, Candidates, packed
from leakscan.match.index.keypoints import KeypointIndex

_NEAREST = 10  # pictures of all datasets, its own included
_MOST = 50_000
"""Pictures up to which all are searched, at 15 kB of memory each; above, those without a fingerprint."""

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class KeypointSide:
    """The pictures of one dataset for this search.

    Attributes:
        keypoints: The keypoints of each picture, ``None`` where none were kept.
        mute: ``(pictures,)`` whether it has no fingerprint.
    """

    keypoints: Sequence[bytes | None]
    mute: Bools


def shared_keypoints(sides: Sequence[KeypointSide]) -> dict[tuple[int, int], tuple[Ints, Ints]]:
    """Pairs of pictures of two datasets that share keypoints, at least one of them without a fingerprint.

    Args:
        sides: The pictures of every dataset.

    Returns:
        For the number of a dataset and that of a later one, the pictures of each ``(n,), (n,)``, each pair
        once, in order.

    Example:
        >>> none = KeypointSide([None, None], np.array([True, True]))
        >>> shared_keypoints([none, none])
        {}
    """
    places = [
        (number, picture)
        for number, side in enumerate(sides)
        for picture, raw in enumerate(side.keypoints)
        if raw
    ]
    mute = [bool(sides[number].mute[picture]) for number, picture in places]
    if len({number for number, _ in places}) < 2 or not any(mute):
        return {}
    if len(places) > _MOST:
        places, mute = [place for place, silent in zip(places, mute, strict=True) if silent], [True]
    known = [sides[number].keypoints[picture] or b"" for number, picture in places]
    asking = np.flatnonzero(np.broadcast_to(np.array(mute), len(places)))
    hits = KeypointIndex(known).nearest([known[i] for i in asking.tolist()], _NEAREST)
    where = np.array(places, np.int64)
    one, other = where[asking[hits.query]], where[hits.found]
    later = one[:, 0] > other[:, 0]
    first, second = np.where(later[:, None], other, one), np.where(later[:, None], one, other)
    rows = np.column_stack([first[:, 0], second[:, 0], first[:, 1], second[:, 1]])
    rows = np.unique(rows[rows[:, 0] != rows[:, 1]], axis=0)
    found = {}
    for i, j in np.unique(rows[:, :2], axis=0).tolist():
        own = rows[(rows[:, 0] == i) & (rows[:, 1] == j)]
        found[i, j] = own[:, 2], own[:, 3]
    return found


def shared_inside(side: KeypointSide) -> tuple[Ints, Ints] | None:
    """Pairs of pictures of one dataset that share keypoints, at least one of them without a fingerprint.

    Args:
        side: The pictures of the dataset.

    Returns:
        The pictures ``(n,), (n,)``, the one that comes first on side A, each pair once; ``None`` where no
        picture is without a fingerprint, or none has keypoints.

    Example:
        >>> shared_inside(KeypointSide([None, None], np.array([True, True]))) is None
        True
    """
    places = np.array([picture for picture, raw in enumerate(side.keypoints) if raw], np.int64)
    mute = side.mute[places]
    if len(places) > _MOST:
        places, mute = places[mute], mute[mute]
    if not mute.any():
        return None
    known = [side.keypoints[picture] or b"" for picture in places.tolist()]
    asking = np.flatnonzero(mute)
    # Every picture finds itself as well.
    hits = KeypointIndex(known).nearest([known[i] for i in asking.tolist()], _NEAREST + 1)
    one, other = places[asking[hits.query]], places[hits.found]
    rows = np.unique(np.column_stack([np.minimum(one, other), np.maximum(one, other)]), axis=0)
    rows = rows[rows[:, 0] < rows[:, 1]]
    return rows[:, 0], rows[:, 1]


def with_pairs(found: Candidates, more: tuple[Ints, Ints] | None, width: int) -> Candidates:
    """Candidates and some further pairs, which come last and have neither a score nor bits.

    Args:
        found: The candidates so far.
        more: Pictures of A and of B, ``(n,), (n,)``.
        width: The number of pictures of B.

    Example::

        found = with_pairs(found, shared_keypoints(sides).get((0, 1)), len(b))
    """
    if more is None:
        return found
    a, b = more
    fresh = ~np.isin(packed(a, b, width), packed(found.a, found.b, width))
    unknown = np.full(int(fresh.sum()), NO_SCORE, np.float32)
    return replace(
        found,
        a=np.concatenate([found.a, a[fresh]]),
        b=np.concatenate([found.b, b[fresh]]),
        score=np.concatenate([found.score, unknown]),
        bits=np.concatenate([found.bits, unknown]),
    )

"""Which different declared subjects of one dataset are proved to be one: they show the same picture."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from leakscan.decide.columns import Columns
from leakscan.decide.copies.copy_check import PixelPair, check_copies
from leakscan.decide.persons.detail_matches import most_alike
from leakscan.decide.persons.own_strangers import OwnStrangers
from leakscan.decide.persons.subjects import Subjects

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

_HIGHEST = 30
"""Pairs of each dataset, those that score highest, that get a copy check. They are the ones that a tail
hangs on."""
_ALIKE = 0.9
"""Pairs of strangers that are less alike than this are no copies, which fingerprints put closer together."""

Ints = npt.NDArray[np.int64]


def proven_one(columns: Columns, people: Subjects, own: OwnStrangers, context: RunContext) -> OwnStrangers:
    """Takes out the pairs of subjects with equal pixels or a checked copy.

    Args:
        columns: The dataset.
        people: Its subjects.
        own: Its own strangers.
        context: The memory of pairs, the engine and the time that is left for copy checks.

    Example:
        ``own = proven_one(columns, people, own_strangers(people, calibration), context)``
    """
    first, second = _equal_pixels(columns, people)
    highest = np.argsort(-own.score, kind="stable")[:_HIGHEST]
    side, encoder = columns.side, own.encoder
    picture, other = most_alike(side, people, own.first[highest], own.second[highest], encoder)
    alike = (side.prints(encoder, picture) * side.prints(encoder, other)).sum(axis=1) if len(picture) else []
    close = np.flatnonzero(np.asarray(alike) >= _ALIKE)
    names = columns.image_names([*picture[close].tolist(), *other[close].tolist()]) if len(close) else {}
    pairs = [
        PixelPair(
            key_a=names[i],
            key_b=names[j],
            picture_a=columns.picture_keys[i],
            picture_b=columns.picture_keys[j],
            a=one,
            b=two,
            ndim=int(side.ndim[i]),
        )
        for i, j in zip(picture[close].tolist(), other[close].tolist(), strict=True)
        if (one := columns.pixels(i)) is not None and (two := columns.pixels(j)) is not None
    ]
    if pairs:
        # Only pairs with pixels were asked for, in their order.
        readable = [
            at
            for at, i, j in zip(close.tolist(), picture[close].tolist(), other[close].tolist(), strict=True)
            if columns.pixels(i) is not None and columns.pixels(j) is not None
        ]
        found = check_copies(pairs, context)
        copies = [
            at for at, check in zip(readable, found, strict=True) if check is not None and check.same_image
        ]
        rows = highest[np.array(copies, np.int64)]
        first, second = np.append(first, own.first[rows]), np.append(second, own.second[rows])
    return own.without(first, second) if len(first) else own


def _equal_pixels(columns: Columns, people: Subjects) -> tuple[Ints, Ints]:
    """Pairs of subjects that are declared of images with equal pixels."""
    side = columns.side
    picture = np.repeat(np.arange(len(side)), side.counts)
    names = columns.taken("subject", side.image_rows)
    codes = pc.fill_null(names, "").dictionary_encode()
    label = codes.indices.to_numpy()
    words = codes.dictionary.to_pylist()
    width = len(words)
    each = np.unique(picture * width + label)
    each = each[np.array([words[k] != "" for k in (each % width).tolist()], bool)] if len(each) else each
    pictures, counts = np.unique(each // width, return_counts=True)
    several = pictures[counts > 1]
    if not len(several):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    code_of = {
        side.subjects[i]: int(people.code[i])
        for i in range(len(side))
        if side.subjects[i] and people.code[i] >= 0
    }
    pairs = set()
    for i in several.tolist():
        own = each[np.searchsorted(each, i * width) : np.searchsorted(each, (i + 1) * width)] % width
        known = sorted({code_of[words[k]] for k in own.tolist() if words[k] in code_of})
        pairs |= set(combinations(known, 2))
    found = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return found[:, 0], found[:, 1]

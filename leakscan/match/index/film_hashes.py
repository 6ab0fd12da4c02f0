"""Search over perceptual hashes of very many films: by parts that agree almost, not film by film.

A flip of a film changes the sign of all odd frequencies along its axis, an inversion every sign. So the bits
fall into four groups (frequencies even or odd along each axis), each of which such a change leaves as it is
or turns over as a whole. A group without the bit that says which (its first bit is made zero) is the same in
every flip and inversion; only the turned film is sought besides. Two groups are one half of a hash. Of two
hashes that differ in few bits, one half differs in at most half of them, so films are looked up by either
half with a few bits changed (multi-index hashing, Norouzi, Punjani and Fleet 2012). Films of the chest are
alike in what is even along both axes, so that group shares a half with the one in which they are least alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.hashing import film_orientations, hash_signs
from leakscan.match.index.protocol import BestHits, Hits, Ints

LOOK_UPS = 300_000_000
"""A search asks for no more keys than this: its radius shrinks as there are more films, and more strangers
that are as near."""
_AT_ONCE = 1 << 21  # keys that are in memory together
_PAIRS_AT_ONCE = 1 << 21
_FAR = 8  # bits beyond which nothing counts as near, however few films there are
_SPARSE = 7  # bits of the table of known keys for every key, as a power of two
_MOST_SPARSE = 27

_ROW, _COLUMN = np.divmod(np.arange(64), 8)
_HALVES = (((0, 1), (1, 0)), ((0, 0), (1, 1)))  # odd along the row, odd along the column
_GROUPS = [
    np.flatnonzero((row == _ROW % 2) & (column == _COLUMN % 2)) for half in _HALVES for row, column in half
]
_SIZES = np.array([16, 16, 15, 16], np.int8)  # the mean of a film is no bit of its hash
_MASKS = (
    np.packbits(np.array([np.isin(np.arange(64), group) for group in _GROUPS]), axis=1).view(">u8").ravel()
)
_MASKS = _MASKS.astype(np.uint64) & np.uint64((1 << 63) - 1)

Keys = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]


class FilmHashIndex:
    """A :class:`~leakscan.match.index.protocol.HashSearch` among films.

    Every pair within the radius that it reaches is found.

    Args:
        variants: ``(n, 8)`` uint64 hashes in the orientations of films.
    """

    def __init__(self, variants: Hashes) -> None:
        self._hashes = np.ascontiguousarray(variants[:, 0])
        self._halves = [_Half(keys, half) for half, keys in enumerate(_halves_of(self._hashes))]

    def range_search(self, hashes: Hashes, radius: int, limit: int) -> Hits:
        """Pairs that differ in at most ``radius`` bits, closest first, or about the ``limit`` closest.

        The radius grows until there are ``limit`` pairs, or the look-ups would be too many.
        """
        best = BestHits(limit, largest=False)
        reached, before, count = -1, -1, 0
        for reached in _radii(radius, len(hashes)):
            for query, found, distance in self._within(hashes, reached, before):
                best.add(query, found, distance)
                count += len(query)
            before = reached
            if count >= limit:
                break
        return replace(best.hits(), radius=max(reached, 0))

    def nearest(self, hashes: Hashes, k: int) -> Hits:
        """The ``k`` closest to each of ``(m,)`` within the radius that so many films allow."""
        hits = self.range_search(hashes, _FAR, 4 * k * len(hashes))
        order = np.lexsort((hits.found, hits.score, hits.query))
        query = hits.query[order]
        rank = np.arange(len(order)) - np.searchsorted(query, query)
        keep = order[rank < k]
        return Hits(
            query=hits.query[keep], found=hits.found[keep], score=hits.score[keep], radius=hits.radius
        )

    def _within(
        self, hashes: Hashes, radius: int, beyond: int
    ) -> Iterator[tuple[Ints, Ints, npt.NDArray[np.float32]]]:
        """Pairs whose distance is at most ``radius`` and more than ``beyond``, each once."""
        changes = [_changes(half, most) for half, most in enumerate(_most_changed(radius))]
        step = max(1, _AT_ONCE // max(len(change) for change in changes))
        for start in range(0, len(hashes), step):
            upright = hashes[start : start + step]
            turned = film_orientations(hash_signs(upright))[:, 4]
            keys = []
            for some in (upright, turned):
                for half, own, change in zip(self._halves, _halves_of(some), changes, strict=True):
                    if len(change):
                        keys += list(half.pairs(own, change, len(self._hashes)))
            pairs = np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
            query, found = np.divmod(pairs, len(self._hashes))
            other = self._hashes[found]
            distance = np.minimum(_distance(upright[query], other), _distance(turned[query], other))
            near = (distance <= radius) & (distance > beyond)
            yield query[near] + start, found[near], distance[near].astype(np.float32)


class _Half:
    """The films by two of the four groups.

    Args:
        keys: ``(n,)`` the two groups of every film.
        half: The number of the half.
    """

    def __init__(self, keys: Keys, half: int) -> None:
        self._half = half
        plain = _plain(keys, half)
        self._order = np.argsort(plain, kind="stable")
        self._keys, self._first, self._count = np.unique(
            plain[self._order], return_index=True, return_counts=True
        )
        self._shift = np.uint32(32 - min(_MOST_SPARSE, max(10, len(keys).bit_length() + _SPARSE)))
        present = np.zeros(1 << int(32 - self._shift), np.bool_)
        present[self._place(self._keys)] = True
        self._present = np.packbits(present, bitorder="little")

    def _place(self, keys: Keys) -> Keys:
        """Where keys stand in the table of known ones (multiplicative hashing, Knuth 1973)."""
        return np.asarray((keys * np.uint32(2654435769)) >> self._shift, np.uint32)

    def pairs(self, keys: Keys, changes: Keys, n: int) -> Iterator[Ints]:
        """Packed pairs of queries and films whose keys agree after one of the changes."""
        asked = _plain((keys[:, None] ^ changes[None, :]).ravel(), self._half)
        place = self._place(asked)
        perhaps = np.flatnonzero((self._present[place >> np.uint32(3)] >> (place & np.uint32(7))) & 1)
        asked = asked[perhaps]
        at = np.minimum(np.searchsorted(self._keys, asked), max(0, len(self._keys) - 1))
        known = np.flatnonzero(self._keys[at] == asked) if len(self._keys) else np.zeros(0, np.int64)
        query, at = perhaps[known] // len(changes), at[known]
        ends = np.cumsum(self._count[at])
        for start in range(0, int(ends[-1]) if len(ends) else 0, _PAIRS_AT_ONCE):
            number = np.arange(start, min(start + _PAIRS_AT_ONCE, int(ends[-1])))
            which = np.searchsorted(ends, number, "right")
            offset = number - (ends[which] - self._count[at[which]])
            yield query[which] * n + self._order[self._first[at[which]] + offset]


def _halves_of(hashes: Hashes) -> list[Keys]:
    """The two halves, of 32 bits each; the first bit of the second one is never set."""
    signs = hash_signs(hashes)
    out = []
    for half in range(2):
        bits = signs[:, np.concatenate(_GROUPS[2 * half : 2 * half + 2])]
        out.append(np.ascontiguousarray(np.packbits(bits, axis=1)).view(">u4").ravel().astype(np.uint32))
    return out


def _plain(keys: Keys, half: int) -> Keys:
    """Keys with the first bit of both groups made zero, by turning the group over."""
    first = ((np.uint32(31), 0xFFFF0000), (np.uint32(30), 0x7FFF0000))[half]
    turned = keys ^ (((keys >> first[0]) & np.uint32(1)) * np.uint32(first[1]))
    return np.asarray(turned ^ (((turned >> np.uint32(15)) & np.uint32(1)) * np.uint32(0xFFFF)), np.uint32)


def _changes(half: int, most: int) -> Keys:
    """All ways to change at most so many bits of a key; none where that is below 0."""
    bits = [1 << bit for bit in range(31 if half else 32)]
    several = [sum(some) for n in range(most + 1) for some in combinations(bits, n)]
    return np.array(several, np.uint32)


def _most_changed(radius: int) -> tuple[int, int]:
    """How many bits of either half differ at most in one of the two, by the pigeonhole principle."""
    return radius // 2, (radius + 1) // 2 - 1


def _radii(radius: int, queries: int) -> list[int]:
    """The radii that a search tries one after the other."""

    def look_ups(r: int) -> int:
        odd, even = _most_changed(r)
        return 2 * sum(comb(32, n) for n in range(odd + 1)) + 2 * sum(comb(31, n) for n in range(even + 1))

    last = max(r for r in range(radius + 1) if r == 0 or look_ups(r) * queries <= LOOK_UPS)
    return [*([1] if last > 1 else []), *range(3, last), last]


def _distance(a: Hashes, b: Hashes) -> npt.NDArray[np.int8]:
    """Differing bits ``(n,)``, the least of all flips and inversions.

    Each of these turns over an even number of the four groups.
    """
    differing = a ^ b
    each = np.stack([np.bitwise_count(differing & mask).astype(np.int8) for mask in _MASKS])
    other = _SIZES[:, None] - each
    total = np.minimum(each, other).sum(axis=0, dtype=np.int8)
    odd = (each > other).sum(axis=0) % 2 == 1
    return np.asarray(total + np.where(odd, np.abs(each - other).min(axis=0), 0), np.int8)

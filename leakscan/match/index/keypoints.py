"""Finds pictures that share keypoints: the search for copies where there is no fingerprint to search by.

Some bits of a keypoint's description make a word, and an inverted index says which pictures have a word. A
copy shares many words with its original, however it was cropped, framed, turned, mirrored or inverted; a
stranger shares a few by chance. Words of many choices of bits make up for bits that a copy changed (locality
sensitive hashing: Indyk and Motwani, STOC 1998).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.keypoints import VARIANTS, Keypoints
from leakscan.match.index.protocol import Hits

_WORD_BITS = 18
_WORDS = 16  # words of a keypoint
_COMMON = 64  # keypoints with one word, from which it tells nothing
_LEAST = 3  # words that two pictures share, without which they are not named
_AT_ONCE = 64  # pictures that are searched for together
_FEW = 512  # pictures to search for, up to which only what may be found is sorted

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]


class KeypointIndex:
    """An inverted index over the keypoints of pictures.

    Args:
        pictures: The keypoints of every picture, as a store keeps them.

    Example:
        >>> from leakscan.fingerprint.keypoints import find_keypoints
        >>> import cv2
        >>> small = np.random.default_rng(0).random((9, 24, 24), np.float32)
        >>> films = [cv2.resize(film, (160, 160), interpolation=cv2.INTER_CUBIC) for film in small]
        >>> index = KeypointIndex([find_keypoints(film).to_bytes() for film in films])
        >>> mirrored = find_keypoints(films[4][:, ::-1]).to_bytes()
        >>> index.nearest([mirrored], 1).found.tolist()
        [4]
    """

    def __init__(self, pictures: Sequence[bytes]) -> None:
        self._pictures = len(pictures)
        parts = [Keypoints.from_bytes(raw).bits for raw in pictures]
        self._owner = np.repeat(np.arange(len(pictures), dtype=np.int32), [len(bits) for bits in parts])
        self._words = _words(parts)
        self._tables: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []

    def _prepare(self, asked: npt.NDArray[np.int32] | None) -> None:
        """Sorts the keypoints by their words; where few words are asked for, those that have them.

        A word that many keypoints have counts for nothing, and is left out.
        """
        self._tables = []
        for number in range(_WORDS):
            own = np.ascontiguousarray(self._words[:, number])
            told = np.bincount(own, minlength=1 << _WORD_BITS) <= _COMMON
            if asked is not None:
                wanted = np.zeros(1 << _WORD_BITS, np.bool_)
                wanted[asked[:, number]] = True
                told &= wanted
            at = np.flatnonzero(told[own])
            words = own[at]
            order = np.argsort(words, kind="stable")
            self._tables.append((words[order], self._owner[at[order]]))

    def nearest(self, pictures: Sequence[bytes], k: int) -> Hits:
        """The pictures that share most words with each of some others, mirrors and negatives included.

        Args:
            pictures: The keypoints of the pictures to search for.
            k: The most pictures to name for each.

        Returns:
            The best of each, fewer where fewer share at least three words; the score is the number of words.
        """
        query, found, score = [], [], []
        asked = np.concatenate([_asked(raw).reshape(-1, _WORDS) for raw in pictures[:_FEW] or [b""]])
        self._prepare(asked if len(pictures) <= _FEW else None)
        for start in range(0, len(pictures), _AT_ONCE):
            q, f, s = self._block([_asked(raw) for raw in pictures[start : start + _AT_ONCE]], k)
            query.append(q + start)
            found.append(f)
            score.append(s)
        if not query:
            empty = np.zeros(0, np.int64)
            return Hits(query=empty, found=empty, score=np.zeros(0, np.float32))
        return Hits(
            query=np.concatenate(query),
            found=np.concatenate(found),
            score=np.concatenate(score).astype(np.float32),
        )

    def _block(self, asked: Sequence[npt.NDArray[np.int32]], k: int) -> tuple[Ints, Ints, Ints]:
        owner = np.repeat(np.arange(len(asked)), [words.shape[1] for words in asked])
        shared = []
        for variant in range(len(VARIANTS)):
            words = np.concatenate([words[variant] for words in asked])
            # One number for a picture in one variant and one that it shares a word with.
            base = (owner * len(VARIANTS) + variant) * self._pictures
            shared += [
                np.repeat(base, lengths) + owners
                for lengths, owners in (self._lookup(words[:, n], n) for n in range(_WORDS))
            ]
        keys, counts = np.unique(np.concatenate(shared), return_counts=True)
        keys, counts = keys[counts >= _LEAST], counts[counts >= _LEAST]
        query, found = keys // (len(VARIANTS) * self._pictures), keys % self._pictures
        order = np.lexsort((found, -counts, query))
        query, found, counts = query[order], found[order], counts[order]
        # Two variants may name one picture; the better one counts.
        _, first = np.unique(query * self._pictures + found, return_index=True)
        first = np.sort(first)
        query, found, counts = query[first], found[first], counts[first]
        rank = np.arange(len(query)) - np.searchsorted(query, query)
        return query[rank < k], found[rank < k], counts[rank < k]

    def _lookup(self, wanted: npt.NDArray[np.int32], number: int) -> tuple[Ints, Ints]:
        """How many pictures have each word, and which."""
        words, owners = self._tables[number]
        first = np.searchsorted(words, wanted, "left")
        lengths = np.searchsorted(words, wanted, "right") - first
        ends = np.cumsum(lengths)
        at = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        return lengths, owners[np.repeat(first, lengths) + at].astype(np.int64)


@lru_cache(maxsize=1)
def _powers() -> npt.NDArray[np.float32]:
    """What each bit adds to each word, ``(128, _WORDS)``: the same in every run."""
    chance = np.random.default_rng(20)
    powers = np.zeros((128, _WORDS), np.float32)
    for number in range(_WORDS):
        powers[chance.permutation(128)[:_WORD_BITS], number] = 2.0 ** np.arange(_WORD_BITS)
    return powers


def _asked(raw: bytes) -> npt.NDArray[np.int32]:
    """The words of the keypoints of a picture in each variant: ``(variants, keypoints, _WORDS)``."""
    bits = Keypoints.from_bytes(raw).bits
    return _words([bits[:, order] for order in VARIANTS]).reshape(len(VARIANTS), -1, _WORDS)


def _words(described: Sequence[Bits]) -> npt.NDArray[np.int32]:
    """The words of the keypoints of some pictures, one picture after the other: ``(n, _WORDS)``."""
    # Sums of powers of two below 2^24 are exact in float32, whatever their order.
    found = [(bits.astype(np.float32) @ _powers()).astype(np.int32) for bits in described]
    return np.concatenate(found) if found else np.zeros((0, _WORDS), np.int32)

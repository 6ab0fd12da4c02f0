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

Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.bool_]
Words = npt.NDArray[np.int32]


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
        described = [Keypoints.from_bytes(raw).bits for raw in pictures]
        self._pictures = len(pictures)
        owner = np.repeat(np.arange(len(pictures), dtype=np.int32), [len(bits) for bits in described])
        bits = np.concatenate(described) if described else np.zeros((0, 128), np.bool_)
        self._tables = []
        for words in _words(bits, np.arange(128)).T:
            # Where the pictures with each word begin, and the pictures.
            starts = np.zeros((1 << _WORD_BITS) + 1, np.int64)
            np.cumsum(np.bincount(words, minlength=1 << _WORD_BITS), out=starts[1:])
            self._tables.append((starts, owner[np.argsort(words, kind="stable")]))

    def nearest(self, pictures: Sequence[bytes], k: int) -> Hits:
        """The pictures that share most words with each of some others, mirrors and negatives included.

        Args:
            pictures: The keypoints of the pictures to search for.
            k: The most pictures to name for each.

        Returns:
            The best of each, fewer where fewer share at least three words; the score is the number of words.
        """
        query, found, score = [], [], []
        for start in range(0, len(pictures), _AT_ONCE):
            q, f, s = self._block(pictures[start : start + _AT_ONCE], k)
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

    def _block(self, pictures: Sequence[bytes], k: int) -> tuple[Ints, Ints, Ints]:
        described = [Keypoints.from_bytes(raw).bits for raw in pictures]
        owner = np.repeat(np.arange(len(pictures)), [len(bits) for bits in described])
        bits = np.concatenate(described)
        shared = []
        for variant, order in enumerate(VARIANTS):
            # One number for a picture in one variant and one that it shares a word with.
            base = (owner * len(VARIANTS) + variant) * self._pictures
            shared += [
                np.repeat(base, lengths) + owners
                for lengths, owners in map(self._lookup, self._tables, _words(bits, order).T)
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

    @staticmethod
    def _lookup(
        table: tuple[Ints, npt.NDArray[np.int32]], wanted: npt.NDArray[np.int32]
    ) -> tuple[Ints, Ints]:
        """How many pictures have each word, and which; a word that many have counts for nothing."""
        starts, owners = table
        first = starts[wanted]
        lengths = starts[wanted + 1] - first
        lengths[lengths > _COMMON] = 0
        ends = np.cumsum(lengths)
        at = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths - first, lengths)
        return lengths, owners[at].astype(np.int64)


@lru_cache(maxsize=1)
def _weights() -> npt.NDArray[np.float32]:
    """What each bit adds to each word, ``(128, _WORDS)``: the same in every run."""
    chance = np.random.default_rng(20)
    weights = np.zeros((128, _WORDS), np.float32)
    for word in range(_WORDS):
        weights[chance.permutation(128)[:_WORD_BITS], word] = 1 << np.arange(_WORD_BITS)
    return weights


def _words(bits: Bits, order: npt.NDArray[np.intp]) -> Words:
    """The words of keypoints whose bits stand in another order, ``(n, _WORDS)``."""
    places = np.argsort(order)  # so the weights are put in order, not the bits of many keypoints
    return np.asarray(bits.astype(np.float32) @ _weights()[places], np.int32)  # exact: below 2^24

"""Which pairs of two datasets deserve a decision: near fingerprints, near hashes, equal pixels.

The search is across the two datasets only. Pairs are arrays of picture numbers throughout, two of them
packed into one integer where sets of pairs are joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leakscan.fingerprint.hashing import PHASH_BITS, axes_exchanged
from leakscan.match.index import Reach, build_hash_index, build_index
from leakscan.match.pictures import Side
from leakscan.match.products import paired_products
from leakscan.types import Engine

NO_SCORE = float("nan")
NEAREST = 3
"""Nearest pictures of every picture that are candidates however far they are: a heavily cropped copy may
be far from its original and yet nearer than anything else."""
NEAREST_BY_HASH = 10
"""The same by perceptual hash, for pictures without a fingerprint; hashes rank worse."""

_ENOUGH_BY_HASH = 50_000
"""Pairs of hashes that are kept, or as many as there are pictures, where fingerprints tell the pictures apart
as well: strangers come as near, and among very many pictures most pairs within the radius are strangers."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Near:
    """Pairs of pictures of two sides, each once.

    Attributes:
        a: ``(n,)`` pictures of the side named first.
        b: ``(n,)`` pictures of the other.
        bits: ``(n,)`` float32 differing bits of the perceptual hashes, NaN where they were not compared.
    """

    a: Ints
    b: Ints
    bits: Floats


NONE_NEAR = Near(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Pairs of distinct pictures, one entry each, best first.

    Attributes:
        a: ``(n,)`` pictures of side A.
        b: ``(n,)`` pictures of side B.
        score: ``(n,)`` float32 cosine similarity, NaN where no fingerprints were compared.
        bits: ``(n,)`` float32 differing bits of the perceptual hashes, NaN beyond the radius.
        comparisons: How many pairs of pictures had their fingerprints compared, by encoder.
        cut: Pairs over the loose threshold that ``max_pairs`` left out.
        cut_score: The weakest score kept where some were cut, else NaN.
        reach: How far the search for fingerprints went and how much it finds there, by encoder.
        radius: The most bits that hashes may differ in; less than was asked for among very many pictures.
    """

    a: Ints
    b: Ints
    score: Floats
    bits: Floats
    comparisons: dict[str, int]
    cut: int
    cut_score: float
    reach: dict[str, Reach]
    radius: int


def packed(a: Ints, b: Ints, width: int) -> Ints:
    """Pairs of numbers as one number each, in the order of both.

    Args:
        a: ``(n,)`` first numbers.
        b: ``(n,)`` second numbers, 0 to ``width - 1``.
        width: How many second numbers there are.

    Example:
        >>> keys = packed(np.array([0, 2]), np.array([4, 1]), width=5)
        >>> keys.tolist(), np.divmod(keys, 5)[0].tolist()
        ([4, 11], [0, 2])
    """
    return a * np.int64(max(width, 1)) + b


def nearest_pictures(sides: Sequence[Side], engine: Engine | None = None) -> dict[tuple[int, int], Near]:
    """The nearest of all other sides' pictures for every picture, however far they are.

    Args:
        sides: The distinct pictures of every dataset.
        engine: Where to search for fingerprints; on this machine unless it is a cluster.

    Returns:
        For the number of a side and that of a later side, the pairs of their pictures, found from either
        end. Where both ends compared hashes, the later side's count of bits holds.

    Example::

        near = nearest_pictures([train, val, test])
        near[0, 2].a, near[0, 2].b  # pairs of a picture of train and one of test
    """
    pairs = list(combinations(range(len(sides)), 2))
    number = np.zeros((len(sides), len(sides)), np.int64)
    number[tuple(np.array(pairs, np.int64).reshape(-1, 2).T)] = np.arange(len(pairs))
    width = max(map(len, sides), default=0)
    where, keys, bits = [], [], []
    for own in range(len(sides)):
        for found in _searched(sides, own, engine):
            first = own < found.other
            low, high = np.minimum(own, found.other), np.maximum(own, found.other)
            a = np.where(first, found.picture, found.neighbour)
            b = np.where(first, found.neighbour, found.picture)
            where.append(number[low, high])
            keys.append(packed(a, b, width))
            bits.append(found.bits)
    if not where:
        return dict.fromkeys(pairs, NONE_NEAR)
    at, key, bit = np.concatenate(where), np.concatenate(keys), np.concatenate(bits)
    # Of several findings of one pair the last that counted bits stands, so it is sorted last.
    order = np.lexsort((~np.isnan(bit), key, at))
    at, key, bit = at[order], key[order], bit[order]
    last = np.ones(len(at), bool)
    last[:-1] = (at[1:] != at[:-1]) | (key[1:] != key[:-1])
    at, key, bit = at[last], key[last], bit[last]
    ends = np.searchsorted(at, np.arange(len(pairs) + 1)).tolist()
    return {
        pair: Near(key[start:end] // max(width, 1), key[start:end] % max(width, 1), bit[start:end])
        for pair, start, end in zip(pairs, ends[:-1], ends[1:], strict=True)
    }


@dataclass(frozen=True)
class _Found:
    """What one search found for pictures of one side: ``(n,)`` each."""

    picture: Ints
    other: Ints  # number of the side of the neighbour
    neighbour: Ints
    bits: Floats


def _searched(sides: Sequence[Side], own: int, engine: Engine | None) -> Iterator[_Found]:
    """Searches for the pictures of one side among those of all others."""
    side = sides[own]
    others = [(number, other) for number, other in enumerate(sides) if number != own]

    def places(pictures: Sequence[Ints]) -> tuple[Ints, Ints]:
        sizes = [len(some) for some in pictures]
        numbers = np.repeat(np.array([number for number, _ in others], np.int64), sizes)
        return numbers, np.concatenate(pictures).astype(np.int64)

    for encoder, prints in side.stored.items():
        known = [other.stored.get(encoder, prints[:0]) for _, other in others]
        if len(prints) and any(map(len, known)):
            hits = build_index(np.concatenate(known), len(prints), engine).nearest(prints, NEAREST)
            number, picture = places([other.pictures(encoder) for _, other in others])
            unknown = np.full(len(hits.query), NO_SCORE, np.float32)
            yield _Found(side.pictures(encoder)[hits.query], number[hits.found], picture[hits.found], unknown)
    for ndim in (2, 3):
        mute = np.flatnonzero((side.ndim == ndim) & (side.encoder == ""))
        theirs = [np.flatnonzero(other.ndim == ndim) for _, other in others]
        if len(mute) and any(map(len, theirs)):
            hashes = np.concatenate([other.phash[at] for (_, other), at in zip(others, theirs, strict=True)])
            # A volume whose axes were exchanged without a word in its header is refused by its encoder.
            own_hashes = side.phash[mute, 0]
            variants = own_hashes if ndim == 2 else axes_exchanged(own_hashes)
            hits = build_hash_index(hashes, len(mute), ndim).nearest(variants, NEAREST_BY_HASH)
            number, picture = places(theirs)
            yield _Found(mute[hits.query], number[hits.found], picture[hits.found], hits.score)


@dataclass(frozen=True)
class Wanted:
    """Which pairs become candidates.

    Attributes:
        loose: The lowest cosine similarity of a candidate, by encoder.
        radius: The most differing bits of the perceptual hashes of a candidate.
        max_pairs: The most pairs of each of the searches.
    """

    loose: Mapping[str, float]
    radius: int
    max_pairs: int


def find_candidates(
    a: Side, b: Side, wanted: Wanted, near: Near | None = None, engine: Engine | None = None
) -> Candidates:
    """Every pair whose fingerprints or perceptual hashes are near, best first.

    Args:
        a: The distinct pictures of the dataset named first.
        b: The distinct pictures of the other.
        wanted: Which pairs become candidates.
        near: Pairs that are candidates however far they are, from :func:`nearest_pictures`; by default
            those that it finds in these two sides.
        engine: Where to search for fingerprints; on this machine unless it is a cluster.

    Example:
        ``found = find_candidates(side_a, side_b, Wanted({"cxr-lite0@1": 0.4}, 8, 10_000))``, then
        ``found.score[0]`` is the similarity of pictures ``found.a[0]`` and ``found.b[0]``, the best pair.
    """
    if near is None:
        near = nearest_pictures([a, b], engine)[0, 1]
    radius, max_pairs = wanted.radius, wanted.max_pairs
    keys = [packed(near.a, near.b, len(b))]
    comparisons: dict[str, int] = {}
    reach: dict[str, Reach] = {}
    cut, cut_score = 0, NO_SCORE
    for encoder, threshold in wanted.loose.items():
        rows_a, rows_b = a.pictures(encoder), b.pictures(encoder)
        comparisons[encoder] = len(rows_a) * len(rows_b)
        if not comparisons[encoder]:
            continue
        index = build_index(b.stored[encoder], len(rows_a), engine)
        hits = index.range_search(a.stored[encoder], threshold, max_pairs)
        del index  # as large as the fingerprints of one side
        cut += hits.cut
        cut_score = float(np.fmax(cut_score, hits.cut_score))
        if hits.reach is not None:
            reach[encoder] = hits.reach
        keys.append(packed(rows_a[hits.query], rows_b[hits.found], len(b)))
    hashed = []
    for ndim in (2, 3):
        rows_a, rows_b = np.flatnonzero(a.ndim == ndim), np.flatnonzero(b.ndim == ndim)
        if len(rows_a) and len(rows_b):
            index_a = build_hash_index(a.phash[rows_a], len(rows_b), ndim)
            mute = (a.encoder[rows_a] == "").any() or (b.encoder[rows_b] == "").any()
            most = max_pairs if mute else min(max_pairs, 1 + max(_ENOUGH_BY_HASH, len(a), len(b)))
            hits = index_a.range_search(b.phash[rows_b, 0], radius, most)
            at_a, at_b = rows_a[hits.found], rows_b[hits.query]
            own_radius = _radius_of_both(a, b, at_a, at_b, hits.score)
            keep = (hits.score <= own_radius) | ~_both_encoded(a, b, at_a, at_b)
            hashed.append((packed(at_a[keep], at_b[keep], len(b)), hits.score[keep]))
            cut += hits.cut
            radius = min(radius, own_radius, radius if hits.radius is None else hits.radius)
    pairs = np.unique(np.concatenate([*keys, *(key for key, _ in hashed)]))
    bits = np.full(len(pairs), NO_SCORE, np.float32)
    bits[np.searchsorted(pairs, keys[0])] = near.bits
    for key, differing in hashed:
        bits[np.searchsorted(pairs, key)] = differing
    at_a, at_b = np.divmod(pairs, max(len(b), 1))
    score = scores(a, b, at_a, at_b)
    # Pairs are in the order of their numbers already, and the sort is stable.
    order = np.lexsort((np.nan_to_num(bits, nan=99.0), -np.nan_to_num(score, nan=-2.0)))
    return Candidates(
        a=at_a[order],
        b=at_b[order],
        score=score[order],
        bits=bits[order],
        comparisons=comparisons,
        cut=cut,
        cut_score=cut_score,
        reach=reach,
        radius=radius,
    )


def _both_encoded(a: Side, b: Side, at_a: Ints, at_b: Ints) -> npt.NDArray[np.bool_]:
    """Which pairs have fingerprints of one encoder."""
    own = a.encoder[at_a]
    return np.asarray((own == b.encoder[at_b]) & (own != ""), np.bool_)


def _radius_of_both(a: Side, b: Side, at_a: Ints, at_b: Ints, bits: Floats) -> int:
    """The largest radius within which there are no more pairs with fingerprints than are kept of them."""
    counts = np.bincount(bits[_both_encoded(a, b, at_a, at_b)].astype(np.int64), minlength=PHASH_BITS + 1)
    most = max(_ENOUGH_BY_HASH, len(a), len(b))
    return max(0, int(np.searchsorted(np.cumsum(counts), most, side="right")) - 1)


def equal_pixels(a: Side, b: Side) -> tuple[Ints, Ints]:
    """Pictures ``(n,), (n,)`` that stand on both sides with the same pixels.

    Example:
        >>> from leakscan import tables
        >>> from leakscan.match.pictures import distinct_pictures
        >>> film = {"status": "ok", "kind": "other_2d", "phash": [0] * 8}
        >>> rows_a, rows_b = ([{**film, "pixel_hash": name} for name in names] for names in ("xyz", "zx"))
        >>> a, b = (distinct_pictures(tables.from_rows(rows, tables.STORE)) for rows in (rows_a, rows_b))
        >>> [pictures.tolist() for pictures in equal_pixels(a, b)]
        [[0, 2], [1, 0]]
    """
    found = pc.index_in(a.pixel_hash, value_set=b.pixel_hash)
    in_a = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    in_b = found.take(pa.array(in_a)).to_numpy(zero_copy_only=False)
    return in_a.astype(np.int64), in_b.astype(np.int64)


def scores(a: Side, b: Side, at_a: Ints, at_b: Ints) -> Floats:
    """Similarities of pairs, summed in one fixed order so that swapping A and B changes no bit.

    Args:
        a: The distinct pictures of the dataset named first.
        b: The distinct pictures of the other.
        at_a: ``(n,)`` pictures of A.
        at_b: ``(n,)`` pictures of B.

    Returns:
        ``(n,)`` float32 cosine similarities, NaN where no encoder made both fingerprints.

    Example::

        scores(a, b, np.array([0]), np.array([7]))  # how alike picture 0 of A and picture 7 of B are
    """
    out = np.full(len(at_a), NO_SCORE, np.float32)
    for encoder in sorted(set(a.stored) & set(b.stored)):
        at = np.flatnonzero((a.encoder == encoder)[at_a] & (b.encoder == encoder)[at_b])
        i = np.searchsorted(a.pictures(encoder), at_a[at])
        j = np.searchsorted(b.pictures(encoder), at_b[at])
        out[at] = paired_products(a.stored[encoder], b.stored[encoder], i, j)
    return out

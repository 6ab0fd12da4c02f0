"""Which pairs of two datasets deserve a decision: equal hashes, near fingerprints, equal looks.

Images with equal pixels are one image here; blanks and unread files are none. The search is across
the two datasets only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leakscan.fingerprint.hashing import PHASH_BITS, axes_exchanged
from leakscan.match.index import ExactIndex, HashIndex, Hits
from leakscan.tables import ORIENTATIONS

NO_SCORE = float("nan")
NEAREST = 3
"""Nearest pictures of every picture that get a second look, however far they are: a heavily cropped
copy may be far from its original and yet nearer than anything else."""
NEAREST_BY_HASH = 10
"""The same by perceptual hash, for pictures without a fingerprint; hashes rank worse."""


_NUMBERS_AT_ONCE = 1 << 23  # of fingerprints multiplied together; 32 MB each way


@dataclass(frozen=True)
class Side:
    """The distinct pictures of one dataset.

    Attributes:
        rows: ``(n,)`` row in the dataset's table of the first image with these pixels.
        members: for each, the rows of all images with these pixels.
        pixel_hash: ``(n,)`` of each.
        phash: ``(n, 8)`` uint64.
        ndim: ``(n,)`` 2 or 3.
        encoder: ``(n,)`` name@digest, empty where no fingerprint was made.
        fingerprints: encoder -> ``(m, d)`` float32 as stored (rounded to float16) of its pictures, in order.
    """

    rows: npt.NDArray[np.int64]
    members: tuple[tuple[int, ...], ...]
    pixel_hash: npt.NDArray[np.str_]
    phash: npt.NDArray[np.uint64]
    ndim: npt.NDArray[np.int64]
    encoder: npt.NDArray[np.str_]
    fingerprints: Mapping[str, npt.NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.rows)

    def pictures(self, encoder: str) -> npt.NDArray[np.int64]:
        """Which pictures have a fingerprint of this encoder, in order."""
        return np.flatnonzero(self.encoder == encoder)

    def prints(self, encoder: str, pictures: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Fingerprints ``(k, d)`` of ``k`` pictures, all of which have one of this encoder."""
        return self.fingerprints[encoder][np.searchsorted(self.pictures(encoder), pictures)]


@dataclass(frozen=True)
class Candidates:
    """Pairs of distinct pictures, one entry each, indices into the two sides.

    Attributes:
        a: ``(n,)`` index into side A.
        b: ``(n,)`` index into side B.
        score: ``(n,)`` float32 cosine similarity, NaN where no fingerprints were compared.
        bits: ``(n,)`` float32 differing bits of the perceptual hashes, NaN beyond the radius.
        comparisons: encoder -> how many pairs of distinct pictures had their fingerprints compared.
        cut: pairs over the loose threshold that ``max_pairs`` left out.
        cut_score: the weakest score kept where some were cut, else NaN.
    """

    a: npt.NDArray[np.int64]
    b: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    bits: npt.NDArray[np.float32]
    comparisons: dict[str, int]
    cut: int
    cut_score: float


def distinct_pictures(rows: pa.Table) -> Side:
    """Collapses images with equal pixels and leaves out what is not ``ok``.

    Args:
        rows: schema ``tables.STORE``.
    """
    status = np.array(rows["status"].to_pylist())
    hashes = np.array([h or "" for h in rows["pixel_hash"].to_pylist()])
    usable = np.flatnonzero(status == "ok") if len(rows) else np.zeros(0, np.int64)
    members: dict[str, list[int]] = {}
    for row in usable.tolist():
        members.setdefault(str(hashes[row]), []).append(row)
    first = np.array([m[0] for m in members.values()], np.int64)
    picked = rows.take(pa.array(first, pa.int64()))
    encoder = np.array([e or "" for e in picked["encoder"].to_pylist()], np.str_)
    prints = {}
    for name in np.unique(encoder[encoder != ""]).tolist():
        stored = picked["fingerprint"].combine_chunks().take(pa.array(np.flatnonzero(encoder == name)))
        flat = stored.flatten().to_numpy(zero_copy_only=False)
        prints[name] = flat.reshape(len(stored), -1).astype(np.float32)
    phash = picked["phash"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    ndim = [3 if kind in ("brain_mri", "other_3d") else 2 for kind in picked["kind"].to_pylist()]
    return Side(
        first,
        tuple(tuple(m) for m in members.values()),
        np.array(list(members), np.str_),
        phash.reshape(len(first), ORIENTATIONS).astype(np.uint64),
        np.array(ndim, np.int64),
        encoder,
        prints,
    )


Near = dict[tuple[int, int], float]
"""Pairs of pictures of two sides -> differing bits of their perceptual hashes, NaN where not compared."""


def nearest_pictures(sides: Sequence[Side]) -> dict[tuple[int, int], Near]:
    """The nearest of all other sides' pictures for every picture, however far they are.

    Args:
        sides: of the datasets.

    Returns:
        (number of a side, number of a later side) -> pairs of their pictures, found from either end.
    """
    found: dict[tuple[int, int], Near] = {pair: {} for pair in combinations(range(len(sides)), 2)}

    def add(own: int, picture: int, other: int, neighbour: int, bits: float) -> None:
        pair = (picture, neighbour) if own < other else (neighbour, picture)
        near = found[min(own, other), max(own, other)]
        if pair not in near or not np.isnan(bits):
            near[pair] = bits

    for own in range(len(sides)):
        for pictures, hits, where in _searched(sides, own):
            for query, at, bits in zip(
                hits.query.tolist(), hits.found.tolist(), hits.score.tolist(), strict=True
            ):
                other, neighbour = where[at].tolist()
                add(own, int(pictures[query]), other, neighbour, bits)
    return found


def _searched(
    sides: Sequence[Side], own: int
) -> Iterator[tuple[npt.NDArray[np.int64], Hits, npt.NDArray[np.int64]]]:
    """Searches for one side: its pictures, hits (score: differing bits), ``(n, 2)`` side and picture hit."""
    side = sides[own]
    others = [(number, other) for number, other in enumerate(sides) if number != own]

    def places(of: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        numbers = [np.full(len(some), number) for (number, _), some in zip(others, of, strict=True)]
        return np.stack([np.concatenate(numbers), np.concatenate(of)], axis=1).astype(np.int64)

    for encoder, prints in side.fingerprints.items():
        known = [other.fingerprints.get(encoder, prints[:0]) for _, other in others]
        if len(prints) and any(map(len, known)):
            hits = ExactIndex(np.concatenate(known)).nearest(prints, NEAREST)
            where = places([other.pictures(encoder) for _, other in others])
            yield side.pictures(encoder), replace(hits, score=np.full(len(hits.query), NO_SCORE)), where
    for ndim in (2, 3):
        mute = np.flatnonzero((side.ndim == ndim) & (side.encoder == ""))
        theirs = [np.flatnonzero(other.ndim == ndim) for _, other in others]
        if len(mute) and any(map(len, theirs)):
            hashes = np.concatenate([other.phash[at] for (_, other), at in zip(others, theirs, strict=True)])
            # A volume whose axes were exchanged without a word in its header is refused by its encoder.
            own_hashes = side.phash[mute, 0]
            variants = own_hashes if ndim == 2 else axes_exchanged(own_hashes)
            yield mute, HashIndex(hashes, PHASH_BITS).nearest(variants, NEAREST_BY_HASH), places(theirs)


def find_candidates(
    a: Side, b: Side, loose: dict[str, float], radius: int, max_pairs: int, near: Near | None = None
) -> Candidates:
    """Every pair whose fingerprints or looks are near, best first.

    Args:
        a: the dataset named first.
        b: the other.
        loose: encoder -> lowest cosine similarity worth a second look.
        radius: most differing bits of perceptual hashes worth a second look.
        max_pairs: of each of the two searches.
        near: pairs that are candidates however far they are, from :func:`nearest_pictures`; by default
            those that it finds in these two sides.
    """
    found = dict(nearest_pictures([a, b])[0, 1] if near is None else near)
    comparisons: dict[str, int] = {}
    cut, cut_score = 0, NO_SCORE
    for encoder, threshold in loose.items():
        rows_a, rows_b = a.pictures(encoder), b.pictures(encoder)
        comparisons[encoder] = len(rows_a) * len(rows_b)
        if not comparisons[encoder]:
            continue
        hits = ExactIndex(b.fingerprints[encoder]).range_search(a.fingerprints[encoder], threshold, max_pairs)
        cut += hits.cut
        cut_score = float(np.fmax(cut_score, hits.cut_score))
        for pair in zip(rows_a[hits.query].tolist(), rows_b[hits.found].tolist(), strict=True):
            found.setdefault(pair, NO_SCORE)
    for ndim in (2, 3):
        rows_a, rows_b = np.flatnonzero(a.ndim == ndim), np.flatnonzero(b.ndim == ndim)
        if len(rows_a) and len(rows_b):
            hits = HashIndex(a.phash[rows_a], PHASH_BITS).range_search(b.phash[rows_b, 0], radius, max_pairs)
            alike = zip(rows_a[hits.found].tolist(), rows_b[hits.query].tolist(), strict=True)
            found.update(dict(zip(alike, hits.score.tolist(), strict=True)))
            cut += hits.cut
    pairs = np.array(list(found), np.int64).reshape(-1, 2)
    bits = np.array(list(found.values()), np.float32)
    score = scores(a, b, pairs)
    order = np.lexsort(
        (pairs[:, 1], pairs[:, 0], np.nan_to_num(bits, nan=99.0), -np.nan_to_num(score, nan=-2.0))
    )
    return Candidates(
        pairs[order, 0], pairs[order, 1], score[order], bits[order], comparisons, cut, cut_score
    )


def equal_pixels(a: Side, b: Side) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices ``(n,), (n,)`` of pictures that stand on both sides with the same pixels."""
    _, in_a, in_b = np.intersect1d(a.pixel_hash, b.pixel_hash, return_indices=True)
    return in_a.astype(np.int64), in_b.astype(np.int64)


def scores(a: Side, b: Side, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Similarities of pairs, summed in one fixed order so that swapping A and B changes no bit."""
    out = np.full(len(pairs), NO_SCORE, np.float32)
    for encoder in sorted(set(a.fingerprints) & set(b.fingerprints)):
        at = np.flatnonzero((a.encoder[pairs[:, 0]] == encoder) & (b.encoder[pairs[:, 1]] == encoder))
        i = np.searchsorted(a.pictures(encoder), pairs[at, 0])
        j = np.searchsorted(b.pictures(encoder), pairs[at, 1])
        out[at] = paired_products(a.fingerprints[encoder], b.fingerprints[encoder], i, j)
    return out


def paired_products(
    a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], i: npt.NDArray[np.int64], j: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Dot products ``(m,)`` of ``a[i]`` and ``b[j]``, a bounded number at a time.

    Each is summed by itself and in one order: a matrix product may round otherwise when A and B are swapped.

    Args:
        a: ``(n, d)``.
        b: ``(n', d)``.
        i: ``(m,)`` rows of ``a``.
        j: ``(m,)`` rows of ``b``.
    """
    out = np.empty(len(i), np.float32)
    step = max(1, _NUMBERS_AT_ONCE // max(1, a.shape[1]))
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        out[part] = (a[i[part]] * b[j[part]]).sum(axis=1)
    return out

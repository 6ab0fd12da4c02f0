"""Everything about two datasets that wants a decision, strongest candidates first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.table import PairTable
from leakscan.match.candidates import NO_SCORE, Candidates, equal_pixels, packed, scores

_AT_ONCE = 1 << 20  # pairs with one identifier that are in memory together

IDENTIFIERS = ("subject", "study_uid_hash", "series_uid_hash", "sop_uid_hash")
"""The columns that name a person: the declared subject, and what DICOM gives one examination only."""

Ints = npt.NDArray[np.int64]


def gather(pair: DatasetPair, found: Candidates, max_pairs: int) -> tuple[PairTable, int]:
    """Joins what was found by pixels, by similarity, and by identifiers where those are proof.

    Args:
        pair: The two datasets.
        found: The candidates of the search.
        max_pairs: The most pairs taken for equal identifiers alone.

    Returns:
        The table, pairs of equal pictures first, then candidates, then pairs with equal identifiers; and
        how many of the last were beyond the limit.

    Example:
        ``table, cut = gather(pair, found, max_pairs=1_000_000)``
    """
    width = len(pair.b.side)
    equal = packed(*equal_pixels(pair.a.side, pair.b.side), width)
    near = packed(found.a, found.b, width)
    keys = np.concatenate([equal, near[~np.isin(near, equal)]])
    declared, ids_cut = np.zeros(len(keys), np.bool_), 0
    if pair.ids_are_proof:
        for column in IDENTIFIERS:
            same = _SameSubject(pair, column)
            for block in same.blocks():
                declared |= np.isin(keys, block)
            by_id, cut = same.unknown(keys, max_pairs)
            keys = np.concatenate([keys, by_id])
            declared = np.concatenate([declared, np.ones(len(by_id), np.bool_)])
            ids_cut += cut
    a, b = np.divmod(keys, max(width, 1))
    where = _positions(near, keys)
    bits = np.full(len(keys), NO_SCORE, np.float32)
    bits[where >= 0] = found.bits[where[where >= 0]]
    score = np.full(len(keys), NO_SCORE, np.float32)
    score[where >= 0] = found.score[where[where >= 0]]
    others = np.flatnonzero(where < 0)
    score[others] = scores(pair.a.side, pair.b.side, a[others], b[others])
    is_equal = np.arange(len(keys)) < len(equal)
    table = PairTable(
        a=a,
        b=b,
        score=score,
        bits=bits,
        equal=is_equal,
        declared=declared,
        to_check=_ranked(np.flatnonzero(~is_equal & (where >= 0)), score, bits),
    )
    return table, ids_cut


def _positions(known: Ints, wanted: Ints) -> Ints:
    """Where each wanted number stands among the known ones, -1 where it does not."""
    if not len(known):
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(known, kind="stable")
    at = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
    return np.where(known[at] == wanted, at, -1)


def _ranked(rows: Ints, score: npt.NDArray[np.float32], bits: npt.NDArray[np.float32]) -> Ints:
    """Rows best first by either measure: the n-th nearest fingerprint beside the n-th nearest hash."""
    by_score = np.argsort(np.argsort(-np.nan_to_num(score[rows], nan=-2.0), kind="stable"))
    by_bits = np.argsort(np.argsort(np.nan_to_num(bits[rows], nan=99.0), kind="stable"))
    return rows[np.argsort(np.minimum(by_score, by_bits), kind="stable")]


class _SameSubject:
    """Pairs of pictures with an identifier that both datasets declare, too many to hold at once."""

    def __init__(self, pair: DatasetPair, column: str) -> None:
        named = [_named(side, column) for side in (pair.a, pair.b)]
        _, codes = np.unique(np.concatenate(named), return_inverse=True)
        codes_a, codes_b = np.split(codes.astype(np.int64), [len(named[0])])
        self._width = len(pair.b.side)
        self._picture_a, code_a = _declarations(pair.a, codes_a, named[0] != "")
        picture_b, code_b = _declarations(pair.b, codes_b, named[1] != "")
        order = np.argsort(code_b, kind="stable")
        self._picture_b = picture_b[order]
        self._first = np.searchsorted(code_b[order], code_a, "left")
        self._ends = np.cumsum(np.searchsorted(code_b[order], code_a, "right") - self._first)

    def blocks(self) -> Iterator[Ints]:
        """Packed pairs in the order of A, each once."""
        last = np.ones(len(self._picture_a), bool)
        last[:-1] = self._picture_a[1:] != self._picture_a[:-1]
        stops = self._ends[last]  # a picture's pairs stay together, so that none stands in two blocks
        start = 0
        while len(stops) and start < stops[-1]:
            stop = int(stops[min(int(np.searchsorted(stops, start + _AT_ONCE)), len(stops) - 1)])
            number = np.arange(start, stop)
            at = np.searchsorted(self._ends, number, "right")
            offset = number - np.concatenate([[0], self._ends])[at]
            block = packed(self._picture_a[at], self._picture_b[self._first[at] + offset], self._width)
            # Images with equal pixels may declare two subjects, both of which the other side knows.
            _, once = np.unique(block, return_index=True)
            yield block[np.sort(once)]
            start = stop

    def unknown(self, known: Ints, most: int) -> tuple[Ints, int]:
        """Pairs that are not known yet, and how many of them the limit of ``most`` pairs left out."""
        kept, cut, seen = [known[:0]], 0, 0
        for block in self.blocks():
            fresh = ~np.isin(block, known)
            early = np.arange(seen, seen + len(block)) < most
            kept.append(block[fresh & early])
            cut += int(np.count_nonzero(fresh & ~early))
            seen += len(block)
        return np.concatenate(kept), cut


def _named(side: Columns, column: str) -> npt.NDArray[np.object_]:
    """An identifier of all images of all pictures, empty where there is none."""
    found = side.taken(column, side.side.image_rows).fill_null("")
    return np.asarray(found.to_numpy(zero_copy_only=False), object)


def _declarations(side: Columns, codes: Ints, known: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Pictures and the subjects that they declare, each of the two together once, in order."""
    picture = np.repeat(np.arange(len(side.side)), side.side.counts)[known]
    width = int(codes.max(initial=0)) + 1
    each = np.unique(packed(picture, codes[known], width))
    return each // width, each % width

"""From pairs of pictures to the pairs of images that are leaks or for review, the most probable first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leakscan import tables
from leakscan.decide.columns import DatasetPair
from leakscan.decide.order import unlikeliness
from leakscan.decide.persons.tests import PersonTest
from leakscan.decide.relation import (
    DECISIONS,
    NOTHING,
    ImagePairs,
    alike_unchecked,
    evidence_of,
    relate,
)
from leakscan.decide.table import PairTable
from leakscan.types import RELATIONS

_COPIES = RELATIONS.index("same_subject")  # relations before this one say that two pictures are one
_AT_ONCE = 1 << 19  # pairs of images that are looked through together

_EXACT = {"distance": pa.float64(), "score": pa.float64(), "correlation": pa.float64()}
FOUND = pa.schema(
    [
        *((f.name, _EXACT.get(f.name, f.type)) for f in tables.PAIRS if f.name != "evidence"),
        ("reasons", pa.int16()),
        ("similarity", pa.float32()),
        ("comparisons", pa.int64()),
        ("p_floor", pa.float64()),
        ("overlap", pa.float64()),
        ("detail_gain", pa.float64()),
        ("fold_agreement", pa.float64()),
        ("fold_strangers", pa.float64()),
        ("fold_others", pa.int32()),
        ("bits", pa.float32()),
    ]
)
"""The columns of ``pairs.parquet`` but for the sentences, and the numbers that the sentences are made from:
``reasons`` is a sum of :class:`~leakscan.decide.relation.Evidence`. ``report`` makes the sentences."""

SAID = ("verdict", "verdict_by", "verdict_at", "reopened")
"""What people say of a pair; null until ``leakscan.review.judging`` fills it."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What was decided about two datasets.

    Args:
        pair: The two datasets.
        table: Their pairs of pictures, all columns filled.
        tests: What every encoder could say of persons.
    """

    pair: DatasetPair
    table: PairTable
    tests: Sequence[PersonTest]

    def strongest(self, limit: int) -> tuple[pa.Table, int]:
        """The ``limit`` strongest pairs of images that are leaks or for review.

        Returns:
            A table of schema ``FOUND``, leaks before reviews, the most probable first, then strong relations,
            then by p-value and distance, ties by the images; and how many pairs there were in all.

        Example:
            ``rows, n = decided.strongest(1_000_000)``
        """
        kept = _Rows.empty()
        total = 0
        for images in self._images():
            rows = self._decided(images)
            total += len(rows.row)
            kept = kept.joined(rows)
            if len(kept.row) >= 2 * limit:
                kept = kept.taken(self._order(kept)[:limit])
        return self._table(kept.taken(self._order(kept)[:limit])), total

    @cached_property
    def _wanted(self) -> Ints:
        """Rows of the table some of whose images may be a leak or for review."""
        t = self.table
        some = t.equal | t.same_image | t.declared | t.person_leak | t.person_review | alike_unchecked(t)
        return np.flatnonzero(some)

    def _images(self) -> Iterator[ImagePairs]:
        """Every two images of every wanted pair of pictures, a bounded number at a time."""
        a, b = self.pair.a, self.pair.b
        picture_a, picture_b = self.table.a[self._wanted], self.table.b[self._wanted]
        each = b.side.counts[picture_b]
        ends = np.cumsum(a.side.counts[picture_a] * each)
        before = np.concatenate([[0], ends])
        total = int(before[-1])
        for start in range(0, total, _AT_ONCE):
            number = np.arange(start, min(start + _AT_ONCE, total))
            at = np.searchsorted(ends, number, "right")
            first, second = np.divmod(number - before[at], each[at])
            yield self._image_pairs(
                self._wanted[at],
                a.side.image_rows[a.side.starts[picture_a[at]] + first],
                b.side.image_rows[b.side.starts[picture_b[at]] + second],
            )

    def _image_pairs(self, row: Ints, image_a: Ints, image_b: Ints) -> ImagePairs:
        """What is known of pairs of images beside what is known of their pictures."""
        a, b = self.pair.a, self.pair.b

        def agree(column: str, where: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
            at = np.flatnonzero(where)
            out = np.zeros(len(row), np.bool_)
            same = pc.equal(a.taken(column, image_a[at]), b.taken(column, image_b[at])).fill_null(False)
            out[at] = same.to_numpy(zero_copy_only=False)
            return out

        comparable = np.full(len(row), self.pair.same_key)
        same_study, disputed = self._one_examination(agree, comparable, image_a, image_b)
        return ImagePairs(
            row=row,
            image_a=image_a,
            image_b=image_b,
            same_file=agree("file_hash", self.table.equal[row]),
            same_subject=agree("subject", comparable),
            same_study=same_study,
            disputed=disputed,
            at_hand=a.at_hand[image_a] & b.at_hand[image_b],
        )

    def _one_examination(
        self,
        agree: Callable[[str, npt.NDArray[np.bool_]], npt.NDArray[np.bool_]],
        comparable: npt.NDArray[np.bool_],
        image_a: Ints,
        image_b: Ints,
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Whether a UID says that two images are of one examination, and declared subjects do not deny it;
        and whether they do.
        """
        one = agree("study_uid_hash", comparable)
        for column in ("series_uid_hash", "sop_uid_hash"):
            one = one | agree(column, comparable)
        subjects = self.pair.a.taken("subject", image_a), self.pair.b.taken("subject", image_b)
        denied = pc.not_equal(*subjects).fill_null(False).to_numpy(zero_copy_only=False)
        return np.asarray(one & ~denied, np.bool_), np.asarray(one & denied, np.bool_)

    def _decided(self, images: ImagePairs) -> _Rows:
        """Those pairs of images that are more than strangers."""
        proof = self.pair.ids_are_proof
        relation, decision = relate(images, self.table, proof)
        rows = _Rows(
            row=images.row,
            image_a=images.image_a,
            image_b=images.image_b,
            relation=relation,
            decision=decision,
            reasons=evidence_of(images, self.table, proof),
        )
        return rows.taken(np.flatnonzero(relation != NOTHING))

    def _order(self, rows: _Rows) -> Ints:
        """Leaks before reviews, each by probability, ties by strength; stable."""
        table, (rank_a, rank_b) = self.table, self._id_ranks
        one, other = rank_a[rows.image_a], rank_b[rows.image_b]
        p_value = np.nan_to_num(table.p_value[rows.row], nan=1.0)
        distance = np.nan_to_num(1.0 - table.score[rows.row].astype(np.float64), nan=2.0)
        return np.lexsort(
            (
                np.maximum(one, other),
                np.minimum(one, other),
                distance,
                p_value,
                rows.relation,
                unlikeliness(_probability(table, rows), rows.relation < _COPIES),
                rows.decision,
            )
        )

    @cached_property
    def _id_ranks(self) -> tuple[Ints, Ints]:
        """The place of every wanted image's id among all, for each dataset by row."""
        parts, rows = [], []
        for columns, pictures in ((self.pair.a, self.table.a), (self.pair.b, self.table.b)):
            wanted = np.zeros(len(columns.side), np.bool_)
            wanted[pictures[self._wanted]] = True
            rows.append(columns.side.image_rows[np.repeat(wanted, columns.side.counts)])
            parts.append(columns.taken("image_id", rows[-1]))
        encoded = pa.concat_arrays(parts).dictionary_encode()
        place = np.empty(len(encoded.dictionary), np.int64)
        place[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(place))
        found = np.split(place[encoded.indices.to_numpy()], [len(rows[0])])
        ranks = []
        for columns, own, rank in zip((self.pair.a, self.pair.b), rows, found, strict=True):
            everywhere = np.full(len(columns.dataset.rows), -1, np.int64)
            everywhere[own] = rank
            ranks.append(everywhere)
        rank_a, rank_b = ranks
        return rank_a, rank_b

    def _table(self, rows: _Rows) -> pa.Table:
        """The rows as an Arrow table of schema ``FOUND``."""
        t, row = self.table, rows.row
        seen, aligned = t.checked[row], t.same_image[row]
        comparisons, p_floor = self._by_encoder(row)
        columns: dict[str, pa.Array] = {
            "distance": _known(1.0 - t.score[row].astype(np.float64)),
            "score": _known(t.person_score[row]),
            "p_value": _known(t.p_value[row]),
            "q_value": _known(t.q_value[row]),
            "probability": _known(_probability(t, rows)),
            "relation": _words(RELATIONS, rows.relation),
            "decision": _words(DECISIONS, rows.decision),
            "correlation": _known(t.correlation[row]),
            "inliers": pa.array(t.inliers[row], mask=~seen),
            "transform": pc.if_else(
                pa.array(aligned), _words(t.transforms, t.transform[row]), pa.scalar(None, pa.string())
            ),
            "reasons": pa.array(rows.reasons),
            "similarity": _known(t.score[row]),
            "comparisons": pa.array(comparisons),
            "p_floor": pa.array(p_floor),
            "overlap": _known(t.overlap[row]),
            "detail_gain": _known(t.detail_gain[row]),
            "fold_agreement": _known(t.fold_agreement[row]),
            "fold_strangers": _known(t.fold_strangers[row]),
            "fold_others": pa.array(t.fold_others[row]),
            "bits": _known(t.bits[row]),
        }
        for side, of, images in (("a", self.pair.a, rows.image_a), ("b", self.pair.b, rows.image_b)):
            columns[f"dataset_{side}"] = pa.repeat(pa.scalar(of.dataset.name, pa.string()), len(row))
            columns[f"image_{side}"] = of.taken("image_id", images)
            columns[f"path_{side}"] = of.taken("path", images)
            columns[f"subject_{side}"] = of.taken("subject", images)
        for name in SAID:
            columns[name] = pa.nulls(len(row), tables.PAIRS.field(name).type)
        return pa.Table.from_arrays([columns[f.name].cast(f.type) for f in FOUND], schema=FOUND)

    def _by_encoder(self, row: Ints) -> tuple[Ints, npt.NDArray[np.float64]]:
        """Subject comparisons, and the smallest p-value, of the encoder of each pair's first picture."""
        encoder = self.pair.a.side.encoder
        comparisons, p_floor = np.zeros(len(encoder), np.int64), np.zeros(len(encoder))
        for test in self.tests:
            own = encoder == test.encoder
            comparisons[own], p_floor[own] = test.comparisons, test.floor
        picture = self.table.a[row]
        return comparisons[picture], p_floor[picture]


def _probability(table: PairTable, rows: _Rows) -> npt.NDArray[np.float64]:
    """What is proved is certain; NaN where no fingerprint compared the two."""
    proven = (rows.decision == DECISIONS.index("leak")) & ~table.person_leak[rows.row]
    return np.where(proven, 1.0, table.probability[rows.row])


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Pairs of images that are leaks or for review, ``(n,)`` each."""

    row: Ints
    image_a: Ints
    image_b: Ints
    relation: npt.NDArray[np.int8]
    decision: npt.NDArray[np.int8]
    reasons: npt.NDArray[np.int16]

    @classmethod
    def empty(cls) -> _Rows:
        none, code = np.zeros(0, np.int64), np.zeros(0, np.int8)
        return cls(
            row=none, image_a=none, image_b=none, relation=code, decision=code, reasons=np.zeros(0, np.int16)
        )

    def taken(self, at: Ints) -> _Rows:
        return _Rows(**{name: column[at] for name, column in vars(self).items()})

    def joined(self, other: _Rows) -> _Rows:
        theirs = vars(other)
        return _Rows(**{name: np.concatenate([own, theirs[name]]) for name, own in vars(self).items()})


def _known(values: npt.NDArray[np.floating]) -> pa.Array:
    """Numbers as Arrow has them, with null for NaN."""
    return pa.array(values, mask=np.isnan(values))


def _words(words: Sequence[str], codes: npt.NDArray[np.signedinteger]) -> pa.Array:
    """The words that codes stand for."""
    return pa.array(list(words), pa.string()).take(pa.array(codes.astype(np.int64)))

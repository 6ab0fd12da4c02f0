"""One row for every pair of distinct pictures; every stage of deciding fills columns of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from leakscan.decide.copies import CopyCheck

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(kw_only=True)
class PairTable:
    """The pairs of pictures of two datasets that deserve a decision, ``n`` rows.

    The search fills the first columns; the others start as unknown (NaN, false, -1) and take no memory
    before their stage writes to them.

    Attributes:
        a: ``(n,)`` int64 picture of A.
        b: ``(n,)`` int64 picture of B.
        score: ``(n,)`` float32 cosine similarity, NaN where it is unknown.
        bits: ``(n,)`` float32 differing bits of the perceptual hashes, NaN where they are unknown.
        equal: ``(n,)`` bool, whether the pixels are equal.
        declared: ``(n,)`` bool, whether images of both declare one subject and identifiers are proof.
        to_check: ``(m,)`` rows that deserve a copy check, best first.

    Example:
        >>> none, no = np.full(2, np.nan, np.float32), np.zeros(2, bool)
        >>> table = PairTable(a=np.array([0, 1]), b=np.array([1, 1]), score=none, bits=none,
        ...                   equal=no, declared=no, to_check=np.array([1]))
        >>> table.settled.tolist(), table.p_value.tolist()
        ([False, False], [nan, nan])
    """

    a: Ints
    b: Ints
    score: npt.NDArray[np.float32]
    bits: npt.NDArray[np.float32]
    equal: Bools
    declared: Bools
    to_check: Ints

    def __len__(self) -> int:
        return len(self.a)

    # The copy check

    @cached_property
    def checked(self) -> Bools:
        """``(n,)`` whether a copy check saw the pixels."""
        return np.zeros(len(self), np.bool_)

    @cached_property
    def same_image(self) -> Bools:
        """``(n,)`` whether it found one and the same acquisition."""
        return np.zeros(len(self), np.bool_)

    @cached_property
    def correlation(self) -> Floats:
        """``(n,)`` correlation of the aligned pictures, -1..1, NaN where they were not aligned."""
        return self._unknown()

    @cached_property
    def overlap(self) -> Floats:
        """``(n,)`` share of the smaller picture that the other covers, 0..1."""
        return self._unknown()

    @cached_property
    def inliers(self) -> npt.NDArray[np.int32]:
        """``(n,)`` keypoint matches that agree with the alignment."""
        return np.zeros(len(self), np.int32)

    @cached_property
    def transform(self) -> npt.NDArray[np.int32]:
        """``(n,)`` number in ``transforms`` of what was done to A to get B."""
        return np.zeros(len(self), np.int32)

    @cached_property
    def transforms(self) -> list[str]:
        """The words behind ``transform``; the first is none."""
        return [""]

    def keep_checks(self, rows: Ints, checks: Sequence[CopyCheck | None]) -> None:
        """Fills in what copy checks found.

        Args:
            rows: ``(k,)`` rows of the table.
            checks: The finding for each; ``None`` for a pair that nobody could see.
        """
        numbers = {words: number for number, words in enumerate(self.transforms)}
        for row, found in zip(rows.tolist(), checks, strict=True):
            if found is None:
                continue
            number = numbers.setdefault(found.transform, len(numbers))
            self.checked[row], self.same_image[row] = True, found.same_image
            self.correlation[row], self.overlap[row] = found.correlation, found.overlap
            self.inliers[row], self.transform[row] = found.inliers, number
        self.transforms[:] = numbers

    def extended(self, a: Ints, b: Ints) -> PairTable:
        """The table with more pairs at its end, of which nothing is known but that they deserve a copy check.

        Args:
            a: ``(k,)`` pictures of A.
            b: ``(k,)`` pictures of B.

        Example:
            >>> none, no = np.full(1, np.nan, np.float32), np.zeros(1, bool)
            >>> table = PairTable(a=np.array([0]), b=np.array([1]), score=none, bits=none,
            ...                   equal=no, declared=no, to_check=np.array([0]))
            >>> len(table.extended(np.array([3]), np.array([4])))
            2
        """
        n, k = len(self), len(a)
        unknown, no = np.full(k, np.nan, np.float32), np.zeros(k, np.bool_)
        table = PairTable(
            a=np.concatenate([self.a, a]),
            b=np.concatenate([self.b, b]),
            score=np.concatenate([self.score, unknown]),
            bits=np.concatenate([self.bits, unknown]),
            equal=np.concatenate([self.equal, no]),
            declared=np.concatenate([self.declared, no]),
            to_check=np.concatenate([self.to_check, np.arange(n, n + k)]),
        )
        table.transforms[:] = self.transforms
        for name in ("checked", "same_image", "correlation", "overlap", "inliers", "transform"):
            getattr(table, name)[:n] = getattr(self, name)
        return table

    @property
    def settled(self) -> Bools:
        """``(n,)`` whether the two are proved to be one picture."""
        return self.equal | self.same_image

    # What the fingerprints and details say of persons

    @cached_property
    def detail(self) -> Floats:
        """``(n,)`` detail match as it is; NaN where there is none."""
        return self._unknown()

    @cached_property
    def person_score(self) -> Floats:
        """``(n,)`` normalised similarity of the two pictures, in standard deviations above the cohort."""
        return self._unknown()

    @cached_property
    def p_value(self) -> Floats:
        """``(n,)`` false match rate at the fused score of the subjects, with their detail match."""
        return self._unknown()

    @cached_property
    def q_value(self) -> Floats:
        """``(n,)`` false discovery rate if the pairs up to this one are called leaks."""
        return self._unknown()

    @cached_property
    def probability(self) -> Floats:
        """``(n,)`` the share of true pairs among pairs as good as this one in this run, 0..1."""
        return self._unknown()

    @cached_property
    def detail_gain(self) -> Floats:
        """``(n,)`` what the detail match added to the log-likelihood ratio, in nats; NaN without a say."""
        return self._unknown()

    @cached_property
    def person_leak(self) -> Bools:
        """``(n,)`` whether the fingerprints call it a leak."""
        return np.zeros(len(self), np.bool_)

    @cached_property
    def person_review(self) -> Bools:
        """``(n,)`` whether the fingerprints put it up for review."""
        return np.zeros(len(self), np.bool_)

    # How the folds of two brains agree

    @cached_property
    def fold_agreement(self) -> Floats:
        """``(n,)`` agreement of the folds, -1..1; NaN where they were not compared."""
        return self._unknown()

    @cached_property
    def fold_strangers(self) -> Floats:
        """``(n,)`` the most that either of the two agrees by with volumes of others."""
        return self._unknown()

    @cached_property
    def fold_others(self) -> npt.NDArray[np.int32]:
        """``(n,)`` how many others those were."""
        return np.zeros(len(self), np.int32)

    def _unknown(self) -> Floats:
        return np.full(len(self), np.nan)

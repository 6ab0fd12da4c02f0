"""Compares every image of a labelled set with every other, in memory that does not grow with the pairs.

Genuine scores are kept whole. Of the impostor scores a histogram is kept, and the highest exactly,
because false match rates are read off there. The same pass notes what each image's nearest neighbours
are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.error_rates import pairs_beyond

BINS = 1 << 16
"""Bins of the histogram over cosine similarities from -1 to 1; each is 3.05e-5 wide."""

TAIL = 1_000_000
"""Highest impostor scores that are kept exactly: all down to an FMR of 1e-4 for 140,000 images."""

_BLOCK = 8_000_000  # similarities held at a time

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
PairRule = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.bool_]]
"""Which pairs count: positions ``(b,)`` -> ``(b, n)``, symmetric; an image never meets itself anyway."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What comparing a set with itself came to; a :class:`leakscan.error_rates.ComparedScores`.

    Subjects are codes ``0 .. n_subjects - 1``.

    Attributes:
        n_subjects: The number of subjects in the set, with or without a genuine pair.
        n_images: The number of images in at least one pair that counts.
        images_of: ``(n_subjects,)`` the number of images of each subject.
        genuine: ``(g,)`` cosine similarities of pairs of one subject.
        owner: ``(g,)`` the subject of each genuine pair.
        histogram: ``(BINS,)`` int64, impostor pairs by :func:`score_bin`.
        tail: ``(t,)`` the highest impostor scores, descending.
        tail_owners: ``(t, 2)`` the subjects of their pairs.
        impostor_distance: The sum of the Euclidean distances of impostor pairs.
        asks: ``(n,)`` bool, whether a genuine partner of the image could be found.
        hit: ``(n,)`` bool, whether the nearest image that counts is of the same subject.
        average_precision: ``(n,)`` MAP@R's term of each image (:func:`_retrieved`).
        asking: ``(n,)`` the subject of each image.
    """

    n_subjects: int
    n_images: int
    images_of: npt.NDArray[np.int64]
    genuine: Scores
    owner: npt.NDArray[np.int64]
    histogram: npt.NDArray[np.int64]
    tail: Scores
    tail_owners: npt.NDArray[np.int32]
    impostor_distance: float
    asks: npt.NDArray[np.bool_]
    hit: npt.NDArray[np.bool_]
    average_precision: Floats
    asking: npt.NDArray[np.int64]

    @property
    def n_impostor(self) -> int:
        """The number of pairs of two subjects."""
        return int(self.histogram.sum())

    def share_below(self, scores: Scores) -> Floats:
        """See :class:`leakscan.error_rates.ComparedScores`; impostors in a score's bin count half."""
        share = self.histogram / self.n_impostor
        below = np.cumsum(share) - share / 2
        return np.asarray(below[score_bin(scores)])

    def threshold_at_fmr(self, fmr: float) -> float:
        """See :class:`leakscan.error_rates.ComparedScores`.

        It is exact while the tail holds it; beyond, it is the upper edge of its bin, at most 3.1e-5 too
        high.
        """
        beyond = pairs_beyond(self.n_impostor, fmr)
        if beyond < len(self.tail):
            return float(self.tail[beyond])
        above = np.cumsum(self.histogram[::-1])[::-1]
        return float(bin_edges()[:-1][above <= beyond][0]) if (above <= beyond).any() else 1.0


def score_bin(scores: Scores) -> npt.NDArray[np.int64]:
    """The bin of each score; what rounding carries beyond -1 or 1 goes into the outermost.

    Example:
        >>> score_bin(np.array([-1.0, 0.0, 1.0], np.float32))
        array([    0, 32768, 65535])
    """
    bins = np.clip((scores + np.float32(1)) * np.float32(BINS / 2), 0, BINS - 1)
    return np.asarray(bins, np.int64)


def bin_edges() -> Floats:
    """``(BINS + 1,)`` scores between the bins.

    Example:
        >>> bin_edges()[[0, BINS // 2, BINS]]
        array([-1.,  0.,  1.])
    """
    return np.linspace(-1, 1, BINS + 1)


def distance(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Euclidean distance of unit vectors from their cosine similarity, 0 to 2.

    Example:
        >>> distance(np.array([1.0, 0.5, -1.0]))  # equal, somewhat alike, opposite
        array([0., 1., 2.])
    """
    return np.asarray(np.sqrt(np.clip(2 - 2 * scores, 0, None)))


def compare_images(
    fingerprints: npt.NDArray[np.floating],
    subjects: npt.NDArray[np.int64],
    rule: PairRule | None = None,
    tail: int = TAIL,
    seed: int = 0,
) -> Compared:
    """Compares every image with every other, block by block.

    Args:
        fingerprints: ``(n, d)``, L2-normalised.
        subjects: ``(n,)`` codes from 0.
        rule: Says which pairs count; all do if it is not given.
        tail: The number of impostor scores to keep exactly.
        seed: The seed of the random order in which equal scores are ranked.

    Example:
        >>> vectors = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
        >>> compare_images(vectors, np.array([0, 0, 1, 1])).n_impostor
        4
    """
    n = len(subjects)
    order = np.random.default_rng(seed).permutation(n)
    unit, codes = np.asarray(fingerprints, np.float32)[order], subjects[order]
    genuine: list[Scores] = []
    owner: list[npt.NDArray[np.int64]] = []
    impostors = _Impostors(tail)
    asks, hit, precision = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n)
    met = np.zeros(n, bool)
    for start in range(0, n, max(_BLOCK // max(n, 1), 1)):
        rows = np.arange(start, min(start + max(_BLOCK // n, 1), n))
        scores = unit[rows] @ unit.T
        counts = np.ones(scores.shape, bool) if rule is None else rule(order[rows])[:, order]
        counts[np.arange(len(rows)), rows] = False
        same = codes[rows][:, None] == codes[None, :]
        met[order[rows]] = counts.any(axis=1)
        once = counts & (np.arange(n)[None, :] > rows[:, None])
        first, second = np.nonzero(once & same)
        genuine.append(scores[first, second])
        owner.append(codes[second])
        impostors.add(scores, once & ~same, codes[rows], codes)
        here = order[rows]
        asks[here], hit[here], precision[here] = _retrieved(scores, counts, same)
    top, top_owners = impostors.highest()
    return Compared(
        n_subjects=int(subjects.max()) + 1,
        n_images=int(met.sum()),
        images_of=np.bincount(subjects),
        genuine=np.concatenate(genuine),
        owner=np.concatenate(owner),
        histogram=impostors.histogram,
        tail=top,
        tail_owners=top_owners,
        impostor_distance=impostors.distance,
        asks=asks,
        hit=hit,
        average_precision=precision,
        asking=subjects,
    )


class _Impostors:
    """Collects impostor scores: a histogram of all, the highest exactly."""

    def __init__(self, tail: int) -> None:
        self.histogram = np.zeros(BINS, np.int64)
        self.distance = 0.0
        self._keep = tail
        self._floor = -np.inf
        self._scores = np.zeros(0, np.float32)
        self._owners = np.zeros((0, 2), np.int32)

    def add(
        self,
        scores: Scores,
        impostor: npt.NDArray[np.bool_],
        rows: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
    ) -> None:
        values = scores[impostor]
        self.histogram += np.bincount(score_bin(values), minlength=BINS)
        self.distance += float(distance(values).sum(dtype=np.float64))
        first, second = np.nonzero(impostor & (scores > self._floor))
        self._scores = np.concatenate([self._scores, scores[first, second]])
        owners = np.stack([rows[first], columns[second]], axis=1).astype(np.int32)
        self._owners = np.concatenate([self._owners, owners])
        if len(self._scores) > 2 * self._keep:
            self._cut()

    def highest(self) -> tuple[Scores, npt.NDArray[np.int32]]:
        self._cut()
        order = np.argsort(-self._scores, kind="stable")
        return self._scores[order], self._owners[order]

    def _cut(self) -> None:
        if len(self._scores) > self._keep:
            kept = np.argpartition(-self._scores, self._keep - 1)[: self._keep]
            self._scores, self._owners = self._scores[kept], self._owners[kept]
            self._floor = float(self._scores.min())


def _retrieved(
    scores: Scores, counts: npt.NDArray[np.bool_], same: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], Floats]:
    """Whether each row can be asked, whether its nearest is right, and its average precision at R.

    R is the number of genuine partners of the image; AP@R is the mean over its R nearest images of
    the precision up to there where that image is right, and 0 where it is wrong (K. Musgrave et al.,
    "A Metric Learning Reality Check", 2020, section 3.2).
    """
    wanted = (counts & same).sum(axis=1)
    asks = wanted > 0
    deepest = int(wanted.max(initial=0))
    if not deepest:
        return asks, np.zeros(len(scores), bool), np.zeros(len(scores))
    ranked = np.where(counts, scores, -np.inf)
    nearest = np.argpartition(-ranked, deepest - 1, axis=1)[:, :deepest]
    # Sorting positions first lets the stable sort by score keep the random order of the gallery.
    nearest.sort(axis=1)
    by_score = np.argsort(-np.take_along_axis(ranked, nearest, axis=1), axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, by_score, axis=1)
    rank = np.arange(1, deepest + 1)
    right = np.take_along_axis(same & counts, nearest, axis=1)
    terms = np.where(right & (rank <= wanted[:, None]), right.cumsum(axis=1) / rank, 0.0)
    return asks, right[:, 0] & asks, terms.sum(axis=1) / np.maximum(wanted, 1)

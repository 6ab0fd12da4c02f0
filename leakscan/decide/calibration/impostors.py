"""Scores of subjects known to differ: every pair counted, only the highest kept one by one.

Of ``n`` images there are about ``n^2 / 2`` pairs, five thousand million for 1e5 images. A tail needs
the highest with their two subjects, and of the others only how they are spread. So memory depends on
``keep``, not on the number of pairs.

Every pair of *subjects* weighs the same: a pair of images weighs 1 / (images of one subject x images
of the other). A few subjects with a hundred films would otherwise be the calibration.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.normalise import CohortStatistics, normalise
from leakscan.errors import SourceError

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

KEEP = 2_000_000
_BINS = 4096
_BLOCK = 2048  # images compared at once: 4 million pairs, some 150 MB
_SAMPLED = 1_000_000  # random pairs that place the cut


@dataclass(frozen=True, kw_only=True)
class ImpostorSample:
    """All impostor pairs of one or several sets of subjects.

    Attributes:
        score: ``(e,)`` float64, the kept scores, all at or above ``cut``.
        subject_a: ``(e,)`` code of one subject of each kept pair, 0..n_subjects - 1.
        subject_b: ``(e,)`` code of the other.
        weight: ``(e,)`` float64; over all pairs (kept or not) the weights of two subjects sum to 1.
        edges: ``(bins + 1,)`` ascending, the last being ``cut``; empty where every pair is kept.
        mass: ``(bins,)`` weight of the pairs below ``cut``; the lowest bin also holds all below it.
        cut: The score from which pairs are kept.
        members: ``(n_subjects,)`` number of the set each subject belongs to. Pairs of subjects of two
            sets were not compared: across datasets nobody knows that they differ.
        n_images: The images of all subjects.
        n_pairs: The pairs of images.
        source: Which images they are, in words.
        images: ``(e, 2)`` index of the two images of each kept pair, where they are of one dataset.
    """

    score: Floats
    subject_a: Codes
    subject_b: Codes
    weight: Floats
    edges: Floats
    mass: Floats
    cut: float
    members: Codes
    n_images: int
    n_pairs: int
    source: str
    images: npt.NDArray[np.int32] | None = None

    @property
    def n_subjects(self) -> int:
        """The subjects of all sets."""
        return len(self.members)

    @property
    def n_subject_pairs(self) -> int:
        """Pairs of subjects known to differ; also the sum of all weights."""
        sizes = np.bincount(self.members).astype(np.int64)
        return int((sizes * (sizes - 1) // 2).sum())


def impostor_pairs(
    prints: npt.NDArray[np.floating],
    subjects: npt.NDArray[np.str_],
    statistics: CohortStatistics | None = None,
    *,
    keep: int = KEEP,
    source: str = "",
    seed: int = 0,
) -> ImpostorSample:
    """Compares all images of different declared subjects of one dataset.

    Args:
        prints: ``(n, d)``, L2-normalised.
        subjects: ``(n,)``; images with the empty subject are left out, as they may show anybody.
        statistics: How the images stand to a cohort, to normalise the scores; without it they are plain
            cosine similarities.
        keep: About how many of the highest scores are kept one by one.
        source: Which images they are, in words.
        seed: The seed of the random pairs that place the cut.

    Raises:
        SourceError: Fewer than two subjects are declared.

    Example:
        >>> films = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
        >>> sample = impostor_pairs(films, np.array(["p1", "p1", "p2"]))
        >>> sample.score.round(2).tolist(), sample.weight.tolist()
        ([0.0, 0.6], [0.5, 0.5])
    """
    known = np.flatnonzero(np.asarray(subjects) != "")
    names, inverse = np.unique(np.asarray(subjects)[known], return_inverse=True)
    if len(names) < 2:
        raise SourceError(f"{source or 'The dataset'} declares {len(names)} subjects, so no two can differ.")
    codes: Codes = inverse.astype(np.int32)
    counts = np.bincount(codes)
    n_pairs = (len(codes) ** 2 - int((counts.astype(np.int64) ** 2).sum())) // 2
    view = _Scores(
        np.ascontiguousarray(np.asarray(prints)[known], np.float32),
        codes,
        1.0 / counts[codes],
        None if statistics is None else CohortStatistics(statistics.mean[known], statistics.std[known]),
    )
    low, cut = view.place_cut(keep, n_pairs, seed)
    edges = np.linspace(low, cut, _BINS + 1) if np.isfinite(cut) else np.zeros(0)
    mass = np.zeros(max(len(edges) - 1, 0))
    kept = []
    for score, row, column, weight in view.blocks():
        above = score >= cut
        images = known[np.stack([row[above], column[above]], axis=1)].astype(np.int32)
        kept.append((score[above], codes[row[above]], codes[column[above]], weight[above], images))
        if len(mass):
            place = ((score[~above] - low) * (_BINS / (cut - low))).astype(np.int64)
            mass += np.bincount(np.clip(place, 0, _BINS - 1), weight[~above], _BINS)
    scores, subject_a, subject_b, weights, both = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return ImpostorSample(
        score=scores,
        subject_a=subject_a,
        subject_b=subject_b,
        weight=weights,
        edges=edges,
        mass=mass,
        cut=float(cut),
        members=np.zeros(len(names), np.int32),
        n_images=len(codes),
        n_pairs=n_pairs,
        source=source,
        images=both,
    )


def sample_of_scores(
    score: npt.ArrayLike, subject_a: npt.ArrayLike, subject_b: npt.ArrayLike, source: str = ""
) -> ImpostorSample:
    """A sample from scores that were computed elsewhere.

    Args:
        score: ``(n,)`` the scores.
        subject_a: ``(n,)`` subjects of one side, any labels.
        subject_b: ``(n,)`` subjects of the other.
        source: Which images they are, in words.

    Raises:
        SourceError: A pair is of one subject, or some two subjects were not compared: the bootstrap
            needs to know what was not.

    Example:
        >>> sample = sample_of_scores([0.1, 0.3, 0.2], ["p1", "p1", "p2"], ["p2", "p3", "p3"])
        >>> sample.n_subjects, sample.n_subject_pairs
        (3, 3)
    """
    left, right = np.asarray(subject_a), np.asarray(subject_b)
    names, codes = np.unique(np.concatenate([left, right]), return_inverse=True)
    a, b = np.split(codes.reshape(-1).astype(np.int64), 2)
    if (a == b).any():
        raise SourceError(f"{source or 'The sample'} holds a pair of one subject, which is no impostor pair.")
    met, pair, times = np.unique(
        np.minimum(a, b) * len(names) + np.maximum(a, b), return_inverse=True, return_counts=True
    )
    if len(met) != len(names) * (len(names) - 1) // 2:
        raise SourceError(f"{source or 'The sample'} lacks the scores of some pairs of its subjects.")
    return ImpostorSample(
        score=np.asarray(score, np.float64),
        subject_a=a.astype(np.int32),
        subject_b=b.astype(np.int32),
        weight=1.0 / times[pair.reshape(-1)],
        edges=np.zeros(0),
        mass=np.zeros(0),
        cut=-np.inf,
        members=np.zeros(len(names), np.int32),
        n_images=0,
        n_pairs=len(a),
        source=source,
    )


def join_samples(samples: Sequence[ImpostorSample]) -> ImpostorSample:
    """Puts the samples of several datasets together; subjects of two datasets count as not compared.

    Args:
        samples: The scores of one encoder and one normalisation. At least one.

    Example:
        >>> ours = sample_of_scores([0.1, 0.3, 0.2], ["p1", "p1", "p2"], ["p2", "p3", "p3"])
        >>> theirs = sample_of_scores([0.4], ["p1"], ["p2"])
        >>> both = join_samples([ours, theirs])
        >>> both.n_subjects, both.n_subject_pairs
        (5, 4)
    """
    joined = samples[0]
    for other in samples[1:]:
        cut = max(joined.cut, other.cut)
        ours, theirs = raise_cut(joined, cut), raise_cut(other, cut)
        shift = np.int32(ours.n_subjects)
        low = min([edges[0] for edges in (ours.edges, theirs.edges) if len(edges)], default=cut)
        edges = np.linspace(low, cut, _BINS + 1) if np.isfinite(cut) else np.zeros(0)
        joined = ImpostorSample(
            score=np.concatenate([ours.score, theirs.score]),
            subject_a=np.concatenate([ours.subject_a, theirs.subject_a + shift]),
            subject_b=np.concatenate([ours.subject_b, theirs.subject_b + shift]),
            weight=np.concatenate([ours.weight, theirs.weight]),
            edges=edges,
            mass=sum((_rebinned(s, edges) for s in (ours, theirs)), np.zeros(max(len(edges) - 1, 0))),
            cut=cut,
            members=np.concatenate([ours.members, theirs.members + ours.members.max() + 1]),
            n_images=ours.n_images + theirs.n_images,
            n_pairs=ours.n_pairs + theirs.n_pairs,
            source="; ".join(s.source for s in (ours, theirs) if s.source),
        )
    return joined


def raise_cut(sample: ImpostorSample, cut: float) -> ImpostorSample:
    """The sample with only the scores from ``cut`` on kept one by one, if that is above its own cut.

    Args:
        sample: The sample.
        cut: The score from which pairs are kept.

    Example:
        >>> sample = sample_of_scores([0.1, 0.3, 0.2], ["p1", "p1", "p2"], ["p2", "p3", "p3"])
        >>> high = raise_cut(sample, 0.15)
        >>> high.score.tolist(), float(high.mass.sum())
        ([0.3, 0.2], 1.0)
    """
    if cut <= sample.cut:
        return sample
    above = sample.score >= cut
    low = sample.edges[0] if len(sample.edges) else float(sample.score.min(initial=cut - 1.0))
    edges = np.linspace(min(low, cut - 1e-9), cut, _BINS + 1)
    fell = np.histogram(np.clip(sample.score[~above], edges[0], None), edges, weights=sample.weight[~above])[
        0
    ]
    return replace(
        sample,
        score=sample.score[above],
        subject_a=sample.subject_a[above],
        subject_b=sample.subject_b[above],
        weight=sample.weight[above],
        images=None if sample.images is None else sample.images[above],
        edges=edges,
        mass=_rebinned(sample, edges) + fell,
        cut=cut,
    )


def _rebinned(sample: ImpostorSample, edges: Floats) -> Floats:
    if not len(sample.mass):
        return np.zeros(len(edges) - 1 if len(edges) else 0)
    below = np.concatenate([[0.0], np.cumsum(sample.mass)])
    return np.asarray(np.diff(np.interp(edges, sample.edges, below)), np.float64)


@dataclass(frozen=True)
class _Scores:
    """Scores of all pairs of images, block by block."""

    prints: npt.NDArray[np.float32]
    codes: Codes
    share: Floats
    statistics: CohortStatistics | None

    def blocks(self) -> Iterator[tuple[Floats, npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]]:
        """Scores, both images and weights of every impostor pair, each pair once."""
        starts = range(0, len(self.codes), _BLOCK)
        for top in starts:
            for left in starts[top // _BLOCK :]:
                rows = np.arange(top, min(top + _BLOCK, len(self.codes)))
                columns = np.arange(left, min(left + _BLOCK, len(self.codes)))
                wanted = self.codes[rows, None] != self.codes[columns]
                if top == left:
                    wanted &= rows[:, None] < columns
                i, j = np.nonzero(wanted)
                raw = (self.prints[rows] @ self.prints[columns].T)[i, j]
                row, column = rows[i], columns[j]
                yield self._scale(raw, row, column), row, column, self.share[row] * self.share[column]

    def place_cut(self, keep: int, n_pairs: int, seed: int) -> tuple[float, float]:
        """Lowest score and the one that about ``keep`` pairs reach, both from random pairs."""
        if n_pairs <= keep:
            return -np.inf, -np.inf
        rng = np.random.default_rng(seed)
        row, column = rng.integers(0, len(self.codes), (2, _SAMPLED))
        other = self.codes[row] != self.codes[column]
        row, column = row[other], column[other]
        found = []
        for start in range(0, len(row), 2**16):
            i, j = row[start : start + 2**16], column[start : start + 2**16]
            found.append(self._scale(np.einsum("ij,ij->i", self.prints[i], self.prints[j]), i, j))
        scores = np.concatenate(found)
        low, cut = np.quantile(scores, [0.0, 1.0 - keep / n_pairs])
        return float(low), float(max(cut, low + 1e-9))

    def _scale(
        self, raw: npt.NDArray[np.float32], row: npt.NDArray[np.intp], column: npt.NDArray[np.intp]
    ) -> Floats:
        if self.statistics is None:
            return raw.astype(np.float64)
        mean, std = self.statistics.mean, self.statistics.std
        return normalise(raw, mean[row], std[row], mean[column], std[column])

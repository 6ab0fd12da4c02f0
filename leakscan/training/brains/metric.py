"""Learns which directions in aligned maps of a brain tell people apart, and which tell scans apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class LinearMetric:
    """A linear fingerprint: centre, project, bring to length 1.

    Attributes:
        mean: ``(d,)`` mean of the training views.
        axes: ``(k, d)`` directions; within-person spread is about 1 along each.
    """

    mean: Floats
    axes: Floats

    def __call__(self, maps: Floats) -> Floats:
        """``(n, d)`` aligned maps to ``(n, k)`` fingerprints of length 1."""
        prints = (maps - self.mean) @ self.axes.T
        return np.asarray(
            prints / np.maximum(np.linalg.norm(prints, axis=1, keepdims=True), 1e-9), np.float32
        )


def fit_metric(
    maps: Floats, people: npt.NDArray[np.generic], components: int, shrinkage: float, dim: int = 128
) -> LinearMetric:
    """Principal components, then whitening by the within-person covariance (regularised LDA).

    Args:
        maps: ``(n, d)`` aligned tissue maps of several views of every person; d may be large.
        people: ``(n,)`` whom each view shows.
        components: The number of principal components that are kept.
        shrinkage: The share of the mean variance added along every component before whitening.
        dim: The length of the fingerprint: the directions in which people differ most, in units of scans.

    Example:
        >>> rng, people = np.random.default_rng(0), np.repeat([0, 1, 2, 3], 3)
        >>> heads, scans = rng.normal(size=(4, 50)), 0.3 * rng.normal(size=(12, 50))
        >>> metric = fit_metric(heads[people] + scans, people, components=6, shrinkage=0.1, dim=3)
        >>> again = metric(heads + 0.3 * rng.normal(size=(4, 50)))  # scanned once more
        >>> (again @ metric(heads).T).argmax(axis=1).tolist()
        [0, 1, 2, 3]
    """
    mean = maps.mean(axis=0)
    centred = maps - mean
    # d is a hundred times n: the components come from the n x n matrix of products.
    values, vectors = np.linalg.eigh(centred @ centred.T)
    kept = np.argsort(-values)[: min(components, len(maps) - 1)]
    basis = (centred.T @ vectors[:, kept]) / np.sqrt(np.maximum(values[kept], 1e-9))
    scores = centred @ basis
    _, codes = np.unique(people, return_inverse=True)
    counts = np.bincount(codes)
    means = np.stack([np.bincount(codes, scores[:, j]) / counts for j in range(scores.shape[1])], axis=1)
    apart = scores - means[codes]
    within = apart.T @ apart / max(1, len(maps) - len(counts))
    within += np.eye(len(within)) * shrinkage * np.trace(within) / len(within)
    spread, axes = np.linalg.eigh(within)
    white = axes / np.sqrt(spread)
    between = np.cov((means @ white).T)
    order, turn = np.linalg.eigh(between)
    best = turn[:, np.argsort(-order)[:dim]]
    return LinearMetric(mean.astype(np.float32), np.asarray((basis @ white @ best).T, np.float32))


def scan_directions(maps: Floats, people: npt.NDArray[np.generic], count: int) -> Floats:
    """The directions in which views of one person differ most: contrast, thickness, stripping.

    Nuisance attribute projection (Solomonoff, Campbell and Boardman, ICASSP 2005) takes them out.

    Args:
        maps: ``(n, d)`` aligned maps of several views of every person; d may be large.
        people: ``(n,)`` whom each view shows.
        count: The number of directions.

    Returns:
        ``(count, d)`` orthonormal rows, fewer where the views span fewer.

    Example:
        >>> maps = np.array([[1, 0, 5], [1, 0, 7], [0, 1, 1], [0, 1, 2]], np.float32)
        >>> people = np.array(["Ann", "Ann", "Bea", "Bea"])  # scans of one differ in the third number alone
        >>> np.abs(scan_directions(maps, people, count=2)).round(3).tolist()
        [[0.0, 0.0, 1.0]]
    """
    _, codes = np.unique(people, return_inverse=True)
    apart = maps.copy()
    for code in range(codes.max() + 1):
        apart[codes == code] -= apart[codes == code].mean(axis=0)
    values, vectors = np.linalg.eigh(apart @ apart.T)
    kept = np.argsort(-values)[:count]
    kept = kept[values[kept] > 1e-6 * values.max()]
    return np.asarray((apart.T @ vectors[:, kept] / np.sqrt(values[kept])).T, np.float32)

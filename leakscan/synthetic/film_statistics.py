"""What fingerprints and perceptual hashes of real films are like, as a few kB of statistics of many people.

Made-up fingerprints for benchmarks are drawn from them (:mod:`leakscan.synthetic.made_up_store`). They hold a
mean and two covariances and describe no person.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file
from scipy import stats

from leakscan.fingerprint.hashing import hash_signs

FILE = Path(__file__).with_name("film_statistics.safetensors")
"""The statistics that come with leakscan: ``leakscan/research/film_statistics.py`` made them."""

_FACTORS = 16  # directions of each covariance that are kept beside its diagonal
_HASH_FACTORS = 8

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """A covariance as a few directions and a diagonal.

    Attributes:
        factors: ``(d, k)`` directions, each as long as the standard deviation along it.
        rest: ``(d,)`` standard deviations of what they leave over.
    """

    factors: Floats
    rest: Floats

    @classmethod
    def of(cls, covariance: Floats, k: int) -> Spread:
        """The ``k`` largest directions of a covariance ``(d, d)``, and the rest of its diagonal.

        Example:
            >>> spread = Spread.of(np.diag([4.0, 1.0]), k=1)
            >>> np.abs(spread.factors).round(1).tolist(), spread.rest.round(1).tolist()
            ([[2.0], [0.0]], [0.0, 1.0])
        """
        variances, directions = np.linalg.eigh(covariance)
        factors = directions[:, ::-1][:, :k] * np.sqrt(np.maximum(variances[::-1][:k], 0.0))
        rest = np.sqrt(np.maximum(np.diag(covariance) - (factors**2).sum(axis=1), 0.0))
        return cls(factors, rest)

    def draw(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float32]:
        """``(n, d)`` float32 draws around zero.

        Example:
            >>> Spread(np.zeros((3, 1)), np.ones(3)).draw(np.random.default_rng(0), 5).shape
            (5, 3)
        """
        factors, rest = self.factors.astype(np.float32), self.rest.astype(np.float32)
        common = rng.standard_normal((n, factors.shape[1]), np.float32) @ factors.T
        return np.asarray(common + rng.standard_normal((n, len(rest)), np.float32) * rest, np.float32)


@dataclass(frozen=True)
class FilmStatistics:
    """Mean and covariances of the fingerprints of films, and how their perceptual hashes are spread.

    Attributes:
        mean: ``(d,)`` mean of the subjects' fingerprints.
        between: How subjects differ from each other.
        within: How films of one subject differ.
        threshold: ``(63,)`` where a standard normal number becomes a bit of the hash that is set.
        common: How these numbers go together; each has a variance of 1.
    """

    mean: Floats
    between: Spread
    within: Spread
    threshold: Floats
    common: Spread

    @classmethod
    def of(
        cls, prints: npt.NDArray[np.floating], subjects: npt.NDArray[np.int64], hashes: npt.NDArray[np.uint64]
    ) -> FilmStatistics:
        """The statistics of real films. Every subject weighs the same.

        Args:
            prints: ``(n, d)`` fingerprints.
            subjects: ``(n,)`` the number of the subject of each, from 0.
            hashes: ``(m,)`` perceptual hashes of upright films.

        Example::

            FilmStatistics.of(side.fingerprints[encoder], codes, side.phash[:, 0]).write(FILE)
        """
        vectors = np.asarray(prints, np.float64)
        films = np.bincount(subjects)
        means = np.zeros((len(films), vectors.shape[1]))
        np.add.at(means, subjects, vectors)
        means /= films[:, None]
        several = films[subjects] > 1
        apart = (vectors - means[subjects])[several]
        weight = 1.0 / (films[subjects][several] - 1)
        within = (apart * weight[:, None]).T @ apart / max(1, int((films > 1).sum()))
        between = np.cov(means.T) - within * np.mean(1.0 / films)
        signs = hash_signs(hashes)[:, 1:].astype(np.float64)
        share = np.clip(signs.mean(axis=0), 0.01, 0.99)
        # Of two normal numbers whose signs correlate by r, the correlation is sin(pi r / 2) (Sheppard 1899).
        latent = np.sin(np.pi / 2 * np.nan_to_num(np.corrcoef(signs.T)))
        common = Spread.of(latent, _HASH_FACTORS)
        return cls(
            means.mean(axis=0),
            Spread.of(between, _FACTORS),
            Spread.of(within, _FACTORS),
            np.asarray(stats.norm.isf(share), np.float64),
            common,
        )

    @classmethod
    def read(cls, path: Path = FILE) -> FilmStatistics:
        """The statistics in a file.

        Example:
            >>> FilmStatistics.read().mean.shape
            (128,)
        """
        found = {name: values.astype(np.float64) for name, values in load_file(path).items()}
        spreads = [
            Spread(found[f"{name}.factors"], found[f"{name}.rest"])
            for name in ("between", "within", "common")
        ]
        return cls(found["mean"], spreads[0], spreads[1], found["threshold"], spreads[2])

    def write(self, path: Path) -> None:
        """Writes the statistics as float16.

        Example:
            >>> FilmStatistics.read().write(Path("copy.safetensors"))
            >>> Path("copy.safetensors").stat().st_size < 16_000
            True
        """
        found = {"mean": self.mean, "threshold": self.threshold}
        for name in ("between", "within", "common"):
            spread: Spread = getattr(self, name)
            found |= {f"{name}.factors": spread.factors, f"{name}.rest": spread.rest}
        save_file({name: np.ascontiguousarray(v, np.float16) for name, v in found.items()}, path)

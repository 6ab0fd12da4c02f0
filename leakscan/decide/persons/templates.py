"""The templates of subjects, made of fingerprints when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_AT_ONCE = 1 << 14  # subjects whose fingerprints are added up together

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Templates:
    """Unit vectors ``(s, d)`` float32, one for each subject, of which hardly any are in memory.

    Most subjects have one picture: its fingerprint, at half the precision, is in memory already and is
    brought to unit length where it is needed. Where subjects are a million, this is half a gigabyte a side.
    It is read as an array is: by numbers of subjects, or by a slice.

    Attributes:
        prints: ``(m, d)`` float16: the fingerprints of all pictures.
        fused: ``(k, d)`` float32: the unit vectors of subjects with several pictures.
        place: ``(s,)`` the row of ``prints`` of each subject, or -1 for the first of ``fused``, -2 for the
            second, and so on.

    Example:
        >>> prints = np.array([[3, 4], [1, 0], [0, 1]], np.float16)
        >>> people = Templates.of(prints, np.array([0, 1, 1]), np.arange(3))
        >>> people[:].round(2).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.7099999785423279, 0.7099999785423279]]
    """

    prints: npt.NDArray[np.float16]
    fused: Floats
    place: Ints

    dtype = np.dtype(np.float32)

    @classmethod
    def of(cls, prints: npt.NDArray[np.float16], code: Ints, order: Ints) -> Templates:
        """The templates of subjects 0, 1, 2 and so on.

        Args:
            prints: ``(m, d)`` fingerprints.
            code: ``(m,)`` whose they are; no number is left out.
            order: ``(m,)`` in which order those of one subject are added up, which decides the last bit.
        """
        counts = np.bincount(code)
        several = np.flatnonzero(counts > 1)
        place = np.empty(len(counts), np.int64)
        place[code] = np.arange(len(code))
        place[several] = -1 - np.arange(len(several))
        fused = np.zeros((len(several), prints.shape[1]), np.float32)
        members = order[counts[code[order]] > 1]
        members = members[np.argsort(code[members], kind="stable")]
        starts = np.concatenate([[0], np.cumsum(counts[several])])
        for first in range(0, len(several), _AT_ONCE):
            last = min(first + _AT_ONCE, len(several))
            own = prints[members[starts[first] : starts[last]]].astype(np.float32)
            fused[first:last] = np.add.reduceat(own, starts[first:last] - starts[first], axis=0)
        return cls(prints, _unit(fused), place)

    @property
    def shape(self) -> tuple[int, int]:
        """How many subjects, and how many numbers of each."""
        return len(self.place), self.prints.shape[1]

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, which: Ints | slice) -> Floats:
        place = self.place[which]
        alone = place >= 0
        if alone.all():
            return _unit(self.prints[place].astype(np.float32))
        out = np.empty((len(place), self.prints.shape[1]), np.float32)
        out[alone] = _unit(self.prints[place[alone]].astype(np.float32))
        out[~alone] = self.fused[-1 - place[~alone]]
        return out

    def taken(self, subjects: Ints) -> Templates:
        """Those of some subjects.

        Args:
            subjects: ``(n,)`` which.
        """
        return Templates(self.prints, self.fused, self.place[subjects])


def _unit(vectors: Floats) -> Floats:
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors

"""Similarities of given pairs of vectors, the same whoever asks and in whatever order."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

_NUMBERS_AT_ONCE = 1 << 22  # numbers of vectors multiplied together; 16 MB each way

Ints = npt.NDArray[np.int64]


class Rows(Protocol):
    """Vectors ``(n, d)`` float32 that are made when they are asked for, by their numbers or by a slice."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, which: Ints | slice) -> npt.NDArray[np.float32]: ...


Vectors = npt.NDArray[np.float32] | npt.NDArray[np.float16] | Rows


def paired_products(a: Vectors, b: Vectors, i: Ints, j: Ints) -> npt.NDArray[np.float32]:
    """Dot products ``(m,)`` of ``a[i]`` and ``b[j]``, a bounded number at a time.

    Each is summed by itself and in one order: a matrix product may round otherwise when A and B are swapped,
    or on another number of threads.

    Args:
        a: ``(n, d)`` vectors.
        b: ``(n', d)`` vectors.
        i: ``(m,)`` rows of ``a``.
        j: ``(m,)`` rows of ``b``.

    Example:
        >>> a, b = np.eye(2, dtype=np.float32), np.array([[0.5, 0.75], [1, 0]], np.float32)
        >>> paired_products(a, b, np.array([0, 1, 1]), np.array([1, 0, 1])).tolist()
        [1.0, 0.75, 0.0]
    """
    out = np.empty(len(i), np.float32)
    step = max(1, _NUMBERS_AT_ONCE // max(1, a.shape[1]))
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        left, right = a[i[part]].astype(np.float32), b[j[part]].astype(np.float32, copy=False)
        left *= right
        out[part] = left.sum(axis=1)
    return out


def crossed_products(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Dot products ``(n, m)`` of all rows of ``a`` and ``b``, the same to the bit as :func:`paired_products`.

    Args:
        a: ``(n, d)`` vectors.
        b: ``(m, d)`` vectors, few enough to stay in the processor's cache.

    Example:
        >>> crossed_products(np.eye(2, dtype=np.float32), np.array([[0.5, 0.75]], np.float32)).tolist()
        [[0.5], [0.75]]
    """
    out = np.empty((len(a), len(b)), np.float32)
    terms = np.empty(b.shape, np.float32)
    for row, vector in enumerate(a):
        np.multiply(b, vector, out=terms)
        terms.sum(axis=1, out=out[row])
    return out

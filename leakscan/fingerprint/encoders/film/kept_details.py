"""Details of films as a store keeps them: 8 bits a number, for runs that do not have the film.

Imports nothing heavy: worker processes start with this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.encoders.film.detail_grid import DETAIL_DIM, GRID, KEY_DIM, KEYS
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph

_MARK = b"1"  # the version of this form
_DIGEST = 12  # characters
_PLACES = GRID * GRID
_SCALES = 2  # of a network: one for the vectors that find a place, one for the numbers that compare it
_ROW = _SCALES * 4 + _PLACES * DETAIL_DIM  # bytes of a network
_FOUND = KEYS * KEY_DIM
_MOST = 127.0

if TYPE_CHECKING:
    import pyarrow as pa

Details = npt.NDArray[np.float16]


@dataclass(frozen=True)
class KeptDetails:
    """What a store kept of the details of one film.

    Attributes:
        raw: The bytes that :func:`to_bytes` made.
    """

    raw: bytes


def film_of(values: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.uint8]:
    """A film as the detail networks see it, ``(side, side)``.

    Args:
        values: ``(height, width)`` in any range.
        side: Pixels along a side.

    Example:
        >>> film_of(np.arange(48, dtype=np.float32).reshape(6, 8), 4).shape
        (4, 4)
    """
    return np.asarray(np.rint(canonical_radiograph(values, side) * 255), np.uint8)


def kept_of(values: npt.NDArray[np.float32], path: Path) -> bytes:
    """The details of a film, as a store keeps them.

    Args:
        values: ``(height, width)`` in any range.
        path: The file of the detail networks, which another process has checked.

    Example::

        kept_of(image.values, Path("models/cxr-lite0/detail.safetensors"))
    """
    from leakscan.fingerprint.encoders.film.detail_matcher import matcher_here

    matcher = matcher_here(path)
    return to_bytes(matcher.describe(film_of(values, matcher.side)[None])[0], matcher.digest)


def to_bytes(details: Details, digest: str) -> bytes:
    """Details at 8 bits: a version, the networks' digest, then scales and numbers of each network.

    Args:
        details: ``(networks, places, DETAIL_DIM)``.
        digest: The digest of the networks, which alone can compare them.

    Example:
        >>> details = np.random.default_rng(0).uniform(-1, 1, (1, 196, DETAIL_DIM)).astype(np.float16)
        >>> raw = to_bytes(details, "0123456789ab")
        >>> len(raw), bool(np.abs(from_bytes(raw, "0123456789ab") - details).max() < 0.005)
        (18837, True)
    """
    parts = [prefix_of(digest)]
    for network in details.astype(np.float32):
        scales = np.array([np.abs(part).max() for part in _halves(network)], np.float32) / np.float32(_MOST)
        by = np.maximum(scales, np.finfo(np.float32).tiny)
        numbers = [np.rint(part / scale) for part, scale in zip(_halves(network), by, strict=True)]
        parts += [scales.astype("<f4").tobytes(), np.concatenate(numbers, axis=1).astype(np.int8).tobytes()]
    return b"".join(parts)


def from_bytes(raw: bytes, digest: str) -> Details | None:
    """What :func:`to_bytes` wrote, ``None`` where other networks made it or it is damaged.

    Args:
        raw: The bytes.
        digest: The digest of the networks that will compare them.

    Example:
        >>> from_bytes(b"1 of others", "0123456789ab") is None
        True
    """
    start = prefix_of(digest)
    networks, rest = divmod(len(raw) - len(start), _ROW)
    if not raw.startswith(start) or rest or networks < 1:
        return None
    rows = np.frombuffer(raw, np.uint8, offset=len(start)).reshape(networks, _ROW)
    scales = np.ascontiguousarray(rows[:, : _SCALES * 4]).view("<f4")
    if not np.isfinite(scales).all() or scales.max() > np.finfo(np.float16).max / _MOST:
        return None
    numbers = rows[:, _SCALES * 4 :].view(np.int8).reshape(networks, _PLACES, DETAIL_DIM)
    by = np.repeat(scales, [_FOUND, DETAIL_DIM - _FOUND], axis=1)
    return np.asarray(numbers * by[:, None, :], np.float16)


def kept_by(column: pa.ChunkedArray, digest: str) -> npt.NDArray[np.bool_]:
    """``(rows,)`` of which films there are details of some networks.

    Args:
        column: The column ``details`` of a store.
        digest: The digest of the networks.

    Example:
        >>> import pyarrow as pa
        >>> kept_by(pa.chunked_array([[None, b"10123456789ab..."]], pa.binary()), "0123456789ab").tolist()
        [False, True]
    """
    import pyarrow.compute as pc

    found = pc.fill_null(pc.starts_with(column, pattern=prefix_of(digest)), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def prefix_of(digest: str) -> bytes:
    """What the kept details of some networks begin with.

    Args:
        digest: The digest of the networks.

    Example:
        >>> prefix_of("0123456789ab")
        b'10123456789ab'
    """
    return _MARK + digest[:_DIGEST].ljust(_DIGEST).encode()


def _halves(network: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    return network[:, :_FOUND], network[:, _FOUND:]

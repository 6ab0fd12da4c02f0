"""Details of films as a store keeps them: 8 bits a number, for runs that do not have the film.

Imports nothing heavy: worker processes start with this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from leakscan.fingerprint.encoders.film.detail_grid import DETAIL_DIM, GRID, Details
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph

_MARK = b"2"  # the version of this form
_DIGEST = 12  # characters
_PLACES = GRID * GRID

if TYPE_CHECKING:
    import pyarrow as pa


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


def to_bytes(details: Details, digest: str) -> bytes:
    """Details as a store keeps them: a version, the networks' digest, then a byte a number.

    Args:
        details: ``(networks, places, DETAIL_DIM)``.
        digest: The digest of the networks, which alone can compare them.

    Example:
        >>> details = np.random.default_rng(0).integers(-127, 128, (1, 196, DETAIL_DIM)).astype(np.int8)
        >>> raw = to_bytes(details, "0123456789ab")
        >>> len(raw), bool((from_bytes(raw, "0123456789ab") == details).all())
        (18829, True)
    """
    return prefix_of(digest) + details.tobytes()


def from_bytes(raw: bytes, digest: str) -> Details | None:
    """What :func:`to_bytes` wrote, ``None`` where other networks made it or it is damaged.

    Args:
        raw: The bytes.
        digest: The digest of the networks that will compare them.

    Example:
        >>> from_bytes(b"2 of others", "0123456789ab") is None
        True
    """
    start = prefix_of(digest)
    networks, rest = divmod(len(raw) - len(start), _PLACES * DETAIL_DIM)
    if not raw.startswith(start) or rest or networks < 1:
        return None
    numbers = np.frombuffer(raw, np.int8, offset=len(start))
    return numbers.reshape(networks, _PLACES, DETAIL_DIM)


def kept_by(column: pa.ChunkedArray, digest: str) -> npt.NDArray[np.bool_]:
    """``(rows,)`` of which films there are details of some networks.

    Args:
        column: The column ``details`` of a store.
        digest: The digest of the networks.

    Example:
        >>> import pyarrow as pa
        >>> kept_by(pa.chunked_array([[None, b"20123456789ab..."]], pa.binary()), "0123456789ab").tolist()
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
        b'20123456789ab'
    """
    return _MARK + digest[:_DIGEST].ljust(_DIGEST).encode()

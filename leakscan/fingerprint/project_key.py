"""A secret of one project, under which the fingerprints and hashes of its stores stand.

Two stores of one project can be compared with each other by whoever has both: a rotation keeps every angle.
Stores of two projects cannot be joined by comparing them, because each is turned another way. What a rotation
does not protect from is said in ``docs/privacy.md``: it is no encryption.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from leakscan import tables
from leakscan.errors import StoreError, reason

_LEAST_BYTES = 16
_MOST_BYTES = 1 << 20
_ROUNDS = 4
_AT_ONCE = 1 << 15  # fingerprints turned together

_HASHES = (
    "file_hash", "pixel_hash", "subject", "study_uid_hash", "series_uid_hash", "sop_uid_hash",
)  # fmt: skip
_PRINTS = ("fingerprint", "spare_fingerprint")
_FORGOTTEN = ("quality", "spare_quality")
"""Numbers of an image that are the same in every store of it."""
_NOT_IN_STORES = ("keypoints", "details", "preview", "signature", "content")
"""What shows the image, or tells its file."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ProjectKey:
    """The secret of a project, in a file that its members share.

    Attributes:
        path: The file: at least 16 bytes, better 32 random ones. Line ends after them do not count.

    Example:
        >>> _ = Path("project.key").write_bytes(bytes(range(32)))
        >>> key = ProjectKey(Path("project.key"))
        >>> len(key.key_id)
        8
        >>> one, other = key.turned(np.eye(2, 128))
        >>> round(float(one @ one), 6), abs(round(float(one @ other), 6))
        (1.0, 0.0)
    """

    path: Path

    @cached_property
    def _secret(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                secret = file.read(_MOST_BYTES).rstrip(b"\r\n")
        except OSError as error:
            raise StoreError(
                f"The project key {{path}} cannot be read: {reason(error)}.",
                "Make one with 32 random bytes, and give the same file to all sites of the project: "
                'pathlib.Path("project.key").write_bytes(secrets.token_bytes(32)).',
                code="project_key_unreadable",
                path=self.path,
            ) from error
        if len(secret) < _LEAST_BYTES:
            raise StoreError(
                f"The project key {{path}} holds {len(secret)} bytes, which can be guessed; a secret has at "
                f"least {_LEAST_BYTES}.",
                'Make one with 32 random bytes: pathlib.Path("project.key").write_bytes('
                "secrets.token_bytes(32)).",
                code="project_key_short",
                path=self.path,
            )
        return secret

    @property
    def key_id(self) -> str:
        """Eight hex digits that tell keys apart and betray nothing of a random one.

        Raises:
            StoreError: The key file cannot be used.
        """
        return self._bytes("id", 4).hex()

    def name(self, text: str) -> str:
        """32 hex digits for a text, which only who has the key can make.

        Raises:
            StoreError: The key file cannot be used.
        """
        return blake3(text.encode("utf-8", "surrogatepass"), key=self._name_key).hexdigest(length=16)

    def turned(self, prints: npt.ArrayLike) -> Floats:
        """Vectors turned by the rotation of this key and of their length; all angles stay.

        The rotation is four rounds of secret signs, a secret order and a cosine transform (orthonormal).
        After that a vector lies as one that was turned by a random orthogonal matrix, and the work grows with
        the length, and not with its square (Ailon and Chazelle 2006).

        Args:
            prints: ``(n, d)`` vectors.
        """
        import scipy.fft  # a run without a key does not wait for it

        out = np.asarray(prints, np.float64)
        for signs, order in self._rounds(out.shape[1]):
            out = scipy.fft.dct(out[:, order] * signs, norm="ortho", axis=1)
        return np.asarray(out, np.float64)

    def renamed(self, name: str) -> str:
        """A keyed name, such as ``image-3f0c2a1b9d4e5f60``, that stands under another key: under this one.

        Example:
            >>> _ = Path("project.key").write_bytes(bytes(range(32)))
            >>> ProjectKey(Path("project.key")).renamed("image-00112233")[:6]
            'image-'
        """
        kind, _, digits = name.rpartition("-")
        return f"{kind}-{self.name(name)[: len(digits)]}" if kind else self.name(name)[: len(digits)]

    def keyed(self, rows: pa.Table, for_others: bool = False) -> pa.Table:
        """Rows of a store under this key.

        Fingerprints are turned. Hashes of files, pixels and identifiers become keyed hashes of themselves.
        Perceptual hashes become random numbers, the same for equal pixels. The gate's number is left out.

        Args:
            rows: Rows of the schema ``tables.STORE``, under no key.
            for_others: Whether they leave this place: then image ids become keyed, and keypoints, previews
                and the marks of files are left out.

        Raises:
            StoreError: The key file cannot be used.
        """
        new: dict[str, pa.Array] = {name: _each(rows[name], self.name) for name in _HASHES}
        new |= {name: self._turned_column(rows[name]) for name in _PRINTS}
        new["phash"] = _each(rows["pixel_hash"], self._drawn, tables.STORE.field("phash").type)
        left_out = (*_FORGOTTEN, *(_NOT_IN_STORES if for_others else ()))
        new |= {name: pa.nulls(len(rows), tables.STORE.field(name).type) for name in left_out}
        if for_others:
            new["image_id"] = _each(rows["image_id"], lambda text: self.name(f"image|{text}"))
        return pa.Table.from_arrays(
            [new.get(name, rows[name]) for name in tables.STORE.names], schema=tables.STORE
        )

    def _turned_column(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        parts = [self._turned_part(column.slice(at, _AT_ONCE)) for at in range(0, len(column), _AT_ONCE)]
        return pa.chunked_array(parts, column.type)

    def _turned_part(self, column: pa.ChunkedArray) -> pa.Array:
        given = column.combine_chunks()
        lengths = pc.fill_null(pc.list_value_length(given), 0).to_numpy(zero_copy_only=False)
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        flat = given.flatten().to_numpy(zero_copy_only=False).astype(np.float16)
        for length in sorted(set(lengths.tolist()) - {0}):  # one for each encoder
            at = ends[:-1][lengths == length][:, None] + np.arange(length)
            flat[at] = self.turned(flat[at]).astype(np.float16)
        mask = pc.is_null(given) if given.null_count else None
        return pa.ListArray.from_arrays(pa.array(ends), pa.array(flat), type=column.type, mask=mask)

    def _drawn(self, pixels: str) -> list[int]:
        """Random perceptual hashes of a picture: nothing lies near them but those of equal pixels."""
        digest = blake3(pixels.encode(), key=self._name_key).digest(length=8 * (tables.ORIENTATIONS + 2))
        return [int(n) >> 1 for n in np.frombuffer(digest[16:], "<u8")]

    @cached_property
    def _name_key(self) -> bytes:
        return self._bytes("names", 32)

    @cached_property
    def _known_rounds(self) -> dict[int, list[tuple[Floats, npt.NDArray[np.int64]]]]:
        return {}

    def _rounds(self, length: int) -> list[tuple[Floats, npt.NDArray[np.int64]]]:
        """The signs and the order of every round. They are read from a hash, so that they are the same with
        every version of NumPy.
        """
        if length not in self._known_rounds:
            rounds = []
            for number in range(_ROUNDS):
                words = np.frombuffer(self._bytes(f"turn|{length}|{number}", 16 * length), "<u8")
                signs = np.where(words[:length] & np.uint64(1), 1.0, -1.0)
                rounds.append((signs, np.argsort(words[length:], kind="stable").astype(np.int64)))
            self._known_rounds[length] = rounds
        return self._known_rounds[length]

    def _bytes(self, purpose: str, length: int) -> bytes:
        """Bytes of the secret for one purpose, which tell nothing of those for another."""
        return blake3(self._secret, derive_key_context=f"leakscan project key 1 {purpose}").digest(
            length=length
        )


def _each(
    column: pa.ChunkedArray, function: Callable[[str], Any], kind: pa.DataType | None = None
) -> pa.Array:
    """A function of every text of a column; what is unknown stays so."""
    return pa.array(
        [None if text is None else function(text) for text in column.to_pylist()], kind or pa.string()
    )

"""What deciding needs of two datasets: their tables, their distinct pictures, and where the pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leakscan.decide.copies.describing import Pixels
from leakscan.decide.copies.shared_keypoints import KeypointSide
from leakscan.decide.persons.declared import Doubt
from leakscan.fingerprint.encoders.film.kept_details import KeptDetails, kept_by
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match.pictures import Side

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Columns:
    """One dataset as deciding sees it.

    Args:
        dataset: The fingerprinted source.
        side: Its distinct pictures.
        doubt: Which of its identifiers name no person.
    """

    def __init__(self, dataset: Dataset, side: Side, doubt: Doubt | None = None) -> None:
        self.dataset = dataset
        self.side = side
        self.doubt = doubt or Doubt()
        self._has_details: dict[str, Bools] = {}

    def taken(self, column: str, rows: Ints) -> pa.Array:
        """Some rows of a column of the dataset's table."""
        return self.dataset.rows[column].take(pa.array(rows, pa.int64())).combine_chunks()

    @cached_property
    def picture_keys(self) -> list[str]:
        """The name of each picture, equal for equal pictures: its pixels and, of volumes, the voxel's size.

        It names what a copy check or a detail match sees, in the memory of pairs.
        """
        rows = self.side.rows
        hashes = self.taken("pixel_hash", rows).to_pylist()
        if not (self.side.ndim == 3).any():
            return list(hashes)
        spacings, depths = self.taken("spacing_mm", rows).to_pylist(), self.side.ndim.tolist()
        return [
            f"{name}|{spacing}" if ndim == 3 and spacing else name
            for name, spacing, ndim in zip(hashes, spacings, depths, strict=True)
        ]

    @cached_property
    def at_hand(self) -> Bools:
        """``(rows,)`` whether the pixels of each image can be read again."""
        out = np.asarray(self.dataset.rows["preview"].is_valid(), np.bool_)
        if self.dataset.refs:
            ids = self.dataset.rows["image_id"].to_pylist()
            out = out | np.fromiter((i in self.dataset.refs for i in ids), np.bool_, len(ids))
        return np.asarray(out, np.bool_)

    @cached_property
    def has_keypoints(self) -> Bools:
        """``(rows,)`` whether the keypoints of each image were kept."""
        return np.asarray(self.dataset.rows["keypoints"].is_valid(), np.bool_)

    def shapes(self, pictures: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Height and width of some pictures, as they are stored; of volumes the first two lengths."""
        shapes = self.taken("shape", self.side.rows[np.array(pictures, np.int64)]).to_pylist()
        return {
            p: (shape[0], shape[1]) for p, shape in zip(pictures, shapes, strict=True) if len(shape or ()) > 1
        }

    def has_details(self, digest: str) -> Bools:
        """``(rows,)`` of which films details of some networks were kept.

        Args:
            digest: The digest of the networks.
        """
        if digest not in self._has_details:
            self._has_details[digest] = kept_by(self.dataset.rows["details"], digest)
        return self._has_details[digest]

    def details(self, picture: int) -> KeptDetails:
        """What was kept of the details of a picture that has some."""
        return KeptDetails(self.dataset.rows["details"][int(self.side.rows[picture])].as_py())

    def keypoints(self, picture: int) -> bytes | None:
        """The keypoints of a picture, ``None`` where none were kept."""
        found: bytes | None = self.dataset.rows["keypoints"][int(self.side.rows[picture])].as_py()
        return found

    @property
    def keypoint_side(self) -> KeypointSide:
        """Its pictures for the search by keypoints."""
        kept = self.taken("keypoints", self.side.rows).to_pylist()
        return KeypointSide(kept, self.side.encoder == "")

    def image_names(self, pictures: Sequence[int]) -> dict[int, str]:
        """What the first image of some pictures is called within a run."""
        ids = self.taken("image_id", self.side.rows[np.array(pictures, np.int64)]).to_pylist()
        return {picture: f"{self.dataset.name}/{name}" for picture, name in zip(pictures, ids, strict=True)}

    def pixels(self, picture: int) -> Pixels | None:
        """Where the pixels of a picture are, ``None`` where they are not at hand."""
        row = int(self.side.rows[picture])
        ref = self.dataset.refs.get(self.dataset.rows["image_id"][row].as_py())
        preview: bytes | None = self.dataset.rows["preview"][row].as_py()
        return ref if ref is not None else preview


@dataclass(frozen=True)
class DatasetPair:
    """Two datasets that are compared.

    Attributes:
        a: The dataset named first.
        b: The other.
        ids_are_proof: Whether equal identifiers prove equal subjects between them.
    """

    a: Columns
    b: Columns
    ids_are_proof: bool

    @property
    def same_key(self) -> bool:
        """Whether the identifiers of both were hashed with one key, so that they can be compared."""
        return self.a.dataset.key_id == self.b.dataset.key_id

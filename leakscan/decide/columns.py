"""What deciding needs of two datasets: their rows as plain lists, and their pixels."""

from __future__ import annotations

from dataclasses import dataclass

from leakscan.decide.copies.copy_check import Pixels
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match.candidates import Side


class Columns:
    """The columns of one dataset that deciding needs, as plain lists by row."""

    def __init__(self, dataset: Dataset, side: Side) -> None:
        self.dataset = dataset
        self.side = side
        rows = dataset.rows
        self.image_id: list[str] = rows["image_id"].to_pylist()
        self.path: list[str] = rows["path"].to_pylist()
        self.file_hash: list[str] = rows["file_hash"].to_pylist()
        self.subject: list[str | None] = rows["subject"].to_pylist()
        self.study: list[str | None] = rows["study_uid_hash"].to_pylist()
        self._preview = rows["preview"]
        self._pixel_hash: list[str] = rows["pixel_hash"].to_pylist()
        self._spacing: list[list[float]] = rows["spacing_mm"].to_pylist()
        self._volume = [kind in ("brain_mri", "other_3d") for kind in rows["kind"].to_pylist()]

    def look(self, row: int) -> str:
        """Names what verification sees: the pixels and, of volumes, the size of a voxel."""
        spacing = self._spacing[row] if self._volume[row] else None
        return self._pixel_hash[row] + (f"|{spacing}" if spacing else "")

    def subjects(self) -> list[str | None]:
        """Declared subject of every distinct picture: that of the first image that has one."""
        return [
            next((self.subject[row] for row in members if self.subject[row]), None)
            for members in self.side.members
        ]

    def pixels(self, row: int) -> Pixels | None:
        """Where the pixels of a row are, ``None`` where they are not at hand."""
        ref = self.dataset.refs.get(self.image_id[row])
        preview: bytes | None = self._preview[row].as_py()
        return ref if ref is not None else preview


@dataclass(frozen=True)
class Known:
    """Two datasets, and whether equal identifiers prove equal subjects between them."""

    a: Columns
    b: Columns
    ids_are_proof: bool

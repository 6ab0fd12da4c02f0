"""Remembers what verification found, so that a pair of pictures is looked at once.

A verdict belongs to two pixel hashes and to the version of the verifiers; a new version forgets.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from leakscan import tables
from leakscan.decide.copies import CopyCheck
from leakscan.errors import StoreError

VERSION = "verify-2"
"""Changes whenever a verifier may decide otherwise."""

VERDICTS = tables.table_schema(
    "verdicts",
    [
        ("version", pa.string()),
        ("a", pa.string()),
        ("b", pa.string()),
        ("same_image", pa.bool_()),
        ("correlation", pa.float64()),
        ("inliers", pa.int32()),
        ("transform", pa.string()),
        ("overlap", pa.float64()),
    ],
)


class CopyMemory:
    """Verdicts by pair of pictures, whichever comes first.

    Args:
        path: Parquet file to keep them in; ``None`` keeps nothing beyond the run. A damaged file
            is forgotten: everything in it can be found again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[tuple[str, str], CopyCheck] = {}
        self._changed = False
        if path is not None and path.is_file():
            try:
                rows = tables.read(path, VERDICTS).to_pylist()
            except StoreError:
                rows = []
            for row in rows:
                version, a, b = (row.pop(name) for name in ("version", "a", "b"))
                if version == VERSION:
                    self._known[a, b] = CopyCheck(**row)

    def get(self, a: str, b: str) -> CopyCheck | None:
        """What is known of a pair."""
        if a <= b:
            return self._known.get((a, b))
        found = self._known.get((b, a))
        return found.swapped() if found is not None else None

    def add(self, a: str, b: str, verdict: CopyCheck) -> None:
        """Remembers a verdict."""
        pair, kept = ((a, b), verdict) if a <= b else ((b, a), verdict.swapped())
        self._known[pair] = kept
        self._changed = True

    def save(self) -> None:
        """Writes the file if anything is new.

        Raises:
            OutputError: it cannot be written.
        """
        if self._path is None or not self._changed:
            return
        rows = ({"version": VERSION, "a": a, "b": b, **v.__dict__} for (a, b), v in self._known.items())
        tables.write(tables.from_rows(rows, VERDICTS), self._path)
        self._changed = False

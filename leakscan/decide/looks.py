"""Remembers how the anatomy of two pictures agrees, so that a pair is looked at once.

As with verdicts, what was found belongs to two pixel hashes and to the version of the comparison.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from leakscan import tables
from leakscan.decide.verify.anatomy import AnatomyMatch
from leakscan.errors import StoreError

VERSION = "look-1"
"""Changes whenever the comparison may find otherwise."""

LOOKS = tables.table_schema(
    "looks",
    [
        ("version", pa.string()),
        ("a", pa.string()),
        ("b", pa.string()),
        ("matches", pa.int32()),
        ("candidates", pa.int32()),
        ("score", pa.float64()),
        ("shared_px", pa.int32()),
    ],
)


class LookCache:
    """Looks by pair of pictures; the order of the two does not matter.

    Args:
        path: Parquet file to keep them in; ``None`` keeps nothing beyond the run. A damaged file
            is forgotten: everything in it can be found again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[tuple[str, str], AnatomyMatch] = {}
        self._changed = False
        if path is not None and path.is_file():
            try:
                rows = tables.read(path, LOOKS).to_pylist()
            except StoreError:
                rows = []
            for row in rows:
                version, a, b = (row.pop(name) for name in ("version", "a", "b"))
                if version == VERSION:
                    self._known[a, b] = AnatomyMatch(**row)

    def get(self, a: str, b: str) -> AnatomyMatch | None:
        """What is known of a pair."""
        return self._known.get((min(a, b), max(a, b)))

    def add(self, a: str, b: str, match: AnatomyMatch) -> None:
        """Remembers a look."""
        self._known[min(a, b), max(a, b)] = match
        self._changed = True

    def save(self) -> None:
        """Writes the file if anything is new.

        Raises:
            OutputError: it cannot be written.
        """
        if self._path is None or not self._changed:
            return
        rows = ({"version": VERSION, "a": a, "b": b, **asdict(m)} for (a, b), m in self._known.items())
        tables.write(tables.from_rows(rows, LOOKS), self._path)
        self._changed = False

"""Remembers what a second look at two pictures found, so that a pair is looked at once.

As with verdicts, a finding belongs to two pixel hashes and to the digest of the network that looked.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from leakscan import tables
from leakscan.errors import StoreError

VERSION = "look-2"
"""Changes whenever one network may find otherwise."""

LOOKS = tables.table_schema(
    "looks",
    [("version", pa.string()), ("a", pa.string()), ("b", pa.string()), ("found", pa.float32())],
)


class DetailMemory:
    """Findings by the look and the pair of pictures; the order of the two does not matter.

    Args:
        path: Parquet file to keep them in; ``None`` keeps nothing beyond the run. A damaged file
            is forgotten: everything in it can be found again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[tuple[str, str, str], float] = {}
        self._changed = False
        if path is not None and path.is_file():
            try:
                rows = tables.read(path, LOOKS).to_pylist()
            except StoreError:
                rows = []
            # Of other versions: forgotten. Of other looks of this version: kept for whoever uses them.
            self._known = {
                (r["version"], r["a"], r["b"]): r["found"]
                for r in rows
                if r["version"].startswith(VERSION + "|")
            }

    def get(self, look: str, a: str, b: str) -> float | None:
        """What is known of a pair.

        Args:
            look: digest of the look.
            a: names a picture.
            b: likewise.
        """
        return self._known.get(_key(look, a, b))

    def add(self, look: str, a: str, b: str, found: float) -> None:
        """Remembers a finding; arguments of :meth:`get`."""
        self._known[_key(look, a, b)] = found
        self._changed = True

    def save(self) -> None:
        """Writes the file if anything is new.

        Raises:
            OutputError: it cannot be written.
        """
        if self._path is None or not self._changed:
            return
        rows = ({"version": v, "a": a, "b": b, "found": f} for (v, a, b), f in self._known.items())
        tables.write(tables.from_rows(rows, LOOKS), self._path)
        self._changed = False


def _key(look: str, a: str, b: str) -> tuple[str, str, str]:
    return f"{VERSION}|{look}", min(a, b), max(a, b)

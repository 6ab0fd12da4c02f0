"""Rows of files without an image, column by column: maybe a million that differ in their names alone."""

from __future__ import annotations

import pyarrow as pa

from leakscan.sources.found_images import Unusable


class UnreadRows:
    """The rows of a store for what a scan found to be no usable image.

    Attributes:
        places: Their places in the scan, ascending.

    Args:
        found: What the scan found.
        sorts: One row for each sort of them, of the schema ``tables.STORE``.

    Example:
        >>> from leakscan import tables
        >>> from leakscan.sources.found_images import FoundImages
        >>> from leakscan.types import ImageRef
        >>> text = ImageRef(image_id="ab" * 32, path="a.txt", format="", files=(), status="ignored")
        >>> unread = FoundImages([text]).unusable()
        >>> rows = UnreadRows(unread, tables.from_rows([{"status": "ignored"}], tables.STORE))
        >>> rows.column("path").to_pylist(), rows.column("status").to_pylist()
        (['a.txt'], ['ignored'])
    """

    def __init__(self, found: Unusable, sorts: pa.Table) -> None:
        self.places = found.places
        self._found, self._sorts = found, sorts

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of all rows.

        Args:
            name: A column of ``tables.STORE``.
        """
        own = {"image_id": self._found.image_ids, "path": self._found.paths}.get(name)
        if own is not None:
            return pa.chunked_array([own()], pa.string())
        return self._sorts[name].take(pa.array(self._found.numbers))

"""The shards of a fingerprint store: written whole or not at all, and held against what a scan has met."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from leakscan import tables

_COMPARED_ROWS = 1 << 14


class Shards:
    """Parquet files of one folder, of which a later one overrules those before.

    Args:
        folder: The folder ``shards`` of a store; it may be absent as long as nothing is written.

    Example:
        >>> folder = Path("ward.fps/shards")
        >>> folder.mkdir(parents=True)
        >>> row = {"image_id": "1", "path": "a.png", "prepared_with": "way"}
        >>> rows = tables.from_rows([row], tables.STORE)
        >>> Shards(folder).add(rows)
        >>> Shards(folder).are(rows), Shards(folder).newest_way()
        (True, 'way')
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def paths(self) -> list[Path]:
        """The files, the oldest first."""
        return sorted(self._folder.glob("*.parquet"))

    def newest_way(self) -> str | None:
        """The way the newest shard was made, ``None`` where there is none.

        Raises:
            StoreError: It is damaged.
        """
        shards = self.paths
        if not shards:
            return None
        try:
            names = tables.read_parquet(shards[-1], ["prepared_with"])["prepared_with"]
        except (OSError, pa.ArrowException):
            names = tables.read(shards[-1], tables.STORE)["prepared_with"]  # says what is wrong with it
        way: str | None = names[-1].as_py() if len(names) else None
        return way

    def add(self, table: pa.Table) -> None:
        """Writes a table of the schema ``tables.STORE`` as a new shard.

        Raises:
            OutputError: The disk is full or the store cannot be written.
        """
        tables.write(table, self._next())

    def are(self, table: pa.Table) -> bool:
        """Whether these are the rows of their way, in the newest shard; it is read some rows at a time."""
        shards, at, way = self.paths, 0, pc.unique(table["prepared_with"])
        if not shards:
            return False
        try:
            for other in shards[:-1]:
                ways = tables.read_parquet(other, ["prepared_with"])["prepared_with"]
                if pc.any(pc.is_in(ways, way), min_count=0).as_py():
                    return False
            with shards[-1].open("rb") as stream:
                shard = tables.open_parquet(stream)
                # Parquet calls what lists hold otherwise than Arrow does, which counts as metadata.
                own_schema = shard.schema_arrow
                alike = own_schema.equals(table.schema) and own_schema.metadata == table.schema.metadata
                if shard.metadata.num_rows != len(table) or not alike:
                    return False
                for batch in shard.iter_batches(_COMPARED_ROWS):
                    own = table.slice(at, len(batch))
                    if not pa.Table.from_batches([batch]).equals(own):
                        return False
                    at += len(batch)
        except (OSError, pa.ArrowException):
            return False
        return True

    def replace(self, table: pa.Table) -> None:
        """Makes one shard of the rows made in this way, dropping images that are gone.

        The new shard is complete before any old one is removed; shards of other encoders stay.
        """
        ways = pc.unique(table["prepared_with"])
        old = self.paths
        tables.write(table, self._next())
        for path in old:
            shard = tables.read(path, tables.STORE)
            others = shard.filter(pc.invert(pc.is_in(shard["prepared_with"], ways)))
            if len(others):
                tables.write(others, path)
            else:
                path.unlink()

    def _next(self) -> Path:
        # The process id keeps two runs that share a store from writing the same file.
        last = max((int(path.name[:8]) for path in self.paths), default=0)
        return self._folder / f"{last + 1:08d}-{os.getpid()}.parquet"

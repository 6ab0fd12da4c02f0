"""A fingerprint store: a folder of Parquet shards that stands in for a dataset.

``store.json`` names the dataset and the key its identifiers were hashed with; ``shards/*.parquet``
hold one row per image. A shard is written whole or not at all and a later shard overrules an
earlier one, so a run that is killed anywhere loses at most the images it had not yet written.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leakscan import tables
from leakscan.counted import counted
from leakscan.errors import OutputError, StoreError, reason
from leakscan.fingerprint.sound_rows import check_ids
from leakscan.fingerprint.store_shards import Shards
from leakscan.sources.remote import fetch, has_file
from leakscan.sources.spec import STORE_FILE
from leakscan.writable import remove_old

FORMAT = 1
KEYED_FORMAT = 2
"""That of a store under a project key: a leakscan that knows no such keys must not compare it."""


_SHARD = re.compile(r"shards/[^/]+\.parquet")
_MOST_IN_ONE_PIECE = 1 << 31  # bytes: lists of Arrow count their numbers in 32 bits


def is_of_store(name: str) -> bool:
    """Whether a file belongs to a store, by its path in the folder.

    Example:
        >>> is_of_store("shards/00000001-7.parquet"), is_of_store("notes.txt")
        (True, False)
    """
    return name == STORE_FILE or _SHARD.fullmatch(name) is not None


@dataclass(frozen=True)
class StoreInfo:
    """What ``store.json`` says.

    Attributes:
        dataset: The name of the dataset when the store was made.
        key_id: The id of the key that hashed the identifiers; empty if there were none to hash.
        shard: The part of the dataset that the store holds, such as ``3/64``; empty if it holds all of it.
        nameless: Whether keyed names stand in place of paths, and no dates or notes are kept.
        project_key_id: The name of the project key that its rows stand under; empty without one.
    """

    dataset: str
    key_id: str
    shard: str = ""
    nameless: bool = False
    project_key_id: str = ""

    @property
    def format(self) -> int:
        """The version of the store."""
        return KEYED_FORMAT if self.project_key_id else FORMAT


def _is_store(path: Path) -> bool:
    """Whether a path is a fingerprint store."""
    return (path / STORE_FILE).is_file()


class Store:
    """An open store, made by :meth:`create` or :meth:`open`.

    Attributes:
        folder: The folder of the store.
        info: What its ``store.json`` says.
        shards: Its files.

    Example:
        >>> store = Store.create(Path("ward.fps"), StoreInfo(dataset="ward", key_id="0011aabb"))
        >>> store.append([{"image_id": "1", "path": "a.png", "prepared_with": "way"}])
        >>> Store.open(Path("ward.fps")).load()["path"].to_pylist()
        ['a.png']
    """

    def __init__(self, folder: Path, info: StoreInfo, keep: Callable[[str], bool] | None = None) -> None:
        self.folder = folder
        self.info = info
        self._keep = keep
        self.shards = Shards(folder / "shards")

    @classmethod
    def open(cls, folder: Path, keep: Callable[[str], bool] | None = None) -> Store:
        """Opens a store that exists.

        Args:
            folder: The folder of the store.
            keep: Whether an image that a scan does not meet keeps its row, as for :meth:`create`.

        Raises:
            StoreError: There is none, or it is damaged.
        """
        try:
            raw = json.loads((folder / STORE_FILE).read_text(encoding="utf-8"))
            if raw["format"] not in (FORMAT, KEYED_FORMAT):
                raise StoreError(
                    f"The store {{path}} has format {raw['format']}; this leakscan reads formats {FORMAT} "
                    f"and {KEYED_FORMAT}.",
                    path=folder,
                )
            info = StoreInfo(
                raw["dataset"],
                raw["key_id"],
                raw.get("shard", ""),
                raw.get("nameless", False),
                raw["project_key_id"] if raw["format"] == KEYED_FORMAT else "",
            )
            words = (info.dataset, info.key_id, info.shard, info.project_key_id)
            if not all(isinstance(word, str) for word in words) or not isinstance(info.nameless, bool):
                raise TypeError("a field is of another type")
            return cls(folder, info, keep)
        except FileNotFoundError:
            raise StoreError("{path} is no fingerprint store: it has no store.json.", path=folder) from None
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise StoreError(
                f"The store {{path}} is damaged: its store.json cannot be read ({reason(e)}).", path=folder
            ) from e

    @classmethod
    def create(cls, folder: Path, info: StoreInfo, keep: Callable[[str], bool] | None = None) -> Store:
        """Opens a store, making it first where there is none.

        Args:
            folder: The folder of the store.
            info: What its ``store.json`` is to say.
            keep: Whether an image that a scan does not meet keeps its row, by its path. A cache keeps those
                of files that are still there. By default none does: the store is the dataset.

        Raises:
            StoreError: The folder holds something else, or a store of another key.
            OutputError: The folder cannot be made.
        """
        if _is_store(folder):
            store = cls.open(folder, keep)
            if store.info.project_key_id != info.project_key_id:
                own, wanted = (
                    f"the project key {name}" if name else "no project key"
                    for name in (store.info.project_key_id, info.project_key_id)
                )
                raise StoreError(
                    f"The store {{path}} was made with {own}, and this run has {wanted}.",
                    "Use the key it was made with (the setting project_key), or write a new store.",
                    code="store_of_another_project",
                    path=folder,
                )
            if store.info.key_id != info.key_id:
                raise StoreError(
                    f"The store {{path}} was made with the identity key {store.info.key_id}, "
                    f"not with {info.key_id}.",
                    "Use the key it was made with (the setting key), or write a new store.",
                    code="store_of_another_key",
                    path=folder,
                )
            if store.info.nameless != info.nameless:
                holds, asked = ("no paths", "hides none") if store.info.nameless else ("paths", "hides them")
                raise StoreError(
                    f"The store {{path}} holds {holds}, and this run {asked}.",
                    "Write a new store, or choose hide_paths as when it was made.",
                    code="store_of_other_names",
                    path=folder,
                )
            if store.info.shard != info.shard:
                parts = [f"shard {part}" if part else "all" for part in (store.info.shard, info.shard)]
                raise StoreError(
                    f"The store {{path}} holds {parts[0]} of its dataset, not {parts[1]}.",
                    "Write every shard to a store of its own.",
                    code="store_of_another_shard",
                    path=folder,
                )
            return store
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(
                "{path} exists and is no fingerprint store.",
                "Choose another name for the store.",
                path=folder,
            )
        try:
            (folder / "shards").mkdir(parents=True, exist_ok=True)
            remove_old(part := folder / f"{STORE_FILE}.part")
            part.write_text(
                json.dumps({"format": info.format, **info.__dict__}, indent=1) + "\n", encoding="utf-8"
            )
            part.replace(folder / STORE_FILE)
        except OSError as e:
            raise OutputError(f"The store {{path}} cannot be made: {e.strerror or e}.", path=folder) from e
        return cls(folder, info, keep)

    @classmethod
    def behind(cls, url: str) -> Store | None:
        """A store at a URL, ``None`` where none lies there.

        It is copied into a temporary folder, which is gone with it.

        Args:
            url: The folder of the store.

        Raises:
            SourceError: The place cannot be read.
            StoreError: It is no store that this leakscan reads.

        Example:
            ``Store.behind("s3://bucket/ward.fps")``
        """
        if not has_file(url, STORE_FILE):
            return None
        copy = TemporaryDirectory(prefix="leakscan-store-")
        folder = Path(copy.name) / url.rstrip("/").rpartition("/")[2]  # so that errors name it
        (folder / "shards").mkdir(parents=True)
        fetch(url, is_of_store, folder)
        try:
            store = cls.open(folder)
        except StoreError as e:
            raise StoreError(e.sentence, e.hint_sentence, code=e.code, path=url) from e
        weakref.finalize(store, copy.cleanup)
        return store

    def parts(self) -> Iterator[pa.Table]:
        """The shards one after the other, the oldest first; tables of schema ``tables.STORE``.

        Raises:
            StoreError: A shard is damaged.
        """
        for path in self.shards.paths:
            yield tables.read(path, tables.STORE)

    def known_of(self, image_ids: Sequence[str]) -> set[str]:
        """The images of which there is a row; only one column is read, and a damaged shard has none.

        Args:
            image_ids: The images that are asked for.

        Example:
            >>> store = Store.create(Path("ward.fps"), StoreInfo(dataset="ward", key_id="0011aabb"))
            >>> store.append([{"image_id": "1", "path": "a.png", "prepared_with": "way"}])
            >>> store.known_of(["1", "2"])
            {'1'}
        """
        found: set[str] = set()
        asked = pa.array(image_ids, pa.string())
        for path in self.shards.paths:
            with suppress(OSError, pa.ArrowException):
                own = tables.read_parquet(path, ["image_id"])["image_id"]
                found.update(own.filter(pc.is_in(own, asked)).to_pylist())
        return found

    def load(
        self, prepared_with: str | None = None, keep: Callable[[pa.Table], pa.Table] | None = None
    ) -> pa.Table:
        """The newest row of every image.

        Args:
            prepared_with: The way in which rows must have been made; ``None`` takes that of the newest
                shard.
            keep: Which rows of some to load; all if ``None``.

        Returns:
            A table of schema ``tables.STORE``.

        Raises:
            StoreError: A shard is damaged.
        """
        paths = self.shards.paths
        if prepared_with is None:
            prepared_with = self.shards.newest_way()
        if prepared_with is None or not paths:
            return tables.STORE.empty_table()
        # Shard by shard, so that what is left out is never in memory with all that is kept.
        pieces = [_made_so(tables.read(path, tables.STORE, keep), prepared_with) for path in paths]
        table = pa.concat_tables(pieces)
        if odd := _no_numbers(table["fingerprint"]):
            raise StoreError(
                f"The store {{path}} is damaged: {counted(odd, 'fingerprint')} of it "
                f"{'holds' if odd == 1 else 'hold'} values that are no numbers.",
                "Delete it and make it again from the images.",
                path=self.folder,
            )
        at = table.column_names.index("fingerprint")
        # The largest column in one piece, so that a run can use it where it lies; a piece has its limit.
        if table.column(at).nbytes < _MOST_IN_ONE_PIECE:
            table = table.set_column(at, tables.STORE.field(at), table.column(at).combine_chunks())
        if pc.count_distinct(table["image_id"], mode="all").as_py() == len(table):
            return table
        check_ids(pieces, self.folder)
        newest: dict[str, int] = {key: i for i, key in enumerate(table["image_id"].to_pylist())}
        return table.take(pa.array(sorted(newest.values()), pa.int64()))

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Writes rows as a new shard.

        Raises:
            OutputError: The disk is full or the store cannot be written.
        """
        self.append_table(tables.from_rows(rows, tables.STORE))

    def append_table(self, table: pa.Table) -> None:
        """Writes a table of the schema ``tables.STORE`` as a new shard, unless it has no rows.

        Raises:
            OutputError: The disk is full or the store cannot be written.
        """
        if len(table):
            self.shards.add(table)

    def update(self, current: pa.Table, stored: pa.Table) -> None:
        """Makes the store hold the rows of a scan, unless it does so already.

        Images that the scan did not meet are dropped, but for those that the store is to keep.

        Args:
            current: The rows of all images that the scan met, of one way.
            stored: What :meth:`load` gave of that way, before rows were appended; rows of files that hold no
                image may be missing.
        """
        if self._keep is not None and len(stored):
            met = pc.is_in(stored["image_id"], current["image_id"].combine_chunks())
            others = stored.filter(pc.invert(met))
            read = others.filter(pc.is_valid(others["file_hash"]))
            kept = [self._keep(path) for path in read["path"].to_pylist()]
            current = pa.concat_tables([current, read.filter(pa.array(kept, pa.bool_()))])
        if not len(current):
            return
        if not self.shards.are(current):
            self.shards.replace(current)


def _made_so(table: pa.Table, prepared_with: str) -> pa.Table:
    """The rows that were made in one way; the table itself where all were."""
    own = pc.equal(table["prepared_with"], prepared_with).fill_null(False)
    return table if pc.all(own).as_py() else table.filter(own)


def _no_numbers(column: pa.ChunkedArray) -> int:
    """How many fingerprints hold a value that is no number."""
    odd = 0
    for chunk in column.chunks:
        values = chunk.flatten().to_numpy(zero_copy_only=False)
        if not np.isfinite(values).all():
            lengths = pc.list_value_length(chunk).fill_null(0).to_numpy(zero_copy_only=False)
            owner = np.repeat(np.arange(len(chunk)), lengths)
            odd += len(np.unique(owner[~np.isfinite(values)]))
    return odd

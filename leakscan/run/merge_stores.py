"""The job that joins the stores of the shards of one dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from leakscan.errors import StoreError, UsageError
from leakscan.fingerprint.shards import Shard
from leakscan.fingerprint.store import Store, StoreInfo

_NAMED = 10  # missing shards that are named


def merge_stores(stores: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str]) -> dict[str, Any]:
    """Joins stores of one dataset, which were made with one key and in one way, to one store.

    One shard file is in memory at a time.

    Args:
        stores: The stores; where they hold shards, all of them.
        output: The store to write; it must not exist.

    Returns:
        Counts: ``stores`` and ``images``.

    Raises:
        UsageError: Fewer than one store, or one is given twice.
        StoreError: A store is damaged or empty, a shard is missing, or they do not belong together.
        OutputError: The output exists or cannot be written.

    Example::

        merge_stores(sorted(Path("parts").glob("*.fps")), "ward.fps")["images"]
    """
    folders = [Path(store) for store in stores]
    if len({folder.resolve() for folder in folders}) < len(folders) or not folders:
        raise UsageError("A merge needs stores, each named once.", "Name every store once.")
    opened = [Store.open(folder) for folder in folders]
    info = _common(opened)
    ways = [_way(store) for store in opened]
    for store, way in zip(opened, ways, strict=True):
        if way is not None and way != next(w for w in ways if w is not None):
            raise StoreError(
                "The store {path} was made in another way than {first}: with another leakscan, another "
                "encoder or other settings.",
                "Fingerprint its part again as the others were.",
                path=store.folder,
                first=opened[0].folder,
            )
    target = Path(output)
    if target.exists():
        raise StoreError("{path} exists already.", "Name another store.", code="merge_target", path=target)
    draft = target.with_name(f".{target.name}.part")
    merged = Store.create(draft, info)
    images = 0
    for store, way in zip(opened, ways, strict=True):
        for table in store.parts():
            own = table.filter(pc.equal(table["prepared_with"], pa.scalar(way, pa.string())))
            merged.append_table(own)
            images += len(own)
    draft.rename(target)
    return {"store": str(output), "stores": len(opened), "images": images}


def _common(stores: Sequence[Store]) -> StoreInfo:
    """What the merged store says of itself."""
    first = stores[0]
    for store in stores:
        own, other = store.info, first.info
        kinds = {"dataset": "dataset", "identity key": "key_id", "project key": "project_key_id"}
        what = next((n for n, key in kinds.items() if getattr(own, key) != getattr(other, key)), None)
        if what is not None:
            raise StoreError(
                f"The stores {{path}} and {{first}} do not belong together: each has another {what}.",
                "Merge the shards of one dataset, made with one identity key (the setting key).",
                code="merge_of_others",
                path=store.folder,
                first=first.folder,
            )
    shards = [Shard.parse(store.info.shard) for store in stores if store.info.shard]
    if not shards:
        return replace(first.info, shard="")
    numbers = {shard.number for shard in shards}
    if len(shards) < len(stores) or len({shard.of for shard in shards}) > 1 or len(numbers) < len(shards):
        raise StoreError(
            "The stores are not the shards of one division: {path} and others overlap.",
            "Merge all shards of one division, each once.",
            path=first.folder,
        )
    missing = sorted(set(range(1, shards[0].of + 1)) - numbers)
    if missing:
        named = ", ".join(f"{n}/{shards[0].of}" for n in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise StoreError(
            f"These shards are missing: {named}{more}.",
            "Fingerprint them, and merge again: what is there stays.",
            code="shards_missing",
        )
    return replace(first.info, shard="")


def _way(store: Store) -> str | None:
    """The way in which the newest rows were made, ``None`` for a shard without images."""
    return store.shards.newest_way()

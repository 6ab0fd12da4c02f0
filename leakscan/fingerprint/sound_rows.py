"""Whether the rows of a store that stands in for a dataset can be what a reader of images wrote."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leakscan.counted import counted
from leakscan.errors import StoreError


def check_sound(rows: pa.Table, store: Path) -> None:
    """Refuses rows without an id, and images that were read and have no hashes of their pixels.

    Several of them would be taken for one picture, or stop the run later, where nobody knows the reason.

    Args:
        rows: A table of schema ``tables.STORE``.
        store: Where it comes from.

    Raises:
        StoreError: Somebody altered the store, or a program other than leakscan wrote it.

    Example:
        >>> from leakscan import tables
        >>> row = {"image_id": "1", "path": "a.png", "status": "ok"}
        >>> check_sound(tables.from_rows([row], tables.STORE), Path("ward.fps"))
        Traceback (most recent call last):
        leakscan.errors.StoreError: The store ward.fps is damaged: 1 row of it has no id, or no pixel hashes.
        Make it again from the images.
    """
    hashes = rows["phash"]
    whole = _is_there(hashes)
    if pc.list_flatten(hashes).null_count:
        whole = np.array([row is not None and None not in row for row in hashes.to_pylist()], bool)
    whole &= _is_there(rows["pixel_hash"])
    was_read = pc.equal(rows["status"], "ok").fill_null(False).to_numpy(zero_copy_only=False)
    if odd := int(np.sum(~_is_there(rows["image_id"]) | (was_read & ~whole))):
        raise StoreError(
            f"The store {{path}} is damaged: {counted(odd, 'row')} of it "
            f"{'has' if odd == 1 else 'have'} no id, or no pixel hashes.",
            "Make it again from the images.",
            path=store,
        )


def check_ids(shards: Iterable[pa.Table], store: Path) -> None:
    """Refuses several images under one id in one shard: the last would be taken for all of them.

    Rows of other shards under one id are earlier ones of the same image.

    Args:
        shards: Tables with the columns ``image_id`` and ``path``.
        store: Where they come from.

    Raises:
        StoreError: Somebody altered the store, or a program other than leakscan wrote it.

    Example:
        >>> check_ids([pa.table({"image_id": ["1", "1"], "path": ["a.png", "b.png"]})], Path("ward.fps"))
        Traceback (most recent call last):
        leakscan.errors.StoreError: The store ward.fps is damaged: 2 images of it have the id of another one.
        Make it again from the images.
    """
    odd = 0
    for shard in shards:
        images = shard.select(["image_id", "path"]).group_by(["image_id", "path"]).aggregate([])
        of_each = images.group_by("image_id").aggregate([("path", "count")])["path_count"]
        odd += pc.sum(of_each.filter(pc.greater(of_each, 1))).as_py() or 0
    if odd:
        raise StoreError(
            f"The store {{path}} is damaged: {counted(odd, 'image')} of it have the id of another one.",
            "Make it again from the images.",
            path=store,
        )


def _is_there(column: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    there: np.ndarray[tuple[int], np.dtype[np.bool_]] = pc.is_valid(column).to_numpy(zero_copy_only=False)
    return there.copy()

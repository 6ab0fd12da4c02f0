"""A store that somebody altered by hand is named, before several images are taken for one picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakscan.errors import StoreError
from leakscan.fingerprint.pipeline import dataset_from_store
from leakscan.fingerprint.store import Store, StoreInfo

ROW = {"image_id": "1", "path": "a.png", "status": "ok", "pixel_hash": "p", "phash": [1] * 8}
LEFT_OUT = {"image_id": "2", "path": "b.txt", "status": "no_image"}


def opened(tmp_path: Path, **other: object) -> int:
    """How many rows stand in for a dataset; the third is like the first, but for what is given."""
    store = Store.create(tmp_path / "ward.fps", StoreInfo(dataset="ward", key_id="0011aabb"))
    rows = [ROW, LEFT_OUT, {**ROW, "image_id": "3", **other}]
    store.append([{**row, "prepared_with": "way"} for row in rows])
    return len(dataset_from_store(store, "ward", {}).rows)


def test_what_was_left_out_needs_no_hashes(tmp_path: Path) -> None:
    assert opened(tmp_path) == 3


@pytest.mark.parametrize("column", ["image_id", "pixel_hash", "phash"])
def test_an_image_that_was_read_and_has_no_hashes_is_a_damaged_store(tmp_path: Path, column: str) -> None:
    with pytest.raises(StoreError, match=r"1 row of it has no id, or no pixel hashes"):
        opened(tmp_path, **{column: None})


def test_a_hash_with_a_hole_is_no_hash(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"ward\.fps is damaged"):
        opened(tmp_path, phash=[1] * 7 + [None])


def test_several_images_under_one_id_in_one_shard_are_refused_and_not_taken_for_the_last(
    tmp_path: Path,
) -> None:
    rows = [{**ROW, "path": path, "prepared_with": "way"} for path in ("a.png", "b.png")]
    store = Store.create(tmp_path / "ward.fps", StoreInfo(dataset="ward", key_id="0011aabb"))
    store.append(rows)
    with pytest.raises(StoreError, match="2 images of it have the id of another one"):
        store.load()


def test_a_later_shard_may_hold_an_image_again_where_it_lies_now(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "ward.fps", StoreInfo(dataset="ward", key_id="0011aabb"))
    for path in ("a.png", "moved.png"):
        store.append([{**ROW, "path": path, "prepared_with": "way"}])
    assert store.load()["path"].to_pylist() == ["moved.png"]

"""Shards made by many machines join to the store that one machine would have made; nothing is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leakscan.errors import UsageError
from leakscan.fingerprint.shards import Shard
from leakscan.fingerprint.store import Store
from support.makers import NO_ENCODER, Leakscan, fill, rows_of

OF = 3


@pytest.fixture
def parts(leakscan: Leakscan, tmp_path: Path) -> list[str]:
    """The stores of three shards of eight pictures."""
    fill(tmp_path / "A", range(8))
    for number in range(1, OF + 1):
        ran = leakscan("fingerprint", "A", "-o", f"{number}.fps", "--shard", f"{number}/{OF}", *NO_ENCODER)
        assert ran.code == 0, ran.err
    return [f"{number}.fps" for number in range(1, OF + 1)]


def images(store: Path) -> list[tuple[str, str]]:
    rows = Store.open(store).load()
    return sorted(zip(rows["path"].to_pylist(), rows["pixel_hash"].to_pylist(), strict=True))


def test_merged_shards_are_the_store_of_the_whole(
    leakscan: Leakscan, tmp_path: Path, parts: list[str]
) -> None:
    sizes = [len(Store.open(tmp_path / part).load()) for part in parts]
    assert sum(sizes) == 8 and max(sizes) < 8
    ran = leakscan("store", "merge", *reversed(parts), "-o", "all.fps", "--json")
    assert ran.code == 0 and ran.json["images"] == 8
    leakscan("fingerprint", "A", "-o", "whole.fps", *NO_ENCODER)
    assert images(tmp_path / "all.fps") == images(tmp_path / "whole.fps")
    fill(tmp_path / "B", [3, 20])
    assert leakscan("compare", "all.fps", "B", "-o", "run", *NO_ENCODER).code == 1
    assert [(p["path_a"], p["path_b"]) for p in rows_of(tmp_path / "run", "pairs")] == [("3.png", "3.png")]


def test_a_missing_shard_is_named_and_nothing_is_written(
    leakscan: Leakscan, tmp_path: Path, parts: list[str]
) -> None:
    ran = leakscan("store", "merge", parts[0], parts[2], "-o", "all.fps")
    assert ran.code == 2 and "missing: 2/3" in ran.error
    assert not (tmp_path / "all.fps").exists()


def test_one_shard_does_not_stand_in_for_its_dataset(
    leakscan: Leakscan, tmp_path: Path, parts: list[str]
) -> None:
    ran = leakscan("compare", parts[0], parts[1])
    assert ran.code == 2 and "shard 1/3 of its dataset only" in ran.error and "store merge" in ran.error


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3"])
def test_a_shard_out_of_range_is_refused(leakscan: Leakscan, tmp_path: Path, shard: str) -> None:
    fill(tmp_path / "A", range(2))
    ran = leakscan("fingerprint", "A", "-o", "x.fps", f"--shard={shard}", *NO_ENCODER)
    assert ran.code == 2 and f"There is no shard {shard}" in ran.error
    assert not (tmp_path / "x.fps").exists()


def test_a_store_keeps_to_its_shard(leakscan: Leakscan, parts: list[str]) -> None:
    ran = leakscan("fingerprint", "A", "-o", parts[0], "--shard", "2/3", *NO_ENCODER)
    assert ran.code == 2 and "holds shard shard" not in ran.error and "1/3" in ran.error
    again = leakscan("fingerprint", "A", "-o", parts[0], "--shard", "1/3", "--json", *NO_ENCODER)
    assert again.code == 0 and again.json["images_read"] == 0


def test_stores_that_do_not_belong_together_are_not_joined(
    leakscan: Leakscan, tmp_path: Path, parts: list[str]
) -> None:
    fill(tmp_path / "C", range(2))
    leakscan("fingerprint", "C", "-o", "c.fps", *NO_ENCODER)
    ran = leakscan("store", "merge", *parts, "c.fps", "-o", "all.fps")
    assert ran.code == 2 and "another dataset" in ran.error
    leakscan("fingerprint", "A", "-o", "k.fps", "--key", "other.key", "--shard", "1/3", *NO_ENCODER)
    ran = leakscan("store", "merge", "k.fps", *parts[1:], "-o", "all.fps")
    assert ran.code == 2 and "another identity key" in ran.error
    leakscan(
        "fingerprint", "A", "-o", "w.fps", "--shard", "1/3", "--kind", "other_2d", "--max-pixels", "9999"
    )
    ran = leakscan("store", "merge", "w.fps", *parts[1:], "-o", "all.fps")
    assert ran.code == 2 and "in another way" in ran.error
    ran = leakscan("store", "merge", parts[0], parts[0], "-o", "all.fps")
    assert ran.code == 2 and "once" in ran.error
    assert not (tmp_path / "all.fps").exists()


def test_a_store_of_another_version_is_refused_and_what_is_there_stays(
    leakscan: Leakscan, tmp_path: Path, parts: list[str]
) -> None:
    info = tmp_path / parts[1] / "store.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "format": 99}))
    ran = leakscan("store", "merge", *parts, "-o", "all.fps")
    assert ran.code == 2 and "format 99" in ran.error and parts[1] in ran.error
    ran = leakscan("store", "merge", parts[0], "-o", parts[2])
    assert ran.code == 2
    assert len(images(tmp_path / parts[2])) > 0


def test_frames_of_one_file_stand_in_one_shard() -> None:
    from leakscan.types import ImageRef

    refs = [
        ImageRef(image_id=str(n), path="a.tif", format="tiff", files=("a.tif",), frame=n) for n in range(9)
    ]
    assert sorted(len(Shard(number, 4).taken(refs)) for number in range(1, 5)) == [0, 0, 0, 9]
    with pytest.raises(UsageError):
        Shard.parse("9/4")

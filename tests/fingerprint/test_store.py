"""A fingerprint store stands in for its directory, and reads only what has changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leakscan import tables
from leakscan.errors import OutputError, StoreError
from leakscan.fingerprint.store import Store, StoreInfo
from support.makers import NO_ENCODER, Leakscan, Picture, fill, rows_of, save, scene

INFO = StoreInfo("A", "0123abcd")


def read(leakscan: Leakscan, *options: str) -> int:
    """How many images an update of ``a.fps`` from ``A`` reads."""
    ran = leakscan("fingerprint", "A", "-o", "a.fps", "--json", *NO_ENCODER, *options)
    assert ran.code == 0
    return int(ran.json["images_read"])


def test_a_second_run_reads_nothing_and_a_change_reads_one(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    assert read(leakscan) == 4
    assert read(leakscan) == 0
    save(tmp_path / "A" / "2.png", scene(99))
    assert read(leakscan) == 1
    save(tmp_path / "A" / "new.png", scene(98))
    assert read(leakscan) == 1
    (tmp_path / "A" / "0.png").unlink()
    assert read(leakscan) == 0
    assert len(Store.open(tmp_path / "a.fps").load()) == 4


def test_what_cannot_be_read_is_named_with_its_reason(leakscan: Leakscan, tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    ran = leakscan("fingerprint", "A", "-o", "a.fps", *NO_ENCODER)
    assert ran.code == 3
    assert "The first unreadable file is broken.jpg: " in ran.out


def test_compare_keeps_a_store_for_every_source(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    first = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    again = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert (first.json["timings"]["images_read"], again.json["timings"]["images_read"]) == (8, 0)
    assert again.json["decisions"] == first.json["decisions"]
    save(tmp_path / "B" / "5.png", scene(50))
    changed = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert changed.json["timings"]["images_read"] == 1


def test_a_file_that_went_away_is_no_longer_compared(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    assert leakscan("compare", "A", "B", *NO_ENCODER).code == 1
    (tmp_path / "B" / "3.png").unlink()
    assert leakscan("compare", "A", "B", *NO_ENCODER).code == 3  # no leak, but nothing known of subjects


def pairs(run: Path) -> list[tuple[Any, ...]]:
    return [(p["path_a"], p["path_b"], p["relation"], p["decision"]) for p in rows_of(run, "pairs")]


def altered(folder: Path, films: list[Picture]) -> None:
    """An exact copy of the first film, a small JPEG of the second, another subject's film."""
    save(folder / "same.png", films[0])
    small = Image.fromarray(films[1]).resize((150, 150), Image.Resampling.LANCZOS)
    save(folder / "small.jpg", np.asarray(small), quality=60)
    save(folder / "other.png", films[5])


def test_a_store_finds_what_its_directory_finds_and_never_says_more_than_it_saw(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    for i in range(3):
        save(tmp_path / "A" / f"{i}.png", films[i])
    altered(tmp_path / "B", films)
    leakscan("compare", "A", "B", "-o", "from-folder", *NO_ENCODER)
    by_detail = pairs(tmp_path / "from-folder")
    assert sorted(by_detail) == [
        ("0.png", "same.png", "same_file", "leak"),
        ("1.png", "small.jpg", "same_image", "leak"),
    ]
    leakscan("fingerprint", "A", "-o", "plain.fps", *NO_ENCODER)
    leakscan("fingerprint", "A", "-o", "seen.fps", "--with-previews", *NO_ENCODER)
    shutil.rmtree(tmp_path / "A")  # the other hospital has no pictures...
    (tmp_path / ".leakscan" / "pairs.sqlite3").unlink()  # ...and never saw them
    leakscan("compare", "plain.fps", "B", "-o", "from-store", *NO_ENCODER)
    assert sorted(pairs(tmp_path / "from-store")) == [
        ("0.png", "same.png", "same_file", "leak"),
        ("1.png", "small.jpg", "same_image", "review"),
    ]
    review = rows_of(tmp_path / "from-store", "pairs")[-1]
    assert any("not checked" in e for e in review["evidence"])
    leakscan("compare", "seen.fps", "B", "-o", "from-previews", *NO_ENCODER)
    assert sorted(pairs(tmp_path / "from-previews")) == sorted(by_detail)


def test_an_unverified_copy_is_never_waved_through(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    """False same-subject matches that chance explains are no excuse for a picture that looks the same."""
    save(tmp_path / "A" / "1.png", films[1])
    save(tmp_path / "B" / "small.jpg", films[1], quality=85)
    leakscan("fingerprint", "A", "-o", "a.fps", "--kind", "chest_radiograph")
    ran = leakscan("compare", "a.fps", "B", "--json", "--kind", "chest_radiograph")
    assert ran.json["decisions"]["same_image"]["review"] == 1
    assert ran.code == 3


def test_two_stores_are_compared_without_any_picture(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    for name in ("A", "B"):
        leakscan("fingerprint", name, "-o", f"{name}.fps", *NO_ENCODER)
        shutil.rmtree(tmp_path / name)
    ran = leakscan("compare", "A.fps", "B.fps", "-o", "run")
    assert ran.code == 1
    assert [p[:3] for p in pairs(tmp_path / "run")] == [("3.png", "3.png", "same_pixels")]
    assert "<img" not in (tmp_path / "run" / "report.html").read_text()


def test_previews_asked_for_are_there_whatever_was_asked_in_between(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    read(leakscan, "--with-previews")
    read(leakscan)
    read(leakscan, "--with-previews")
    assert Store.open(tmp_path / "a.fps").load()["preview"].null_count == 0


def test_stores_made_with_different_keys_are_not_joined_and_the_report_says_so(
    leakscan: Leakscan, tmp_path: Path
) -> None:
    for name, seed in (("A", 1), ("B", 2)):
        fill(tmp_path / name / "sub-07", [seed])
        leakscan(
            "fingerprint",
            name,
            "-o",
            f"{name}.fps",
            "--subjects",
            "bids",
            "--key",
            f"{name}.key",
            *NO_ENCODER,
        )
    ran = leakscan("compare", "A.fps", "B.fps", "--same-ids", "--json")
    assert ran.json["decisions"]["same_subject"]["leak"] == 0
    said = " ".join([*ran.json["reasons"], *ran.json["comparisons"][0]["words"]])
    assert "key" in said


def test_stores_made_with_one_key_are_joined(leakscan: Leakscan, tmp_path: Path) -> None:
    for name, seed in (("A", 1), ("B", 2)):
        fill(tmp_path / name / "sub-07", [seed])
        leakscan(
            "fingerprint", name, "-o", f"{name}.fps", "--subjects", "bids", "--key", "both.key", *NO_ENCODER
        )
    ran = leakscan("compare", "A.fps", "B.fps", "--same-ids", "--json")
    assert ran.json["decisions"]["same_subject"]["leak"] == 1
    assert ran.code == 1


def test_the_key_is_for_its_owner_only(leakscan: Leakscan, tmp_path: Path, two_folders: object) -> None:
    leakscan("fingerprint", "A", "-o", "a.fps", *NO_ENCODER)
    key = tmp_path / ".leakscan" / "identity.key"
    assert key.stat().st_mode & 0o077 == 0
    assert (tmp_path / ".leakscan").stat().st_mode & 0o077 == 0


def test_a_store_made_with_an_unknown_encoder_is_named(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    store = Store.create(tmp_path / "old.fps", INFO)
    store.append([{**row("a"), "encoder": "cxr-old@000000000000", "fingerprint": np.zeros(128, np.float16)}])
    ran = leakscan("compare", "B", "old.fps")
    assert ran.code == 2
    assert "cxr-old@000000000000" in ran.error
    assert "models add" in ran.error
    assert not (tmp_path / ".leakscan/stores").exists()  # said before B is fingerprinted


def test_a_shard_whose_fingerprints_have_a_fixed_length_is_read(tmp_path: Path) -> None:
    """As stores before volumes had fingerprints wrote them."""
    store = Store.create(tmp_path / "old.fps", INFO)
    store.append([row("a"), {**row("b"), "encoder": "cxr@1", "fingerprint": np.ones(4, np.float16)}])
    (shard,) = (tmp_path / "old.fps" / "shards").iterdir()
    table = pq.read_table(shard)
    at = table.schema.get_field_index("fingerprint")
    fixed = pa.array([None, np.ones(4, np.float16)], pa.list_(pa.float16(), 4))
    pq.write_table(table.set_column(at, "fingerprint", fixed), shard)
    assert store.load()["fingerprint"].to_pylist() == [None, [1.0] * 4]


# The folder itself


def row(image_id: str, way: str = "w1", **columns: Any) -> dict[str, Any]:
    return {"image_id": image_id, "status": "ok", "prepared_with": way, **columns}


def ids(store: Store, way: str | None = None) -> list[str]:
    return list(store.load(way)["image_id"].to_pylist())


def test_the_last_row_of_an_image_counts(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.fps", INFO)
    store.append([row("a", path="old"), row("b")])
    store.append([row("a", path="new")])
    assert sorted(ids(store)) == ["a", "b"]
    assert {r["image_id"]: r["path"] for r in store.load().to_pylist()}["a"] == "new"


def test_rows_made_in_another_way_are_not_mixed_in(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.fps", INFO)
    store.append([row("a"), row("b")])
    store.append([row("a", "w2")])
    assert sorted(ids(store, "w1")) == ["a", "b"]
    assert ids(store) == ids(store, "w2") == ["a"]
    store.shards.replace(store.load("w2"))
    assert sorted(ids(store, "w1")) == ["a", "b"]


def test_rows_that_stand_in_a_store_are_not_written_again(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.fps", INFO)
    store.append([row("a"), row("b")])
    before = [(path, path.stat().st_mtime_ns) for path in store.shards.paths]
    rows = store.load()
    store.update(rows, rows)
    assert [(path, path.stat().st_mtime_ns) for path in store.shards.paths] == before
    store.update(rows.slice(1), rows)
    assert ids(store) == ["b"]


def test_a_shard_that_was_not_finished_is_not_read(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.fps", INFO)
    store.append([row("a")])
    (tmp_path / "s.fps" / "shards" / "00000002-1.parquet.part").write_bytes(b"PAR1 half")
    assert ids(store) == ["a"]


def test_being_stopped_while_replacing_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.create(tmp_path / "s.fps", INFO)
    store.append([row("a")])
    store.append([row("b")])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            store.shards.replace(store.load())
    assert sorted(ids(Store.open(tmp_path / "s.fps"))) == ["a", "b"]


def test_a_store_of_another_key_or_format_or_no_store_is_refused(tmp_path: Path) -> None:
    Store.create(tmp_path / "s.fps", INFO)
    with pytest.raises(StoreError, match="key"):
        Store.create(tmp_path / "s.fps", StoreInfo("A", "ffffffff"))
    with pytest.raises(StoreError, match=r"store\.json"):
        Store.open(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("words")
    with pytest.raises(StoreError, match="full"):
        Store.create(tmp_path / "full", INFO)
    (tmp_path / "s.fps" / "store.json").write_text('{"format": 99, "dataset": "A", "key_id": ""}')
    with pytest.raises(StoreError, match="99"):
        Store.open(tmp_path / "s.fps")
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreError, OutputError), match="file"):
        Store.create(tmp_path / "file", INFO)


def test_a_table_of_another_version_is_refused(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = tables.from_rows([], tables.PAIRS)
    changed = {**tables.PAIRS.metadata, b"leakscan.schema_version": b"0"}
    pq.write_table(table.replace_schema_metadata(changed), tmp_path / "pairs.parquet")
    with pytest.raises(StoreError, match="pairs"):
        tables.read(tmp_path / "pairs.parquet", tables.PAIRS)
    tables.write(table, tmp_path / "good.parquet")
    with pytest.raises(StoreError, match="images"):
        tables.read(tmp_path / "good.parquet", tables.IMAGES)
    assert tables.read(tmp_path / "good.parquet", tables.PAIRS).num_rows == 0


def test_a_column_added_later_is_null_in_older_files(tmp_path: Path) -> None:
    older = tables.PAIRS.remove(tables.PAIRS.get_field_index("evidence")).with_metadata(tables.PAIRS.metadata)
    tables.write(tables.from_rows([{"image_a": "x"}], older), tmp_path / "pairs.parquet")
    (found,) = tables.read(tmp_path / "pairs.parquet", tables.PAIRS).to_pylist()
    assert found["image_a"] == "x"
    assert found["evidence"] is None


def test_a_touched_file_is_read_again_and_stays_the_same_image(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    read(leakscan)
    before = {r["image_id"]: r["pixel_hash"] for r in Store.open(tmp_path / "a.fps").load().to_pylist()}
    os.utime(tmp_path / "A" / "1.png", ns=(1, 1))
    assert read(leakscan) == 1
    after = {r["image_id"]: r["pixel_hash"] for r in Store.open(tmp_path / "a.fps").load().to_pylist()}
    assert after == before


def test_fingerprints_that_are_no_numbers_are_a_damaged_store(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    assert read(leakscan) == 4
    (shard,) = (tmp_path / "a.fps" / "shards").glob("*.parquet")
    table = pq.read_table(shard)
    at = table.schema.get_field_index("fingerprint")
    odd = pa.array(
        [np.array([1, np.nan], np.float16)] + [None] * (len(table) - 1), tables.STORE.field(at).type
    )
    pq.write_table(table.set_column(at, tables.STORE.field(at), odd), shard)
    with pytest.raises(StoreError, match="1 fingerprint of it holds values that are no numbers"):
        Store.open(tmp_path / "a.fps").load()

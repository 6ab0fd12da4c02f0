"""What comes from the pixels of an image is read once, whatever else about a run changes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from leakscan.fingerprint import elsewhere
from leakscan.fingerprint.store import Store
from leakscan.sources.identity import IdentityKey
from support.makers import NO_ENCODER, Leakscan, Picture, fill, rows_of, save, scene

FOUND = elsewhere._Candidate


def images_read(leakscan: Leakscan, *arguments: str) -> int:
    """How many images a comparison reads."""
    ran = leakscan("compare", *arguments, "--json")
    assert ran.code != 2, ran.err
    return int(ran.json["timings"]["images_read"])


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """Two folders of four pictures each, of subjects that the paths name."""
    for folder, seeds, level in (("A", range(4), 1), ("B", range(3, 7), 9)):
        for i, seed in enumerate(seeds):
            save(tmp_path / folder / f"sub-{i:02d}" / f"{seed}.png", scene(seed), compress_level=level)
    return tmp_path


CHANGES = {
    "excluded": ("--exclude", "3.png"),
    "subjects": ("--subjects", "bids"),
    "same ids": ("--subjects", "bids", "--same-ids"),
    "paths hidden": ("--hide-paths",),
    "another key": ("--key", "other.key"),
    "another kind": ("--kind", "other_3d"),
    "two workers": ("--workers", "0", "--check-seconds", "5"),
}


@pytest.mark.parametrize("options", CHANGES.values(), ids=CHANGES)
def test_another_choice_reads_nothing_again_and_neither_does_going_back(
    leakscan: Leakscan, named: Path, options: tuple[str, ...]
) -> None:
    assert images_read(leakscan, "A", "B", *NO_ENCODER) == 8
    kind = () if "--kind" in options else NO_ENCODER
    if not kind:
        assert images_read(leakscan, "A", "B") == 8  # a kind whose encoder was never asked
    assert images_read(leakscan, "A", "B", *kind, *options) == 0
    assert images_read(leakscan, "A", "B", *NO_ENCODER) == 0


def test_what_is_declared_is_that_of_the_run_and_not_that_of_the_cache(
    leakscan: Leakscan, named: Path
) -> None:
    def run(name: str, *options: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        leakscan("compare", "A", "B", "-o", name, *NO_ENCODER, *options)
        return rows_of(named / name, "images"), rows_of(named / name, "pairs")

    plain, by_bids = run("plain"), run("bids", "--subjects", "bids", "--same-ids")
    assert {row["subject"] for row in plain[0]} == {None}
    assert len({row["subject"] for row in by_bids[0]}) == 4
    shutil.rmtree(named / ".leakscan" / "stores")
    assert run("fresh", "--subjects", "bids", "--same-ids") == by_bids
    assert run("plain-again") == plain


def test_the_gate_is_asked_once_whatever_kind_is_said_afterwards(
    leakscan: Leakscan, tmp_path: Path, films: list[Picture]
) -> None:
    for i, film in enumerate(films[:3]):
        save(tmp_path / "A" / f"{i}.png", film)
    save(tmp_path / "A" / "no-film.png", scene(1))
    fill(tmp_path / "B", range(3, 5))

    def seen(name: str, *options: str) -> tuple[int, list[tuple[Any, ...]]]:
        ran = leakscan("compare", "A", "B", "--json", "-o", name, *options)
        marks = [
            (row["path"], image["kind"], row["encoder"], row["quality"], row["fingerprint"])
            for row, image in zip(
                rows_of(tmp_path / name, "fingerprints"), rows_of(tmp_path / name, "images"), strict=True
            )
            for row in [{**row, "path": image["path"]}]
        ]
        return int(ran.json["timings"]["images_read"]), marks

    kinds = ((), ("--kind", "chest_radiograph"), ("--kind", "other_2d"), ("--kind", "brain_mri"))
    warm = [seen(f"warm{i}", *options) for i, options in enumerate(kinds)]
    assert [read for read, _ in warm] == [6, 0, 0, 0]
    assert seen("warm", *kinds[0]) == (0, warm[0][1])
    for i, options in enumerate(kinds):
        shutil.rmtree(tmp_path / ".leakscan" / "stores")
        assert seen(f"cold{i}", *options) == (6, warm[i][1]), "the cache decided what a row says"


def moved(root: Path) -> None:
    (root / "A").rename(root / "elsewhere")


def copied(root: Path) -> None:
    shutil.copytree(root / "A", root / "elsewhere")
    shutil.rmtree(root / "A")


def renamed_inside(root: Path) -> None:
    (root / "A").rename(root / "elsewhere")
    for path in sorted((root / "elsewhere").rglob("*.png")):
        path.rename(path.with_name(f"new-{path.name}"))


def touched(root: Path) -> None:
    (root / "A").rename(root / "elsewhere")
    for path in (root / "elsewhere").rglob("*.png"):
        os.utime(path, ns=(10**18, 10**18))


@pytest.mark.parametrize("move", [moved, copied, renamed_inside, touched])
def test_images_that_lie_elsewhere_are_recognised(leakscan: Leakscan, named: Path, move: Any) -> None:
    assert images_read(leakscan, "A", "B", *NO_ENCODER) == 8
    move(named)
    assert images_read(leakscan, "elsewhere", "B", *NO_ENCODER) == 0
    assert images_read(leakscan, "elsewhere", "B", *NO_ENCODER) == 0


def test_a_manifest_over_the_images_of_a_folder_reads_nothing(leakscan: Leakscan, named: Path) -> None:
    assert images_read(leakscan, "A", "B", *NO_ENCODER) == 8
    paths = sorted(p.relative_to(named).as_posix() for p in (named / "A").rglob("*.png"))
    rows = [f"{path},{i // 2},{'test' if i % 2 else 'train'}" for i, path in enumerate(paths)]
    (named / "films.csv").write_text("\n".join(["path,subject_id,split", *rows]) + "\n")
    assert images_read(leakscan, "films.csv", "B", *NO_ENCODER) == 0
    ran = leakscan("audit", "films.csv", "--json", *NO_ENCODER)
    assert ran.json["timings"]["images_read"] == 0
    assert ran.json["audit"]["shared_subjects"] == 2


def test_from_another_folder_the_same_cache_and_the_same_key_are_found(
    leakscan: Leakscan, named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEAKSCAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(named / "home" / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(named / "home" / "data"))
    assert images_read(leakscan, "A", "B", *NO_ENCODER) == 8
    (named / "work").mkdir()
    monkeypatch.chdir(named / "work")
    assert images_read(leakscan, "../A", str(named / "B"), *NO_ENCODER) == 0
    assert not (named / "work" / ".leakscan").exists() and not (named / ".leakscan").exists()
    assert (named / "home" / "cache" / "leakscan").stat().st_mode & 0o077 == 0
    key = named / "home" / "data" / "leakscan" / "identity.key"
    shutil.rmtree(named / "home" / "cache")  # as tools do that make room
    ran = leakscan("compare", "../A", "../B", "--json", *NO_ENCODER)
    assert set(ran.json["identity"]["key_ids"].values()) == {IdentityKey(key).key_id}


def test_the_cache_of_an_earlier_version_is_named_once_it_is_not_used(
    leakscan: Leakscan, named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LEAKSCAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(named / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", str(named / "home"))
    (named / ".leakscan" / "stores").mkdir(parents=True)
    ran = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert any("earlier version" in warning for warning in ran.json["warnings"])


def test_a_file_that_only_looks_the_same_from_outside_is_read(leakscan: Leakscan, tmp_path: Path) -> None:
    """Volumes of one scanner begin and end alike; what differs lies between."""
    voxels = np.zeros((60, 60, 8), np.uint8)
    voxels[20:40, 20:40] = np.random.default_rng(1).integers(0, 255, (20, 20, 8))
    write(tmp_path / "A" / "v.mgh", voxels)
    fill(tmp_path / "B", range(2))
    assert images_read(leakscan, "A", "B") == 3
    voxels[30, 30] = 255 - voxels[30, 30]
    write(tmp_path / "C" / "v.mgh", voxels)
    assert images_read(leakscan, "C", "B") == 1


def write(path: Path, voxels: Any) -> None:
    import nibabel as nib

    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.freesurfer.mghformat.MGHImage(voxels, np.eye(4))
    image.to_filename(path)
    with path.open("ab") as stream:
        stream.write(bytes(4096))


def test_an_image_that_is_gone_leaves_the_cache_and_an_excluded_one_stays(
    leakscan: Leakscan, named: Path
) -> None:
    images_read(leakscan, "A", "B", *NO_ENCODER)
    next((named / "A").rglob("0.png")).unlink()
    images_read(leakscan, "A", "B", "--exclude", "1.png", *NO_ENCODER)
    (store,) = (named / ".leakscan" / "stores").glob("A-*.fps")
    paths = sorted(path.rpartition("/")[2] for path in Store.open(store).load()["path"].to_pylist())
    assert paths == ["1.png", "2.png", "3.png"]


def test_previews_that_are_no_longer_asked_for_are_gone(leakscan: Leakscan, named: Path) -> None:
    first = leakscan("fingerprint", "A", "-o", "a.fps", "--with-previews", "--json", *NO_ENCODER)
    again = leakscan("fingerprint", "A", "-o", "a.fps", "--json", *NO_ENCODER)
    assert (first.json["images_read"], again.json["images_read"]) == (4, 0)
    store = Store.open(named / "a.fps").load()
    assert store["preview"].null_count == len(store) == 4


def test_a_store_takes_what_a_comparison_has_read(leakscan: Leakscan, named: Path) -> None:
    images_read(leakscan, "A", "B", *NO_ENCODER)
    told = leakscan("fingerprint", "A", "-o", "a.fps", "--hide-paths", "--json", *NO_ENCODER)
    assert told.json["images_read"] == 0
    content = b"".join(path.read_bytes() for path in (named / "a.fps").rglob("*") if path.is_file())
    assert b"sub-0" not in content


def test_a_damaged_store_of_another_source_stops_nobody(leakscan: Leakscan, named: Path) -> None:
    images_read(leakscan, "A", "B", *NO_ENCODER)
    for shard in (named / ".leakscan" / "stores").rglob("*.parquet"):
        if "B-" in str(shard):
            shard.write_bytes(b"PAR1 and no more")
    (named / "A").rename(named / "C")
    fill(named / "D", [8])
    assert images_read(leakscan, "C", "D", *NO_ENCODER) == 1


def test_a_store_of_an_earlier_version_stops_nobody(leakscan: Leakscan, named: Path) -> None:
    assert images_read(leakscan, "A", "B", *NO_ENCODER) == 8
    for shard in (named / ".leakscan/stores").glob("*.fps/shards/*.parquet"):
        pq.write_table(pq.read_table(shard).drop_columns(["content"]), shard)
    copied(named)
    assert images_read(leakscan, "elsewhere", "B", *NO_ENCODER) == 4


def test_many_equal_files_are_recognised_without_comparing_each_with_each(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(elsewhere, "_Candidate", lambda *told: made.append(told) or FOUND(*told))
    content = save(tmp_path / "A" / "0.png", scene(1)).read_bytes()
    for name in ("A", "B"):
        (tmp_path / name).mkdir(exist_ok=True)
        for i in range(60):
            (tmp_path / name / f"{i}.png").write_bytes(content)
    assert images_read(leakscan, "A", "B", *NO_ENCODER) == 60
    assert len(made) == 1


def test_the_same_file_in_two_datasets_is_read_once(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", range(4))
    fill(tmp_path / "B", range(2, 6))
    ran = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert ran.json["timings"]["images_read"] == 6
    assert ran.json["decisions"]["same_file"]["leak"] == 2

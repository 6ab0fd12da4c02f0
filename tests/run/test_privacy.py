"""With paths hidden, no path of a source stands in anything that a run writes, prints or raises."""

from __future__ import annotations

import csv
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from leakscan.errors import HIDDEN_PATH, SourceError
from support import dicom_maker
from support.makers import NO_ENCODER, Leakscan, fill, rows_of, save, scene

MARK = "QUERTZ"
"""Stands in every name below, and must stand in no output."""

ODD_NAMES = [
    f"{MARK} JOHN",
    f"{MARK}{{path}}",
    f"{MARK}{{}}{{0}}%s%(x)s",
    f"It is the same file as {MARK}",
    f'{MARK}\'s "film"',
    f"{MARK}\nnext line",
    f"{MARK}\x1b[31m",
    f"{MARK}é\u0301ü患者",
    f"a/{MARK}/b",
    f"{MARK}\\back",
    f"[{MARK}](link)",
    f"<b>{MARK}</b>&amp;",
]


def broken(path: Path, how: int) -> None:
    """Writes one of ten kinds of files that get a sentence of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == 0:
        path.with_suffix(".png").write_bytes(b"")
    elif how == 1:
        path.with_suffix(".jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    elif how == 2:
        path.with_suffix(".tif").write_bytes(b"II*\0broken")
    elif how == 3:
        path.with_suffix(".dcm").write_bytes(b"\0" * 128 + b"DICM broken")
    elif how == 4:
        path.with_suffix(".nii.gz").write_bytes(b"\x1f\x8b broken")
    elif how == 5:
        path.with_suffix(".txt").write_text("no image")
    elif how == 6:
        path.with_suffix(".png").symlink_to(Path("/etc/hostname"))
    elif how == 7:
        path.with_suffix(".png").symlink_to(path.with_suffix(".png").name)
    elif how == 8:
        kept = save(path.with_suffix(".png"), scene(hash(path.name) % 10_000))
        path.with_suffix(".again.png").hardlink_to(kept)
    else:
        save(path.with_suffix(".png"), np.full((8, 8), 7, np.uint8))


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder of more than a hundred images, broken files and links with odd names, and B beside it."""
    for number, (name, how) in enumerate(itertools.product(ODD_NAMES, range(10))):
        broken(tmp_path / "A" / f"{number}-{how}" / name, how)
    (tmp_path / "A" / f"{MARK}-folder").symlink_to("0-0")
    dicom_maker.series(tmp_path / "A" / f"{MARK}-series")
    shared = save(tmp_path / "A" / f"{MARK}.png", scene(1))
    save(tmp_path / "B" / f"{MARK}.tif", scene(1))
    fill(tmp_path / "B", range(2, 5))
    (tmp_path / "C").mkdir()
    os.link(shared, tmp_path / "C" / f"{MARK}.png")
    return tmp_path


def written(run: Path) -> str:
    """Everything in a run folder as text; the tables are compressed, so their values are read."""
    values = [str(rows_of(run, path.stem)) for path in sorted(run.glob("*.parquet"))]
    texts = [p.read_text() for p in sorted(run.rglob("*")) if p.suffix in (".json", ".html")]
    assert len(values) == 4
    assert len(texts) == 2
    return "".join(values + texts)


def test_a_hundred_odd_paths_stand_in_no_output(odd: Path, leakscan: Leakscan) -> None:
    names = [p for p in (odd / "A").rglob("*") if MARK in p.name]
    assert len(names) > 100
    options = ("-o", "run", "--overwrite", "--hide-paths", "--max-unread", "1", *NO_ENCODER)
    ran = leakscan("compare", "A", "B", "C", *options)
    assert ran.code == 1, ran.err
    everything = written(odd / "run")
    assert MARK not in ran.out + ran.err + everything
    assert "It is the same file as another." in everything  # the sentence is there, without the name
    as_json = leakscan("compare", "A", "B", "C", "--json", *options)
    assert MARK not in as_json.out + as_json.err


def test_with_paths_shown_the_same_sentences_name_the_other_file(odd: Path, leakscan: Leakscan) -> None:
    leakscan("compare", "A", "B", "-o", "run", "--max-unread", "1", *NO_ENCODER)
    assert MARK in written(odd / "run")


@pytest.mark.parametrize("sources", [(f"{MARK}-gone", "B"), ("B", f"{MARK}.csv"), ("B", f"{MARK}.fps")])
def test_an_error_names_no_path_where_paths_are_hidden(
    tmp_path: Path, leakscan: Leakscan, sources: tuple[str, str]
) -> None:
    fill(tmp_path / "B", range(2))
    (tmp_path / f"{MARK}.csv").write_text("where\nthird shelf\n")
    (tmp_path / f"{MARK}.fps").mkdir()
    (tmp_path / f"{MARK}.fps" / "store.json").write_text("broken")
    hidden = leakscan("compare", *sources, "--hide-paths", "--max-unread", "1", *NO_ENCODER)
    shown = leakscan("compare", *sources, "--max-unread", "1", *NO_ENCODER)
    assert hidden.code == shown.code
    assert MARK not in hidden.out + hidden.err
    assert MARK in shown.out + shown.err


def test_an_error_keeps_its_sentence_and_its_path_apart() -> None:
    error = SourceError("{path} is not in {other}.", "Look into {other}.", path=Path("a{b}"), other=Path("c"))
    assert str(error) == "a{b} is not in c."
    assert error.hint == "Look into c."
    assert error.without_path().message == f"{HIDDEN_PATH} is not in {HIDDEN_PATH}."


def test_a_source_of_one_image_has_no_name_where_paths_are_hidden(tmp_path: Path, leakscan: Leakscan) -> None:
    save(tmp_path / f"{MARK}.png", scene(1))
    fill(tmp_path / "B", range(2))
    ran = leakscan("compare", f"{MARK}.png", "B", "--hide-paths", "-o", "run", *NO_ENCODER)
    assert ran.code == 1
    assert MARK not in ran.out + ran.err + written(tmp_path / "run")


def test_a_damaged_store_is_named_nowhere_where_paths_are_hidden(tmp_path: Path, leakscan: Leakscan) -> None:
    fill(tmp_path / "A", range(2))
    fill(tmp_path / "B", range(2, 4))
    options = ("--cache", f"{MARK}-cache", "--hide-paths", *NO_ENCODER)
    leakscan("compare", "A", "B", *options)
    for shard in (tmp_path / f"{MARK}-cache").rglob("*.parquet"):
        shard.write_bytes(shard.read_bytes()[:100])
    ran = leakscan("compare", "A", "B", *options)
    assert ran.code == 2
    assert "is damaged" in ran.err
    assert MARK not in ran.out + ran.err


def in_store(store: Path) -> str:
    """Everything in a store as text: its tables, its ``store.json`` and the names of its files."""
    import pyarrow.parquet as pq

    shards = [str(pq.read_table(shard).to_pylist()) for shard in store.rglob("*.parquet")]
    return "".join([*shards, (store / "store.json").read_text(), *map(str, store.rglob("*"))])


def test_a_store_for_others_holds_no_name_and_no_date(odd: Path, leakscan: Leakscan) -> None:
    (odd / "A").rename(odd / f"{MARK}-ward")
    dicom_maker.series(odd / f"{MARK}-ward" / f"{MARK}-again")  # its notes name folders
    dicom_maker.film(odd / f"{MARK}-ward" / "dated.dcm", AcquisitionDate="20190314")
    ran = leakscan("fingerprint", f"{MARK}-ward", "-o", "a.fps", "--hide-paths", *NO_ENCODER)
    assert ran.code == 0, ran.err
    assert MARK not in ran.out + ran.err
    everything = in_store(odd / "a.fps")
    assert MARK not in everything and "2019-03-14" not in everything and "2020-01-31" not in everything
    # An unkeyed hash of a path can be tested by guessing it.
    assert blake3(f"{MARK}.png".encode()).hexdigest() not in everything
    plain = leakscan("fingerprint", f"{MARK}-ward", "-o", "plain.fps", "--dates", "clear", *NO_ENCODER)
    assert (
        plain.code == 0
        and MARK in in_store(odd / "plain.fps")
        and "2019-03-14" in in_store(odd / "plain.fps")
    )


def test_a_store_for_others_finds_what_the_images_would_and_reads_nothing_twice(
    odd: Path, leakscan: Leakscan
) -> None:
    fingerprint = ("fingerprint", "A", "-o", "a.fps", "--hide-paths", "--json", *NO_ENCODER)
    first, again = leakscan(*fingerprint).json, leakscan(*fingerprint).json
    assert first["images_read"] > 20 and again["images_read"] == 0
    names = dict(list(csv.reader((odd / "a.fps.names.csv").open(newline="")))[1:])
    assert (odd / "a.fps.names.csv").stat().st_mode & 0o077 == 0
    leakscan("compare", "a.fps", "B", "-o", "by_store", "--max-unread", "1", *NO_ENCODER)
    leakscan("compare", "A", "B", "-o", "by_images", "--max-unread", "1", *NO_ENCODER)
    found = [{(names.get(p["path_a"], p["path_a"]), p["path_b"]) for p in rows_of(odd / run, "pairs")}
             for run in ("by_store", "by_images")]  # fmt: skip
    assert found[0] == found[1] and (f"{MARK}.png", f"{MARK}.tif") in found[0]


def test_a_store_keeps_to_its_names(odd: Path, leakscan: Leakscan) -> None:
    leakscan("fingerprint", "B", "-o", "plain.fps", *NO_ENCODER)
    ran = leakscan("fingerprint", "B", "-o", "plain.fps", "--hide-paths", *NO_ENCODER)
    assert ran.code == 2 and "new store" in ran.error
    leakscan("fingerprint", "B", "-o", "b.fps", "--hide-paths", *NO_ENCODER)
    ran = leakscan("fingerprint", "B", "-o", "b.fps", *NO_ENCODER)
    assert ran.code == 2 and "--hide-paths" in ran.error
    assert MARK not in in_store(odd / "b.fps")

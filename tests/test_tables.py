"""The tables are the contract: every name and type, written out. A change here breaks somebody's script."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leakscan import tables
from leakscan.review.lists import EXCLUSIONS
from support.makers import NO_ENCODER, Leakscan

IMAGES = [
    ("image_id", "string"),
    ("dataset", "string"),
    ("path", "string"),
    ("format", "string"),
    ("kind", "string"),
    ("file_hash", "string"),
    ("pixel_hash", "string"),
    ("shape", "list<item: int32>"),
    ("spacing_mm", "list<item: float>"),
    ("subject", "string"),
    ("study_uid_hash", "string"),
    ("acquired", "string"),
    ("status", "string"),
    ("error", "string"),
    ("frame", "int32"),
    ("split", "string"),
    ("notes", "list<item: string>"),
    ("left_out", "string"),
    ("series_uid_hash", "string"),
    ("sop_uid_hash", "string"),
]
FINGERPRINTS = [
    ("image_id", "string"),
    ("dataset", "string"),
    ("encoder", "string"),
    ("fingerprint", "list<item: halffloat>"),
    ("phash", "fixed_size_list<item: uint64>[8]"),
    ("quality", "float"),
]
PAIRS = [
    ("image_a", "string"),
    ("image_b", "string"),
    ("dataset_a", "string"),
    ("dataset_b", "string"),
    ("path_a", "string"),
    ("path_b", "string"),
    ("subject_a", "string"),
    ("subject_b", "string"),
    ("distance", "float"),
    ("score", "float"),
    ("p_value", "double"),
    ("q_value", "double"),
    ("relation", "string"),
    ("decision", "string"),
    ("correlation", "float"),
    ("inliers", "int32"),
    ("transform", "string"),
    ("evidence", "list<item: string>"),
    ("probability", "double"),
    ("verdict", "string"),
    ("verdict_by", "string"),
    ("verdict_at", "timestamp[us, tz=UTC]"),
    ("reopened", "string"),
]
SUBJECTS = [
    ("group", "string"),
    ("dataset", "string"),
    ("subject", "string"),
    ("image_id", "string"),
    ("n_images", "int32"),
    ("strongest_relation", "string"),
    ("weakest_link", "string"),
    ("bridges", "list<item: string>"),
    ("diameter", "int32"),
    ("contradiction", "bool"),
]
STORE = [
    *(column for column in IMAGES if column[0] != "dataset"),
    *FINGERPRINTS[2:],
    ("signature", "string"),
    ("prepared_with", "string"),
    ("preview", "binary"),
    ("keypoints", "binary"),
    ("error_path", "string"),
    ("content", "string"),
    ("read_notes", "list<item: string>"),
    ("encoded_by", "string"),
    ("gate", "bool"),
    ("spare_fingerprint", "list<item: halffloat>"),
    ("spare_quality", "float"),
    ("details", "binary"),
]
VERDICTS = [
    ("id", "string"),
    ("at", "timestamp[us, tz=UTC]"),
    *((name, "string") for name in ("by", "verdict", "scope", "dataset_a", "dataset_b")),
    *((name, "string") for name in ("subject_a", "subject_b", "key_id")),
    *((name, "list<item: string>") for name in ("pictures_a", "pictures_b", "members")),
    ("relation", "string"),
    ("decision", "string"),
    *((name, "double") for name in ("score", "p_value", "probability")),
    ("evidence", "list<item: string>"),
    ("note", "string"),
    ("reason", "string"),
    ("until", "date32[day]"),
    ("blind", "bool"),
    ("gold", "string"),
]
EXCLUDED = [
    *((n, "string") for n in ("dataset", "image_id", "path", "relation", "decision", "because_of")),
    ("pixel_hash", "string"),
    ("person", "int32"),
]


def written_out(schema: pa.Schema) -> list[tuple[str, str]]:
    # Parquet names the items of a list `element`, Arrow `item`.
    return [(f.name, str(f.type).replace("element:", "item:")) for f in schema]


@pytest.mark.parametrize(
    ("schema", "columns"),
    [
        (tables.IMAGES, IMAGES),
        (tables.FINGERPRINTS, FINGERPRINTS),
        (tables.PAIRS, PAIRS),
        (tables.SUBJECTS, SUBJECTS),
        (tables.STORE, STORE),
        (tables.VERDICTS, VERDICTS),
        (EXCLUSIONS, EXCLUDED),
    ],
    ids=["images", "fingerprints", "pairs", "subjects", "store", "verdicts", "exclusions"],
)
def test_a_schema_keeps_its_columns(schema: pa.Schema, columns: list[tuple[str, str]]) -> None:
    assert written_out(schema) == columns


def test_the_files_of_a_run_have_these_columns_and_say_their_version(
    leakscan: Leakscan, tmp_path: Path, two_folders: object
) -> None:
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    golden = {"images": IMAGES, "fingerprints": FINGERPRINTS, "pairs": PAIRS, "subjects": SUBJECTS}
    for name, columns in golden.items():
        schema = pq.read_schema(tmp_path / "run" / f"{name}.parquet")
        assert written_out(schema) == columns
        assert schema.metadata[b"leakscan.table"] == name.encode()
        assert schema.metadata[b"leakscan.schema_version"] == b"1"
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        *(f"{name}.parquet" for name in golden),
        "summary.json",
        "report.html",
    }


def test_empty_tables_have_their_columns_too(leakscan: Leakscan, tmp_path: Path, two_folders: object) -> None:
    (tmp_path / "B" / "3.png").unlink()
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    pairs = pq.read_table(tmp_path / "run" / "pairs.parquet")
    assert pairs.num_rows == 0
    assert written_out(pairs.schema) == PAIRS


def test_a_table_that_another_process_replaces_is_read_as_it_was_or_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "subjects.parquet"
    sizes = (1, 1000)
    both = [
        tables.from_rows([{"group": f"g{i}", "subject": "P7"} for i in range(n)], tables.SUBJECTS)
        for n in sizes
    ]
    tables.write(both[0], path)
    done = threading.Event()

    def replace_it() -> None:
        while not done.is_set():
            for table in both:
                tables.write(table, path)

    writer = threading.Thread(target=replace_it)
    writer.start()
    try:
        for _ in range(300):
            assert len(tables.read(path, tables.SUBJECTS)) in sizes
    finally:
        done.set()
        writer.join()


def test_a_table_is_on_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        fsync(descriptor)

    def renamed(part: Path, path: Path) -> Path:
        done.append(f"{part.parent == path.parent} name")
        return replace(part, path)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", renamed)
    tables.write(tables.SUBJECTS.empty_table(), tmp_path / "subjects.parquet")
    assert done == ["content", "True name", "folder"]

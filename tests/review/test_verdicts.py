"""A file of verdicts: append-only, safe with two writers, and whole after a kill."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leakscan.errors import OutputError, StoreError, UsageError
from leakscan.review.verdicts import Verdict, VerdictFile


def said(by: str = "ann", word: Any = "same", a: str = "p1", b: str = "p2", **more: Any) -> Verdict:
    return Verdict(by=by, verdict=word, scope="pair", pictures_a=(a,), pictures_b=(b,), **more)


def test_what_was_appended_is_read_in_that_order_with_every_field(tmp_path: Path) -> None:
    full = said(
        note='"no"; never\n',
        reason="baseline",
        until=dt.date(2027, 1, 31),
        members=("p1", "p2"),
        score=0.5,
        relation="same_image",
        evidence=("one", "two"),
        blind=True,
        subject_a="ab12",
        key_id="00ff",
    )
    file = VerdictFile(tmp_path / "v.parquet")
    assert file.read() == []
    file.append([full, said("bob", "unsure")])
    file.append([said("bob", "different")])
    assert [v.verdict for v in file.read()] == ["same", "unsure", "different"]
    assert file.read()[0] == full


def test_a_verdict_is_appended_once(tmp_path: Path) -> None:
    file, one = VerdictFile(tmp_path / "v.parquet"), said()
    assert (file.append([one]), file.append([one, said("bob")])) == (1, 1)
    assert len(file.read()) == 2


def _write(path: Path, who: str, count: int) -> None:
    for i in range(count):
        VerdictFile(path).append([said(who, "same", f"p{i}", "q")])


def test_two_writers_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("spawn")
    writers = [fork.Process(target=_write, args=(tmp_path / "v.parquet", who, 25)) for who in ("ann", "bob")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = VerdictFile(tmp_path / "v.parquet").read()
    assert {(v.by, v.pictures_a[0]) for v in found} == {
        (w, f"p{i}") for w in ("ann", "bob") for i in range(25)
    }


def test_a_kill_in_the_middle_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    writer = multiprocessing.get_context("spawn").Process(target=_write, args=(path, "ann", 10_000))
    writer.start()
    while len(VerdictFile(path).read()) < 5:
        time.sleep(0.01)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    before = len(VerdictFile(path).read())
    assert VerdictFile(path).append([said("bob")]) == 1  # the lock of the dead does not last
    assert [v.pictures_a[0] for v in VerdictFile(path).read()[:before]] == [f"p{i}" for i in range(before)]


@pytest.mark.parametrize("content", [b"", b"no parquet", "other"])
def test_a_file_that_is_no_verdicts_is_named_and_left_as_it_is(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "v.parquet"
    if content == "other":
        pq.write_table(pa.table({"a": [1]}), path)
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    for act in (VerdictFile(path).read, lambda: VerdictFile(path).append([said()])):
        with pytest.raises(StoreError, match=r"v\.parquet"):
            act()
    assert path.read_bytes() == before


def test_columns_of_a_later_version_stay(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    VerdictFile(path).append([said()])
    table = pq.read_table(path)
    pq.write_table(table.append_column("mood", pa.array(["fine"])), path)
    VerdictFile(path).append([said("bob")])
    assert pq.read_table(path)["mood"].to_pylist() == ["fine", None]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("a file, no folder")
    with pytest.raises(OutputError, match="note"):
        VerdictFile(tmp_path / "note" / "v.parquet").append([said()])


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "maybe"},
        {"scope": "film"},
        {"by": " "},
        {"pictures_a": ()},
        {"scope": "datasets", "dataset_a": "A", "dataset_b": "B"},
        {"scope": "subject", "dataset_a": "A", "subject_a": "ab"},
    ],
)
def test_a_verdict_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Verdict(
            **{"by": "ann", "verdict": "same", "scope": "pair", "pictures_a": ("p",), "pictures_b": ("q",)}
            | wrong
        )

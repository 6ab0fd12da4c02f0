"""Damaged files of every kind are read or refused in a sentence; what once did harm does none."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leakscan.cli.app import run
from leakscan.errors import ImageError, StoreError
from leakscan.fingerprint.store import Store
from leakscan.research.good_files import good_files
from leakscan.research.later_files import NAMED
from leakscan.research.mutant_readers import READERS, Answer, read_mutant
from leakscan.research.mutated_files import read_all
from leakscan.research.mutations import Mutant, beside, mutants
from leakscan.run.models import Models
from leakscan.settings import DecodeOptions
from leakscan.sources.formats import decode
from leakscan.types import ImageRef
from support.makers import NO_ENCODER, Leakscan, rows_of


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    return good_files()


def test_five_hundred_damaged_files_crash_nothing_and_every_answer_is_a_sentence(
    good: dict[str, bytes],
) -> None:
    chosen = list(mutants(592, 28, good))  # four of every kind
    answers = list(read_all(chosen, workers=2))
    faults = [f"{m.number} {m.name}: {a.said}" for m, a in zip(chosen, answers, strict=True) if a.fault]
    assert not faults, "\n".join(faults)
    assert {answer.said for answer in answers} == {"read", "refused"}


def test_every_good_file_is_read(good: dict[str, bytes]) -> None:
    """Else nothing would be tested of what lies behind the first check."""
    unread = {"weights.safetensors", "model.zip", *NAMED}  # the digests of two belong to other weights
    said = {n: read_mutant(Mutant(0, n, data, (), beside(n, good))).said for n, data in good.items()}
    assert {name for name, word in said.items() if word != "read"} <= unread


def test_a_reader_that_misbehaves_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def misbehaves(path: Path) -> None:
        raise KeyError("exit_code")

    monkeypatch.setitem(READERS, "summary.json", misbehaves)
    assert read_mutant(Mutant(0, "summary.json", b"{}", ())).fault


def test_a_folder_of_damaged_files_gives_a_row_for_each(
    good: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))
    # Slices of one series make one row, wherever they lie.
    others = (*READERS, "films.csv", *(name for name in good if name.startswith("series~")))
    images = {name: data for name, data in good.items() if name not in others}
    names = []
    for mutant in mutants(120, 3, images):
        folder = tmp_path / "A" / f"{mutant.number:03d}"
        folder.mkdir(parents=True)
        mutant.laid(folder)
        names.append(f"{mutant.number:03d}")
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "film.png").write_bytes(good["film.png"])
    limits = ("--max-unread", "1", "--max-pixels", "4000000", "--workers", "0", "-q")  # no progress
    assert run(["compare", "A", "B", "-o", "run", *limits, *NO_ENCODER]) in (0, 1, 3)
    rows = [row for row in rows_of(tmp_path / "run", "images") if row["dataset"] == "A"]
    assert {row["path"].split("/")[0] for row in rows} == set(names)
    assert all(row["status"] in ("ok", "blank") or row["error"].endswith((".", ")")) for row in rows)
    assert capfd.readouterr().err == ""  # what libraries say of damaged files stays off the terminal


# Faults that were found by mutated files


def test_a_frame_larger_than_its_picture_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    """Seed 1, file 144: a frame of a GIF of 40 x 40 claims 60,000 x 60,000 pixels and took 3.8 GB."""
    frames = [Image.fromarray(np.full((40, 40), n, np.uint8)) for n in (0, 200)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    data = bytearray(path.read_bytes())
    at = data.rindex(b"\x2c")
    data[at + 5 : at + 9] = b"\x60\xea\x60\xea"
    path.write_bytes(data)
    ref = ImageRef(image_id="1", path="a.gif", format="gif", files=(str(path),), frame=1)
    with pytest.raises(ImageError, match="limit"):
        decode(ref, DecodeOptions(max_pixels=1_000_000))


@pytest.mark.parametrize("name", ["verdicts.parquet", "shard.parquet", "manifest.parquet", "films.parquet"])
def test_a_column_whose_name_is_no_text_is_refused_in_a_sentence(good: dict[str, bytes], name: str) -> None:
    """Found in one of ten thousand mutants: pyarrow decodes such a name before it checks it."""
    names = (b"path", b"image", b"relation", b"format")
    data = good[name]
    for column in names:
        data = data.replace(column, b"\xff" + column[1:])
    assert data != good[name]
    assert read_mutant(Mutant(0, name, data, ())).said in ("refused", "read")


def test_a_table_whose_offsets_lead_nowhere_does_not_end_the_process(
    good: dict[str, bytes], tmp_path: Path
) -> None:
    """Seed 28, file 38: Arrow followed an offset beyond its buffer, in the process of the scan."""
    at = good["films.arrow"].index(b"film.png")
    cells = good["films.arrow"].rindex((0).to_bytes(4, "little") + (8).to_bytes(4, "little"), 0, at)
    data = bytearray(good["films.arrow"])
    data[cells + 4 : cells + 8] = b"\xff\xff\xff\x7f"
    (answer,) = list(read_all([Mutant(0, "films.arrow", bytes(data), ())], workers=1))
    assert (answer.said, answer.fault) == ("refused", False)


def test_a_text_in_a_table_that_is_no_text_is_refused_in_a_sentence(good: dict[str, bytes]) -> None:
    """Seed 28, file 97."""
    data = good["text.parquet"].replace(b"iVBOR", b"\xff\xffBOR")
    assert data != good["text.parquet"]
    assert read_mutant(Mutant(0, "text.parquet", data, ())) == Answer("refused")


@pytest.mark.parametrize("name", ["stream.arrow", "films.arrow"])
def test_a_column_of_pictures_beside_one_whose_name_is_no_text_is_refused(
    good: dict[str, bytes], name: str
) -> None:
    """Seed 28, file 7409 of ten thousand: pyarrow decodes the names only where they are asked for."""
    data = good[name].replace(b"image", b"\xffmage")
    assert data != good[name]
    assert read_mutant(Mutant(0, name, data, ())) == Answer("refused")


@pytest.mark.parametrize("name", ["lists.parquet", "text.parquet", "films.parquet"])
def test_pages_of_a_table_that_are_damaged_behind_a_whole_footer_are_refused(
    good: dict[str, bytes], name: str
) -> None:
    """Seed 28, file 8549: columns that were looked into for pictures raised what pyarrow raises."""
    data = good[name]
    for at in range(4, len(data) // 2, max(len(data) // 16, 1)):
        answer = read_mutant(Mutant(0, name, data[:at] + data[at + 9 :].rjust(len(data) - at, b"\0"), ()))
        assert not answer.fault, answer.said


def test_a_date_that_python_cannot_hold_is_no_traceback(tmp_path: Path, good: dict[str, bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    far = pa.array([1 << 40], pa.timestamp("s"))
    for column, cell in (("image", good["film.png"]), ("path", "film.png")):
        pq.write_table(pa.table({column: [cell], "subject_id": far}), tmp_path / "t.parquet")
        for name in ("films.parquet", "manifest.parquet"):
            answer = read_mutant(Mutant(0, name, (tmp_path / "t.parquet").read_bytes(), ()))
            assert not answer.fault, (name, column, answer.said)


def test_a_jpeg_ls_that_is_cut_short_takes_no_time(good: dict[str, bytes]) -> None:
    """Seed 28, files 1396 and 3516: CharLS sought the end of such streams for minutes."""
    began = time.process_time()
    for length in (50, 73, 100, 349):
        assert read_mutant(Mutant(0, "film.jls", good["film.jls"][:length], ())) == Answer("refused")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff\xfe", b"[]", b"null", b'"x"', b"[" * 100_000, b"{}", b'{"exit_code": 0'],
)
@pytest.mark.parametrize(
    "command", [("exclude", "run", "--from", "A"), ("ci", "run"), ("explain", "run", "0"), ("split", "run")]
)
def test_a_damaged_summary_is_said_in_a_sentence(
    tmp_path: Path, leakscan: Leakscan, content: bytes, command: tuple[str, ...]
) -> None:
    """Found in every 67th mutant: each command that reads a run ended in a traceback."""
    from leakscan import tables

    folder = tmp_path / "run"
    folder.mkdir()
    pair = {"image_a": "1", "image_b": "2", "dataset_a": "A", "dataset_b": "B", "relation": "same_file"}
    tables.write(tables.from_rows([pair], tables.PAIRS), folder / "pairs.parquet")
    images = [{"image_id": "1", "dataset": "A"}, {"image_id": "2", "dataset": "B"}]
    tables.write(tables.from_rows(images, tables.IMAGES), folder / "images.parquet")
    for schema in (tables.SUBJECTS, tables.FINGERPRINTS):
        tables.write(schema.empty_table(), folder / f"{tables.name_of(schema)}.parquet")
    (folder / "summary.json").write_bytes(content)
    ran = leakscan(*command)
    assert "Traceback" not in ran.err
    if content != b"{}":
        assert ran.code == 2 and "damaged" in ran.error


def test_a_summary_that_lacks_something_says_what(tmp_path: Path) -> None:
    from leakscan.report.run_folder import RunFolder

    (tmp_path / "summary.json").write_text(json.dumps({"datasets": []}))
    summary = RunFolder(tmp_path).read_summary()
    assert summary.get("exit_code") is None
    with pytest.raises(StoreError, match="does not say exit_code"):
        summary["exit_code"]


def test_a_run_without_images_has_no_originals(tmp_path: Path, leakscan: Leakscan) -> None:
    from leakscan import tables

    for schema in (tables.IMAGES, tables.PAIRS, tables.SUBJECTS, tables.FINGERPRINTS):
        tables.write(schema.empty_table(), tmp_path / f"{tables.name_of(schema)}.parquet")
    (tmp_path / "summary.json").write_text("{}")
    ran = leakscan("map", ".")
    assert ran.code == 2 and "no images" in ran.error


def test_tables_of_different_runs_are_said_to_be_so(tmp_path: Path, leakscan: Leakscan) -> None:
    from leakscan import tables

    pair = {"image_a": "1", "image_b": "2", "dataset_a": "A", "dataset_b": "B", "relation": "same_file"}
    tables.write(tables.from_rows([{**pair, "decision": "leak"}], tables.PAIRS), tmp_path / "pairs.parquet")
    for schema in (tables.IMAGES, tables.SUBJECTS, tables.FINGERPRINTS):
        tables.write(schema.empty_table(), tmp_path / f"{tables.name_of(schema)}.parquet")
    (tmp_path / "summary.json").write_text("{}")
    ran = leakscan("verdicts", "add", ".", "same", "--image", "A/1", "--image", "B/2")
    assert ran.code == 2 and "Traceback" not in ran.err
    ran = leakscan("exclude", ".", "--from", "A")
    assert ran.code == 2 and "Traceback" not in ran.err


def test_a_store_with_text_that_is_no_unicode_is_damaged(tmp_path: Path) -> None:
    """Seed 7, file 394: the error came only where the text was wanted, as a traceback."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from leakscan import tables

    path = tmp_path / "subjects.parquet"
    row = tables.from_rows([{"group": "g1", "subject": "P7"}], tables.SUBJECTS)
    broken = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    pq.write_table(row.set_column(2, row.schema.field(2), broken), path)
    with pytest.raises(StoreError, match="damaged"):
        tables.read(path, tables.SUBJECTS)


@pytest.mark.parametrize("field", ["dataset", "key_id", "shard", "nameless", "project_key_id"])
@pytest.mark.parametrize("value", [[], {}, 7, None])
def test_a_field_of_a_store_that_is_of_another_type_is_damage(
    tmp_path: Path, field: str, value: object
) -> None:
    told = {
        "format": 2,
        "dataset": "a",
        "key_id": "00",
        "shard": "",
        "nameless": False,
        "project_key_id": "x",
    }
    (tmp_path / "store.json").write_text(json.dumps({**told, field: value}))
    with pytest.raises(StoreError, match="damaged"):
        Store.open(tmp_path)


@pytest.mark.parametrize(("table", "words"), [("pairs", "Make it again"), ("store", "Delete it")])
def test_a_damaged_table_of_a_run_is_not_said_to_come_again_by_itself(
    tmp_path: Path, table: str, words: str
) -> None:
    """Found in the hour of breaking: whoever deleted the pairs of a run as told had lost them."""
    from leakscan import tables

    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    schema = {"pairs": tables.PAIRS, "store": tables.STORE}[table]
    with pytest.raises(StoreError) as refused:
        tables.read(tmp_path / "t.parquet", schema)
    assert words in refused.value.hint


@pytest.mark.parametrize(
    "line",
    [
        b"f" * 1100,
        b"u" * 3000 + b": 5",
        b"sizes: " + b"9" * 3000,
        b"type: " + b"x" * 3000,
        b"k" * 3000 + b":=5",
    ],
)
@pytest.mark.parametrize("before", [b"", b"# a comment\n" * 9000])
def test_a_line_of_a_nrrd_header_that_its_library_has_no_room_for(
    tmp_path: Path, line: bytes, before: bytes
) -> None:
    """Of 1,000 letters and more, it overflowed a buffer in SimpleITK and ended the run."""
    from leakscan.sources.formats.volumes import inspect

    (tmp_path / "head.nrrd").write_bytes(b"NRRD0004\n" + before + b"dimension: 3\n" + line + b"\n\n")
    with pytest.raises(ImageError, match="a line of it is far too long"):
        inspect(tmp_path / "head.nrrd", "nrrd", DecodeOptions())


def test_values_of_own_keys_and_comments_in_a_nrrd_header_may_be_long(
    tmp_path: Path, good: dict[str, bytes]
) -> None:
    from leakscan.sources.formats.volumes import inspect

    lines = b"# " + b"c" * 4000 + b"\nSegment0_Extent:=" + b"9 " * 4000 + b"\nencoding:"
    data = good["head.nrrd"].replace(b"encoding:", lines, 1)
    (tmp_path / "head.nrrd").write_bytes(data)
    assert len(inspect(tmp_path / "head.nrrd", "nrrd", DecodeOptions())) == 1

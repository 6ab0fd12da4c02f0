"""Tables as people write them: read, or answered with a sentence that names the fix."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from leakscan.errors import SourceError, UsageError
from leakscan.settings import DecodeOptions, Settings
from leakscan.sources.manifest import ManifestSource, values_by_path
from leakscan.sources.open import open_source
from leakscan.sources.spec import SourceSpec
from leakscan.types import ImageRef, Silent
from support.makers import NO_ENCODER, Leakscan, rows_of, save, scene
from support.odd_files import zipped

OPTIONS = DecodeOptions()


def read(path: Path) -> tuple[list[ImageRef], list[str]]:
    source = ManifestSource(SourceSpec.parse(path), "d", DecodeOptions())
    return list(source.scan(Silent())), source.notices


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "Ward" / unicodedata.normalize("NFD", "Röntgen 1.png"), scene(1))
    save(tmp_path / "Ward" / "b.png", scene(2))
    return tmp_path


@pytest.mark.parametrize(
    "table",
    [
        "path;subject_id\nWard/b.png;P1\n",
        "path\tsubject_id\nWard/b.png\tP1\n",
        "path|subject_id\nWard/b.png|P1\n",
        "Path,Subject_ID \nWard/b.png,P1\n",
        "Image Index,subject_id\nWard/b.png,P1\n",
        "filename,subject_id\nWard/b.png,P1\n",
        "path,subject_id\nWard\\b.png,P1\n",
        "path,subject_id\nward/B.PNG,P1\n",
        "path,subject_id\n./Ward//b.png ,P1\n",
        "filename,subject_id\nb.png,P1\n",
        "path,subject_id\nD:\\films\\b.png,P1\n",
        "﻿path,subject_id\nWard/b.png,P1\n",
        "\n\npath,subject_id\nWard/b.png,P1\n",
        "# made by hand, for the ward\npath,subject_id\nWard/b.png,P1\n",
        "#path,subject_id\nWard/b.png,P1\n",
        "sep=;\npath;subject_id\nWard/b.png;P1\n",
        "image_id,subject_id\nb,P1\n",
        "image_id,subject_id\nWard/b,P1\n",
        "path,subject_id\n/data/of/others/Ward/b.png,P1\n",
        "path,subject_id,,\nWard/b.png,P1,,\n,,,\n",
        ",,path,subject_id\n0,1,Ward/b.png,P1\n",
        "path,path,subject_id\nWard/b.png,Ward/b.png,P1\n",
        "path,subject_id\n'Ward/b.png',P1\n",
        "path,subject_id\nWard%2Fb.png,P1\n",
        "path,subject_id\nfile:///data/Ward/b.png,P1\n",
        "path,subject_id\nhttps://films.org/set/Ward/b.png?v=2,P1\n",
        "path,subject_id\nWard/b.jpg,P1\n",
        "Image Index,subject_id\nb.dcm,P1\n",
        "dicom_id,subject_id\nb,P1\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-32"])
def test_a_table_in_another_dress_is_read(folder: Path, table: str, encoding: str) -> None:
    (folder / "films.csv").write_text(table, encoding=encoding)
    (ref,), _ = read(folder / "films.csv")
    assert (ref.path, ref.status, ref.tags.subject) == ("Ward/b.png", "ok", "P1")


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.json", "t.csv.gz", "t.jsonl.gz", "t.pq"])
def test_tables_of_other_programs_are_read(folder: Path, name: str) -> None:
    rows = [{"file_name": "Ward/b.png", "subject_id": 7, "split": "test"}, {"file_name": "Ward/gone.png"}]
    if name == "t.pq":
        pq.write_table(pa.Table.from_pylist(rows), folder / name)
    elif ".csv" in name:
        (folder / name).write_bytes(
            gzip.compress(b"file_name,subject_id,split\nWard/b.png,7,test\nx.png,,\n")
        )
    else:
        text = json.dumps(rows) if name == "t.json" else "\n".join(map(json.dumps, rows))
        packed = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        (folder / name).write_bytes(packed)
    (ref, gone), _ = read(folder / name)
    assert (ref.path, ref.tags.subject, ref.tags.split) == ("Ward/b.png", "7", "test")
    assert gone.status == "unreadable"


@pytest.mark.parametrize(
    ("name", "table", "says"),
    [
        ("t.csv", b"path,subject_id,split\nWard/b.png,P1\n", "separators for the values that are missing"),
        ("t.csv", b"path,age,age\nWard/b.png,1,2\n", "Rename or remove"),
        ("t.csv", b"Ward/b.png,Ward/b.png\n", "Put one before it"),
        ("t.csv", b"pth,mask\nWard/b.png,m.png\n", "several that may be it: pth, mask"),
        ("t.csv", b'image\n"data:image/png;base64,iVBOR"\n', "Save the pictures as files"),
        ("t.json", b"[[1], 2]", "one object a line"),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Save it as CSV"),
        ("t.xlsx", b"PK\3\4" + bytes(99), "Fetch or save it again"),
        ("t.csv.zip", zipped(a=b"", b=b""), "an archive with no table"),
        ("t.csv.zip", zipped(**{"a.csv": b"path", "b.csv": b"path"}), "name one"),
        ("t.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        ("t.csv", b"<!DOCTYPE html><html>404</html>", "Download the table itself"),
        ("t.yaml", b"a: &a [x, x]\nb: [*a, *a]\n", "no YAML that can be read"),
        ("t.jsonl", b'{"path": "a.png"', "is not JSON"),
        ("t.csv.gz", gzip.compress(b"path\na.png\n", mtime=0)[:-9], "cut short"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_cure(
    folder: Path, name: str, table: bytes, says: str
) -> None:
    (folder / name).write_bytes(table)
    with pytest.raises(SourceError) as caught:
        read(folder / name)
    assert says in f"{caught.value.message} {caught.value.hint}"


ROW = {"path": "Ward/b.png", "subject_id": "P1"}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("t.txt", b"path subject_id\nWard/b.png P1\n"),
        ("t.csv", b"path          subject_id\nWard/b.png    P1\n"),
        ("t.csv", b"path,subject_id\n# the first ward\nWard/b.png,P1\npath,subject_id\n"),
        ("t.csv", b"pth,subject_id\nWard/b.png,P1\n"),
        ("t.csv", b"Films of the ward\n\npath,subject_id\nWard/b.png,P1\n"),
        ("t.csv", b"| path | subject_id |\n|------|----|\n| Ward/b.png | P1 |\n"),
        ("t.csv", b"path,subject_id\nPosixPath('Ward/b.png'),P1\n"),
        ("t.csv", b'path,subject_id\n"=HYPERLINK(""Ward/b.png"",""film"")",="P1"\n'),
        ("t.csv", "path,subject_id\n\u200b“Ward/b.png”,P1\n".encode()),
        ("t.csv", "ort,path,subject_id\nKöln,Ward/b.png,P1\n".encode("latin-1")),
        ("t.csv.bz2", bz2.compress(b"path,subject_id\nWard/b.png,P1\n")),
        ("t.tsv.xz", lzma.compress(b"path\tsubject_id\nWard/b.png\tP1\n")),
        ("t.csv.zip", zipped(**{"t.csv": b"path,subject_id\nWard/b.png,P1\n", "__MACOSX/._t.csv": b""})),
        ("t.json", json.dumps({"info": {}, "images": [ROW], "annotations": [{"id": 1}]}).encode()),
        ("t.json", json.dumps({"path": {"0": "Ward/b.png"}, "subject_id": {"0": "P1"}}).encode()),
        ("t.json", json.dumps({"path": ["Ward/b.png"], "subject_id": ["P1"]}).encode()),
        ("t.json", json.dumps({"0": ROW}).encode()),
        ("t.json", json.dumps({"Ward/b.png": {"subject_id": "P1"}}).encode()),
        ("t.json", json.dumps({"columns": list(ROW), "index": [0], "data": [list(ROW.values())]}).encode()),
        ("t.json", json.dumps({"schema": {"fields": [{"name": "path"}]}, "data": [ROW]}).encode()),
        ("t.json", json.dumps([{"data": {"image": "Ward/b.png"}, "subject_id": "P1"}]).encode()),
        ("t.json", json.dumps([list(ROW), list(ROW.values())]).encode()),
        ("t.yaml", b"- path: Ward/b.png\n  subject_id: P1\n"),
    ],
)
def test_tables_in_rarer_forms_say_the_same(folder: Path, name: str, table: bytes) -> None:
    (folder / name).write_bytes(table)
    (ref,), _ = read(folder / name)
    assert (ref.path, ref.status, ref.tags.subject) == ("Ward/b.png", "ok", "P1")


@pytest.mark.parametrize("name", ["t.xlsx", "t.feather"])
def test_workbooks_and_arrow_are_read(folder: Path, name: str) -> None:
    if name == "t.xlsx":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        book.active.append(["a note"])
        sheet = book.create_sheet("films")
        for row in (["path", "subject_id"], ["Ward/b.png", 7]):
            sheet.append(row)
        book.save(folder / name)
    else:
        feather.write_feather(pa.table({"path": ["Ward/b.png"], "subject_id": [7.0]}), folder / name)
    (ref,), notices = read(folder / name)
    assert (ref.path, ref.status, ref.tags.subject) == ("Ward/b.png", "ok", "7")
    assert any("'films' is read" in notice for notice in notices) == (name == "t.xlsx")


@pytest.mark.parametrize(
    ("name", "table", "files", "splits"),
    [
        ("t.txt", b"Ward/b.png\nWard/007.png\n", ["Ward/b.png", "Ward/007.png"], ["", ""]),
        ("t.txt", b"Ward/b.png 0\nWard/007.png 1\n", ["Ward/b.png", "Ward/007.png"], ["", ""]),
        ("t.txt", b"Ward/b.png 7\nWard/007.png 7\n", ["Ward/b.png", "Ward/007.png"], ["", ""]),
        ("t.lst", b"b\n007\n", ["Ward/b.png", "Ward/007.png"], ["", ""]),
        ("t.txt", b"Ward/with a space.png\n", ["Ward/with a space.png"], [""]),
        ("t.json", b'["Ward/b.png"]', ["Ward/b.png"], [""]),
        ("t.yaml", b"- Ward/b.png\n- Ward/007.png\n", ["Ward/b.png", "Ward/007.png"], ["", ""]),
        (
            "dataset.json",
            b'{"training": [{"image": "./Ward/b.png", "label": "x"}], "test": ["Ward/007.png"]}',
            ["Ward/b.png", "Ward/007.png"],
            ["training", "test"],
        ),
        ("t.csv", b"image_id,split\n7,test\n", ["Ward/007.png"], ["test"]),
        (
            "t.csv",
            b"path,train,test\nWard/b.png,1,0\nWard/007.png,0,1\n",
            ["Ward/b.png", "Ward/007.png"],
            ["train", "test"],
        ),
        (
            "t.csv",
            b"path,is_test\nWard/b.png,False\nWard/007.png,True\n",
            ["Ward/b.png", "Ward/007.png"],
            ["train", "test"],
        ),
        (
            "t.csv",
            b'path,split\n"Ward/b.png, Ward/007.png",test\n',
            ["Ward/b.png", "Ward/007.png"],
            ["test"] * 2,
        ),
        (
            "t.csv",
            b"path,split\n\"['Ward/b.png', '007.png']\",x\n",
            ["Ward/b.png", "Ward/007.png"],
            ["x"] * 2,
        ),
        ("t.csv", b"path,split\nWard/0*.png,test\n", ["Ward/007.png"], ["test"]),
        ("t.csv", b"path\nfilms/Ward/b.png\n", ["Ward/b.png"], [""]),
        ("t.csv", b"path\n$DATA/b.png\n", ["Ward/b.png"], [""]),
    ],
)
def test_lists_name_their_files_in_their_own_ways(
    folder: Path, name: str, table: bytes, files: list[str], splits: list[str]
) -> None:
    save(folder / "Ward" / "007.png", scene(3))
    save(folder / "Ward" / "with a space.png", scene(4))
    (folder / name).write_bytes(table)
    refs, _ = read(folder / name)
    assert [(ref.path, ref.status) for ref in refs] == [(file, "ok") for file in files]
    assert [ref.tags.split for ref in refs] == splits


def test_a_row_that_names_a_folder_declares_all_in_it(folder: Path) -> None:
    (folder / "t.csv").write_text("path,subject_id\nWard,P1\n")
    refs, _ = read(folder / "t.csv")
    assert [(ref.status, ref.tags.subject) for ref in refs] == [("ok", "P1")] * 2
    assert values_by_path(folder / "t.csv", "subject_id")["Ward/b.png"] == "P1"


def test_a_folder_more_or_less_before_a_path_is_no_matter_but_another_folder_is(folder: Path) -> None:
    save(folder / "test" / "1.png", scene(3))
    save(folder / "top.png", scene(4))
    save(folder / "images" / "x" / "2.png", scene(5))
    (folder / "t.csv").write_text("path\ntrain/1.png\nimages/top.png\nx/2.png\n")
    (gone, top, deep), _ = read(folder / "t.csv")
    assert (gone.status, gone.error_path.rpartition("/")[2]) == ("unreadable", "1.png")
    assert "has its name" in gone.error
    assert [(ref.path, ref.status) for ref in (top, deep)] == [("top.png", "ok"), ("images/x/2.png", "ok")]


def test_a_file_under_two_subjects_is_remarked_on(folder: Path) -> None:
    (folder / "t.csv").write_text("path,subject_id\nWard/b.png,P1\nWard/b.png,P2\n")
    _, notices = read(folder / "t.csv")
    assert any("1 file under several subjects" in notice for notice in notices)


def test_uids_in_a_table_count_as_those_of_a_header(tmp_path: Path, leakscan: Leakscan) -> None:
    for seed in range(4):
        save(tmp_path / f"{seed}.png", scene(seed))
    rows = ["path,StudyInstanceUID,split", "0.png,1.2.3,train", "1.png,1.2.4,train"]
    rows += ["2.png,1.2.3,test", "3.png,1.2.5,test"]
    (tmp_path / "films.csv").write_text("\n".join(rows))
    ran = leakscan("audit", tmp_path / "films.csv", "-o", tmp_path / "run", *NO_ENCODER)
    (pair,) = rows_of(tmp_path / "run", "pairs")
    assert ran.code == 1
    assert {pair["path_a"], pair["path_b"]} == {"0.png", "2.png"}


def test_letters_composed_otherwise_are_found(folder: Path) -> None:
    composed = unicodedata.normalize("NFC", "Ward/Röntgen 1.png")
    (folder / "films.tsv").write_text(f"path\n{composed}\n", encoding="utf-8")
    (ref,), _ = read(folder / "films.tsv")
    assert ref.status == "ok"


def test_a_name_without_its_ending_that_two_files_have_is_none_of_them(folder: Path) -> None:
    save(folder / "Other" / "b.png", scene(3))
    (folder / "films.csv").write_text("image_id\nb\n")
    (ref,), _ = read(folder / "films.csv")
    assert ref.status == "unreadable"


def test_paths_beside_empty_bytes_are_read(folder: Path) -> None:
    image = pa.array([{"bytes": None, "path": "Ward/b.png"}])
    pq.write_table(pa.table({"image": image, "subject_id": ["P1"]}), folder / "films.parquet")
    (ref,), _ = read(folder / "films.parquet")
    assert (ref.status, ref.tags.subject) == ("ok", "P1")


def test_paths_as_bytes_are_read(folder: Path) -> None:
    pq.write_table(pa.table({"path": pa.array([b"Ward/b.png"], pa.binary())}), folder / "films.parquet")
    (ref,), _ = read(folder / "films.parquet")
    assert ref.status == "ok"


def test_a_bare_name_that_two_files_have_is_not_guessed(folder: Path) -> None:
    save(folder / "other" / "b.png", scene(3))
    (folder / "films.csv").write_text("path\nb.png\n")
    (ref,), _ = read(folder / "films.csv")
    assert ref.status == "unreadable"


def test_a_table_without_a_column_of_paths_says_what_to_rename(folder: Path) -> None:
    (folder / "films.csv").write_text("where,subject_id\nthird shelf,P1\n")
    with pytest.raises(SourceError) as caught:
        read(folder / "films.csv")
    assert "Rename" in caught.value.hint and "where" in caught.value.message


@pytest.mark.parametrize(
    "name", ["Patient ID", "subjectid", "PATIENT_ID", "patient", "participant_id", "MRN"]
)
def test_a_column_with_a_usual_name_is_taken_and_said(folder: Path, name: str) -> None:
    (folder / "films.csv").write_text(f"filename,{name},Subset\nWard/b.png,P1,test\n")
    (ref,), notices = read(folder / "films.csv")
    assert (ref.path, ref.tags.subject, ref.tags.split) == ("Ward/b.png", "P1", "test")
    assert [n.split("'")[1] for n in notices] == ["filename", name, "Subset"]


@pytest.mark.parametrize("name", ["subject_idd", "pateint_id", "patiens_id", "Subjct ID"])
def test_a_misspelt_column_is_remarked_on(folder: Path, name: str) -> None:
    (folder / "films.csv").write_text(f"path,{name}\nWard/b.png,P1\n")
    (ref,), notices = read(folder / "films.csv")
    assert ref.tags.subject == "", "nothing is guessed"
    assert any(repr(name) in n and "subject_id" in n for n in notices)


def test_of_two_columns_that_may_name_subjects_none_is_taken_unless_they_agree(folder: Path) -> None:
    (folder / "films.csv").write_text("path,patient_id,participant\nWard/b.png,P1,Q1\n")
    (ref,), notices = read(folder / "films.csv")
    assert ref.tags.subject == "" and "several that may be it: patient_id, participant" in notices[0]
    (folder / "films.csv").write_text("path,patient_id,participant\nWard/b.png,P1,P1\n")
    (ref,), _ = read(folder / "films.csv")
    assert ref.tags.subject == "P1"


NAMED = ["path=where,subject_id=who,split=half", {"path": "where", "subject_id": "who", "split": "half"}]


@pytest.mark.parametrize("named", [*NAMED, ["path=where", " subject_id = WHO ,split=half"]])
def test_columns_are_what_the_user_says(folder: Path, named: Any) -> None:
    (folder / "films.csv").write_text("where,subject_id,who,half\nWard/b.png,no,P1,test\n")
    columns = Settings.of(columns=named).reading.columns
    (ref,) = open_source(str(folder / "films.csv"), OPTIONS, columns=columns).scan(Silent())
    assert (ref.path, ref.tags.subject, ref.tags.split) == ("Ward/b.png", "P1", "test")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("subject=who", "Did you mean subject_id?"),
        ("who=subject_id", "Write subject_id=who."),
        ("who", "names no column"),
        ("path=", "does not say which"),
    ],
)
def test_a_wrong_naming_of_columns_says_how_it_is_written(named: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings.of(columns=named)
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_columns_are_named_on_the_command_line_and_in_the_settings_file(
    folder: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    save(folder / "Ward" / "c.png", scene(2), compress_level=1)
    (folder / "films.csv").write_text("where,who,half\nWard/b.png,P1,x\nWard/c.png,P1,y\n")
    named = "path=where,subject_id=who,split=half"
    ran = leakscan("audit", "films.csv", "--columns", named, "--json", *NO_ENCODER)
    assert ran.json["audit"]["shared_subjects"] == 1
    (folder / "leakscan.toml").write_text(
        '[reading.columns]\npath = "where"\nsubject_id = "who"\nsplit = "half"\n'
    )
    assert leakscan("audit", "films.csv", "--json", *NO_ENCODER).json["audit"]["shared_subjects"] == 1
    wrong = leakscan("audit", "films.csv", "--columns", "path=were", *NO_ENCODER)
    assert wrong.code == 2 and "no column 'were'" in wrong.error and "--columns" in wrong.error
    folders = leakscan("compare", "Ward", "Ward/b.png", "--exclude", "b.png", "--json", *NO_ENCODER)
    assert any("no source is one" in words for words in folders.json["warnings"])


def test_a_number_and_a_text_are_one_subject(tmp_path: Path, leakscan: Leakscan) -> None:
    for name, subject in (("a", pa.array(["00000013"])), ("b", pa.array([13], pa.int64()))):
        save(tmp_path / name / f"{name}.png", scene(ord(name)))
        table = pa.table({"path": [f"{name}.png"], "subject_id": subject})
        pq.write_table(table, tmp_path / name / "films.parquet")
    ran = leakscan("compare", "a/films.parquet", "b/films.parquet", "--same-ids", "--json", *NO_ENCODER)
    assert ran.json["decisions"]["same_subject"]["leak"] == 1


def test_spellings_of_a_split_are_one_split(tmp_path: Path, leakscan: Leakscan) -> None:
    rows = []
    for i, split in enumerate(["Train", "TRAIN", "train\u200b", "test", "NaN", ""]):
        save(tmp_path / f"{i}.png", scene(i))
        rows.append(f"{i}.png,{split}")
    save(tmp_path / "copy.png", scene(1), compress_level=1)
    (tmp_path / "films.csv").write_text("\n".join(["path,split", *rows, "copy.png,test"]))
    ran = leakscan("audit", "films.csv", "--json", *NO_ENCODER)
    assert sorted(d["files"] for d in ran.json["datasets"]) == [2, 3]
    assert ran.json["audit"]["outside_splits"] == ["2 rows without a split"]
    assert ran.json["decisions"]["same_pixels"]["leak"] == 1
    assert any("spelt in 3 ways" in w for w in ran.json["warnings"])


def test_two_names_of_one_split_are_remarked_on(tmp_path: Path, leakscan: Leakscan) -> None:
    rows = []
    for i, split in enumerate(["TRAIN", "training", "test", "fold1", "fold2"]):
        save(tmp_path / f"{i}.png", scene(i))
        rows.append(f"{i}.png,{split}")
    (tmp_path / "films.csv").write_text("\n".join(["path,split", *rows]))
    said = leakscan("audit", "films.csv", "--json", *NO_ENCODER).json["warnings"]
    assert [w for w in said if "two names" in w] == [
        "The splits 'TRAIN' and 'training' may be two names of one split; they are compared as two."
    ]


def test_subjects_called_1_and_a_are_subjects_and_what_is_dropped_is_said(
    tmp_path: Path, leakscan: Leakscan
) -> None:
    rows = []
    for i, (subject, split) in enumerate([(s, t) for s in ("1", "111", "A", "B") for t in ("train", "test")]):
        save(tmp_path / f"{i}.png", scene(i))
        rows.append(f"{i}.png,{subject},{split}")
    save(tmp_path / "x.png", scene(50))
    (tmp_path / "films.csv").write_text("\n".join(["path,subject_id,split", *rows, "x.png,ANON,train"]))
    ran = leakscan("audit", "films.csv", "--json", *NO_ENCODER)
    assert ran.json["audit"]["shared_subjects"] == 4
    (said,) = [w for w in ran.json["warnings"] if "identifies nobody" in w]
    assert "1 of 5 images" in said


def test_splits_of_links_into_one_pool_are_read(tmp_path: Path, leakscan: Leakscan) -> None:
    for seed in range(4):
        save(tmp_path / "data" / "pool" / f"{seed}.png", scene(seed))
    for split, seeds in (("train", (0, 1, 2)), ("test", (2, 3))):
        (tmp_path / "data" / split).mkdir()
        for seed in seeds:
            (tmp_path / "data" / split / f"{seed}.png").symlink_to(f"../pool/{seed}.png")
    ran = leakscan("audit", "data", "--json", *NO_ENCODER)
    assert [d["status"]["ok"] for d in ran.json["datasets"]] == [2, 3]
    assert ran.json["decisions"]["same_file"]["leak"] == 1
    assert any("4 files outside every split" in w for w in ran.json["warnings"])

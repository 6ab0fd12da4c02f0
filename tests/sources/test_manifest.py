"""A manifest's rows are the images: chosen by column, declared as written, none of them lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leakscan.errors import SourceError
from leakscan.settings import DecodeOptions
from leakscan.sources.directory import DirectorySource
from leakscan.sources.formats import decode
from leakscan.sources.manifest import ManifestSource
from leakscan.sources.open import open_source
from leakscan.sources.spec import SourceSpec
from leakscan.sources.subject_rules import parse_subject_rule
from leakscan.types import ImageRef, Silent
from support import dicom_maker

OPTIONS = DecodeOptions()


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 9)).astype(np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(4):
        picture(tmp_path / "images" / f"{n}.png", n)
    (tmp_path / "films.csv").write_text(
        "path,subject_id,split,kind,site\n"
        "images/0.png,007,train,chest_radiograph,a\n"
        "images/1.png,8,test,,a\n"
        "images/2.png,,test,other_2d,b\n"
        "images/3.png,9,,,b\n"
    )
    return tmp_path


def scan(spec: str | Path, **keywords: object) -> list[ImageRef]:
    refs = list(open_source(str(spec), OPTIONS, **keywords).scan(Silent()))  # type: ignore[arg-type]
    assert len({r.image_id for r in refs}) == len(refs), "ids are unique"
    return refs


def manifest(folder: Path, *rows: str) -> Path:
    path = folder / "m.csv"
    path.write_text("\n".join(["path", *rows]) + "\n", encoding="utf-8")
    return path


def test_rows_become_images_with_what_they_declare(folder: Path) -> None:
    refs = scan(folder / "films.csv")
    assert [r.path for r in refs] == [f"images/{n}.png" for n in range(4)]
    assert [r.tags.subject for r in refs] == ["007", "8", "", "9"]
    assert [r.tags.split for r in refs] == ["train", "test", "test", ""]
    assert [r.tags.kind for r in refs] == ["chest_radiograph", "", "other_2d", ""]
    assert all(decode(r, OPTIONS).stored.shape == (8, 9) for r in refs)


def test_an_image_has_the_id_that_its_folder_gives_it(folder: Path) -> None:
    walked = {r.path: r.image_id for r in DirectorySource(folder, "d", OPTIONS).scan(Silent())}
    assert all(walked[r.path] == r.image_id for r in scan(folder / "films.csv"))


def test_parquet_says_the_same_as_csv(folder: Path) -> None:
    columns = {
        "path": [f"images/{n}.png" for n in range(4)],
        "subject_id": [7.0, 8.0, None, 9.0],
        "split": ["train", "test", "test", None],
        "site": [1, 1, 2, 2],
    }
    pq.write_table(pa.table(columns), folder / "films.parquet")
    refs = scan(folder / "films.parquet?site=2")
    assert [(r.path, r.tags.subject, r.tags.split) for r in refs] == [
        ("images/2.png", "", "test"),
        ("images/3.png", "9", ""),
    ]


@pytest.mark.parametrize(
    ("query", "chosen"),
    [("split=test", [1, 2]), ("split=test&site=b", [2]), ("split=", [3]), ("site=a&subject_id=007", [0])],
)
def test_rows_are_chosen_by_their_columns(folder: Path, query: str, chosen: list[int]) -> None:
    assert [r.path for r in scan(f"{folder}/films.csv?{query}")] == [f"images/{n}.png" for n in chosen]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("spilt=test", ["no column 'spilt'", "path, subject_id, split, kind, site"]),
        ("split=tset", ["split = 'tset'", "(empty), test, train"]),
        ("split=train&site=b", ["site = 'b'", "is a"]),
        ("split", ["not understood", "column=value"]),
        ("split=a&split=b", ["not understood"]),
    ],
)
def test_a_selection_that_selects_nothing_lists_what_there_is(
    folder: Path, query: str, says: list[str]
) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(f"{folder}/films.csv?{query}", OPTIONS)
    text = caught.value.message + " " + caught.value.hint
    assert all(s in text for s in says), text


def test_a_question_mark_in_a_file_name_is_no_selection(folder: Path) -> None:
    odd = folder / "what?.csv"
    odd.write_text("path\nimages/0.png\n")
    assert len(scan(odd)) == 1


def test_a_missing_file_and_a_path_outside_are_rows(folder: Path) -> None:
    picture(folder.parent / "secret.png")
    outside = folder.parent / "secret.png"
    refs = scan(manifest(folder, "images/0.png", "images/gone.png", "../secret.png", str(outside), '""'))
    assert [r.status for r in refs] == ["ok", "unreadable", "unreadable", "unreadable", "unreadable"]
    assert refs[1].error == "The manifest names it, but it does not exist."
    assert (
        refs[2].error
        == refs[3].error
        == ("The manifest names a path outside its folder; put the manifest above the images.")
    )
    assert refs[2].path == "../secret.png"
    assert all(not r.files for r in refs[1:])


def test_a_link_that_leaves_the_folder_is_not_followed(folder: Path) -> None:
    picture(folder.parent / "elsewhere.png")
    (folder / "link.png").symlink_to(folder.parent / "elsewhere.png")
    (ref,) = scan(manifest(folder, "link.png"))
    assert (ref.status, ref.error) == ("unsupported", "It is a link that leaves the folder.")


def test_a_text_file_or_empty_folder_in_a_row_is_said(folder: Path) -> None:
    (folder / "empty").mkdir()
    refs = scan(manifest(folder, "empty", "films.csv"))
    assert [r.status for r in refs] == ["unreadable", "ignored"]


def test_a_path_listed_twice_counts_once(folder: Path) -> None:
    (folder / "again.png").hardlink_to(folder / "images" / "0.png")
    refs = scan(manifest(folder, "images/0.png", "./images/0.png", "again.png", "gone.png", "gone.png"))
    assert [r.status for r in refs] == ["ok", "ignored", "ignored", "unreadable", "unreadable"]
    assert refs[1].error == "It is listed more than once."
    assert refs[2].error == "It is the same file as {path}."
    assert refs[2].error_path == "images/0.png"


@pytest.mark.parametrize("name", ["two words.png", "it's.png", "胸.png", "a,b.png"])
def test_names_in_any_script_are_found(folder: Path, name: str) -> None:
    picture(folder / name)
    (ref,) = scan(manifest(folder, f'"{name}"'))
    assert (ref.path, ref.status) == (name, "ok")


def test_quotes_inside_names_are_doubled_as_csv_has_it(folder: Path) -> None:
    picture(folder / 'the "left" one.png')
    (ref,) = scan(manifest(folder, '"the ""left"" one.png"'))
    assert ref.status == "ok"


def test_another_column_or_a_rule_can_name_the_subject(folder: Path) -> None:
    source = ManifestSource(
        SourceSpec.parse(folder / "films.csv"), "m", OPTIONS, columns={"subject_id": "site"}
    )
    assert [r.tags.subject for r in source.scan(Silent())] == ["a", "a", "b", "b"]
    rule = parse_subject_rule("regex:images/([0-9])")
    refs = scan(folder / "films.csv", subjects=rule)
    assert [r.tags.subject for r in refs] == ["007", "8", "2", "9"], "the column goes before the rule"
    absent = ManifestSource(
        SourceSpec.parse(folder / "films.csv"), "m", OPTIONS, columns={"subject_id": "who"}
    )
    assert any("no column 'who'" in notice for notice in absent.notices)
    absent = ManifestSource(SourceSpec.parse(folder / "films.csv"), "m", OPTIONS, columns={"path": "dose"})
    assert any("no column 'dose'; its own column path" in notice for notice in absent.notices)


def test_excluded_rows_are_left_out(folder: Path) -> None:
    assert [r.path for r in scan(folder / "films.csv", exclude=["*/[012].png"])] == ["images/3.png"]


def test_dicom_files_take_the_subject_that_the_manifest_declares(tmp_path: Path) -> None:
    dicom_maker.film(tmp_path / "a.dcm")
    dicom_maker.film(tmp_path / "b.dcm", SeriesInstanceUID="1.2.9")
    (tmp_path / "m.csv").write_text("path,subject_id,split\na.dcm,Alice,train\nb.dcm,,test\n")
    refs = {r.path: r.tags for r in scan(tmp_path / "m.csv")}
    assert (refs["a.dcm"].subject, refs["a.dcm"].split, refs["a.dcm"].modality) == ("Alice", "train", "CR")
    assert (refs["b.dcm"].subject, refs["b.dcm"].split) == ("P1", "test")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"path\n", "lists no images"),
        (b"where,subject\na,b\n", "no column 'path'"),
        (b"file,image\na,b\n", "no column 'path', and several"),
        (b"path,path\na,b\n", "2 columns"),
        (b"path,kind\na.png,xray\n", "kind 'xray'"),
        (b"path,site\na.png\n", "Line 2"),
        (b"path\nf\xe9\x01.png\n", "no text"),
        (b'path\n"a.png\n', "damaged"),
    ],
)
def test_a_broken_table_is_a_sentence_that_names_it(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        open_source(str(path), OPTIONS)
    assert says in caught.value.message and "broken.csv" in caught.value.message


def test_a_parquet_file_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(SourceError, match="damaged"):
        open_source(str(tmp_path / "m.parquet"), OPTIONS)


def test_a_byte_order_mark_is_no_part_of_the_first_column(folder: Path) -> None:
    (folder / "excel.csv").write_bytes(b"\xef\xbb\xbfpath,split\r\nimages/0.png,x\r\n")
    assert len(scan(folder / "excel.csv")) == 1


def test_default_names_tell_selections_of_one_manifest_apart(folder: Path) -> None:
    assert open_source(f"{folder}/films.csv?split=test", OPTIONS).name == "films-test"
    (folder / "manifest.csv").write_text("path\nimages/0.png\n")
    assert open_source(f"{folder}/manifest.csv", OPTIONS).name == folder.name

"""Verdicts leave as CSV, are edited with a spreadsheet, and come back; a wrong line changes nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from leakscan.review.verdict_csv import from_csv, to_csv
from leakscan.review.verdicts import Verdict, VerdictFile
from support.makers import NO_ENCODER, Leakscan, fill


def said(**more: Any) -> Verdict:
    return Verdict(
        **{"by": "Änn", "verdict": "same", "scope": "pair", "pictures_a": ("p1",), "pictures_b": ("p2",)}
        | more
    )


FULL = said(
    note='"no"; never, =1+1\nor', reason="=SUM(A1)", until=dt.date(2027, 1, 31), members=("p1", "p2"),
    score=-0.5, p_value=1e-7, evidence=("one", "two, three"), blind=True, subject_a="1234567e8",
    key_id="00000001",
)  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_a_spreadsheet_saves_is_read_back_whole(encoding: str, separator: str) -> None:
    import csv
    import io

    lines = list(csv.reader(io.StringIO(to_csv([FULL, said()]))))
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\r\n").writerows(lines)
    back = from_csv(out.getvalue().encode(encoding), Path("v.csv"))
    assert back[0] == FULL
    assert len(back) == 2


def test_no_cell_is_taken_for_a_number_or_a_formula() -> None:
    import csv
    import io

    (row,) = csv.DictReader(io.StringIO(to_csv([FULL])))
    assert row["reason"].startswith("'=")
    for column in ("id", "subject_a", "key_id"):
        with pytest.raises(ValueError, match="convert"):
            float(row[column])


def test_edited_lines_are_new_verdicts_and_the_old_ones_stay(leakscan: Leakscan, tmp_path: Path) -> None:
    file = VerdictFile(tmp_path / "v.parquet")
    file.append([said(), said(pictures_a=("p3",)), said(pictures_a=("p4",))])
    leakscan("verdicts", "export", "v.parquet", "-o", "v.csv")
    lines = (tmp_path / "v.csv").read_text().splitlines()
    lines[1] = lines[1].replace(",same,", ",Different,")
    text = "\n".join([lines[0].replace(",", ";"), *(line.replace(",", ";") for line in lines[1:3])])
    (tmp_path / "v.csv").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    for new in (1, 0):  # the second time it says nothing new
        ran = leakscan("verdicts", "import", "v.parquet", "v.csv", "--json")
        assert ran.json == {"lines": 2, "new": new, "ended": 0, "file": "v.parquet"}
    assert [v.verdict for v in file.read()] == ["same", "same", "same", "different"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column"),
        ("a,b\n1,2\n", "no column 'by'"),
        ("by,verdict,scope,pictures_a,pictures_b\nann,maybe,pair,p,q\n", "Line 2"),
        ("by,verdict,scope,pictures_a,pictures_b,until\nann,same,pair,p,q,1/2/27\n", "1/2/27"),
        ("by,verdict,scope,pictures_a\nann,same,pair,p\n", "Line 2"),
        ("by,verdict,scope,pictures_a,pictures_b,score\nann,same,pair,p,q,high\n", "high"),
        ("by,verdict,scope,pictures_a,pictures_b\nann,same,pair,p,q\n,same,pair,p,q\n", "Line 3"),
        ("sep=;\nby;verdict;scope;pictures_a;pictures_b\nann;;pair;p;q\n", "Line 3 of v.csv has no verdict"),
        ("PK\x03\x04", "workbook"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_added(
    leakscan: Leakscan, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "v.csv").write_text(text)
    ran = leakscan("verdicts", "import", "v.parquet", "v.csv")
    assert ran.code == 2
    assert words in ran.error
    assert "v.csv" in ran.error
    assert VerdictFile(tmp_path / "v.parquet").read() == []


def test_the_line_that_tells_a_spreadsheet_the_separator_is_no_heading() -> None:
    text = "sep=;\r\n" + "by;verdict;scope;pictures_a;pictures_b\r\nann; Different\u00a0;PAIR;p;q\r\n"
    (back,) = from_csv(text.encode("utf-8-sig"), Path("v.csv"))
    assert (back.verdict, back.scope) == ("different", "pair")


@pytest.mark.parametrize("day", ["31-01-2027", "31-Jan-27", "2027-01-31 00:00:00", "31.01.27", "1/31/2027"])
def test_a_day_is_read_as_spreadsheets_write_it(day: str) -> None:
    text = f"by,verdict,scope,pictures_a,pictures_b,until\nann,wanted,pair,p,q,{day}\n"
    assert from_csv(text.encode(), Path("v.csv"))[0].until == dt.date(2027, 1, 31)


def test_verdicts_past_their_last_day_are_said(leakscan: Leakscan, tmp_path: Path) -> None:
    VerdictFile(tmp_path / "v.parquet").append([said(verdict="wanted", until=dt.date(2999, 1, 31))])
    leakscan("verdicts", "export", "v.parquet", "-o", "v.csv")
    edited = tmp_path / "v.csv"
    edited.write_text(edited.read_text().replace("2999-01-31", "2020-01-31"))
    assert "past" not in leakscan("verdicts", "show", "v.parquet").out
    for command in (("import", "v.parquet", "v.csv"), ("show", "v.parquet")):
        assert "1 verdict is past its last day." in leakscan("verdicts", *command).out


def test_a_csv_in_place_of_a_file_of_verdicts_is_named(leakscan: Leakscan, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text(to_csv([said()]))
    ran = leakscan("verdicts", "show", "v.csv")
    assert ran.code == 2
    assert "v.csv is a text" in ran.error
    assert "leakscan verdicts import verdicts.parquet v.csv" in ran.error


def test_files_merge_without_doubling(leakscan: Leakscan, tmp_path: Path) -> None:
    one, two = said(), said(by="bob", verdict="different")
    VerdictFile(tmp_path / "v.parquet").append([one])
    VerdictFile(tmp_path / "w.parquet").append([one, two])
    assert leakscan("verdicts", "merge", "v.parquet", "w.parquet", "--json").json["new"] == 1
    assert leakscan("verdicts", "merge", "v.parquet", "w.parquet", "--json").json["new"] == 0
    assert leakscan("verdicts", "show", "v.parquet", "--json").json["standing"] == {"disputed": 1}
    assert leakscan("verdicts", "merge", "v.parquet", "gone.parquet").code == 2


def test_overlaps_are_accepted_from_the_command_line(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", [1, 2, 3], compress_level=1)
    fill(tmp_path / "B", [1, 2, 3, 9], compress_level=9)
    compare = ("compare", "A", "B", "-o", "run", "--overwrite", "--json", *NO_ENCODER)
    leakscan(*compare)
    add = ("verdicts", "add", "run", "wanted", "--by", "ann", "--reason", "baseline")
    assert leakscan(*add, "--image", "B/1.png", "--json").json["scope"] == "subject"
    assert leakscan(*add, "--image", "A/2.png", "--image", "B/2.png", "--json").json["scope"] == "subjects"
    ran = leakscan(*compare, "--verdicts", "verdicts.parquet")
    assert (ran.code, ran.json["verdicts"]["accepted"]) == (1, 2)
    assert leakscan(*add, "--datasets", "B", "A", "--until", "2999-01-01").code == 0
    assert leakscan(*compare, "--verdicts", "verdicts.parquet").code == 3
    leakscan("verdicts", "export", "verdicts.parquet", "-o", "v.csv", "--run", "run")
    assert "B/1.png" in (tmp_path / "v.csv").read_text()
    for wrong in (
        ["--image", "B/7.png"],
        ["--image", "1.png"],
        [],
        ["--image", "B/9.png"],
        ["--until", "May"],
        ["--image", "B/1.png", "--until", "2020-01-01"],
    ):
        ran = leakscan(*add, *wrong)
        assert ran.code == 2, wrong
        assert ran.error


def test_what_a_spreadsheet_makes_of_dates_and_numbers_changes_no_verdict(
    leakscan: Leakscan, tmp_path: Path
) -> None:
    file = VerdictFile(tmp_path / "v.parquet")
    file.append([said(until=dt.date(2027, 12, 31), score=0.25, p_value=1e-7), said(pictures_a=("p3",))])
    leakscan("verdicts", "export", "v.parquet", "-o", "v.csv")
    text = (tmp_path / "v.csv").read_text()
    day = file.read()[0].at.isoformat()
    for old, new in ((day, "28.11.2026 01:17"), ("2027-12-31", "12/31/2027"), ("1e-07", "1.00E-07 ?")):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "v.csv").write_text(text)
    for order in (("v.parquet", "v.csv"), ("v.csv", "v.parquet")):  # which is which their contents tell
        assert leakscan("verdicts", "import", *order, "--json").json["new"] == 0
    (tmp_path / "v.csv").write_text(text.replace("12/31/2027", "11/12/2027"))  # two days may be meant
    ran = leakscan("verdicts", "import", "v.parquet", "v.csv")
    assert ran.code == 2 and "2027-01-31" in ran.error
    assert len(file.read()) == 2

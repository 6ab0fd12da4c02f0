"""Tables of two runs are equal row by row, or the first differences are named with their columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from leakscan.errors import SourceError, UsageError
from leakscan.research.same_tables import TABLES, WORDING, compare_tables, same_tables

OLD, NEW = next(iter(WORDING.items()))
PAIRS: dict[str, list[Any]] = {
    "image_a": ["a1", "a2", "a3"],
    "score": [0.9, float("nan"), None],
    "fingerprint": [[0.5, float("nan")], [1.0, 0.0], None],
    "evidence": [["same file"], [f"{OLD} 12 times likelier"], []],
}


def pairs(**changed: Any) -> pa.Table:
    return pa.table({**PAIRS, **changed})


def keep(folder: Path, **changed: Any) -> Path:
    """Two runs, ``films`` and ``brains/audit``; ``changed`` columns are those of the pairs of films."""
    for name in ("films", "brains/audit"):
        run = folder / name
        run.mkdir(parents=True)
        (run / "summary.json").write_text("{}")
        for table in TABLES:
            rows = pairs(**changed) if (name, table) == ("films", "pairs") else pairs()
            pq.write_table(rows, run / f"{table}.parquet")
    return folder


def test_what_is_not_a_number_equals_itself_in_lists_as_well() -> None:
    assert compare_tables(pairs(), pairs()).equal


@pytest.mark.parametrize(
    ("column", "values", "row"),
    [
        ("image_a", ["a1", "a2", "b3"], 2),
        ("score", [0.9, 0.0, None], 1),
        ("score", [0.9, float("nan"), 0.5], 2),
        ("score", [0.9000000000000001, float("nan"), None], 0),
        ("fingerprint", [[0.5, float("nan")], [1.0], None], 1),
        ("evidence", [["same file"], [f"{OLD} 13 times likelier"], []], 1),
    ],
)
def test_one_other_value_is_found_with_its_row_and_column(column: str, values: list[Any], row: int) -> None:
    found = compare_tables(pairs(), pairs(**{column: values}))
    assert [(d.row, d.column) for d in found.differences] == [(row, column)]
    assert not found.equal


def test_rows_in_another_order_differ() -> None:
    assert not compare_tables(pairs(), pairs().take([1, 0, 2])).equal


def test_columns_types_and_numbers_of_rows_count() -> None:
    renamed = pairs().rename_columns(["image_b", "score", "fingerprint", "evidence"])
    assert compare_tables(pairs(), renamed).problems[0].startswith("columns: image_a")
    reordered = pairs().select(["score", "image_a", "fingerprint", "evidence"])
    assert not compare_tables(pairs(), reordered).equal
    shorter = compare_tables(pairs(), pairs().slice(0, 2))
    assert (shorter.rows, shorter.problems) == ((3, 2), ("rows: 3 -> 2",))
    single = pa.array(PAIRS["score"], pa.float32())
    assert compare_tables(pairs(), pairs(score=single)).problems == ("type of score: double -> float",)


def test_known_words_are_tolerated_only_where_asked_and_only_in_the_evidence() -> None:
    worded = [["same file"], [f"{NEW} 12 times likelier"], []]
    assert not compare_tables(pairs(), pairs(evidence=worded)).equal
    found = compare_tables(pairs(), pairs(evidence=worded), WORDING)
    assert (found.equal, found.equal_by_wording) == (True, 1)
    named = compare_tables(pairs(image_a=[OLD, "", ""]), pairs(image_a=[NEW, "", ""]), WORDING)
    assert not named.equal
    both = compare_tables(pairs(), pairs(evidence=worded, score=[0.9, 0.1, None]), WORDING)
    assert (both.equal, both.equal_by_wording) == (False, 0), "the row differs in its score"


def test_equal_runs_are_said_to_be_equal_a_line_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same_tables(keep(tmp_path / "before"), keep(tmp_path / "after"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * len(TABLES)
    assert "films/pairs: 3 rows, equal" in lines
    assert "brains/audit/subjects: 3 rows, equal" in lines


def test_runs_that_differ_exit_with_1_and_name_the_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = keep(tmp_path / "before")
    after = keep(tmp_path / "after", evidence=[["same file"], [f"{NEW} 12 times likelier"], ["more"]])
    with pytest.raises(typer.Exit) as e:
        same_tables(before, after)
    assert e.value.exit_code == 1
    out = capsys.readouterr().out
    assert "films/pairs: 3 rows, 2 different" in out
    assert f"row 1, evidence: '{OLD} 12 times likelier' -> '{NEW} 12 times likelier'" in out
    assert "row 2, evidence: [] -> ['more']" in out
    with pytest.raises(typer.Exit):
        same_tables(before, after, wording=True)
    assert "3 rows, 1 of them equal only by wording, 1 different" in capsys.readouterr().out


def test_a_missing_run_and_a_missing_table_are_errors(tmp_path: Path) -> None:
    before, after = keep(tmp_path / "before"), keep(tmp_path / "after")
    (after / "films" / "pairs.parquet").unlink()
    with pytest.raises(SourceError, match=r"pairs\.parquet cannot be read"):
        same_tables(before, after)
    (after / "films" / "summary.json").unlink()
    with pytest.raises(UsageError, match="Not in both folders: films"):
        same_tables(before, after)
    with pytest.raises(SourceError, match="holds no run"):
        same_tables(before, tmp_path / "nowhere")

"""What a Python caller sees: names that complete, a short repr, tables that others open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import leakscan
from leakscan.errors import UsageError
from leakscan.run.models import Models
from support.makers import fill


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "A<i>", range(4), compress_level=1)
    fill(tmp_path / "B", range(2, 6), compress_level=9)
    return leakscan.compare("A<i>", "B", output="run", workers=0, kind="other_2d")


def test_every_public_name_is_listed_and_loads() -> None:
    assert {"compare", "audit", "duplicates", "split", "Settings"} <= set(dir(leakscan))
    assert all(getattr(leakscan, name) is not None for name in dir(leakscan))


def test_a_result_shows_its_answer_in_a_line_and_in_a_notebook(result: Any) -> None:
    assert len(repr(result)) < 200
    assert "2 of 4" in repr(result)
    page = result._repr_html_()
    assert "2 of 4" in page
    assert "A&lt;i&gt;" in page
    assert "<i>" not in page
    assert page.count("<tr>") == 3


def test_settings_are_given_by_name_and_a_wrong_one_is_said(result: Any) -> None:
    ran = leakscan.compare("A<i>", "B", workers=0, kind="other_2d", fail_on="same_file")
    assert ran.exit_code == 3
    with pytest.raises(UsageError, match="fail_no"):
        leakscan.compare("A<i>", "B", fail_no="review")
    with pytest.raises(UsageError, match="fail_on"):
        leakscan.compare("A<i>", "B", fail_on="never")


def test_lists_and_splits_are_made_of_a_result(result: Any) -> None:
    assert result.exclude("B")["path"].to_pylist() == ["2.png", "3.png"]
    assert set(result.split("50/50")["split"].to_pylist()) == {"train", "test"}
    unwritten = leakscan.compare("A<i>", "B", workers=0, kind="other_2d")
    with pytest.raises(UsageError, match="output"):
        try:
            unwritten.exclude("B")
        except UsageError as error:
            raise UsageError(error.hint) from error


def _pandas(path: str) -> int:
    return len(pytest.importorskip("pandas").read_parquet(path))


def _polars(path: str) -> int:
    return int(pytest.importorskip("polars").read_parquet(path).height)


def _duckdb(path: str) -> int:
    rows = (
        pytest.importorskip("duckdb").sql(f"select count(*) from '{path}' where decision = 'leak'").fetchall()
    )
    return int(rows[0][0])


@pytest.mark.parametrize("opened", [_pandas, _polars, _duckdb])
def test_pairs_open_elsewhere_without_a_cast(result: Any, opened: Callable[[str], int]) -> None:
    assert opened("run/pairs.parquet") == 2

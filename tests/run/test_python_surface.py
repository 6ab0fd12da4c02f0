"""What a Python caller sees: names that complete, a short repr, tables that others open."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
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
    assert page.count('<img src="data:image/webp') == 4, "both sides of both pairs"


def test_pictures_of_a_notebook_are_made_when_they_are_shown_and_images_may_be_gone(result: Any) -> None:
    Path("B/2.png").unlink()
    assert result._repr_html_().count("<img") == 3
    hidden = leakscan.compare("A<i>", "B", workers=0, kind="other_2d", hide_paths=True)
    assert "<img" not in hidden._repr_html_() and ".png" not in hidden._repr_html_()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: leakscan.compare(["A", "B"]), "one by one"),
        (lambda: leakscan.compare("A", 7), "not int"),
        (lambda: leakscan.compare("A", "B", overwite=True), "Did you mean overwrite?"),
        (lambda: leakscan.compare("A", "B", settings={"worker": 1}), "Did you mean workers?"),
        (lambda: leakscan.compare("A", "B", settings="leakscan.toml"), "cannot be str"),
        (lambda: leakscan.audit("A", split_colum="fold"), "Did you mean split_column?"),
        (lambda: leakscan.Settings.of(subjects=3), "subjects is 3"),
        (lambda: leakscan.compare("A", "B", subjects="bid"), "Did you mean bids?"),
        (lambda: leakscan.duplicates("A", settings=7), "cannot be int"),
        (lambda: leakscan.split("A", "out", settings=7), "cannot be int"),
    ],
)
def test_a_wrong_argument_gets_a_sentence(tmp_path: Path, monkeypatch: Any, call: Any, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "A", [1])
    fill(tmp_path / "B", [2])
    with pytest.raises(leakscan.LeakscanError) as caught:
        call()
    assert says in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "call",
    [
        lambda result: result.exclude("B", protects="A"),
        lambda result: result.split(stratfy="folder"),
        lambda result: result.review(reviwer="ann"),
    ],
)
def test_a_wrong_wish_of_a_result_names_the_nearest(result: Any, call: Any) -> None:
    with pytest.raises(UsageError) as caught:
        call(result)
    assert "Did you mean" in caught.value.hint


def test_a_review_is_open_while_the_program_goes_on(result: Any) -> None:
    pytest.importorskip("uvicorn")
    with result.review(reviewer="ann") as review:
        port = int(review.link.split(":")[2].split("/")[0])
        assert review.verdicts == Path("run/verdicts.parquet")
        assert review.link in repr(review) and "Open the review" in review._repr_html_()
        assert _answers(port)
    assert not _answers(port)


def _answers(port: int) -> bool:
    """Whether somebody listens, asked of the system: tests reach for no network."""
    return any(
        line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    )


def test_lists_are_written_where_the_caller_says(result: Any) -> None:
    result.exclude("B", output="drop")
    result.split("50/50", output="split.csv")
    assert {p.name for p in Path().glob("*.csv")} == {"drop.csv", "split.csv"}


def test_a_notebook_gets_a_bar_and_a_script_gets_none(
    result: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)
    display = SimpleNamespace(HTML=str, display=lambda text, display_id: shown.append(text) or handle)
    shell = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    leakscan.compare("A<i>", "B", workers=0, kind="other_2d")
    assert "<progress" in shown[0] and shown[-1].endswith("done")
    before = len(shown)
    shell.config = {"TerminalIPythonApp": {}}
    leakscan.compare("A<i>", "B", workers=0, kind="other_2d")
    assert len(shown) == before and capsys.readouterr().out == ""


SCRIPT = """
import leakscan
print(leakscan.compare("A", "B", workers=2, kind="other_2d").exit_code)
"""


def test_a_script_without_the_main_guard_is_told_so(tmp_path: Path) -> None:
    fill(tmp_path / "A", range(30), compress_level=1)
    fill(tmp_path / "B", range(29, 60), compress_level=9)
    (tmp_path / "script.py").write_text(SCRIPT)
    ran = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode != 0
    assert '__name__ == "__main__"' in ran.stderr and "memory" not in ran.stderr


def test_tables_open_in_memory_as_well(result: Any) -> None:
    polars, duckdb = map(pytest.importorskip, ("polars", "duckdb"))
    pytest.importorskip("pandas")
    for name in ("images", "pairs", "subjects"):
        table = getattr(result, name)
        assert len(table.to_pandas()) == polars.from_arrow(table).height == len(table)
    duckdb.register("found", result.pairs)
    assert duckdb.sql("select path_b from found order by 1").fetchall() == [("2.png",), ("3.png",)]


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


def test_lists_and_splits_need_no_run_folder_and_a_review_says_that_it_does(result: Any) -> None:
    other = leakscan.compare("A<i>", "B", workers=0, kind="other_2d")
    assert other.folder is None
    assert other.exclude("B").equals(result.exclude("B"))
    assert other.split("50/50")["split"].equals(result.split("50/50")["split"])
    assert not list(Path().glob("exclude*")) + list(Path().glob("split*"))
    with pytest.raises(UsageError, match="keeps its verdicts") as told:
        other.review()
    assert told.value.hint is not None and 'output="run"' in told.value.hint


def test_a_review_that_is_stopped_before_it_serves_ends(result: Any) -> None:
    pytest.importorskip("uvicorn")
    from leakscan.review.page.server import ReviewOptions, ReviewServer
    from leakscan.settings import Settings

    server = ReviewServer(
        Path(result.folder), ReviewOptions(reviewer="ann"), Settings(), say=lambda link: None
    )
    server.stop()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()

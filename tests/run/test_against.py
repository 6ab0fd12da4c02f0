"""A dataset more is compared with those of an earlier run, which are not compared with each other again."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakscan.run.against import EarlierRun
from support.makers import Leakscan, fill, rows_of


@pytest.fixture
def run(leakscan: Leakscan, tmp_path: Path) -> Leakscan:
    fill(tmp_path / "A", [1, 2, 3])
    fill(tmp_path / "B", [3, 4])
    fill(tmp_path / "C", [1, 4, 9])
    assert leakscan("compare", "A", "B", "-o", "first").code == 1
    return leakscan


def test_only_the_new_dataset_is_read_and_searched(run: Leakscan, tmp_path: Path) -> None:
    ran = run("compare", "C", "--against", "first", "-o", "second", "--json")
    assert ran.code == 1
    assert [(c["a"], c["b"]) for c in ran.json["comparisons"]] == [("A", "C"), ("B", "C")]
    assert ran.json["timings"]["images_read"] == 3
    assert any(
        "A and B were compared with each other in first" in warning for warning in ran.json["warnings"]
    )
    found = rows_of(tmp_path / "second", "pairs")
    leaks = {(row["path_a"], row["path_b"]) for row in found if row["decision"] == "leak"}
    assert {(row["dataset_a"], row["dataset_b"]) for row in found} == {("A", "C"), ("B", "C")}
    assert len(leaks) == 2


def test_what_is_found_is_what_a_comparison_of_all_finds(run: Leakscan, tmp_path: Path) -> None:
    run("compare", "C", "--against", "first", "-o", "second")
    run("compare", "A", "B", "C", "-o", "all")

    def leaks(name: str) -> set[tuple[str, ...]]:
        columns = ("dataset_a", "path_a", "dataset_b", "path_b", "relation")
        rows = [row for row in rows_of(tmp_path / name, "pairs") if row["decision"] == "leak"]
        return {tuple(row[c] for c in columns) for row in rows}

    assert leaks("first") | leaks("second") == leaks("all")


def test_a_third_run_takes_all_of_them(run: Leakscan, tmp_path: Path) -> None:
    run("compare", "C", "--against", "first", "-o", "second")
    fill(tmp_path / "D", [2])
    ran = run("compare", "D", "--against", "second", "--json")
    assert [(c["a"], c["b"]) for c in ran.json["comparisons"]] == [("A", "D"), ("B", "D"), ("C", "D")]


def test_a_dataset_of_the_run_is_not_compared_with_itself(run: Leakscan) -> None:
    ran = run("compare", "B", "--against", "first")
    assert ran.code == 2
    assert "given twice" in ran.err


def test_a_run_that_hides_its_paths_cannot_be_gone_back_to(run: Leakscan) -> None:
    run("compare", "A", "B", "-o", "hidden", "--hide-paths")
    ran = run("compare", "C", "--against", "hidden")
    assert ran.code == 2
    assert "does not say where its datasets are" in ran.err
    assert "leakscan compare A B C" in ran.err
    assert run("compare", "C", "--against", "A").code == 2


def test_names_of_the_run_stay() -> None:
    assert EarlierRun(Path("run"), ("a", "b"), ()).name_all(("b", "c")) == ["a", "b", "b (2)", "c"]

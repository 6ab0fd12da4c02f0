"""``leakscan explain``: the steps have the numbers of the run, and who names no pair is told what to name."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from leakscan.cli.app import run
from leakscan.report.equally_likely import equally_likely
from leakscan.report.run_folder import RunFolder
from leakscan.run.reported import decide_and_report
from support.made_up_encoder import made_up_context
from support.simulated_people import dataset, films, people


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two datasets with twenty shared people and a copy."""
    out = tmp_path_factory.mktemp("explain") / "run"
    sides = [
        dataset(
            name,
            np.concatenate([films(seed, people(1, 20), 0.6), people(seed + 1, 209), people(2, 1)]),
            [f"{name}{i}" for i in range(230)],
            [f"{name} {i}" for i in range(229)] + ["copy"],
        )
        for name, seed in (("a", 3), ("b", 5))
    ]
    decide_and_report(sides, made_up_context(), RunFolder(out))
    return out


def told(
    capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, object], dict[str, object]]:
    code = run(["explain", *arguments, "--json"])
    found = json.loads(capsys.readouterr().out)
    return code, found, {step["name"]: step["value"] for step in found.get("steps", [])}


def test_the_steps_are_the_numbers_of_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pq.read_table(folder / "pairs.parquet").to_pylist()
    at = next(i for i, row in enumerate(rows) if row["relation"] == "same_subject")
    (comparison,) = json.loads((folder / "summary.json").read_text())["comparisons"]
    (comparisons,) = comparison["subject_comparisons"].values()
    code, found, steps = told(capsys, str(folder), str(at))
    row = rows[at]
    assert code == 0
    assert found["path_a"] == row["path_a"]
    assert steps["Fingerprint"] == row["score"]
    assert steps["Strangers"] == row["p_value"]
    assert steps["Size of the search"] == pytest.approx(row["p_value"] * comparisons)
    assert steps["Among the others"] == row["q_value"]
    assert steps["Probability"] == row["probability"]
    assert list(steps)[-1] == "Decision"
    named = told(capsys, str(folder), row["path_b"], f"a/{row['path_a']}")[1]
    assert named == found


def test_a_copy_is_proved_whatever_the_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found, _ = told(capsys, str(folder), "a229", "b229")
    words = [step["words"] for step in found["steps"]]  # type: ignore[attr-defined]
    assert "Equal pixels in another file." in words
    assert "because it is proved" in words[-1]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (["9999"], "There is no pair 9999: the rows of the run are 0 to "),
        (["a0"], "a0 is no number of a row"),
        (["a0", "b1"], "but not with each other"),
        (["a0", "nobody"], "No pair of the run has an image nobody"),
        (["a", "b", "c"], "Name a row from 0 to "),
    ],
)
def test_whoever_names_no_pair_is_told_what_to_name(
    folder: Path, wanted: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found, _ = told(capsys, str(folder), *wanted)
    assert code == 2
    assert says in str(found["error"])


def test_pairs_with_one_probability_say_why(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pq.read_table(folder / "pairs.parquet").to_pylist()
    unsure = [row for row in rows if row["probability"] < 1]
    shares = Counter(row["probability"] for row in unsure)
    assert max(shares.values()) > 1
    for row in {row["probability"]: row for row in unsure}.values():
        steps = told(capsys, str(folder), row["path_a"], row["path_b"])[1]["steps"]
        assert isinstance(steps, list)
        said = [step["words"] for step in steps if step["name"] == "Equally likely"]
        others = shares[row["probability"]] - 1
        assert [words.split(" other pair")[0] for words in said] == [str(others)] * bool(others)


def test_each_reason_why_pairs_are_equally_likely_counts_its_own_pairs() -> None:
    def row(a: str, b: str, subjects: tuple[str | None, str | None], p: float = 1e-5) -> dict[str, object]:
        return {
            "dataset_a": "A",
            "dataset_b": "B",
            "image_a": a,
            "image_b": b,
            "subject_a": subjects[0],
            "subject_b": subjects[1],
            "p_value": p,
            "probability": 0.69,
            "decision": "review",
        }

    first = row("1", "2", ("ann", "bea"))
    rows = [
        first,
        row("1", "3", ("ann", "bea")),
        row("1", "4", ("ann", None)),
        row("5", "4", (None, None)),
        row("6", "7", (None, None), 1e-3),
        row("8", "9", (None, None)) | {"probability": 0.3},
        row("10", "11", (None, None)) | {"dataset_b": "C"},
    ]
    words = equally_likely(first, rows)
    assert words.startswith("4 other pairs have this probability. 1 of them shows the same two subjects")
    assert "2 of them hang on the same people" in words
    assert "1 of them is of other people (p-values 1e-05 to 0.001)" in words

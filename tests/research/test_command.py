"""Commands of the room of research say how they are used, and stay out of what users install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import leakscan
from leakscan.errors import UsageError
from leakscan.research.command import run_command
from leakscan.research.detail_check import detail_check
from leakscan.research.made_up_merges import made_up_merges
from leakscan.research.merge_fusion import merge_fusion
from leakscan.research.same_tables import same_tables
from leakscan.research.simulated_merges import simulate
from leakscan.research.tail_check import tail_check
from leakscan.research.volume_bench import volume_bench

ROOT = Path(leakscan.__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [detail_check, made_up_merges, merge_fusion, same_tables, simulate, tail_check, volume_bench],
    ids=lambda c: c.__name__,
)
def test_help_has_an_example(
    command: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["measure", "--help"])
    with pytest.raises(SystemExit) as e:
        run_command(command)  # type: ignore[arg-type]
    assert e.value.code == 0
    module = command.__module__  # type: ignore[attr-defined]
    assert f"Example: python -m {module}" in " ".join(capsys.readouterr().out.split())


def test_an_error_is_a_sentence_with_the_exit_code_of_its_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(folder: Path) -> None:
        """Fails."""
        raise UsageError(f"{folder} is empty.", "Name another.")

    monkeypatch.setattr(sys, "argv", ["measure", "here"])
    with pytest.raises(SystemExit) as e:
        run_command(command)
    assert e.value.code == 2
    assert capsys.readouterr().err.splitlines() == ["Error: here is empty.", "Name another."]


def test_the_wheel_holds_the_product_without_research() -> None:
    files = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert "leakscan/evaluation/evaluate.py" in files
    assert not [path for path in files if "research" in path]

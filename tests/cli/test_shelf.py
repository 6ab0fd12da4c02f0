"""Commands are loaded when they are called: ``--help`` waits for none, and a run only for what it needs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from leakscan.cli.app import Commands, app
from support.makers import fill

LOADED = (
    "import sys; from leakscan.cli.app import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
)


def loaded(*arguments: str, cwd: Path | None = None) -> set[str]:
    """The modules that a command loads."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
    )
    return set(ran.stderr.split())


@pytest.mark.parametrize("name", Commands.entries)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert (
        inspect.cleandoc(command.help).partition("\n\n")[0].replace("\n", " ") == Commands.entries[name].help
    )


def test_help_loads_no_command_and_nothing_slow() -> None:
    found = loaded("--help")
    assert not {name for name in found if name.startswith("leakscan.cli.run_")}
    assert not found & {"numpy", "pydantic", "rich", "pyarrow", "leakscan.settings"}


def test_a_comparison_of_films_loads_nothing_slow_that_it_does_not_need(tmp_path: Path) -> None:
    fill(tmp_path / "A", [1, 2])
    fill(tmp_path / "B", [2, 3])
    found = loaded("compare", "A", "B", "-q", cwd=tmp_path)
    assert "leakscan.run.compare" in found
    slow = {"torch", "monai", "scipy.stats", "scipy.ndimage", "scipy.optimize", "matplotlib"}
    assert found & slow == set()


def test_a_mistyped_command_is_told_its_neighbour(capsys: pytest.CaptureFixture[str]) -> None:
    from leakscan.cli.app import run

    assert run(["compre", "A", "B"]) == 2
    assert "Did you mean 'compare'" in capsys.readouterr().err

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


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from leakscan.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def without_torch(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command on a machine that has no torch, as ``pip install "leakscan[cpu]"`` leaves it."""
    command = [sys.executable, "-c", WITHOUT, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=200, cwd=cwd)


def test_films_are_compared_without_torch(tmp_path: Path) -> None:
    fill(tmp_path / "A", [1, 2])
    fill(tmp_path / "B", [2, 3])
    ran = without_torch("compare", "A", "B", cwd=tmp_path)
    assert ran.returncode == 1, ran.stderr
    assert "1 of 2 pictures" in ran.stdout


def test_a_command_that_needs_torch_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "films.csv").write_text("path,subject_id\n")
    fill(tmp_path / "A", [1, 2])
    ran = without_torch("evaluate", "A", "-o", "e", cwd=tmp_path)
    assert ran.returncode == 2
    assert 'pip install "leakscan[cpu,train]"' in ran.stderr
    assert "Traceback" not in ran.stderr

"""Measures what a folder of very many files that are no images costs: seconds and memory.

``python -m leakscan.research.many_files --files 1000000`` makes that many empty files, half of them with the
endings of images, and lets ``compare`` meet them beside one picture, twice.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from leakscan.cli.output import Output
from leakscan.research.command import run_command
from leakscan.research.good_files import scene

_A_FOLDER = 1_000
_ENDINGS = (".png", ".dcm", ".txt", "")


def make_files(folder: Path, files: int) -> None:
    """Empty files, a thousand in a folder.

    Args:
        folder: Where to make them.
        files: How many.

    Example:
        >>> make_files(Path("many"), 3)
        >>> sorted(path.name for path in Path("many").rglob("*") if path.is_file())
        ['0.png', '1.dcm', '2.txt']
    """
    for start in range(0, files, _A_FOLDER):
        own = folder / str(start // _A_FOLDER)
        own.mkdir(parents=True)
        for number in range(start, min(files, start + _A_FOLDER)):
            (own / f"{number}{_ENDINGS[number % len(_ENDINGS)]}").touch()


_MEASURED = """
import resource, sys
from leakscan.cli.app import run
code = run(sys.argv[1:])
print("exit code", code, "and", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, "MB at most")
"""


def many_files(
    files: Annotated[int, typer.Option("--files", help="How many empty files.", min=1)] = 1_000_000,
    where: Annotated[Path | None, typer.Option("--where", help="Folder to work in.")] = None,
) -> None:
    """Compare a folder of very many empty files with one picture, twice: the second run finds what it knows.

    Example: python -m leakscan.research.many_files --files 1000000
    """
    out = Output()
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        make_files(folder / "A", files)
        (folder / "B").mkdir()
        Image.fromarray(scene()).save(folder / "B" / "film.png")
        words = ["compare", "A", "B", "--cache", "cache", "--workers", "0", "--kind", "other_2d", "-q"]
        for run in ("first", "second"):
            began = time.monotonic()
            ran = subprocess.run(
                [sys.executable, "-c", _MEASURED, *words, "-o", run],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            seconds, said = time.monotonic() - began, (ran.stdout or ran.stderr).strip()[-300:]
            out.say(f"{files:,} empty files, {run} run: {seconds:.0f} s, {said}")


if __name__ == "__main__":
    run_command(many_files)

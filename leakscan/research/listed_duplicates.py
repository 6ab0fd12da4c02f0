"""What ``duplicates`` finds of published repeats: ``python -m leakscan.research.listed_duplicates DATA``.

The sets are ``busi`` (breast ultrasound) and ``slices`` (brain slices), each with ``truth_pairs.csv``. The
lists know only pairs that correlate at 32 x 32. What is found beyond them is counted, and is not false by
itself.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from leakscan.cli.output import Output
from leakscan.research.command import run_command
from leakscan.run.duplicates import DuplicateChoices, duplicates
from leakscan.settings import Settings

_LISTS = {"busi": ("a", "b"), "slices": ("test", "train")}


def listed_duplicates(
    data: Annotated[Path, typer.Argument(help="Folder that holds busi/ and slices/.")],
    check_seconds: Annotated[
        float, typer.Option("--check-seconds", help="Seconds for copy checks.")
    ] = 3000.0,
) -> None:
    """Compare the groups of duplicates with published lists, and print what was found as JSON.

    Example: python -m leakscan.research.listed_duplicates DATA
    """
    out = Output()
    for name, columns in _LISTS.items():
        out.say(json.dumps({"set": name, **_found_of(data / name, columns, check_seconds)}))


def _found_of(folder: Path, columns: tuple[str, str], seconds: float) -> dict[str, object]:
    """How many listed pairs stand in one group, and how many pairs are beyond the list."""
    with (folder / "truth_pairs.csv").open(encoding="utf-8", newline="") as stream:
        listed = {frozenset(row[c] for c in columns) for row in csv.DictReader(stream)}
    with TemporaryDirectory() as cache:
        settings = Settings.of(workers=0, kind="other_2d", cache=Path(cache), check_seconds=seconds)
        choices = DuplicateChoices(labels="label")
        found = duplicates(folder / "manifest.csv", settings=settings, choices=choices)
    # The list of busi names files without their folder.
    short = folder.name == "busi"

    def name(path: str) -> str:
        return path.rpartition("/")[2] if short else path

    group = {name(row["path"]): row["group"] for row in found.groups.to_pylist()}
    leaks = (row for row in found.result.pairs.to_pylist() if row["decision"] == "leak")
    pairs = {frozenset((name(row["path_a"]), name(row["path_b"]))) for row in leaks}
    together = sum(len({group.get(image, image) for image in pair}) == 1 for pair in listed)
    return {
        **found.result.summary["duplicates"],
        "listed": len(listed),
        "listed_in_one_group": together,
        "beyond_the_list": len(pairs - listed),
    }


if __name__ == "__main__":
    run_command(listed_duplicates)

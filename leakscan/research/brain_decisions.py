"""Decisions about brains against the truth: ``python -m leakscan.research.brain_decisions DATA -o WORK``.

The seven people of ds000011 stand in both datasets, with their T1 in the one and their T2 in the other, among
60 other people on each side, drawn anew for every merge. Then IXI meets ds002748, who share nobody. What was
read is kept in ``WORK/cache``, so another call reads nothing again. Prints JSON.
"""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import typer

from leakscan.cli.output import Output
from leakscan.research.command import DataArgument, run_command
from leakscan.research.recalibrate_brain import SAME
from leakscan.run.compare import compare
from leakscan.settings import Settings

OTHERS = 60
"""People on each side whom nobody knows on the other."""


def brain_decisions(
    data: DataArgument,
    work: Annotated[Path, typer.Option("--output", "-o", help="Where runs and what was read are kept.")],
    merges: Annotated[int, typer.Option("--merges", help="Merges with ds000011.", min=0)] = 3,
    strangers: Annotated[
        bool, typer.Option("--strangers/--no-strangers", help="Also let IXI meet ds002748.")
    ] = True,
) -> None:
    """Let compare decide about brains, and print what it called as JSON.

    Example: python -m leakscan.research.brain_decisions DATA -o work
    """
    found: dict[str, Any] = {}
    for seed in range(merges):
        found[f"ds000011 among others, {seed}"] = shared_people(data, work, seed)
    if strangers:
        found["ixi and ds002748"] = two_collections(data, work)
    Output(as_json=True).data(found)


def shared_people(data: Path, work: Path, seed: int, others: int = OTHERS) -> dict[str, Any]:
    """What is called where seven people stand in both datasets, in another contrast.

    Args:
        data: The folder that holds ``mri/``.
        work: Where runs and the cache lie.
        seed: Which other people are drawn.
        others: How many of them stand on each side.

    Example::

        shared_people(Path("DATA"), Path("work"), seed=0)["called"]  # of 7
    """
    by_contrast = defaultdict(list)
    for row in _rows(data, "ds000011"):
        by_contrast[row["contrast"]].append(row)
    rest = [row for name in ("ixi", "ds002748") for row in _rows(data, name) if row["contrast"] == "T1"]
    # Whoever may be one person with another of them stands on one side at most.
    rest = [row for row in rest if row["subject_id"] not in SAME]
    drawn = [rest[i] for i in np.random.default_rng(seed).permutation(len(rest))[: 2 * others]]
    sides = by_contrast["T1"] + drawn[:others], by_contrast["T2"] + drawn[others:]
    return _compared(sides, work, f"ds000011-{seed}-{others}")


def two_collections(data: Path, work: Path) -> dict[str, Any]:
    """What is called between IXI and ds002748.

    Example::

        two_collections(Path("DATA"), Path("work"))["called"]  # 0
    """
    sides = [[row for row in _rows(data, name) if row["contrast"] == "T1"] for name in ("ixi", "ds002748")]
    return _compared((sides[0], sides[1]), work, "ixi-ds002748")


def _rows(data: Path, name: str) -> list[dict[str, str]]:
    folder = data / "mri" / name
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        return [{**row, "path": str((folder / row["path"]).resolve())} for row in csv.DictReader(stream)]


def _compared(
    sides: tuple[list[dict[str, str]], list[dict[str, str]]], work: Path, name: str
) -> dict[str, Any]:
    """Lets two lists of volumes be compared, as folders that declare nobody, and counts what is called in
    people.
    """
    work.mkdir(parents=True, exist_ok=True)
    who: list[dict[str, str]] = []
    paths = []
    for side, rows in zip("ab", sides, strict=True):
        who.append({Path(row["path"]).name: row["subject_id"] for row in rows})
        paths.append(work / f"{name}-{side}")
        paths[-1].mkdir(exist_ok=True)
        for row in rows:
            shutil.copyfile(row["path"], paths[-1] / Path(row["path"]).name)
    run = next(p for n in range(10_000) if not (p := work / f"{name}-run{n}").exists())
    result = compare(*paths, output=run, settings=Settings.of(kind="brain_mri", cache=work / "cache"))
    called: dict[str, set[tuple[str, str]]] = {"leak": set(), "review": set()}
    for row in pq.read_table(run / "pairs.parquet").to_pylist():
        two = tuple(own[Path(row[f"path_{side}"]).name] for own, side in zip(who, "ab", strict=True))
        called[row["decision"]].add((two[0], two[1]))
    comparison = result.summary["comparisons"][0]
    true = {kind: sum(a == b for a, b in pairs) for kind, pairs in called.items()}
    return {
        "people": [len(set(own.values())) for own in who],
        "shared": len(set(who[0].values()) & set(who[1].values())),
        "called": true["leak"],
        "called_falsely": len(called["leak"]) - true["leak"],
        "for_review": true["review"],
        "for_review_falsely": len(called["review"]) - true["review"],
        "shared_subjects": comparison.get("shared_subjects"),
        "exit_code": result.exit_code,
    }


if __name__ == "__main__":
    run_command(brain_decisions)

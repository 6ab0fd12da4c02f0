"""``leakscan explain``: where the numbers of one pair come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output


def explain_command(
    run: Annotated[Path, typer.Argument(help="Run folder written by compare -o or audit -o.")],
    pair: Annotated[
        list[str],
        typer.Argument(help="Row of the pair in pairs.parquet from 0, or its two paths."),
    ],
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Say where the numbers of one pair come from, step by step.

    Example: leakscan explain run 0
    """
    from leakscan import tables
    from leakscan.report.explain import explain, find_pair
    from leakscan.report.run_folder import RunFolder

    out = Output(as_json, quiet)
    folder = RunFolder.open(run)
    rows = folder.read(tables.PAIRS).to_pylist()
    number = find_pair(rows, tuple(pair))
    row, summary = rows[number], folder.read_summary()
    steps = explain(row, summary, rows)
    plain = (
        "dataset_a",
        "path_a",
        "dataset_b",
        "path_b",
        "relation",
        "decision",
        "score",
        "p_value",
        "q_value",
        "probability",
    )
    out.data(
        {
            "row": number,
            **{
                f"{name}_{side}": row[f"{name}_{side}"] for side in ("a", "b") for name in ("dataset", "path")
            },
            **{name: row[name] for name in plain},
            "steps": [vars(step) for step in steps],
        }
    )
    names = [f"{row[f'dataset_{s}']}/{row[f'path_{s}'] or row[f'image_{s}']}" for s in ("a", "b")]
    out.say(f"Pair {number}: {names[0]} and {names[1]}: {row['relation']}, {row['decision']}")
    cells = [[step.name, "" if step.value is None else f"{step.value:.3g}", step.words] for step in steps]
    out.table("", ["step", "", "where it comes from"], cells)

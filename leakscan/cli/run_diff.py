"""``leakscan diff``: what is new between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.counted import counted

_SHOWN = 20


def diff_command(
    before: Annotated[Path, typer.Argument(help="Run folder of the earlier run.")],
    after: Annotated[Path, typer.Argument(help="Run folder of the later run.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Stem of two files with all differences.")
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Say which pairs are new, gone, or decided otherwise; exit code 1 where a leak is new.

    Example: leakscan diff run-monday run-tuesday
    """
    from leakscan.review.difference import difference
    from leakscan.review.lists import write_list

    out = Output(as_json, quiet)
    found = difference(before, after)
    files = write_list(found.table, output) if output is not None else []
    rows = found.table.to_pylist()
    out.data(
        {
            "new_leaks": found.new_leaks,
            "gone_leaks": found.gone_leaks,
            "same": found.same,
            "differences": rows,
            "files": [str(path) for path in files],
        }
    )
    out.say(
        f"{counted(found.new_leaks, 'new leak')}, {found.gone_leaks:,} gone; "
        f"{counted(len(rows), 'difference')}, {found.same:,} pairs the same."
    )
    cells = [
        [
            row["change"],
            row["decision"] or "",
            row["relation"] or row["relation_before"] or "",
            *(f"{row[f'dataset_{side}']}/{row[f'path_{side}']}" for side in ("a", "b")),
        ]
        for row in rows[:_SHOWN]
    ]
    if cells:
        out.table("", ["", "decision", "relation", "A", "B"], cells)
    raise typer.Exit(1 if found.new_leaks else 0)

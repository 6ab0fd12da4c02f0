"""``leakscan exclude``: the list of images to drop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.counted import counted


def exclude_command(
    run: Annotated[Path, typer.Argument(help="Run folder written by compare -o or audit -o.")],
    dataset: Annotated[
        str, typer.Option("--from", help="Dataset to drop images from, by its name in the run.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Stem of the two files; default: RUN/exclude-DATASET."),
    ] = None,
    with_review: Annotated[
        bool, typer.Option("--with-review", help="Also drop images only marked for review.")
    ] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """List the images to drop from one dataset, as CSV and Parquet.

    Example: leakscan exclude run --from hospital_b
    """
    from leakscan.review.lists import exclusions, write_exclusions

    out = Output(as_json, quiet)
    table = exclusions(run, dataset, with_review)
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in dataset)
    paths = write_exclusions(table, output or run / f"exclude-{safe}")
    out.data({"images": len(table), "files": [str(p) for p in paths]})
    out.say(f"{counted(len(table), 'image')} of {dataset} to drop: {paths[0]} and {paths[1]}")

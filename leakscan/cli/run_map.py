"""``leakscan map``: which original is this?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output


def map_command(
    run: Annotated[Path, typer.Argument(help="Run folder written by compare -o or audit -o.")],
    of: Annotated[
        str | None, typer.Option("--of", help="Dataset whose images are asked about; default: the last.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Dataset of the originals; default: all the others.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Stem of the two files; default: RUN/map-DATASET.")
    ] = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """List the best match of every image of one dataset in another, as CSV and Parquet.

    Example: leakscan map run --of kaggle --to hospital_a
    """
    from leakscan.review.lists import list_name, write_list
    from leakscan.review.originals import originals

    out = Output(as_json, quiet)
    table = originals(run, of, to)
    named = of or next(iter(table["dataset"].to_pylist()), "nothing")
    paths = write_list(table, output or run / f"map-{list_name(named)}")
    matched = len(table) - table["original_image_id"].null_count
    out.data({"images": len(table), "matched": matched, "files": [str(p) for p in paths]})
    out.say(f"{matched:,} of {len(table):,} images of {named} have a match: {paths[0]} and {paths[1]}")

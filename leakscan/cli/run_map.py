"""``leakscan map``: which original is this?"""

from __future__ import annotations

from collections import Counter
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
    named = of or str(table["dataset"][0].as_py())
    paths = write_list(table, output or run / f"map-{list_name(named)}")
    matched = len(table) - table["original_image_id"].null_count
    sorts = Counter(map(_sort, table["relation"].to_pylist(), table["decision"].to_pylist()))
    out.data(
        {
            "images": len(table),
            "matched": matched,
            **{name: sorts[name] for name in _SORTS},
            "files": [str(p) for p in paths],
        }
    )
    told = ", ".join(f"{sorts[name]:,} {words}" for name, words in _SORTS.items() if sorts[name])
    out.say(
        f"{matched:,} of {len(table):,} images of {named} have a match{f' ({told})' if told else ''}: "
        f"{paths[0]} and {paths[1]}"
    )


_SORTS = {
    "copies": "the same picture",
    "other_pictures": "another picture of the person",
    "possible": "possible",
}


def _sort(relation: str | None, decision: str | None) -> str | None:
    if relation is None:
        return None
    if decision == "review":
        return "possible"
    return "other_pictures" if relation == "same_subject" else "copies"

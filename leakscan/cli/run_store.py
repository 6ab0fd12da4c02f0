"""``leakscan store``: what is done with stores themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.counted import counted

store_app = typer.Typer(help="Join fingerprint stores.", no_args_is_help=True)


@store_app.callback()
def _store() -> None:
    """Join fingerprint stores."""


@store_app.command("merge")
def merge_command(
    stores: Annotated[list[Path], typer.Argument(help="The stores of all shards.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Store to write.")],
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Join the stores that `leakscan fingerprint --shard` made of one dataset.

    Example: leakscan store merge parts/*.fps -o hospital_a.fps
    """
    from leakscan.run.merge_stores import merge_stores

    out = Output(as_json, quiet)
    merged = merge_stores(stores, output)
    out.data(merged)
    out.say(f"{output}: {counted(merged['images'], 'image')} of {counted(merged['stores'], 'store')}.")

"""``leakscan compare``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.settings import Settings


@o.with_settings("pictures_mb")
def compare_command(
    sources: Annotated[
        list[str],
        typer.Argument(help="Two or more folders, manifests or fingerprint stores; one with --against."),
    ],
    output: o.OutputDir = None,
    overwrite: o.Overwrite = False,
    pairs: o.Pairs = False,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", help="Run folder: compare its datasets with the sources, not with each other again."
        ),
    ] = None,
    dry_run: o.DryRun = False,
    *,
    settings: Settings,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Find images in each source that show a subject who is already in another.

    Example: leakscan compare hospital_a/ hospital_b/ -o run

    A source is a folder, a manifest (CSV or Parquet with a column `path`; rows are chosen as in
    "films.csv?split=test"), or a store made by `leakscan fingerprint`. Exit codes: 0 no leak,
    1 leak, 2 wrong usage or input, 3 could not vouch.
    """
    out = Output(as_json, quiet)
    if dry_run:
        o.told_beforehand(out, sources, settings)
        raise typer.Exit
    from leakscan.run.compare import compare

    if against is not None:
        settings = settings.with_choices({"against": against})
    with out.progress() as progress:
        result = compare(*sources, output=output, overwrite=overwrite, settings=settings, progress=progress)
    out.run(result.summary, result.pairs, output, pairs)
    raise typer.Exit(result.exit_code)

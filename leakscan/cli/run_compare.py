"""``leakscan compare``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.errors import UsageError
from leakscan.settings import Settings


@o.with_settings("pictures_mb")
def compare_command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Two or more folders, manifests or fingerprint stores; one with --against."),
    ] = None,
    output: o.OutputDir = None,
    overwrite: o.Overwrite = False,
    pairs: o.Pairs = False,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", help="Run folder: compare its datasets with the sources, not with each other again."
        ),
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", help="Run folder: compare its sources again as it did.")
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
    from leakscan.review.difference import difference
    from leakscan.run.compare import compare
    from leakscan.run.like import as_before, differences

    given = list(sources or ())
    if like is not None:
        if given:
            raise UsageError("With --like the sources are those of the run.", "Name no source.")
        given, settings = as_before(like, settings)
    if against is not None:
        settings = settings.with_choices({"against": against})
    if dry_run:
        o.told_beforehand(out, given, settings)
        raise typer.Exit
    with out.progress() as progress:
        result = compare(*given, output=output, overwrite=overwrite, settings=settings, progress=progress)
    if like is not None:
        changed = differences(like, result.summary)
        result.summary["unlike"] = changed
    out.run(result.summary, result.pairs, output, pairs)
    if like is not None:
        for sentence in changed:
            out.say(sentence)
        if output is not None:
            found = difference(like, output)
            out.say(
                f"Pairs: {found.new_leaks:,} new leaks, {found.gone_leaks:,} gone, {len(found.table):,} "
                f"differences, {found.same:,} the same."
            )
    raise typer.Exit(result.exit_code)

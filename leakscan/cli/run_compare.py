"""``leakscan compare``: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.counted import counted
from leakscan.errors import UsageError
from leakscan.settings import Settings

if TYPE_CHECKING:
    from leakscan.run.result import Result


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
        typer.Option("--against", help="Run folder to whose datasets to add."),
    ] = None,
    like: Annotated[Path | None, typer.Option("--like", help="Run folder to make again.")] = None,
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
    given = list(sources or ())
    if like is not None:
        from leakscan.run.like import as_before

        if given or against is not None:
            raise UsageError("With --like the sources are those of the run.", "Name no source.")
        given, settings = as_before(like, settings)
    if dry_run:
        o.told_beforehand(out, given, settings)
        raise typer.Exit
    from leakscan.run.compare import compare

    if against is not None:
        settings = settings.with_choices({"against": against})
    with out.progress() as progress:
        result = compare(*given, output=output, overwrite=overwrite, settings=settings, progress=progress)
    unlike = None if like is None else _unlike(like, result, output)
    if unlike is not None:
        result.summary["unlike"] = unlike
    out.run(result.summary, result.pairs, output, pairs)
    for sentence in unlike or ():
        out.say(sentence)
    raise typer.Exit(result.exit_code)


def _unlike(like: Path, result: Result, output: Path | None) -> list[str]:
    """How a run differs from the one that it was to be like, in sentences."""
    from leakscan.review.difference import difference
    from leakscan.run.like import differences

    said = differences(like, result.summary)
    if output is None:
        return said
    found = difference(like, output)
    new, gone = counted(found.new_leaks, "new leak"), f"{found.gone_leaks:,} gone"
    return [
        *said,
        f"Pairs: {new}, {gone}; {counted(len(found.table), 'difference')}, {found.same:,} the same.",
    ]

"""``leakscan audit``: leakage between the splits of one dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.settings import Settings


@o.with_settings("same_ids", "pictures_mb")
def audit_command(
    source: Annotated[str, typer.Argument(help="A folder with splits as top folders, or a manifest.")],
    split_column: Annotated[
        str, typer.Option("--split-column", help="Manifest column that names the split.")
    ] = "split",
    output: o.OutputDir = None,
    overwrite: o.Overwrite = False,
    pairs: o.Pairs = False,
    dry_run: o.DryRun = False,
    *,
    settings: Settings,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Find subjects that stand in more than one split of a dataset.

    Example: leakscan audit films.csv --split-column split -o run

    Splits are the top folders (or archives, as train.zip) named train, val, valid or test, or a column of a
    manifest.
    """
    out = Output(as_json, quiet)
    if dry_run:
        o.told_beforehand(out, [source], settings)
        raise typer.Exit
    from leakscan.run.audit import audit

    with out.progress() as progress:
        result = audit(
            source,
            split_column=split_column,
            output=output,
            overwrite=overwrite,
            settings=settings,
            progress=progress,
        )
    out.run(result.summary, result.pairs, output, pairs)
    raise typer.Exit(result.exit_code)

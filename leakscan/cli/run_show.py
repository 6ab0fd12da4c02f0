"""``leakscan show``: what a finished run found, said again, with its details."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output


def show_command(
    run: Annotated[Path, typer.Argument(help="Run folder written by compare -o or audit -o.")],
    pairs: o.Pairs = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Say again what a run found, with what is behind it for every two datasets.

    Example: leakscan show run --pairs

    Nothing is computed and no image is read. The exit code is 0, whatever the run found; leakscan ci ends
    with the exit code of the run.
    """
    from leakscan import tables
    from leakscan.errors import StoreError
    from leakscan.report.alike import words_by_comparison
    from leakscan.report.run_folder import RunFolder

    out = Output(as_json, quiet)
    folder = RunFolder.open(run)
    summary = folder.read_summary()
    if not {"answer", "comparisons", "exit_code"} <= set(summary):
        raise StoreError(
            "The summary of {path} has no answer: an earlier version of leakscan made it.",
            "Make the run again.",
            path=run,
        )
    out.again(summary, folder.read(tables.PAIRS), run, pairs)
    for names, sentences in words_by_comparison(summary["comparisons"]):
        out.say("")
        out.say(names)
        out.sentences(sentences)

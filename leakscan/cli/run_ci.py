"""``leakscan ci``: what a build server reads of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output


def ci_command(
    run: Annotated[Path, typer.Argument(help="Run folder written by compare -o, audit -o or duplicates -o.")],
    junit: Annotated[Path | None, typer.Option("--junit", help="JUnit XML file to write.")] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Markdown file to write, for the page of a job.")
    ] = None,
    annotations: Annotated[
        bool, typer.Option("--annotations", help="Print lines by which GitHub marks files.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Write what a build server reads of a run, and end with its exit code.

    Example: leakscan ci run --junit leakscan.xml --markdown leakscan.md
    """
    from leakscan import tables
    from leakscan.report import ci_files
    from leakscan.report.run_folder import RunFolder, write_text

    out = Output(as_json)
    folder = RunFolder.open(run)
    summary = folder.read_summary()
    files = []
    if junit is not None:
        write_text(junit, ci_files.junit(summary))
        files.append(str(junit))
    if markdown is not None:
        write_text(markdown, ci_files.markdown(summary))
        files.append(str(markdown))
    if annotations:
        pairs = folder.read(tables.PAIRS).to_pylist()
        if (
            new := (summary.get("baseline") or {}).get("new_pairs")
        ) is not None:  # what is known fails nothing
            pairs = [p for p in pairs if p["decision"] != "leak" or [p["image_a"], p["image_b"]] in new]
        for line in ci_files.workflow_lines(pairs, summary.get("sources")):
            out.say(line)
    out.data({"exit_code": summary["exit_code"], "files": files})
    raise typer.Exit(summary["exit_code"])

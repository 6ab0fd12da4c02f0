"""``leakscan duplicates``: copies and repeats inside one source."""

from __future__ import annotations

from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.counted import counted
from leakscan.settings import Settings

_SHOWN = 10


@o.with_settings("same_ids", "labels", "pictures_mb")
def duplicates_command(
    source: Annotated[str, typer.Argument(help="A folder, manifest or fingerprint store.")],
    keep: Annotated[
        str,
        typer.Option(
            "--keep", help="Keep of each group: first, largest, sharpest, dicom, or a path pattern."
        ),
    ] = "first",
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", help="Manifest column with labels, or folder: say where equal pictures differ."
        ),
    ] = None,
    across_folders: Annotated[
        bool, typer.Option("--across-folders", help="Hide groups that lie in one folder.")
    ] = False,
    output: o.OutputDir = None,
    overwrite: o.Overwrite = False,
    dry_run: o.DryRun = False,
    *,
    settings: Settings,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Find copies, altered copies and repeats of one person inside one source.

    Example: leakscan duplicates hospital_a/ --keep largest -o doubles

    Nothing is deleted. RUN/duplicates.csv says for each group which image to keep. Exit codes are those
    of compare: 1 where anything was found.
    """
    from leakscan.report.altered_words import altered_words
    from leakscan.run.duplicates import DuplicateChoices, as_data, duplicates

    out = Output(as_json, quiet)
    if dry_run:
        o.told_beforehand(out, [source], settings)
        raise typer.Exit
    choices = DuplicateChoices(keep=keep, labels=labels, across_folders=across_folders)
    with out.progress() as progress:
        found = duplicates(
            source, choices=choices, output=output, overwrite=overwrite, settings=settings, progress=progress
        )
    summary, told = found.result.summary, as_data(found)
    out.data({**summary, "report": str(output) if output else None, "files": told["files"]})
    out.say(
        f"{counted(told['groups'], 'group')} of {counted(told['images'], 'image')}: "
        f"{counted(told['to_drop'], 'image')} to drop, if one of each group stays."
    )
    relations = ", ".join(f"{n:,} {relation}" for relation, n in told["relations"].items())
    if relations:
        out.say(f"They are: {relations}.")
    for key, words in (
        ("conflicting", "with different labels"),
        ("chained", "in which some are linked only by way of others (check their ends)"),
    ):
        if told[key]:
            out.say(f"{counted(told[key], 'group')} {words}.")
    for words in summary["reasons"] + summary["warnings"]:
        out.say(words)
    shown = [row for row in found.groups.to_pylist() if row["group"] <= _SHOWN]
    rows = [
        [
            str(row["group"]),
            "keep" if row["keep"] else "drop",
            row["path"] or row["image_id"],
            row["relation"] or "",
            ", ".join(altered_words(row["transform"])),
            row["label"] or "",
        ]
        for row in shown[: 2 * _SHOWN]
    ]
    if rows:
        out.table("The largest groups", ["group", "", "image", "relation", "altered", "label"], rows)
    for path in told["files"][:1]:
        out.say(f"All of them: {path}")
    raise typer.Exit(found.result.exit_code)

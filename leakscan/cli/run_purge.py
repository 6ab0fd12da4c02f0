"""``leakscan purge``: remove what was derived from images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.counted import counted
from leakscan.errors import UsageError

_SHOWN = 20


def purge_command(
    folder: Annotated[Path, typer.Argument(help="Cache, store or run folder.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without a question.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go; remove nothing.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also verdicts and the identity key, which nothing makes again.")
    ] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Remove everything that was derived from images, and list it.

    Example: leakscan purge .leakscan --dry-run

    Fingerprints, previews, pictures of reviews, findings about pairs, tables, reports and lists go. Ordinary
    deletion does not overwrite disks or backups.
    """
    from leakscan.run.purge import Purge

    out = Output(as_json, quiet)
    purge = Purge.of(folder, everything)
    files = purge.files
    for path in files[:_SHOWN]:
        out.say(f"  {path}")
    if len(files) > _SHOWN:
        out.say(f"  and {len(files) - _SHOWN:,} more")
    if files and not (dry_run or yes):
        if as_json or quiet or not sys.stdin.isatty():
            raise UsageError("Nobody could be asked, so nothing was removed.", "Add --yes, or --dry-run.")
        typer.confirm(f"Remove {counted(len(files), 'file')}?", abort=True)
    going = bool(files) and not dry_run
    removed = purge.carry_out() if going else []
    out.data(
        {
            "kind": purge.kind,
            "removed": [str(path) for path in removed],
            "would_remove": [] if going else [str(path) for path in files],
            "kept": [str(path) for path in purge.kept],
        }
    )
    if going:
        out.say(f"{counted(len(removed), 'file')} removed from the {purge.kind} {folder}.")
    else:
        words = "would go" if files else "to remove"
        out.say(f"{counted(len(files), 'file')} {words}; nothing was removed. With --yes they go.")
    if purge.kept:
        out.say(f"Kept: {', '.join(path.name for path in purge.kept)}.")

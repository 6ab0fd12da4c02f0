"""The next command after a verdict or before a list, with the sources of the run in it."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leakscan.counted import counted


def apply_command(run: Path, summary: Mapping[str, Any], verdicts: Path) -> str:
    """The command that makes the run anew with a file of verdicts.

    Args:
        run: The run folder.
        summary: Its ``summary.json``.
        verdicts: The file of verdicts.

    Example:
        >>> summary = {"sources": {"a": "/data/a", "films": "/data/films.csv?site=x"}}
        >>> apply_command(Path("run"), summary, Path("v.parquet"))
        "leakscan compare /data/a '/data/films.csv?site=x' --verdicts v.parquet -o run --overwrite"
    """
    places = list((summary.get("sources") or {}).values())
    known = places and None not in places and "audit" not in summary and "duplicates" not in summary
    named = " ".join(shlex.quote(_near(place)) for place in places) if known else "..."
    command = "audit" if "audit" in summary else "compare"
    return (
        f"leakscan {command} {named} --verdicts {shlex.quote(str(verdicts))} -o {shlex.quote(str(run))} "
        "--overwrite"
    )


def not_applied(run: Path) -> str:
    """What to say where people gave verdicts on a run that the run does not count yet; empty otherwise.

    Args:
        run: The run folder.

    Example:
        >>> not_applied(Path("no-run"))
        ''
    """
    from leakscan.errors import LeakscanError
    from leakscan.review.judged_run import JudgedRun
    from leakscan.review.verdicts import VerdictFile

    try:
        judged = JudgedRun.open(run)
        made = dt.datetime.fromtimestamp(judged.folder.summary.stat().st_mtime, dt.UTC)
        pictures = {row["pixel_hash"] for row in judged.images.values()}
        for file in (run / "verdicts.parquet", Path("verdicts.parquet")):
            if not file.is_file():
                continue
            said = VerdictFile.open(file).read()
            new = [
                v
                for v in said
                if v.gold is None and v.at > made and {*v.pictures_a, *v.pictures_b} & pictures
            ]
            if new:
                return (
                    f"{file} has {counted(len(new), 'verdict')} that this run does not count yet. First: "
                    f"{apply_command(run, judged.summary, file)}"
                )
    except (LeakscanError, OSError):
        pass  # whoever reads the run says what is wrong with it
    return ""


def _near(place: str) -> str:
    """A path as seen from the current folder, where it lies below it."""
    path, mark, selection = place.partition("?")
    here = Path.cwd()
    near = Path(path)
    return (str(near.relative_to(here)) if near.is_relative_to(here) else path) + mark + selection

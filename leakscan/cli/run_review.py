"""``leakscan review``: a page on this machine for deciding about the pairs of a run."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.next_steps import not_applied
from leakscan.cli.output import Output
from leakscan.counted import counted
from leakscan.errors import UsageError
from leakscan.settings import Settings, section_of

_USED = ("cache", "hide_paths", "pictures_mb")


@o.with_settings(*(name for name in section_of() if name not in _USED))
def review_command(
    run: Annotated[Path, typer.Argument(help="Run folder written by compare -o or audit -o.")],
    settings: Settings,
    reviewer: Annotated[
        str, typer.Option("--reviewer", help="Name that your verdicts carry; default: your account's.")
    ] = "",
    verdict_file: Annotated[
        Path | None, typer.Option("--verdicts", help="File of verdicts; default: RUN/verdicts.parquet.")
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Hide scores and labels until a verdict is given.")
    ] = False,
    gold: Annotated[
        int, typer.Option("--gold", help="Hidden pairs with known answers to mix in; implies --blind.", min=0)
    ] = 0,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", help="Where a dataset's images are now, as NAME=PATH; repeatable."),
    ] = None,
    port: Annotated[
        int, typer.Option("--port", help="Port of the page; default: one that is free.", min=0, max=65535)
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser at once.")
    ] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Look at the pairs of a run and say what they are, on a page that only this machine can open.

    Example: leakscan review run
    """
    from leakscan.review.page.server import ReviewOptions, ReviewServer

    out = Output(as_json, quiet)
    options = ReviewOptions(
        reviewer=reviewer,
        verdicts=verdict_file,
        port=port,
        blind=blind,
        gold=gold,
        moved=dict(_moved(text) for text in source or ()),
    )

    def say(words: str) -> None:
        out.say(words)
        sys.stdout.flush()  # the link is of use now, also to whoever reads through a pipe

    server = ReviewServer(run, options, settings, say=lambda link: say(f"A new link: {link}"))
    deck, link = server.session.deck, server.link()
    verdicts = server.session.file.path
    out.data({"link": link, "cards": len(deck), "hidden": server.gold, "verdicts": str(verdicts)})
    out.say(f"{counted(len(deck), 'pair')} of people to look at, as {server.session.reviewer}.")
    if server.gold < gold:
        out.say(f"Only {counted(server.gold, 'hidden pair')} could be made: the run has too few images.")
    for trouble in server.troubles:
        out.say(f"{trouble} Name the place with --source NAME=PATH.")
    out.say(f"Open this link (it lets one browser in, once): {link}")
    where = "" if settings.privacy.hide_paths else f": {verdicts}"
    say(f"Every verdict is on disk when the key is released{where}. Ctrl-C ends the review.")
    if browser:
        webbrowser.open(link)
    server.serve()
    if not settings.privacy.hide_paths:
        say(not_applied(run, verdict_file))


def _moved(text: str) -> tuple[str, str]:
    """``NAME=PATH``, taken apart at the first ``=``.

    Raises:
        UsageError: There is no name or no path.
    """
    name, mark, path = text.partition("=")
    if not mark or not name.strip() or not path.strip():
        raise UsageError(f"--source {text} is not understood.", "Write NAME=PATH, as in ward=/data/ward.")
    return name.strip(), path.strip()

"""``leakscan fingerprint``: build or update a store."""

from __future__ import annotations

from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.counted import counted
from leakscan.settings import Settings


@o.with_settings(
    "same_ids", "show_subjects", "max_pairs", "check_seconds", "fail_on", "max_unread",
    "calibration", "fdr", "pictures_mb",
)  # fmt: skip
def fingerprint_command(
    source: Annotated[str, typer.Argument(help="A folder or manifest.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="<path>", help="Store to make or update, e.g. a.fps.")
    ],
    with_previews: Annotated[
        bool,
        typer.Option(
            "--with-previews", help="Keep a 512 px picture of each film, so that copies can be checked."
        ),
    ] = False,
    with_details: Annotated[
        bool,
        typer.Option(
            "--with-details",
            help="Keep the details of each film, 38 kB, which tell people apart as well as the film does.",
        ),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option("--shard", help="Fingerprint one of several parts of the source, such as 3/64."),
    ] = None,
    dry_run: o.DryRun = False,
    *,
    settings: Settings,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Build or update a fingerprint store that stands in for a dataset.

    Example: leakscan fingerprint hospital_a/ -o a.fps && leakscan compare a.fps hospital_b/

    Many machines share the work by --shard, and `leakscan store merge` joins what they made. Only new or
    changed files are read; an interrupted run resumes. Fingerprints are biometric
    data: keep a store as you would keep the images. For a store that goes to somebody else, --hide-paths
    puts keyed names in place of paths and leaves out dates; OUTPUT.names.csv tells you what they stand for.
    OUTPUT may be on object storage, such as s3://bucket/a.fps (needs s3fs): the store is made in the cache
    and sent when it is whole.
    """
    out = Output(as_json, quiet)
    if dry_run:
        o.told_beforehand(out, [source], settings)
        raise typer.Exit
    from leakscan.run.build_store import Keepsake, build_store

    asked: dict[Keepsake, bool] = {"previews": with_previews, "details": with_details}
    keep = [name for name, wanted in asked.items() if wanted]
    with out.progress() as progress:
        built = build_store(source, output, settings=settings, keep=keep, shard=shard, progress=progress)
    out.data(built)
    out.say(
        f"{output}: {counted(built['images'], 'image')}, {counted(built['fingerprints'], 'fingerprint')}; "
        f"{built['images_read']:,} read in this run, {built['unreadable']:,} unreadable."
    )
    for warning in built["warnings"]:
        out.say(warning)
    if built["names"]:
        out.say(f"What its names stand for is in {built['names']}, which is yours to keep.")
    if built["first_unreadable"]:
        out.say(f"The first unreadable file is {built['first_unreadable']}")
    raise typer.Exit(built["exit_code"])

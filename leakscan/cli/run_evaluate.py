"""``leakscan evaluate``: how well encoders tell people apart, on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.counted import counted
from leakscan.settings import DecodeOptions

_MAX_PIXELS = DecodeOptions().max_pixels


def evaluate_command(
    manifest: Annotated[
        Path, typer.Argument(help="CSV or Parquet with path and subject_id of images never trained on.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write: table, pictures, page.")],
    split: Annotated[
        str | None, typer.Option("--split", help="Only rows with this value of the column split.")
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option("--encoder", help="Name of an encoder; may be repeated. Default: all of the kind."),
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="Kind of the images: chest_radiograph or brain_mri (volumes).")
    ] = "chest_radiograph",
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines",
            help="Measure plain methods too: pHash, untrained networks, ImageNet features, silhouettes.",
        ),
    ] = True,
    details: Annotated[
        bool,
        typer.Option(
            "--details/--no-details",
            "--looks/--no-looks",
            help="Measure the detail matches of encoders too: some 0.1 s a film.",
        ),
    ] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier evaluation.")] = False,
    max_pixels: o.MaxPixels = _MAX_PIXELS,
    workers: o.Workers = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Measure how well encoders tell people apart, beside plain baselines.

    Example: leakscan evaluate films.csv --split test -o evaluation

    The manifest may also have source_width_px, view, contrast, sex, follow_up and acquired: pairs are then
    broken down by them. Evaluate only on subjects that no encoder was trained on.
    """
    from leakscan.evaluation.evaluate import EvaluateOptions, evaluate
    from leakscan.evaluation.evaluation_report import headline_table
    from leakscan.types import KINDS

    out = Output(as_json, quiet)
    chosen = EvaluateOptions(
        split=split,
        kind=o.one_of("--kind", kind, KINDS),
        encoders=tuple(encoder or ()),
        baselines=baselines,
        details=details,
        decode=DecodeOptions(max_pixels=max_pixels),
        workers=workers,
    )
    with out.progress() as progress:
        found = evaluate(manifest, output, chosen, overwrite, progress)
    out.data({**found, "report": str(output)})
    for protocol in ("all", "unequal_width", "reduced_128", "contrast=different", "contrast=same"):
        columns, rows = headline_table(found["headlines"], protocol)
        if rows:
            out.table(f"{protocol}: {found['protocols'][protocol]}", columns, rows)
    out.say(
        f"{found['images']:,} images of {found['subjects']:,} subjects, "
        f"{found['subjects_with_two_or_more']:,} with two or more. Subjects count equally; in brackets 95 %."
    )
    for words in found["answer"]:
        out.say(words)
    if found["unread"]:
        first = found["unread"][0]
        many = counted(len(found["unread"]), "image")
        out.say(f"{many} could not be read. First: {first['path']}: {first['error']}")
    out.say(f"Report: {output / 'evaluation.html'}")

"""``leakscan calibrate``: error rates from one's own images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output
from leakscan.settings import Settings


@o.with_settings(
    "same_ids", "show_subjects", "hide_paths", "max_pairs", "check_seconds", "fail_on", "max_unread",
    "calibration", "fdr", "pictures_mb", "baseline", "project_key",
)  # fmt: skip
def calibrate_command(
    sources: Annotated[
        list[str],
        typer.Argument(help="A folder, manifest or store with declared subjects; with --verdicts several."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write, e.g. mine.calibration.safetensors.")
    ],
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Folder for three pictures (needs the extra 'train').")
    ] = None,
    *,
    settings: Settings,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Fit the error rates of an encoder on your own images with declared subjects.

    Example: leakscan calibrate films.csv -o mine.calibration.safetensors --plots plots

    With --verdicts what people said of pairs counts as well:
    leakscan calibrate A B --verdicts verdicts.parquet -o mine.calibration.safetensors

    Use it with: leakscan compare A B --calibration mine.calibration.safetensors

    It tells which similarity strangers of your hospital reach, and how many pictures of one
    person lie below. The file holds numbers and the
    source's name, no images or identifiers of yours.
    """
    out = Output(as_json, quiet)
    from leakscan.run.calibrate import calibrate

    with out.progress() as progress:
        result = calibrate(sources, output, settings=settings, plots=plots, progress=progress)
    out.data(result)
    out.say(
        f"{result['subjects']:,} subjects, {result['impostor_pairs']:,} impostor pairs, "
        f"{result['genuine_pairs']:,} genuine pairs; p-values down to {result['smallest_p_value']:.1g}."
    )
    if labels := result["verdicts"]:
        out.say(
            f"Verdicts: {labels['same']:,} same and {labels['different']:,} different count, "
            f"{labels['unclear']:,} unsure or disputed, {labels['stale']:,} about pictures that are not "
            f"here; {labels['people_by_verdicts']:,} people are known by verdicts alone."
        )
    rows = [
        [
            f"{level['stated_fmr']:.0e}",
            f"{level['counted_fmr']:.1e}",
            f"{level['false_matches']:,}",
            "unknown" if level["missed_share"] is None else f"{level['missed_share']:.1%}",
        ]
        for level in result["levels"]
    ]
    out.table(
        "The calibration in use until now, on these images",
        ["false match rate it states", "rate here", "false matches here", "same person missed"],
        rows,
    )
    for warning in result["warnings"]:
        out.say(warning)
    out.say(f"Wrote {output}. Use it with: leakscan compare A B --calibration {output}")

"""``leakscan train``: make a fingerprint from one's own films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output

Manifests = Annotated[
    list[Path], typer.Argument(help="CSV or Parquet with path, subject_id, split (train and val).")
]
Run = Annotated[Path, typer.Option("--output", "-o", help="Run folder to write, or to go on in.")]
PresetName = Annotated[
    str, typer.Option("--preset", help="fingerprint-2d, fingerprint-3d, paper-2d, paper-3d.")
]
Backbone = Annotated[
    str | None, typer.Option("--backbone", help="resnet50, efficientnet_lite0, resnet50_3d...")
]
Side = Annotated[int | None, typer.Option("--side", help="Side of the films the network sees, in pixels.")]
Steps = Annotated[int | None, typer.Option("--steps", help="Optimiser steps in all.")]
Pairs = Annotated[int | None, typer.Option("--pairs", help="Subjects of a batch.")]
Chunk = Annotated[
    int | None, typer.Option("--chunk", help="Films in memory at once (two passes); 0 is the whole batch.")
]
Start = Annotated[
    str | None, typer.Option("--start", help="imagenet, none, an encoder's name, or a file of weights.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Any other setting as name=value; may be repeated.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of weights, batches and augmentation.")]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads of torch.", min=1)]
PackedCache = Annotated[
    Path | None, typer.Option("--cache", help="Folder for packed films; default: RUN/packed.")
]
Ship = Annotated[str | None, typer.Option("--ship", help="Make an encoder of this name of the best weights.")]


def train_command(
    manifests: Manifests,
    output: Run,
    preset: PresetName = "fingerprint-2d",
    backbone: Backbone = None,
    side: Side = None,
    steps: Steps = None,
    pairs: Pairs = None,
    chunk: Chunk = None,
    start: Start = None,
    settings: Settings = None,
    device: Device = "auto",
    seed: Seed = None,
    threads: Threads = None,
    workers: o.Workers = None,
    cache: PackedCache = None,
    ship: Ship = None,
    as_json: o.Json = False,
) -> None:
    """Train a fingerprint on your own chest films, or on volumes of the brain.

    Example: leakscan train films.csv -o run --preset fingerprint-2d

    The same command goes on with a run that was stopped. Weights are chosen on the split val alone.
    """
    from leakscan.errors import UsageError
    from leakscan.training.brains.config import PRESET
    from leakscan.training.films.config import preset as named_preset
    from leakscan.training.films.job import TrainJob, train_manifests
    from leakscan.training.settings import changed, pairs_of

    out = Output(as_json)
    given: dict[str, object] = {**pairs_of(settings or ())}
    own = {
        "architecture": backbone,
        "side": side,
        "steps": steps,
        "pairs": pairs,
        "chunk": chunk,
        "seed": seed,
    }
    given |= {name: value for name, value in own.items() if value is not None}
    if preset == PRESET:
        for option, unwanted in {"start": start, "workers": workers, "cache": cache}.items():
            if unwanted is not None:
                raise UsageError(f"--{option} does not apply to --preset {PRESET}.")
        if device not in ("auto", "cpu"):
            raise UsageError(f"--preset {PRESET} takes a GPU where there is one; leave --device out.")
        _train_brain(out, manifests, output, given, ship, threads)
        return
    config = changed(named_preset(preset), given)
    job = TrainJob(
        manifests=tuple(manifests),
        run=output,
        start=start,
        device=device,
        threads=threads,
        workers=workers,
        cache=cache,
        ship=ship,
    )
    with out.progress() as progress:
        summary = train_manifests(job, config, progress)
    out.data(summary)
    out.say(
        f"Trained {summary['architecture']} for {summary['steps']:,} steps on {summary['train_films']:,} "
        f"films of {summary['train_subjects']:,} subjects, start: {summary['start']}."
    )
    left = f"{summary['unreadable']:,} unreadable, {summary['without_subject']:,} without a subject"
    out.say(f"Left out: {left}.")
    for path, error in summary["first_unreadable"]:
        out.say(f"  {path or '(no path)'}: {error}")
    rows = [(name, summary[name]) for name in ("best", "last") if summary[name]]
    columns = ["step", "loss", "val_tar", "val_fmr", "val_auc", "val_precision_at_1"]
    cells = [[name, *(_cell(row[column]) for column in columns)] for name, row in rows]
    out.table("Chosen on val, subjects weighted equally", ["weights", *columns], cells)
    for sentence in summary["words"]:
        out.say(sentence)
    out.say(f"Weights: {output / 'best.safetensors'}; curves: {output / 'curves.png'}")
    if "shipped" in summary:
        out.say(f"To use it: leakscan models add {summary['shipped']}")


def _train_brain(
    out: Output,
    manifests: list[Path],
    run: Path,
    given: dict[str, object],
    ship: str | None,
    threads: int | None,
) -> None:
    from leakscan.training.brains.config import BrainConfig
    from leakscan.training.brains.job import train_brain
    from leakscan.training.settings import from_names

    config = from_names(BrainConfig, given)
    with out.progress() as progress:
        summary = train_brain(manifests, run, config, ship, progress, threads)
    out.data(summary)
    out.say(f"Trained on {summary['heads']:,} heads of {summary['people']:,} people, {config.steps:,} steps.")
    if summary["last"]:
        out.say(f"Mean Dice of the tissues on val: {summary['last']['val_dice']:.3f}.")
    out.say(f"Weights: {summary['weights']}; curves: {run / 'curves.png'}")
    if "shipped" in summary:
        out.say(f"To use it: leakscan models add {summary['shipped']}")


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

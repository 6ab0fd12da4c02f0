"""Teaches detail matching: ``python -m leakscan.research.teach_detail MANIFEST... -o FOLDER``.

The trunk starts as that of an installed chest encoder. Every anchor and another film of its subject meet
each other and five strangers whom the anchor's fingerprint is near to; a softmax over the six and a logistic
loss on each pair are made small. The network learns from the split ``train``; ``val`` is reported, and
nothing is chosen by it but when to stop.

A second call goes on where the first was stopped. Prints the last figures as JSON.
``FOLDER/detail.safetensors`` is the network, to be calibrated and shipped by
``leakscan.research.ship_cxr --detail``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from leakscan.cli.output import Output
from leakscan.research.command import run_command
from leakscan.training.detail.config import DetailConfig
from leakscan.training.detail.job import DetailJob
from leakscan.training.detail.job import teach_detail as teach
from leakscan.training.settings import from_names


def _setting(name: str, help_text: str) -> Any:
    default = DetailConfig.model_fields[name].default
    return typer.Option(f"--{name.replace('_', '-')}", help=f"{help_text} Default: {default}.")


def teach_detail(
    manifests: Annotated[list[Path], typer.Argument(help="Tables with path, subject_id and split.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", help="Whose trunk and fingerprints to use. Default: the installed one."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", help="Folder for packed films. Default: OUTPUT/packed.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes that decode. Default: one per core.", min=0)
    ] = None,
    steps: Annotated[int | None, _setting("steps", "Steps in all.")] = None,
    anchors: Annotated[int | None, _setting("anchors", "Anchors of a step.")] = None,
    strangers: Annotated[int | None, _setting("strangers", "Strangers whom an anchor meets.")] = None,
    learning_rate: Annotated[float | None, _setting("learning_rate", "The highest learning rate.")] = None,
    trunk_rate: Annotated[
        float | None, _setting("trunk_rate", "The trunk's share of that rate; 0 leaves it as it is.")
    ] = None,
    weight_decay: Annotated[float | None, _setting("weight_decay", "Weight decay of AdamW.")] = None,
    plain: Annotated[float | None, _setting("plain", "Share of films that are seen as they are.")] = None,
    mild: Annotated[float | None, _setting("mild", "Share of the others that are hardly altered.")] = None,
    machines: Annotated[
        float | None, _setting("machines", "Share of the others that another machine shows.")
    ] = None,
    seed: Annotated[int | None, _setting("seed", "Seed of batches and views.")] = None,
) -> None:
    """Teach detail matching on films whose subjects you know, and print what was found as JSON.

    Example: python -m leakscan.research.teach_detail films.csv -o detail --steps 1000
    """
    settings = {
        "steps": steps,
        "anchors": anchors,
        "strangers": strangers,
        "learning_rate": learning_rate,
        "trunk_rate": trunk_rate,
        "weight_decay": weight_decay,
        "plain": plain,
        "mild": mild,
        "machines": machines,
        "seed": seed,
    }
    config = from_names(DetailConfig, {name: value for name, value in settings.items() if value is not None})
    with Output().progress() as progress:
        found = teach(DetailJob(tuple(manifests), output, encoder, cache, workers), config, progress)
    Output(as_json=True).data(found)


if __name__ == "__main__":
    run_command(teach_detail)

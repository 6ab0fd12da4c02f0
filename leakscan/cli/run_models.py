"""``leakscan models``: list, show and add encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli import options as o
from leakscan.cli.output import Output

models_app = typer.Typer(help="List encoders, or add one.", no_args_is_help=True)


@models_app.command("list")
def list_command(as_json: o.Json = False) -> None:
    """List the encoders that are installed.

    Example: leakscan models list
    """
    from leakscan.fingerprint.encoders.registry import cards

    out = Output(as_json)
    known = cards()
    out.data(
        [
            {"encoder": c.encoder, "kind": c.kind, "folder": str(f), **dict(c.measured)}
            for c, f in known.values()
        ]
    )
    rows = [[c.encoder, c.kind, c.architecture, str(f)] for c, f in known.values()]
    out.table("Encoders", ["encoder", "kind", "network", "folder"], rows, whole="encoder")


@models_app.command("add")
def add_command(
    file: Annotated[
        Path, typer.Argument(help="Zip of a model folder: card.json, weights.safetensors, README.md.")
    ],
    as_json: o.Json = False,
) -> None:
    """Add an encoder from a zip file.

    Example: leakscan models add cxr-large.zip
    """
    from leakscan.fingerprint.encoders.registry import add_model

    out = Output(as_json)
    card = add_model(file)
    out.data({"encoder": card.encoder, "kind": card.kind})
    out.say(f"Added {card.encoder} for {card.kind}.")

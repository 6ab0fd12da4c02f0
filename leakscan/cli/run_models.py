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
    from leakscan.fingerprint.encoders.registry import cards, default_encoder

    out = Output(as_json)
    known = cards()
    taken = {default_encoder(card.kind) for card, _ in known.values()}
    out.data(
        [
            {
                "encoder": c.encoder,
                "kind": c.kind,
                "default": c.name in taken,
                "folder": str(f),
                **dict(c.measured),
            }
            for c, f in known.values()
        ]
    )
    rows = [
        [c.encoder, c.kind, "yes" if c.name in taken else "", c.architecture, str(f)]
        for c, f in known.values()
    ]
    out.table("Encoders", ["encoder", "kind", "default", "network", "folder"], rows, whole="encoder")
    out.say("Without --encoder the default of a kind is used. To remove an added encoder, delete its folder.")


@models_app.command("add")
def add_command(
    file: Annotated[
        Path, typer.Argument(help="Zip of a model folder: card.json, weights.safetensors, README.md.")
    ],
    as_json: o.Json = False,
) -> None:
    """Add an encoder from a zip file.

    Example: leakscan models add cxr-large.zip

    Encoders that were added go before those that leakscan comes with.
    """
    from leakscan.fingerprint.encoders.registry import add_model, cards, default_encoder

    out = Output(as_json)
    card = add_model(file)
    out.data({"encoder": card.encoder, "kind": card.kind})
    out.say(f"Added {card.encoder} for {card.kind}.")
    if default_encoder(card.kind) != card.name:
        out.say(f"It is used where you name it: --encoder {card.name}")
        return
    others = [other.name for other, _ in cards().values() if other.kind == card.kind]
    others.remove(card.name)
    if others:
        out.say(f"It is used from now on; --encoder {others[0]} takes the one that was there before.")

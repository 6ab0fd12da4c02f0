"""Makes a brain encoder: ``python -m leakscan.research.ship_brain_folds WEIGHTS MANIFEST... -o FOLDER``.

The gate and the calibration come from the people of ``val`` and ``calibration``, as they are and scanned
again by the generator; the card reports on ``test`` and on people with several real contrasts. Prints what
the card holds as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from safetensors.torch import load

from leakscan.cli.output import Output
from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.fingerprint.encoders.brain.brain_encoder import brain_net
from leakscan.research.command import run_command
from leakscan.training.settings import pairs_of
from leakscan.training.shipping.ship_brain import encoder_of


def ship_brain_folds(
    weights: Annotated[Path, typer.Argument(help="brain.safetensors of a run.")],
    manifests: Annotated[list[Path], typer.Argument(help="CSV with path, subject_id, contrast and split.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Model folder to write, such as models/brain-folds.")
    ],
    same: Annotated[
        list[str] | None, typer.Option("--same", help="Subjects who may be one person, A=B; may be repeated.")
    ] = None,
    training: Annotated[
        str, typer.Option("--training", help="JSON: what the card says of the training.")
    ] = "{}",
) -> None:
    """Make an encoder of a trained brain network, and print what its card holds as JSON.

    Example: python -m leakscan.research.ship_brain_folds run/brain.safetensors heads.csv -o models/brain
    """
    net = brain_net(load(weights.read_bytes()))
    card = encoder_of(net, manifests, pairs_of(same or ()), output, json.loads(training))
    calibration = read_calibration(output / FILE, [card.encoder])
    fitted = {"people": calibration.tail.n_subjects, "floor": calibration.tail.floor}
    about = {"encoder": card.encoder, "gate": card.gate_threshold, "calibration": fitted}
    Output(as_json=True).data({**about, **card.measured})


if __name__ == "__main__":
    run_command(ship_brain_folds)

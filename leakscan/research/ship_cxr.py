"""Makes the chest encoder that ships: ``python -m leakscan.research.ship_cxr WEIGHTS DATA -o FOLDER``.

Unlike ``leakscan train --ship``, it knows the material: the gate learns from films of many hospitals, as they
are and as from intensive care, and to refuse slices of real brains; the card reports on nih test, on children
(kermany test) and on other hospitals (ieee8023). Prints what card and calibration hold as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from leakscan.cli.output import Output
from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.research.command import run_command
from leakscan.research.fit_gate import gate_films
from leakscan.training.films.pack import Pack, pack_manifest
from leakscan.training.films.start import load_weights
from leakscan.training.shipping.packed_details import match_packs
from leakscan.training.shipping.ship import ShippingFilms, Trained, ship
from leakscan.types import Progress

_LEVELS = (1e-3, 1e-4, 1e-5, 1e-6)

NO_DETAIL: Literal["none"] = "none"
"""In place of a file of detail matching: ship none."""


def ship_cxr(
    weights: Annotated[Path, typer.Argument(help="best.safetensors of a run.")],
    data: Annotated[Path, typer.Argument(help="Folder with cxr/ and mri/.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Model folder to write, such as models/cxr-lite0.")
    ],
    architecture: Annotated[str, typer.Option("--architecture", help="The network of the weights.")] = (
        "efficientnet_lite0_grid"
    ),
    side: Annotated[int, typer.Option("--side", help="Side of the canonical array in pixels.")] = 224,
    training: Annotated[
        str, typer.Option("--training", help="JSON: what the card says of the training.")
    ] = "{}",
    detail: Annotated[
        str | None,
        typer.Option("--detail", help="File of detail matching, or none. Default: the installed encoder's."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", help="Processes that decode.", min=0)] = 2,
) -> None:
    """Make the chest encoder that ships, and print what its card and calibration hold as JSON.

    Example: python -m leakscan.research.ship_cxr run/best.safetensors DATA -o models/cxr-lite0
    """
    net = ARCHITECTURES[architecture](FINGERPRINT_DIM)
    load_weights(net, weights, architecture)
    trained = Trained(net.eval(), architecture, side, json.loads(training))
    file = NO_DETAIL if detail == NO_DETAIL else None if detail is None else Path(detail)
    with Output().progress() as progress:
        card = ship(trained, _shipping_films(data, side, file, workers, progress), output)
    found = about(read_calibration(output / FILE, [card.encoder]))
    Output(as_json=True).data({"encoder": card.encoder, **card.measured, "calibration": found})


def _shipping_films(
    data: Path, side: int, detail: Path | Literal["none"] | None, workers: int, progress: Progress
) -> ShippingFilms:
    """The films that the shipped chest encoder is made with.

    Args:
        data: The folder that holds ``cxr/`` and ``mri/``.
        side: The side of the canonical array in pixels.
        detail: The file of detail matching; ``None`` takes that of the installed encoder, ``none`` has none.
        workers: Processes that decode and match.
        progress: Receives how far the work is.

    Raises:
        LeakscanError: A manifest or the file cannot be read.
    """

    def packed(dataset: str, split: str) -> Pack:
        return pack_manifest(data / "cxr" / dataset / "manifest.csv", {split}, side, workers, progress)

    validation, calibration = packed("nih", "val"), packed("nih", "calibration")
    return ShippingFilms(
        gate=gate_films(data, side),
        validation=validation,
        calibration=calibration,
        tests={
            "nih_test": packed("nih", "test"),
            "kermany_test": packed("kermany", "test"),
            "ieee8023": packed("ieee8023", "eval_only"),
        },
        source="NIH ChestX-ray14, calibration split",
        matches=None
        if detail == NO_DETAIL
        else match_packs(detail, calibration, validation, workers, progress),
    )


def about(calibration: Calibration) -> Mapping[str, Any]:
    """What a calibration holds, and what it misses by the score alone and with detail matches.

    Example::

        calibration = read_calibration(folder / FILE, [card.encoder])
        about(calibration)["missed"]["1e-05"]  # {'score_alone': [...], 'with_details': [...]}
    """
    joint, tail = calibration.joint, calibration.joint_tail
    return {
        "subjects": calibration.tail.n_subjects,
        "genuine_pairs": len(calibration.genuine.score),
        "floor": calibration.tail.floor,
        "detail_p": calibration.detail_p,
        "joint": None if joint is None else asdict(joint),
        "joint_floor": None if tail is None else tail.floor,
        "joint_fit_p_value": None if tail is None else tail.fit.p_value,
        "missed": {
            f"{level:g}": {
                "score_alone": [round(v, 4) for v in calibration.missed(level, reach=0.0)],
                "with_details": [round(v, 4) for v in calibration.missed(level)],
            }
            for level in _LEVELS
        },
    }


if __name__ == "__main__":
    run_command(ship_cxr)

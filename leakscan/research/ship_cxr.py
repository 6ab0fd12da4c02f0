"""Makes the chest encoder that ships: ``python -m leakscan.research.ship_cxr WEIGHTS DATA -o FOLDER``.

Unlike ``leakscan train --ship``, it knows the material: the gate learns to refuse slices of real brains as
well, and the card reports on nih test and on ieee8023, from other hospitals. Prints what card and
calibration hold as JSON.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from leakscan.cli.output import RichProgress
from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.fingerprint.encoders.card import Card
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.training.films.pack import Pack, join_packs, pack_manifest
from leakscan.training.films.start import load_weights
from leakscan.training.shipping.gate import brain_slices
from leakscan.training.shipping.packed_details import match_packs
from leakscan.training.shipping.ship import ship
from leakscan.types import Progress

_LEVELS = (1e-3, 1e-4, 1e-5, 1e-6)
_GATE_FILMS = 4800  # training films of nih for the gate to look at


def ship_cxr(
    weights: Path,
    data: Path,
    folder: Path,
    architecture: str,
    side: int,
    training: dict[str, Any],
    look: Path | Literal["none"] | None,
    workers: int,
    progress: Progress,
) -> Card:
    """Writes the model folder, which names the encoder, and returns the card.

    Args:
        weights: of a training run.
        data: holds ``cxr/`` and ``mri/``.
        folder: to write into.
        architecture: of the weights.
        side: of the canonical array in pixels.
        training: what the card says of the training.
        look: file of the second look; by default that of the installed encoder. ``none`` ships none.
        workers: processes that decode and look.
        progress: is told.

    Raises:
        LeakscanError: weights or manifests cannot be read, or the folder cannot be written.
    """
    net = ARCHITECTURES[architecture](FINGERPRINT_DIM)
    load_weights(net, weights, architecture)

    def packed(dataset: str, split: str, most: int | None = None) -> Pack:
        manifest = data / "cxr" / dataset / "manifest.csv"
        return pack_manifest(manifest, {split}, side, workers, progress, most)

    validation, calibration = packed("nih", "val"), packed("nih", "calibration")
    return ship(
        net.eval(),
        folder.name,
        architecture,
        side,
        folder,
        join_packs([packed("nih", "train", _GATE_FILMS), packed("kermany", "train")]),
        validation,
        calibration,
        brain_slices([data / "mri/ixi", data / "mri/ds002748"], "train", side),
        {"nih_test": packed("nih", "test"), "ieee8023": packed("ieee8023", "eval_only")},
        training,
        looks=None if look == "none" else match_packs(look, calibration, validation, workers, progress),
    )


def about(calibration: Calibration) -> dict[str, Any]:
    """What a calibration holds, and what it misses by the score alone and with the second look."""
    joint, tail = calibration.joint, calibration.joint_tail
    return {
        "subjects": calibration.tail.n_subjects,
        "genuine_pairs": len(calibration.genuine.score),
        "floor": calibration.tail.floor,
        "look_p": calibration.detail_p,
        "joint": None if joint is None else asdict(joint),
        "joint_floor": None if tail is None else tail.floor,
        "joint_fit_p_value": None if tail is None else tail.fit.p_value,
        "missed": {
            f"{level:g}": {
                "score_alone": [round(v, 4) for v in calibration.missed(level, reach=0.0)],
                "with_looks": [round(v, 4) for v in calibration.missed(level)],
            }
            for level in _LEVELS
        },
    }


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path, help="best.safetensors of a run")
    parser.add_argument("data", type=Path, help="folder with cxr/ and mri/")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="model folder, such as models/cxr-lite0"
    )
    parser.add_argument("--architecture", default="efficientnet_lite0")
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--training", type=json.loads, default={}, help="JSON: what the card says of it")
    parser.add_argument(
        "--look", help="file of the second look, or none (default: that of the installed encoder)"
    )
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    card = ship_cxr(
        given.weights,
        given.data,
        given.output,
        given.architecture,
        given.side,
        given.training,
        "none" if given.look == "none" else given.look and Path(given.look),
        given.workers,
        RichProgress(Console(stderr=True), True),
    )
    found = read_calibration(given.output / FILE, [card.encoder])
    print(json.dumps({"encoder": card.encoder, **card.measured, "calibration": about(found)}, indent=1))


if __name__ == "__main__":
    main()

"""Makes the calibration of a shipped encoder: ``python -m leakscan.training.add_calibration MODEL DATA``.

Reads ``DATA/cxr/nih``: the tails come from calibration films, genuine pairs from calibration and val
films, and the anatomy from the images themselves. Writes ``MODEL/calibration.safetensors`` and prints
what it holds as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from leakscan.cli.output import RichProgress
from leakscan.decide.calibration import FILE, Calibration, write_calibration
from leakscan.fingerprint.encoders.card import read_card
from leakscan.fingerprint.encoders.encoder import TorchEncoder
from leakscan.training.looks import look_at_pack
from leakscan.training.pack import pack_manifest
from leakscan.training.ship import shipped_calibration
from leakscan.types import Progress

SOURCE = "NIH ChestX-ray14, calibration split"
_LEVELS = (1e-3, 1e-4, 1e-5, 1e-6)


def add_calibration(folder: Path, data: Path, workers: int, progress: Progress) -> Calibration:
    """Fits and writes the calibration of one model folder.

    Args:
        folder: of the encoder, with its card.
        data: holds ``cxr/nih/manifest.csv``.
        workers: processes that decode and look.
        progress: is told.

    Raises:
        LeakscanError: the card or the manifest cannot be read, or the file cannot be written.
    """
    encoder = TorchEncoder(read_card(folder), folder)
    manifest = data / "cxr/nih/manifest.csv"
    side = encoder.card.side
    packs, looks = [], []
    for split in ("calibration", "val"):
        packs.append(pack_manifest(manifest, {split}, side, workers, progress))
        looks.append(look_at_pack(packs[-1], workers, progress))
    progress.start("Fitting", None)
    fitted = shipped_calibration(encoder, SOURCE, packs[0], packs[1], (looks[0], looks[1]))
    write_calibration(fitted, folder / FILE)
    progress.finish()
    return fitted


def about(calibration: Calibration) -> dict[str, Any]:
    """What a calibration holds, and what it misses by the score alone and with the second look."""
    joint, tail = calibration.joint, calibration.joint_tail
    return {
        "encoder": calibration.encoder,
        "subjects": calibration.tail.n_subjects,
        "genuine_pairs": len(calibration.genuine.score),
        "floor": calibration.tail.floor,
        "look_p": calibration.look_p,
        "joint": None if joint is None else asdict(joint),
        "joint_floor": None if tail is None else tail.floor,
        "joint_share": None if tail is None else tail.share,
        "joint_shape": None if tail is None else tail.shape,
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
    parser.add_argument("folder", type=Path, help="of the encoder, such as models/cxr-lite0")
    parser.add_argument("data", type=Path, help="folder with cxr/")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    began = time.monotonic()
    fitted = add_calibration(
        arguments.folder, arguments.data, arguments.workers, RichProgress(Console(stderr=True), True)
    )
    print(json.dumps({**about(fitted), "seconds": round(time.monotonic() - began, 1)}, indent=1))


if __name__ == "__main__":
    main()

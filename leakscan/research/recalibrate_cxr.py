"""Gives a chest encoder its calibration anew: ``python -m leakscan.research.recalibrate_cxr DATA -o FOLDER``.

FOLDER holds the encoder. With ``--look`` its second look is replaced as well; fingerprints stay what they
are. Prints what the calibration holds as JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from rich.console import Console

from leakscan.cli.output import RichProgress
from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import FILE, write_calibration
from leakscan.fingerprint.encoders.card import read_card
from leakscan.fingerprint.encoders.encoder import TorchEncoder
from leakscan.fingerprint.encoders.film.detail_matcher import FILE as DETAIL_FILE
from leakscan.research.ship_cxr import about
from leakscan.training.films.pack import pack_manifest
from leakscan.training.shipping.packed_details import match_packs
from leakscan.training.shipping.ship import shipped_calibration
from leakscan.types import Progress


def recalibrate(
    data: Path, folder: Path, look: Path | None, workers: int | None, progress: Progress
) -> Calibration:
    """Writes ``folder/calibration.safetensors``, and ``detail.safetensors`` if one is given.

    Args:
        data: holds ``cxr/nih``.
        folder: of the encoder.
        look: file of the second look; that of the encoder if not given.
        workers: processes that decode.
        progress: is told.

    Raises:
        LeakscanError: the encoder, the look or the manifest cannot be read, or nothing can be written.
    """
    encoder = TorchEncoder(read_card(folder), folder)
    manifest = data / "cxr" / "nih" / "manifest.csv"
    calibration, validation = (
        pack_manifest(manifest, {split}, encoder.card.side, workers, progress)
        for split in ("calibration", "val")
    )
    looks = match_packs(look or folder / DETAIL_FILE, calibration, validation, workers, progress)
    source = encoder.card.impostors.source
    fitted = shipped_calibration(encoder, source, calibration, validation, looks)
    if look is not None and look.resolve() != (folder / DETAIL_FILE).resolve():
        shutil.copyfile(look, folder / DETAIL_FILE)
    write_calibration(fitted, folder / FILE)
    return fitted


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with cxr/")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the encoder")
    parser.add_argument("--look", type=Path, help="file of leakscan.training.detail.job")
    parser.add_argument("--workers", type=int, help="processes that decode (default: one per core)")
    given = parser.parse_args()
    progress = RichProgress(Console(stderr=True), True)
    fitted = recalibrate(given.data, given.output, given.look, given.workers, progress)
    print(json.dumps({"encoder": fitted.encoder, "look": fitted.detail_digest, **about(fitted)}, indent=1))


if __name__ == "__main__":
    main()

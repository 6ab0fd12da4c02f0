"""Gives a chest encoder its calibration anew: ``python -m leakscan.research.recalibrate_cxr DATA -o FOLDER``.

``FOLDER`` holds the encoder. With ``--detail`` its detail matching is replaced as well; fingerprints stay
what they are. Prints what the calibration holds as JSON.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from leakscan.cli.output import Output
from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import FILE, write_calibration
from leakscan.fingerprint.encoders.card import read_card
from leakscan.fingerprint.encoders.film.detail_matcher import FILE as DETAIL_FILE
from leakscan.fingerprint.encoders.torch_encoder import TorchEncoder
from leakscan.research.command import run_command
from leakscan.research.ship_cxr import about
from leakscan.training.films.pack import pack_manifest
from leakscan.training.shipping.packed_details import match_packs
from leakscan.training.shipping.ship import shipped_calibration
from leakscan.types import Progress


def recalibrate_cxr(
    data: Annotated[Path, typer.Argument(help="Folder with cxr/.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the encoder.")],
    detail: Annotated[
        Path | None, typer.Option("--detail", help="File that leakscan.research.teach_detail made.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Processes that decode. Default: one per core.", min=0)
    ] = None,
) -> None:
    """Give a chest encoder its calibration anew, and print what it holds as JSON.

    Example: python -m leakscan.research.recalibrate_cxr DATA -o models/cxr-lite0
    """
    with Output().progress() as progress:
        fitted = _recalibrate(data, output, detail, workers, progress)
    Output(as_json=True).data({"encoder": fitted.encoder, "look": fitted.detail_digest, **about(fitted)})


def _recalibrate(
    data: Path, folder: Path, detail: Path | None, workers: int | None, progress: Progress
) -> Calibration:
    """Writes ``folder/calibration.safetensors``, and ``detail.safetensors`` if one is given.

    Args:
        data: The folder that holds ``cxr/nih``.
        folder: The folder of the encoder.
        detail: The file of detail matching; that of the encoder if not given.
        workers: Processes that decode.
        progress: Receives how far the work is.

    Raises:
        LeakscanError: The encoder, the file or the manifest cannot be read, or nothing can be written.
    """
    encoder = TorchEncoder(read_card(folder), folder)
    manifest = data / "cxr" / "nih" / "manifest.csv"
    calibration, validation = (
        pack_manifest(manifest, {split}, encoder.card.side, workers, progress)
        for split in ("calibration", "val")
    )
    matches = match_packs(detail or folder / DETAIL_FILE, calibration, validation, workers, progress)
    source = encoder.card.impostors.source
    fitted = shipped_calibration(encoder, source, calibration, validation, matches)
    if detail is not None and detail.resolve() != (folder / DETAIL_FILE).resolve():
        shutil.copyfile(detail, folder / DETAIL_FILE)
    write_calibration(fitted, folder / FILE)
    return fitted


if __name__ == "__main__":
    run_command(recalibrate_cxr)

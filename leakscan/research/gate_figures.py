"""What the shipped gate of chest films keeps and refuses: ``python -m leakscan.research.gate_figures DATA``.

Prints the shares of frontal films that it keeps, and of other pictures that it refuses, as JSON.
``leakscan evaluate`` measures everything else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from PIL import Image, UnidentifiedImageError

from leakscan.cli.output import Output
from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.encoder import Encoder
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.encoders.torch_encoder import TorchEncoder
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.research.command import run_command
from leakscan.research.fit_gate import canonical, films_of
from leakscan.research.intensive_care import intensive_care
from leakscan.training.films.pack import pack_manifest
from leakscan.training.shipping.figures import encode_pack
from leakscan.training.shipping.gate import brain_slices

_CROPS = 8  # of every photograph
_FILMS = 400  # of every set at most


def gate_figures(
    data: Annotated[Path, typer.Argument(help="Folder with cxr/ and mri/.")],
    photos: Annotated[
        Path | None, typer.Option("--photographs", help="Folder of photographs the gate should refuse.")
    ] = None,
) -> None:
    """Print the shares of films that the gate of the chest encoder keeps, and of others that it refuses.

    Example: python -m leakscan.research.gate_figures DATA --photographs PHOTOS
    """
    entry = card_for("chest_radiograph")
    if entry is None:
        raise ModelError("There is no encoder for chest radiographs.", "leakscan models list")
    refused = _refused_by_gate(data, TorchEncoder(*entry), photos)
    kept = _kept_by_gate(data, TorchEncoder(*entry))
    Output(as_json=True).data({"encoder": entry[0].encoder, "kept": kept, "refused_by_gate": refused})


def _kept_by_gate(data: Path, encoder: Encoder) -> dict[str, Any]:
    """The share of frontal films that the gate keeps: as they are, and made to look like intensive care."""
    sets = {"nih val": ("nih", "val"), "nih test": ("nih", "test"), "kermany test": ("kermany", "test")}
    sets |= {name: (name, "") for name in ("other_hospitals", "ieee8023")}
    out = {}
    for title, (name, split) in sets.items():
        films = films_of(data, name, split, _FILMS, seed=1)
        rng = np.random.default_rng(1)
        looks = {
            title: films,
            f"{title}, as from intensive care": [intensive_care(film, rng) for film in films],
        }
        for words, own in looks.items():
            accepted = encode_pack(encoder, canonical(own, encoder.card.side))[1]
            out[words] = {"pictures": len(own), "share": round(float(accepted.mean()), 4)}
    return out


def _refused_by_gate(data: Path, encoder: Encoder, photos: Path | None) -> dict[str, Any]:
    """The share of pictures that are no frontal film which the gate refuses.

    Args:
        data: The folder that holds ``cxr`` and ``mri`` with their manifests.
        encoder: An encoder for chest radiographs.
        photos: A folder of photographs, or ``None``.
    """
    side = encoder.card.side
    refused = {
        "not_frontal": pack_manifest(data / "cxr/not_frontal/manifest.csv", {"eval_only"}, side).films,
        "brain_slices": brain_slices([data / "mri/ixi", data / "mri/ds002748"], "test", side),
    }
    if photos is not None:
        refused["photographs"] = _photographs(photos, side)
    return {
        name: {"pictures": len(films), "share": round(1 - float(encode_pack(encoder, films)[1].mean()), 4)}
        for name, films in refused.items()
    }


def _photographs(folder: Path, side: int, seed: int = 2) -> npt.NDArray[np.uint8]:
    """Canonical arrays of every picture in a folder and of random crops of it.

    Args:
        folder: The folder; files that are no pictures are left alone.
        side: The side of the arrays in pixels.
        seed: The seed of the crops.
    """
    rng = np.random.default_rng(seed)
    out = []
    for path in sorted(folder.rglob("*")):
        try:
            with Image.open(path) as image:
                grey = np.asarray(image.convert("L"), np.float32)
        except (UnidentifiedImageError, OSError):
            continue
        if min(grey.shape) < side // 2 or np.ptp(grey) == 0:
            continue
        for number in range(_CROPS):
            share = 1.0 if number == 0 else rng.uniform(0.4, 0.9)
            height, width = (int(n * share) for n in grey.shape)
            top, left = (
                rng.integers(0, grey.shape[0] - height + 1),
                rng.integers(0, grey.shape[1] - width + 1),
            )
            piece = grey[top : top + height, left : left + width]
            out.append(np.rint(canonical_radiograph(piece, side) * 255).astype(np.uint8))
    return np.stack(out)


if __name__ == "__main__":
    run_command(gate_figures)

"""Fits the gate of the shipped chest encoder anew: ``python -m leakscan.research.fit_gate DATA``.

Films of the training splits, as they are and made to look like intensive care, against broken films,
slices of brains, and details with the speckle of ultrasound. The gate judges by the features of the shipped
network, so no fingerprint changes. It goes into the card of the encoder.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from PIL import Image

from leakscan.cli.output import Output
from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.card import write_card
from leakscan.fingerprint.encoders.encoder import GraphEncoder
from leakscan.fingerprint.encoders.networks import gate_features
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph
from leakscan.research.command import run_command
from leakscan.research.intensive_care import intensive_care
from leakscan.training.shipping.gate import GateFilms, brain_slices, break_films, speckled

Films = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_TAUGHT = {"nih": 900, "other_hospitals": 500, "kermany": 350}
"""Films of the split ``train`` of each set, at random."""
_HELD_OUT = 300  # films of nih val
_SEVERITY = (0.1, 1.0)


def fit(
    data: Annotated[Path, typer.Argument(help="Folder with cxr/ and mri/.")],
    seed: Annotated[int, typer.Option(help="Seed of all draws.")] = 0,
) -> None:
    """Fit the gate and write it into the card of the chest encoder.

    Example: python -m leakscan.research.fit_gate DATA
    """
    entry = card_for("chest_radiograph")
    if entry is None:
        raise ModelError("There is no encoder for chest radiographs.", "leakscan models list")
    card, folder = entry
    encoder = GraphEncoder(card, folder)
    gate, threshold = gate_films(data, card.side, seed).fitted(partial(features_of, encoder))
    write_card(replace(card, gate=gate, gate_threshold=threshold), folder)
    Output(as_json=True).data({"encoder": card.encoder, "gate_threshold": threshold})


def gate_films(data: Path, side: int, seed: int = 0) -> GateFilms:
    """What the gate of the shipped encoder learns from.

    Args:
        data: The folder that holds ``cxr/`` and ``mri/``.
        side: The side of the canonical arrays in pixels.
        seed: The seed of all draws.

    Example::

        gate, threshold = gate_films(Path("data"), side=224).fitted(partial(features_of, encoder))
    """
    rng = np.random.default_rng(seed)
    films = {name: films_of(data, name, "train", n, seed) for name, n in _TAUGHT.items()}
    plain = canonical([film for own in films.values() for film in own], side)
    ill = canonical(
        [intensive_care(film, rng, rng.uniform(*_SEVERITY)) for own in films.values() for film in own], side
    )
    brains = brain_slices([data / "mri/ixi", data / "mri/ds002748"], "train", side, 2, seed)
    broken = break_films(plain[: _TAUGHT["nih"]], seed)
    held = films_of(data, "nih", "val", _HELD_OUT, seed)
    return GateFilms(
        kept=np.concatenate([plain, ill]),
        refused=np.concatenate(
            [broken, brains, speckled(np.concatenate([brains[:200], broken[:200]]), seed)]
        ),
        held_out=canonical([*held, *(intensive_care(film, rng) for film in held)], side),
    )


def films_of(data: Path, name: str, split: str, most: int, seed: int) -> list[Floats]:
    """Grey values of films of one set, at random.

    Args:
        data: The folder that holds ``cxr``.
        name: The name of the set.
        split: The split to take, empty for all.
        most: The number of films at most.
        seed: The seed of the draw.

    Example::

        films_of(Path("data"), "nih", "val", 300, seed=0)
    """
    folder = data / "cxr" / name
    with (folder / "manifest.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if split in ("", row["split"])]
    chosen = sorted(np.random.default_rng(seed).permutation(len(rows))[:most].tolist())
    found = []
    for number in chosen:
        with Image.open(folder / rows[number]["path"]) as image:
            found.append(np.asarray(image.convert("L"), np.float32))
    return found


def canonical(films: list[Floats], side: int) -> Films:
    """What the encoder is shown of films.

    Args:
        films: Grey values of any size.
        side: The side of the canonical array.

    Example::

        canonical(films_of(Path("data"), "nih", "val", 300, seed=0), side=192).shape  # (300, 192, 192)
    """
    return np.stack([np.rint(canonical_radiograph(film, side) * 255).astype(np.uint8) for film in films])


def features_of(encoder: GraphEncoder, films: Films) -> Floats:
    """``(n, f)`` what the gate judges by.

    Args:
        encoder: The encoder.
        films: ``(n, side, side)`` canonical films.

    Example::

        features_of(encoder, films).shape  # (300, 1280)
    """
    features = np.concatenate([encoder.features(film) for film in films])
    return gate_features(encoder.card.architecture, features)


if __name__ == "__main__":
    run_command(fit)

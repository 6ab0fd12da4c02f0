"""How weights do where machines differ: ``python -m leakscan.research.other_hospitals WEIGHTS --data DATA``.

Three sets tell how far weights hold in other hospitals; the first two may be used often:

* ``val`` of nih, as it is, and with every film shown as another hospital's machine would show it
  (:mod:`leakscan.training.films.machines`), with tones of films of other hospitals;
* strangers among films of many other hospitals, each of another person: the score that they exceed at a false
  match rate of 1e-3, and how much of the altered ``val`` lies above it;
* with ``--ieee8023``, films of hospitals that nobody trained on. Use it seldom, and count.

Several files that are joined by ``+`` are averaged first. Prints one line of JSON for each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer
from torch import nn

from leakscan.cli.output import Output
from leakscan.error_rates import (
    auc,
    genuine_weights,
    pair_scores,
    precision_at_1,
    tar_at_fmr,
    threshold_at_fmr,
)
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.research.command import run_command
from leakscan.research.merge_weights import average_weights
from leakscan.training.films.machines import of_another_machine
from leakscan.training.films.pack import Pack, pack_manifest
from leakscan.training.films.validation import embed, to_float

_RATES = (1e-2, 1e-3, 1e-4)
_TOGETHER = 64
_SEED = 7

Prints = npt.NDArray[np.float32]


def other_hospitals(
    weights: Annotated[list[str], typer.Argument(help="Files of weights; A+B is the mean of two.")],
    data: Annotated[Path, typer.Option("--data", help="Folder that holds cxr/.")],
    architecture: Annotated[str, typer.Option("--architecture", help="The network of the weights.")] = (
        "efficientnet_lite0_placed"
    ),
    side: Annotated[int, typer.Option("--side", help="Side of the films in pixels.")] = 224,
    ieee8023: Annotated[bool, typer.Option("--ieee8023", help="Measure ieee8023 as well.")] = False,
) -> None:
    """Measure weights on films of other machines and hospitals, and print the figures as JSON.

    Example: python -m leakscan.research.other_hospitals run/best.safetensors --data DATA
    """
    films = data / "cxr"
    val = pack_manifest(films / "nih/manifest.csv", {"val"}, side)
    strangers = pack_manifest(films / "other_hospitals/manifest.csv", {"train"}, side)
    seen = pack_manifest(films / "ieee8023/manifest.csv", {"eval_only"}, side) if ieee8023 else None
    altered = _of_other_machines(val.films, strangers.films)
    out = Output()
    for names in weights:
        net = ARCHITECTURES[architecture](FINGERPRINT_DIM)
        net.load_state_dict(average_weights([Path(n) for n in names.split("+")], architecture))
        found: dict[str, Any] = {"weights": names}
        found["val"] = _figures(embed(net, val.films, side), val.subjects)
        prints = embed(net, altered, side)
        found["val_altered"] = _figures(prints, val.subjects)
        found["val_altered_at_others_1e-3"] = _above_strangers(prints, val, embed(net, strangers.films, side))
        if seen is not None:
            found["ieee8023"] = _known_figures(net, seen, side)
        out.say(json.dumps(found))


def _of_other_machines(films: npt.NDArray[np.uint8], donors: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Films as other hospitals would show them, the same for the same films and donors."""
    torch.manual_seed(_SEED)
    out = []
    for start in range(0, len(films), _TOGETHER):
        some = to_float(films[start : start + _TOGETHER], torch.device("cpu"))
        others = to_float(donors[torch.randint(len(donors), (_TOGETHER,)).numpy()], torch.device("cpu"))
        shown = of_another_machine(torch.cat([some, others]), 1.0)[: len(some), 0]
        out.append((shown * 255).round().to(torch.uint8).numpy())
    return np.concatenate(out)


def _known_figures(net: nn.Module, pack: Pack, side: int) -> dict[str, float]:
    """Figures of the films that name their subject."""
    named = ~np.char.startswith(pack.subjects, "film:")
    return _figures(embed(net, pack.films[named], side), pack.subjects[named])


def _figures(prints: Prints, subjects: npt.NDArray[np.str_]) -> dict[str, float]:
    pairs = pair_scores(prints, subjects)
    rates = {f"tar_{r:g}": tar_at_fmr(pairs, r) for r in _RATES if r * pairs.n_impostor >= 1}
    found = {"auc": auc(pairs), **rates, "precision_at_1": precision_at_1(prints, subjects)}
    return {name: round(float(value), 4) for name, value in found.items()}


def _above_strangers(prints: Prints, pack: Pack, strangers: Prints) -> float:
    """The share of genuine pairs, subjects weighing equally, above strangers of other hospitals."""
    pairs = pair_scores(prints, pack.subjects)
    scores = (strangers @ strangers.T)[np.triu_indices(len(strangers), 1)]
    threshold = threshold_at_fmr(np.sort(scores.astype(np.float64)), 1e-3)
    return round(float(np.average(pairs.genuine > threshold, weights=genuine_weights(pairs))), 4)


if __name__ == "__main__":
    run_command(other_hospitals)

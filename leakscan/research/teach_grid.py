"""Adds features of places to a chest encoder: ``python -m leakscan.research.teach_grid DATA -o FOLDER``.

The trunk and what the encoder pools stay as they are. A small network over maps of the trunk learns to add
to the fingerprint what stands where on a film. Half of what it learned is taken: it learns people of one
hospital, and the whole of it costs others at strict rates. Films of hospitals whose people nobody knows
are people of their own; altered views of one film must come out alike. ``FOLDER/grid.safetensors`` goes to
``leakscan.research.ship_cxr --architecture efficientnet_lite0_grid``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from safetensors.torch import save_file
from torch import nn

from leakscan.cli.output import Output
from leakscan.fingerprint.encoders.film.trunk_maps import GridFeatures
from leakscan.fingerprint.encoders.networks import POOLED, EfficientNetLite0, PlacedMean
from leakscan.research.command import run_command
from leakscan.research.hospital_views import HospitalViews, hospital_views
from leakscan.training.films.view_pairs import ViewPairs, Weights
from leakscan.types import Progress

_WEIGHTS = Weights((1.0, 0.4, 0.5), single=0.15)
_DRAWN, _BESIDE = 40, 3  # people of a step, and how many who look like each
_ALIKE = 15
_TEMPERATURE = 0.07
_WARM_UP = 50  # steps
_NEAR = 0.5  # weight of staying near the fingerprint that was
_PLAIN = 0.3


@dataclass(frozen=True)
class GridLesson:
    """How a grid is taught.

    Attributes:
        steps: Steps in all.
        rate: The highest learning rate.
        share: How much of what was learned is taken, 0..1.
    """

    steps: int
    rate: float
    share: float


def teach_grid(
    data: Annotated[Path, typer.Argument(help="Folder that holds cxr/.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Whose trunk it is. Default: the installed one.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="Steps in all.", min=1)] = 600,
    rate: Annotated[float, typer.Option("--learning-rate", help="The highest learning rate.")] = 1e-3,
    share: Annotated[
        float, typer.Option("--share", help="How much of what was learned is taken.", min=0, max=1)
    ] = 0.5,
) -> None:
    """Add features of places to a chest encoder.

    Example: python -m leakscan.research.teach_grid DATA -o grid
    """
    with Output().progress() as progress:
        kept = hospital_views(data, output / "views", encoder, progress)
        net = with_grid(kept.net)
        _teach(net, kept, GridLesson(steps, rate, share), progress)
    target = output / "grid.safetensors"
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, target)
    Output().say(f"Written to {target}")


def with_grid(net: EfficientNetLite0) -> EfficientNetLite0:
    """A network that has a grid, and gives the fingerprints of one that has none.

    Args:
        net: A network. One that has a grid is returned as it is.

    Example:
        >>> with_grid(EfficientNetLite0(pool=PlacedMean(POOLED, 6))).head.in_features
        2848
    """
    if net.grid is not None:
        return net
    out = EfficientNetLite0(net.head.out_features, PlacedMean(POOLED, 6), GridFeatures())
    state = {name: value for name, value in net.state_dict().items() if not name.startswith("head.")}
    out.load_state_dict(state, strict=False)
    with torch.no_grad():
        out.head.weight.zero_()
        out.head.weight[:, :POOLED] = net.head.weight
        out.head.bias.copy_(net.head.bias)
    return out.eval()


def _teach(net: EfficientNetLite0, kept: HospitalViews, how: GridLesson, progress: Progress) -> None:
    """NT-Xent over two views of everybody (arXiv 2002.05709), among people who look alike."""
    assert net.grid is not None
    torch.manual_seed(1)
    pairs = ViewPairs(kept.views, kept.subjects, kept.sources, _WEIGHTS)
    alike = pairs.people_alike(_ALIKE)
    places = nn.Linear(GridFeatures.SIZE, net.head.out_features, bias=False)  # what the head has for the grid
    with torch.no_grad():
        places.weight.copy_(net.head.weight[:, POOLED:])
    learned = [*net.grid.parameters(), *places.parameters()]
    optimiser = torch.optim.AdamW(learned, lr=how.rate, weight_decay=0.05)
    progress.start("Teaching", how.steps)
    for step in range(how.steps):
        rng = np.random.default_rng([1, step])
        falling = 0.5 * (1 + math.cos(math.pi * step / how.steps)) * min(1.0, (step + 1) / _WARM_UP)
        optimiser.param_groups[0]["lr"] = how.rate * falling
        one, other = pairs.draw(_people(pairs, alike, rng), rng, _PLAIN)
        views = np.concatenate([one, other])
        fine, coarse, pooled = kept.views.maps(views)
        with torch.no_grad():
            own = nn.functional.linear(pooled, net.head.weight[:, :POOLED], net.head.bias)
        added = places(net.grid(fine, coarse)) * pooled.norm(dim=1, keepdim=True)
        prints = nn.functional.normalize(own + added)
        loss = _loss(prints, torch.from_numpy(kept.views.prints[views]))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        progress.advance(1)
    with torch.no_grad():
        net.head.weight[:, POOLED:] = how.share * places.weight


def _people(
    pairs: ViewPairs, alike: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Those of one step, each once: some by their weights, and some who look like each of them."""
    drawn = list(pairs.seeds(rng, min(_DRAWN, pairs.count // 2)))
    for seed in tuple(drawn):
        drawn += list(rng.choice(alike[seed], min(_BESIDE, alike.shape[1]), replace=False))
    return np.array(list(dict.fromkeys(drawn)), np.int64)


def _loss(prints: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """NT-Xent of two views of everybody, ``(2 n, d)``, and how far they went from what they were."""
    n = len(prints) // 2
    scores = prints @ prints.T / _TEMPERATURE - torch.eye(2 * n) * 1e4
    half = torch.arange(n)
    apart = nn.functional.cross_entropy(scores, torch.cat([half + n, half]))
    return apart + _NEAR * (1 - (prints * before).sum(dim=1)).mean()


if __name__ == "__main__":
    run_command(teach_grid)

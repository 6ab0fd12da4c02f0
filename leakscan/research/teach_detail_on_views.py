"""Teaches detail matching on kept views: ``python -m leakscan.research.teach_detail_on_views DATA``.

The trunk is the encoder's own and stays as it is, so only its maps are needed. Altered films and films
of other hospitals are among them. ``FOLDER/detail.safetensors`` holds the last network of ``--beside``
and the one that was taught, which began at the head of the first. It goes to
``leakscan.research.ship_cxr --detail``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import nn

from leakscan.cli.output import Output
from leakscan.fingerprint.encoders.film.detail_matcher import FILE, FilmDetailMatcher
from leakscan.fingerprint.encoders.film.detail_net import DetailNet
from leakscan.fingerprint.encoders.film.torch_details import save_detail_matcher
from leakscan.research.command import run_command
from leakscan.research.hospital_views import HospitalViews, hospital_views
from leakscan.training.detail.lesson import pair_loss
from leakscan.training.films.view_pairs import ViewPairs, Weights
from leakscan.types import Progress

_WEIGHTS = Weights((1.0, 0.5, 0.5), single=0.0)
_ANCHORS, _STRANGERS = 16, 5
_ALIKE = 40
_FAVOUR = 1.5  # the power of a uniform number that picks a stranger: above 1, the most alike come more often
_PLAIN = 0.4
_WARM_UP = 40  # steps
_SAVE_EVERY = 100  # steps


def teach_detail_on_views(
    data: Annotated[Path, typer.Argument(help="Folder that holds cxr/.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.")],
    beside: Annotated[Path, typer.Option("--beside", help="File of the networks that it joins.")],
    encoder: Annotated[
        str | None, typer.Option("--encoder", help="Whose trunk it is. Default: the installed one.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", help="Steps in all.", min=1)] = 1400,
    rate: Annotated[float, typer.Option("--learning-rate", help="The highest learning rate.")] = 5e-4,
) -> None:
    """Teach detail matching on kept views; a second call goes on.

    Example: python -m leakscan.research.teach_detail_on_views DATA -o new --beside old/detail.safetensors
    """
    others = FilmDetailMatcher(beside).networks
    with Output().progress() as progress:
        kept = hospital_views(data, output / "views", encoder, progress)
        net = DetailNet()
        net.load_state_dict(others[0].state_dict())
        net.trunk.load_state_dict(kept.net.trunk[: len(net.trunk)].state_dict())
        _teach(net, kept, (steps, rate), output / "checkpoint.pt", progress)
    save_detail_matcher([others[-1], net.eval()], output / FILE)
    Output().say(f"Written to {output / FILE}")


def _teach(
    net: DetailNet, kept: HospitalViews, how: tuple[int, float], checkpoint: Path, progress: Progress
) -> None:
    steps, highest = how
    pairs = ViewPairs(kept.views, kept.subjects, kept.sources, _WEIGHTS)
    alike = pairs.views_alike(_ALIKE)
    learned = [p for name, p in net.named_parameters() if not name.startswith("trunk.")]
    optimiser = torch.optim.AdamW(learned, lr=highest, weight_decay=0.02)
    done = 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        done = state["step"]
    progress.start("Teaching", steps)
    progress.advance(done)
    net.train()
    for step in range(done, steps):
        torch.manual_seed(step)
        rng = np.random.default_rng([9, step])
        share = 0.5 * (1 + math.cos(math.pi * step / steps)) * min(1.0, (step + 1) / _WARM_UP)
        optimiser.param_groups[0]["lr"] = highest * share
        people = pairs.seeds(rng, min(_ANCHORS, pairs.count // 2))
        anchors, partners = pairs.draw(people, rng, _PLAIN)
        picked = (rng.random((len(anchors), _STRANGERS)) ** _FAVOUR * alike.shape[1]).astype(np.int64)
        strangers = np.take_along_axis(alike[anchors], picked, axis=1)
        fine, coarse, _ = kept.views.maps(np.concatenate([anchors, partners, strangers.ravel()]))
        loss = pair_loss(net, net.details(fine, coarse), _STRANGERS)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        progress.advance(1)
        if (step + 1) % _SAVE_EVERY == 0 or step + 1 == steps:
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            torch.save(state, part := checkpoint.with_suffix(".part"))
            part.replace(checkpoint)


if __name__ == "__main__":
    run_command(teach_detail_on_views)

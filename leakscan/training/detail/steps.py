"""The steps by which the second look is taught: batches, loss, schedule, checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.errors import LeakscanError
from leakscan.fingerprint.encoders.film.detail_net import SIDE, DetailNet
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.training.detail.batches import DetailBatches
from leakscan.training.films.augment import AT_ONCE, public_view
from leakscan.training.films.pack import PackedFilms
from leakscan.training.interrupt import Interrupt, deferred_interrupt, stopped
from leakscan.training.training_folder import whole
from leakscan.types import Progress

_WARM_UP = 100  # steps
_PAIRWISE = 0.5  # weight of the logistic loss
_CLIP = 1.0
_SAVE_EVERY = 100  # steps


@dataclass(frozen=True)
class DetailConfig:
    """How the second look is taught.

    Attributes:
        steps: in all.
        anchors: of a step.
        strangers: of an anchor.
        learning_rate: at its highest; rises over 100 steps, falls as half a cosine.
        trunk_rate: of the trunk, as a share of the learning rate; 0 leaves the trunk as it is.
        weight_decay: of AdamW.
        plain: share of the films that are seen as they are.
        mild: share of the others that are turned and cropped hardly at all, as most films are that users
            compare.
        seed: of everything.
    """

    steps: int = 2000
    anchors: int = 32
    strangers: int = 5
    learning_rate: float = 1e-3
    trunk_rate: float = 0.3
    weight_decay: float = 0.02
    plain: float = 0.2
    mild: float = 0.6
    seed: int = 0


def loss_of(net: DetailNet, films: torch.Tensor, strangers: int) -> torch.Tensor:
    """The loss of one batch.

    Args:
        net: in training mode, the trunk in evaluation mode.
        films: ``(b * (2 + strangers), 1, SIDE, SIDE)`` in 0..1: anchors, their partners, strangers of the
            first anchor, of the second, and so on.
        strangers: of an anchor; its partner meets them too.
    """
    b = len(films) // (2 + strangers)
    with low_precision(films.device):
        fine, coarse = net.maps(films.contiguous(memory_format=torch.channels_last))
    details = net.details(fine, coarse)
    each = torch.arange(b, device=films.device)
    often = each.repeat_interleave(strangers)
    other = details[2 * b :]
    logits = net.compare(
        torch.cat([details[each], details[often], details[b + often]]),
        torch.cat([details[b : 2 * b], other, other]),
    )
    same, apart = logits[:b], logits[b:].reshape(2, b, strangers)
    right = torch.zeros(b, dtype=torch.long, device=films.device)
    ranked = sum(nn.functional.cross_entropy(torch.cat([same[:, None], row], dim=1), right) for row in apart)
    pairwise = nn.functional.softplus(-same).mean() + nn.functional.softplus(apart).mean()
    return ranked / 2 + _PAIRWISE * pairwise


def views_of(films: torch.Tensor, config: DetailConfig) -> torch.Tensor:
    """One view of every film, ``(n, 1, SIDE, SIDE)`` in 0..1.

    Args:
        films: ``(n, s, s)`` uint8, packed.
        config: of the run.
    """
    x = films[:, None].float() / 255.0
    plain = nn.functional.interpolate(x, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    altered = torch.cat([public_view(part, SIDE, config.mild) for part in torch.split(x, AT_ONCE)])
    kept = torch.rand(len(x), 1, 1, 1, device=x.device) < config.plain
    return torch.where(kept, plain, altered)


def teach(
    net: DetailNet,
    films: npt.NDArray[np.uint8],
    batches: DetailBatches,
    config: DetailConfig,
    folder: Path,
    progress: Progress,
) -> None:
    """Trains in place, from the last checkpoint in ``folder`` if there is one.

    Args:
        net: on the device to train on.
        films: ``(n, s, s)`` packed, larger than what the network sees so that crops find detail.
        batches: of these films.
        config: of the run.
        folder: of the run.
        progress: is told.

    Raises:
        Stopped: by Ctrl-C; a checkpoint was saved.
        LeakscanError: the loss is no longer finite.
    """
    net.trunk.requires_grad_(config.trunk_rate > 0)
    trunk, own = list(net.trunk.parameters()), [p for k, p in net.named_parameters() if k[:5] != "trunk"]
    groups = [{"params": own, "factor": 1.0}, {"params": trunk, "factor": config.trunk_rate}]
    optimiser = torch.optim.AdamW(groups[: 1 + (config.trunk_rate > 0)], weight_decay=config.weight_decay)
    held = PackedFilms(films, net.place.device)
    checkpoint = folder / "checkpoint.pt"
    step = 0
    if checkpoint.is_file():
        state: dict[str, Any] = torch.load(checkpoint, map_location=net.place.device, weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        step = int(state["step"])

    def save() -> None:
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
        whole(checkpoint, lambda part: torch.save(state, part))

    net.train()
    net.trunk.eval()
    progress.start("teach", config.steps)
    progress.advance(step)
    with deferred_interrupt() as asked:
        try:
            while step < config.steps:
                asked.check()
                torch.manual_seed(config.seed * 1_000_003 + step)
                rate = 0.5 * (1.0 + math.cos(math.pi * step / config.steps)) * min(1.0, (step + 1) / _WARM_UP)
                for group in optimiser.param_groups:
                    group["lr"] = config.learning_rate * rate * group["factor"]
                batch = batches(step)
                chosen = np.concatenate([batch.anchors, batch.partners, batch.strangers.ravel()])
                loss = loss_of(net, views_of(held[chosen], config), batch.strangers.shape[1])
                if not math.isfinite(loss.item()):
                    raise LeakscanError(
                        f"The loss is {loss.item()} at step {step:,}.", "Lower --learning-rate."
                    )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_([*own, *trunk], _CLIP)
                optimiser.step()
                step += 1
                progress.advance()
                if step % _SAVE_EVERY == 0:
                    save()
        except Interrupt:
            save()
            raise stopped(step, config.steps) from None
    save()
    progress.finish()

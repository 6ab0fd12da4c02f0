"""The steps by which the second look is taught: batches, loss, schedule, checkpoints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from leakscan.errors import LeakscanError
from leakscan.fingerprint.encoders.detail_net import DetailNet
from leakscan.training.interrupt import Interrupt, deferred_interrupt, stopped
from leakscan.training.look_batches import Batch, LookBatches
from leakscan.training.look_views import View
from leakscan.training.run_folder import whole
from leakscan.types import Progress

_WARM_UP = 100  # steps
_PAIRWISE = 0.5  # weight of the logistic loss
_CLIP = 1.0
_SAVE_EVERY = 100  # steps


@dataclass(frozen=True)
class LookConfig:
    """How the second look is taught.

    Attributes:
        steps: in all.
        views: of every film, the unaltered one included.
        anchors: of a step.
        strangers: of an anchor.
        learning_rate: at its highest; rises over 100 steps, falls as half a cosine.
        weight_decay: of AdamW.
        seed: of everything.
    """

    steps: int = 2000
    views: int = 4
    anchors: int = 32
    strangers: int = 5
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    seed: int = 0


def loss_of(net: DetailNet, views: Sequence[View], batch: Batch, rng: np.random.Generator) -> torch.Tensor:
    """The loss of one batch, every film in a view of its own.

    Args:
        net: in training mode.
        views: of all films.
        batch: of the step.
        rng: draws the views.
    """
    b, k = batch.strangers.shape
    films = np.concatenate([batch.anchors, batch.partners, batch.strangers.ravel()])
    chosen = rng.integers(0, len(views), len(films)).tolist()
    device = net.place.device
    fine, coarse = (
        torch.from_numpy(
            np.stack([getattr(views[v], name)[film] for v, film in zip(chosen, films.tolist(), strict=True)])
        ).to(device)
        for name in ("fine", "coarse")
    )
    details = net.details(fine, coarse)
    anchors = torch.cat([torch.arange(b), torch.arange(b).repeat_interleave(k)]).to(device)
    logits = net.compare(details[anchors], details[b:])
    same, other = logits[:b], logits[b:].reshape(b, k)
    apart = nn.functional.cross_entropy(
        torch.cat([same[:, None], other], dim=1), torch.zeros(b, dtype=torch.long, device=device)
    )
    pairwise = nn.functional.softplus(-same).mean() + nn.functional.softplus(other).mean()
    return apart + _PAIRWISE * pairwise


def teach(
    net: DetailNet,
    views: Sequence[View],
    batches: LookBatches,
    config: LookConfig,
    folder: Path,
    progress: Progress,
) -> None:
    """Trains in place, from the last checkpoint in ``folder`` if there is one.

    Raises:
        Stopped: by Ctrl-C; a checkpoint was saved.
        LeakscanError: the loss is no longer finite.
    """
    learned = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(learned, lr=config.learning_rate, weight_decay=config.weight_decay)
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
                optimiser.param_groups[0]["lr"] = config.learning_rate * rate
                loss = loss_of(net, views, batches(step), np.random.default_rng([config.seed, step, 1]))
                if not math.isfinite(loss.item()):
                    raise LeakscanError(
                        f"The loss is {loss.item()} at step {step:,}.", "Lower --learning-rate."
                    )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(learned, _CLIP)
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

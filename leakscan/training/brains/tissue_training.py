"""Trains the network that names tissues, on views made by :mod:`leakscan.synthetic.brains`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import nn

from leakscan import tables
from leakscan.errors import LeakscanError
from leakscan.fingerprint.encoders.brain.tissue_net import TISSUE_CHANNELS, TissueNet
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.synthetic.brains.generator import Manner, make_views
from leakscan.synthetic.brains.people import People
from leakscan.synthetic.brains.tissue_labels import UNKNOWN
from leakscan.training.interrupt import Interrupt, deferred_interrupt, stopped
from leakscan.training.training_folder import load_checkpoint, save_checkpoint, save_weights, whole
from leakscan.types import Progress, Silent

TISSUE_METRICS = tables.table_schema(
    "tissue_metrics", [("step", pa.int64()), ("loss", pa.float64()), ("val_dice", pa.float64())]
)
"""One row per validation; ``loss`` is the mean since the last."""


@dataclass(frozen=True)
class TissueConfig:
    """Everything that decides a run but the heads.

    Attributes:
        steps: optimiser steps.
        views: per step.
        learning_rate: of AdamW, at its peak; a half cosine to zero follows a short rise.
        anatomy_mm: deformation of the heads, so that the network sees more than it was given.
        ema: decay of the moving average of the weights, which is what is kept.
        seed: of weights and views.
        evaluate_every: steps between validations and checkpoints.
        manner: of the views.
    """

    steps: int = 2000
    views: int = 4
    learning_rate: float = 2e-3
    anatomy_mm: float = 2.5
    ema: float = 0.995
    seed: int = 0
    evaluate_every: int = 100
    manner: Manner = field(default_factory=Manner)


def train_tissues(
    config: TissueConfig,
    people: People,
    validation: People,
    run_dir: Path,
    progress: Progress | None = None,
    device: torch.device | None = None,
) -> nn.Module:
    """Trains to the end, from the last checkpoint in ``run_dir`` if there is one.

    Args:
        config: what to train.
        people: heads to learn from; those without labels are left out.
        validation: heads of other people.
        run_dir: gets ``checkpoint.pt``, ``last.safetensors``, ``metrics.parquet`` and ``curves.png``.
        progress: is told of views.
        device: by default CUDA where there is one.

    Returns:
        The network with averaged weights.

    Raises:
        Stopped: by Ctrl-C; a checkpoint was saved.
        LeakscanError: the loss is no longer finite.
    """
    progress = progress or Silent()
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(config.seed)
    people = people.take(np.flatnonzero(people.labelled))
    net = TissueNet().to(device)
    moving = torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=moving, use_buffers=True)
    optimiser = torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=1e-4)
    step = 0
    if (saved := load_checkpoint(run_dir)) is not None:
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        step = int(saved["step"])

    def save() -> None:
        state = {"net": net.state_dict(), "average": average.state_dict()}
        save_checkpoint(run_dir, {**state, "optimiser": optimiser.state_dict(), "step": step})

    losses: list[float] = []
    progress.start("train", (config.steps - step) * config.views)
    with deferred_interrupt() as asked:
        try:
            while step < config.steps:
                asked.check()
                losses.append(_step(config, net, optimiser, people, step, device))
                average.update_parameters(net)
                step += 1
                progress.note(f"step {step:,} of {config.steps:,}, loss {losses[-1]:.3f}")
                progress.advance(config.views)
                if step % config.evaluate_every == 0 or step == config.steps:
                    found = dice(average.module, validation, config.manner, device)
                    row = {"step": step, "loss": float(np.mean(losses)), "val_dice": found}
                    losses = []
                    save_weights(run_dir / "last.safetensors", average.module, {**asdict(config), **row})
                    save()
                    _write_rows(run_dir, row)
        except Interrupt:
            save()
            raise stopped(step, config.steps) from None
    progress.finish()
    module: nn.Module = average.module
    return module


def _write_rows(run: Path, row: dict[str, float]) -> None:
    """Adds a row to ``metrics.parquet``, in place of those a stopped run had made beyond it."""
    path = run / "metrics.parquet"
    before = tables.read(path, TISSUE_METRICS).to_pylist() if path.is_file() else []
    rows = [*(r for r in before if r["step"] < row["step"]), row]
    tables.write(tables.from_rows(rows, TISSUE_METRICS), path)
    whole(run / "curves.png", lambda part: _draw(rows, part))


def _draw(rows: list[dict[str, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "val_dice"), strict=True):
        axes.plot([r["step"] for r in rows], [r[name] for r in rows], marker=".")
        axes.set(xlabel="step", ylabel={"loss": "loss", "val_dice": "mean Dice on val"}[name])
    figure.savefig(path, format="png", dpi=100)


def _step(
    config: TissueConfig,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    people: People,
    step: int,
    device: torch.device,
) -> float:
    rate = min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / config.steps))
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * rate
    chosen = np.random.default_rng((config.seed, step)).choice(len(people), config.views)
    torch.manual_seed(config.seed * 1_000_003 + step)
    with torch.no_grad():
        views = make_views(people.take(chosen), config.manner, device, anatomy_mm=config.anatomy_mm)
    net.train()
    optimiser.zero_grad(set_to_none=True)
    with low_precision(device):
        logits = net(views.images)
    loss = tissue_loss(logits.float(), views.tissues)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise LeakscanError(
            f"The loss of step {step + 1:,} is not a finite number.", "Lower the learning rate."
        )
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    optimiser.step()
    return value


def tissue_loss(logits: torch.Tensor, tissues: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus one minus the mean soft Dice of the tissues (Milletari 2016, arXiv 1606.04797).

    Args:
        logits: ``(n, TISSUE_CHANNELS, x, y, z)``.
        tissues: ``(n, x, y, z)``; ``UNKNOWN`` counts for nothing.
    """
    known = (tissues != UNKNOWN)[:, None]
    entropy = F.cross_entropy(logits, tissues, ignore_index=UNKNOWN)
    shares = logits.softmax(dim=1)[:, 1:] * known
    truth = F.one_hot(tissues.clamp(max=TISSUE_CHANNELS - 1), TISSUE_CHANNELS).movedim(-1, 1)[:, 1:] * known
    over = (0, 2, 3, 4)
    common = (shares * truth).sum(over)
    overlap = (2 * common + 1.0) / (shares.sum(over) + truth.sum(over) + 1.0)
    return entropy + 1.0 - overlap.mean()


@torch.inference_mode()
def dice(net: nn.Module, people: People, manner: Manner, device: torch.device) -> float:
    """Mean Dice of the tissues over one fixed view of every labelled head."""
    net.eval()
    people = people.take(np.flatnonzero(people.labelled))
    common, both = torch.zeros(TISSUE_CHANNELS - 1), torch.zeros(TISSUE_CHANNELS - 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for i in range(len(people)):
            views = make_views(people.take(np.array([i])), manner, device)
            with low_precision(device):
                named = net(views.images).argmax(dim=1)
            known = views.tissues != UNKNOWN
            for tissue in range(1, TISSUE_CHANNELS):
                found, true = (named == tissue) & known, views.tissues == tissue
                common[tissue - 1] += (found & true).sum().cpu()
                both[tissue - 1] += (found.sum() + true.sum()).cpu()
    return float((2 * common / both.clamp(min=1)).mean())

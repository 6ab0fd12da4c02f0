"""The training loop: batches of pairs in, a checkpoint that resumes to the step out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.evaluation.metrics import auc, n_way_one_shot, pair_scores, precision_at_1, tar_at_fmr
from leakscan.fingerprint.encoders.networks import ARCHITECTURES
from leakscan.training.augment import augment
from leakscan.training.losses import IdentityLoss
from leakscan.training.pack import Pack
from leakscan.training.sampler import PairSampler

_CENTRE_RATE = 10.0  # times the learning rate: a centre is touched once in many batches


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run, saved beside it.

    Attributes:
        architecture: a key of ``ARCHITECTURES``.
        side: side of the films the network sees, in pixels.
        pairs: anchor-positive pairs per batch.
        steps: optimiser steps in all.
        learning_rate: of AdamW, between warm-up and decay.
        weight_decay: of AdamW.
        margin: of the triplet loss.
        triplet: weight of the triplet term.
        contrastive: weight of the contrastive term.
        softmax: weight of the margin softmax over subjects.
        hard: share of look-alikes among the subjects of a batch.
        decay: share of the steps, at the end, over which the learning rate falls to zero.
        compiled: whether the network goes through ``torch.compile`` (a third faster on a CPU).
        ema: decay of the moving average of the weights, which is what is kept.
        seed: of weights, batches and augmentation.
        evaluate_every: steps between validations and checkpoints.
    """

    architecture: str = "efficientnet_lite0"
    side: int = 128
    pairs: int = 64
    steps: int = 3000
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    margin: float = 0.25
    triplet: float = 1.0
    contrastive: float = 1.0
    softmax: float = 0.0
    hard: float = 0.0
    decay: float = 0.3
    compiled: bool = False
    ema: float = 0.995
    seed: int = 0
    evaluate_every: int = 100


def validate(net: nn.Module, pack: Pack, side: int) -> dict[str, float]:
    """Subject-weighted figures of a network on a labelled pack."""
    prints = embed(net, pack.films, side)
    pairs = pair_scores(prints, pack.subjects)
    return {
        "auc": auc(pairs),
        "tar_at_fmr_1e-3": tar_at_fmr(pairs, 1e-3),
        "tar_at_fmr_1e-4": tar_at_fmr(pairs, 1e-4),
        "precision_at_1": precision_at_1(prints, pack.subjects),
        "20_way_1_shot": n_way_one_shot(prints, pack.subjects, 20),
    }


@torch.inference_mode()
def embed(
    net: nn.Module, films: npt.NDArray[np.uint8], side: int, batch: int = 64
) -> npt.NDArray[np.float32]:
    """Normalised fingerprints ``(n, d)`` of packed films, resized to ``side``."""
    net.eval()
    device = next(net.parameters()).device
    out = []
    for start in range(0, len(films), batch):
        x = to_float(films[start : start + batch], device)
        if x.shape[-1] != side:
            x = nn.functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
        out.append(nn.functional.normalize(net(x.contiguous(memory_format=torch.channels_last))))
    return torch.cat(out).float().cpu().numpy()


def to_float(films: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    """Packed films ``(n, s, s)`` as a float batch ``(n, 1, s, s)`` in 0..1."""
    return torch.from_numpy(films).to(device)[:, None].float() / 255.0


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Linear warm-up (at most 100 steps), a plateau, then a half cosine to zero.

    The plateau does not depend on the number of steps, so that a run may be lengthened until its
    decay begins.
    """
    warm = max(1, min(100, config.steps // 20))
    decay = max(1, round(config.decay * config.steps))
    left = max(0, config.steps - step)
    rise = min(1.0, (step + 1) / warm)
    fall = 1.0 if left >= decay else 0.5 * (1 - math.cos(math.pi * left / decay))
    return config.learning_rate * rise * fall


def train(
    config: TrainConfig,
    pack: Pack,
    validation: Pack,
    run_dir: Path,
    initialise: Callable[[nn.Module], None] | None = None,
    report: Callable[[dict[str, float]], None] = lambda row: None,
) -> nn.Module:
    """Trains to the end, from the last checkpoint in ``run_dir`` if there is one.

    Args:
        config: what to train.
        pack: training films.
        validation: films of other subjects; only watched, never learned from.
        run_dir: gets ``config.json``, ``metrics.jsonl`` and ``checkpoint.pt``.
        initialise: sets the start weights of a fresh network.
        report: is called with each row of metrics.

    Returns:
        The network with averaged weights.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "config.json").write_text(json.dumps(asdict(config), indent=1))
    torch.manual_seed(config.seed)
    net = ARCHITECTURES[config.architecture](128)
    if initialise:
        initialise(net)
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    moving = torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=moving, use_buffers=True)
    names, codes = np.unique(pack.subjects, return_inverse=True)
    loss_of = IdentityLoss(
        len(names), 128, config.margin, config.triplet, config.contrastive, config.softmax
    ).to(device)
    optimiser = torch.optim.AdamW(
        [
            {"params": list(net.parameters()), "factor": 1.0},
            {"params": [loss_of.centres], "factor": _CENTRE_RATE, "weight_decay": 0.0},
        ],
        config.learning_rate,
        weight_decay=config.weight_decay,
    )
    sampler = PairSampler(pack.subjects, pack.widths, config.pairs, hard=config.hard, seed=config.seed)
    step = _resume(run_dir, net, average, loss_of, optimiser)
    if step == 0 and config.softmax:
        _start_centres(loss_of, embed(net, pack.films, config.side), codes)
    forward = torch.compile(net) if config.compiled else net
    began, began_at, losses = time.monotonic(), step, []
    while step < config.steps:
        films, labels = sampler.batch(step, unit_centres(loss_of) if config.hard else None)
        torch.manual_seed(config.seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(step, config) * group["factor"]
        net.train()
        x = augment(to_float(pack.films[films], device), config.side)
        with torch.autocast(device.type, torch.bfloat16):
            out = forward(x.contiguous(memory_format=torch.channels_last))
        loss = loss_of(out.float(), torch.from_numpy(labels).to(device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        average.update_parameters(net)
        losses.append(float(loss.detach()))
        step += 1
        if step % config.evaluate_every == 0 or step == config.steps:
            row = {
                "step": step,
                "loss": float(np.mean(losses)),
                "films_per_second": (step - began_at) * 2 * config.pairs / (time.monotonic() - began),
                **validate(average.module, validation, config.side),
            }
            losses = []
            _save(run_dir, step, net, average, loss_of, optimiser)
            with (run_dir / "metrics.jsonl").open("a") as f:
                f.write(json.dumps(row) + "\n")
            report(row)
    module: nn.Module = average.module
    return module


def unit_centres(loss: IdentityLoss) -> npt.NDArray[np.float32]:
    """``(subjects, d)`` unit directions of the margin softmax."""
    return nn.functional.normalize(loss.centres.detach(), dim=0).T.cpu().numpy()


def _start_centres(loss: IdentityLoss, prints: npt.NDArray[np.float32], codes: npt.NDArray[np.int64]) -> None:
    """Puts every subject's centre where the network puts its films at the start."""
    means = np.zeros((codes.max() + 1, prints.shape[1]), np.float32)
    np.add.at(means, codes, prints)
    with torch.no_grad():
        loss.centres.copy_(nn.functional.normalize(torch.from_numpy(means)).T)


def _save(
    run_dir: Path,
    step: int,
    net: nn.Module,
    average: nn.Module,
    loss: IdentityLoss,
    optimiser: torch.optim.Optimizer,
) -> None:
    part = run_dir / "checkpoint.part"
    state = {
        "step": step,
        "net": net.state_dict(),
        "average": average.state_dict(),
        "loss": loss.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, part)
    part.replace(run_dir / "checkpoint.pt")


def _resume(
    run_dir: Path,
    net: nn.Module,
    average: nn.Module,
    loss: IdentityLoss,
    optimiser: torch.optim.Optimizer,
) -> int:
    path = run_dir / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict(state["net"])
    average.load_state_dict(state["average"])
    loss.load_state_dict(state["loss"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])

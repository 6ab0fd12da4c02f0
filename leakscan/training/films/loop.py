"""The training loop: batches of films in, a checkpoint that resumes to the step out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leakscan.errors import LeakscanError
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.training.films.augment import AT_ONCE, augment
from leakscan.training.films.config import TrainConfig
from leakscan.training.films.losses import IdentityLoss, build_loss
from leakscan.training.films.pack import Pack, PackedFilms
from leakscan.training.films.passes import backward_in_passes
from leakscan.training.films.sampler import SubjectSampler
from leakscan.training.films.schedule import learning_rate_at
from leakscan.training.films.validation import Validated, channels_last, embed, validate
from leakscan.training.interrupt import Asked, Interrupt, deferred_interrupt, stopped
from leakscan.training.training_folder import (
    Row,
    load_checkpoint,
    read_rows,
    save_checkpoint,
    save_weights,
    write_rows,
)
from leakscan.types import Progress, Silent

_CENTRE_RATE = 10.0  # times the learning rate: a centre is touched once in many batches


@dataclass
class _Run:
    """Everything that changes during a run."""

    net: nn.Module
    average: torch.optim.swa_utils.AveragedModel
    loss: IdentityLoss
    optimiser: torch.optim.Optimizer
    step: int = 0
    losses: list[float] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "losses": self.losses,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.losses = int(state["step"]), list(state["losses"])


def train(
    config: TrainConfig,
    pack: Pack,
    validation: Pack,
    run_dir: Path,
    initialise: Callable[[nn.Module], None] | None = None,
    report: Callable[[Row], None] = lambda row: None,
    progress: Progress | None = None,
    device: torch.device | None = None,
) -> nn.Module:
    """Trains to the end, from the last checkpoint in ``run_dir`` if there is one.

    Args:
        config: what to train.
        pack: training films.
        validation: films of other subjects; they choose between weights, nothing learns from them.
        run_dir: see :mod:`leakscan.training.training_folder`; exists.
        initialise: sets the start weights of a fresh network.
        report: is called with each row of metrics.
        progress: is told of films trained on, the loss and the last validation.
        device: by default CUDA where there is one.

    Returns:
        The network with averaged weights, of the last step.

    Raises:
        Stopped: by Ctrl-C; a checkpoint was saved.
        LeakscanError: the loss is no longer finite.
    """
    progress = progress or Silent()
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    names, codes = np.unique(pack.subjects, return_inverse=True)
    run = _begin(config, len(names), device, initialise)
    saved = load_checkpoint(run_dir)
    if saved is not None:
        run.restore(saved)
        run.rows = read_rows(run_dir, run.step)
    elif run.loss.centres is not None:
        progress.start("place subjects", len(pack.films))
        _place_centres(run.loss.centres, embed(run.net, pack.films, config.side, progress), codes)
    sampler = SubjectSampler(
        pack.subjects,
        pack.sorts,
        config.pairs,
        config.films_per_subject,
        config.singles,
        config.hard,
        config.alike,
        pack.groups,
        config.apart,
        config.seed,
    )
    step_of = _Step(config, pack, sampler, device, run, progress)
    with deferred_interrupt() as asked:
        try:
            _loop(config, run, step_of, asked, validation, run_dir, report, progress)
        except Interrupt:
            save_checkpoint(run_dir, run.state())
            raise stopped(run.step, config.steps) from None
    module: nn.Module = run.average.module
    return module


def _begin(
    config: TrainConfig, classes: int, device: torch.device, initialise: Callable[[nn.Module], None] | None
) -> _Run:
    torch.manual_seed(config.seed)
    net = ARCHITECTURES[config.architecture](FINGERPRINT_DIM)
    if initialise:
        initialise(net)
    layout = torch.channels_last_3d if config.shape else torch.channels_last
    net = net.to(device, memory_format=layout)  # type: ignore[call-overload]
    moving = torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=moving, use_buffers=True)
    loss = build_loss(config, classes, FINGERPRINT_DIM).to(device)
    groups: list[dict[str, Any]] = [{"params": list(net.parameters()), "factor": 1.0}]
    if loss.centres is not None:
        groups.append({"params": [loss.centres], "factor": _CENTRE_RATE, "weight_decay": 0.0})
    optimiser = torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)
    return _Run(net, average, loss, optimiser)


def _loop(
    config: TrainConfig,
    run: _Run,
    step_of: _Step,
    asked: Asked,
    validation: Pack,
    run_dir: Path,
    report: Callable[[Row], None],
    progress: Progress,
) -> None:
    """Steps and validations until the last step; leaves by :class:`Interrupt` between steps."""
    words = ""
    since, spent, first = time.monotonic(), 0.0, run.step
    best = max((r["val_auc"] if r["val_tar"] is None else r["val_tar"] for r in run.rows), default=-1.0)
    while run.step < config.steps:
        if run.step == first or run.step % config.evaluate_every == 0:
            progress.start("train", (config.steps - run.step) * config.films)
        asked.check()
        loss = step_of(run.step, asked.check)
        if not math.isfinite(loss):
            raise LeakscanError(
                f"The loss of step {run.step + 1:,} is not a finite number.",
                "Lower the learning rate (--set learning_rate=...) or train in --set precision=float32.",
            )
        run.losses.append(loss)
        run.step += 1
        progress.note(f"step {run.step:,} of {config.steps:,}, loss {loss:.3f}{words}")
        if run.step % config.evaluate_every and run.step != config.steps:
            continue
        spent += time.monotonic() - since
        progress.start("validate", len(validation.films))
        found = validate(run.average.module, validation, config.side, progress)
        words = f", {found}"
        row = _row(config, run, found, (run.step - first) * config.films / spent, found.merit > best)
        run.rows.append(row)
        about = {"architecture": config.architecture, "side": config.side, **row}
        if row["best"]:
            best = found.merit
            save_weights(run_dir / "best.safetensors", run.average.module, about)
        save_weights(run_dir / "last.safetensors", run.average.module, about)
        run.losses = []
        write_rows(run_dir, run.rows)
        save_checkpoint(run_dir, run.state())
        report(row)
        since = time.monotonic()
    progress.finish()


def _row(config: TrainConfig, run: _Run, found: Validated, speed: float, best: bool) -> Row:
    return {
        "step": run.step,
        "loss": float(np.mean(run.losses)),
        "learning_rate": learning_rate_at(run.step - 1, config),
        "films_per_second": speed,
        "val_auc": found.auc,
        "val_fmr": found.fmr,
        "val_tar": found.tar,
        "val_tar_1e3": found.tar_1e3,
        "val_precision_at_1": found.precision_at_1,
        "val_20_way_1_shot": found.one_shot,
        "best": best,
    }


class _Step:
    """One optimiser step; a function of its number and of the run's state alone."""

    def __init__(
        self,
        config: TrainConfig,
        pack: Pack,
        sampler: SubjectSampler,
        device: torch.device,
        run: _Run,
        progress: Progress,
    ) -> None:
        self._config, self._films, self._sampler = config, PackedFilms(pack.films, device), sampler
        self._device, self._run, self._progress = device, run, progress
        self._net = torch.compile(run.net) if config.compiled else run.net

    def __call__(self, step: int, between: Callable[[], None]) -> float:
        """Changes the run's weights and returns the loss.

        Args:
            step: counted from 0.
            between: may raise while nothing has changed yet.
        """
        config, run = self._config, self._run
        centres = run.loss.centres
        hard = unit_centres(centres) if centres is not None and config.hard else None
        films, codes = self._sampler.batch(step, hard)
        labels = torch.from_numpy(codes).to(self._device)
        seed = config.seed * 1_000_003 + step * 4096  # leaves room for a number of each chunk
        torch.manual_seed(seed)
        views = torch.cat([self._views(part) for part in np.split(films, _cuts(len(films)))])
        for group in run.optimiser.param_groups:
            group["lr"] = learning_rate_at(step, config) * group["factor"]
        run.net.train()
        run.optimiser.zero_grad(set_to_none=True)
        value = backward_in_passes(
            run.net,
            self._forward,
            views,
            lambda prints: run.loss(prints, labels),
            config.chunk,
            seed + 1,
            self._progress.advance,
            between,
        )
        if config.clip:
            nn.utils.clip_grad_norm_(run.net.parameters(), config.clip)
        loss = float(value)
        if math.isfinite(loss):
            run.optimiser.step()
            run.average.update_parameters(run.net)
        return loss

    def _views(self, films: npt.NDArray[np.int64]) -> torch.Tensor:
        x = self._films[films][:, None].float() / 255.0
        x = augment(x, self._config)
        return x.contiguous(memory_format=channels_last(x))

    def _forward(self, films: torch.Tensor) -> torch.Tensor:
        low = self._config.precision == "bfloat16"
        with low_precision(self._device, low):
            out: torch.Tensor = self._net(films)
        return out


def _cuts(films: int) -> list[int]:
    return list(range(AT_ONCE, films, AT_ONCE))


def unit_centres(centres: torch.Tensor) -> npt.NDArray[np.float32]:
    """``(subjects, d)`` unit directions of the margin softmax."""
    return nn.functional.normalize(centres.detach(), dim=0).T.cpu().numpy()


def _place_centres(
    centres: nn.Parameter, prints: npt.NDArray[np.float32], codes: npt.NDArray[np.int64]
) -> None:
    """Puts every subject's centre where the network puts its films at the start."""
    means = np.zeros((codes.max() + 1, prints.shape[1]), np.float32)
    np.add.at(means, codes, prints)
    with torch.no_grad():
        centres.copy_(nn.functional.normalize(torch.from_numpy(means)).T)

"""What a step of training a fingerprint is: a batch of films, a loss, and an average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import nn

from leakscan import tables
from leakscan.fingerprint.encoders.networks import ARCHITECTURES, FINGERPRINT_DIM
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.training.films.augment import at_once, augment
from leakscan.training.films.config import TrainConfig
from leakscan.training.films.losses import build_loss
from leakscan.training.films.mix_styles import mix_styles_of
from leakscan.training.films.pack import Pack, PackedFilms
from leakscan.training.films.passes import Passes, backward_in_passes
from leakscan.training.films.sampler import SubjectSampler
from leakscan.training.films.schedule import learning_rate_at
from leakscan.training.films.validation import channels_last, embed, validate
from leakscan.training.trainer import Course, Findings, Row, Stretch, Watch
from leakscan.training.training_folder import save_weights
from leakscan.types import Progress

BEST, LAST = "best.safetensors", "last.safetensors"

FILM_METRICS = tables.table_schema(
    "training_metrics",
    [
        ("step", pa.int64()),
        ("loss", pa.float64()),
        ("learning_rate", pa.float64()),
        ("films_per_second", pa.float64()),
        ("val_auc", pa.float64()),
        ("val_fmr", pa.float64()),
        ("val_tar", pa.float64()),
        ("val_tar_1e3", pa.float64()),
        ("val_precision_at_1", pa.float64()),
        ("val_20_way_1_shot", pa.float64()),
        ("best", pa.bool_()),
    ],
)
"""One row per validation; ``loss`` is the mean since the last. ``val_tar`` is at ``val_fmr``."""

_CENTRE_RATE = 10.0  # times the learning rate: a centre is touched once in many batches


class FilmLesson:
    """Teaches a network to tell the subjects of films, or of volumes, apart. A trainer's lesson.

    It leaves ``best.safetensors`` (the averaged weights of the best validation) and ``last.safetensors``.

    Args:
        config: What is trained.
        pack: The training films.
        validation: Films of other subjects. They choose between weights; nothing learns from them.
        initialise: Sets the start weights of a fresh network.
        device: Where to train; CUDA where there is one if not given.

    Example::

        lesson = FilmLesson(preset("fingerprint-2d"), train, validation)
        Trainer(lesson, Path("run")).run()  # leaves run/best.safetensors
    """

    def __init__(
        self,
        config: TrainConfig,
        pack: Pack,
        validation: Pack,
        initialise: Callable[[nn.Module], None] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._config, self._pack, self._validation = config, pack, validation
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(config.seed)
        net = ARCHITECTURES[config.architecture](FINGERPRINT_DIM)
        if initialise:
            initialise(net)
        layout = torch.channels_last_3d if config.shape else torch.channels_last
        self._net: nn.Module = net.to(self._device, memory_format=layout)  # type: ignore[call-overload]
        moving = torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self._moving = torch.optim.swa_utils.AveragedModel(self._net, multi_avg_fn=moving, use_buffers=True)
        names, self._codes = np.unique(pack.subjects, return_inverse=True)
        self._loss = build_loss(config, len(names), FINGERPRINT_DIM).to(self._device)
        groups: list[dict[str, Any]] = [{"params": list(self._net.parameters()), "factor": 1.0}]
        if self._loss.centres is not None:
            groups.append({"params": [self._loss.centres], "factor": _CENTRE_RATE, "weight_decay": 0.0})
        self._optimiser = torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay)
        self._sampler = SubjectSampler(pack.subjects, pack.sorts, config, pack.groups)
        self._films = PackedFilms(pack.films, self._device)
        if config.mix_styles:
            mix_styles_of(self._net, config.mix_styles)
        self._compiled = torch.compile(self._net) if config.compiled else self._net

    @property
    def average(self) -> nn.Module:
        """The network with averaged weights."""
        module: nn.Module = self._moving.module
        return module

    @property
    def course(self) -> Course:
        """See :class:`leakscan.training.trainer.Lesson`."""
        return Course(
            stage="train",
            steps=self._config.steps,
            items=self._config.films,
            validate_every=self._config.evaluate_every,
            metrics=FILM_METRICS,
            curves=_curves,
            remedy="Lower learning_rate, or train with precision=float32.",
        )

    def prepare(self, progress: Progress) -> None:
        """Puts every subject's centre where the network puts its films at the start."""
        if self._loss.centres is None:
            return
        progress.start("place subjects", len(self._pack.films))
        prints = embed(self._net, self._pack.films, self._config.side, progress)
        means = np.zeros((self._codes.max() + 1, prints.shape[1]), np.float32)
        np.add.at(means, self._codes, prints)
        with torch.no_grad():
            self._loss.centres.copy_(nn.functional.normalize(torch.from_numpy(means)).T)

    def step(self, number: int, watch: Watch) -> float:
        """See :class:`leakscan.training.trainer.Lesson`."""
        config, centres = self._config, self._loss.centres
        hard = _unit_centres(centres) if centres is not None and config.hard else None
        films, codes = self._sampler.batch(number, hard)
        labels = torch.from_numpy(codes).to(self._device)
        seed = config.seed * 1_000_003 + number * 4096  # leaves room for a number of each chunk
        torch.manual_seed(seed)
        # Films lend their tones to those they are altered with, so hospitals must not stand apart.
        order = torch.randperm(len(films))
        cuts = range(at_once(self._device), len(films), at_once(self._device))
        parts = np.split(films[order.numpy()], list(cuts))
        views = torch.cat([self._views(part) for part in parts])[order.argsort().to(self._device)]
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate_at(number, config) * group["factor"]
        views = views.contiguous(memory_format=channels_last(views))
        self._net.train()
        self._optimiser.zero_grad(set_to_none=True)
        value = backward_in_passes(
            self._net,
            self._forward,
            views,
            lambda prints: self._loss(prints, labels),
            Passes(config.chunk, seed + 1, watch),
        )
        if config.clip:
            nn.utils.clip_grad_norm_(self._net.parameters(), config.clip)
        loss = float(value)
        if math.isfinite(loss):
            self._optimiser.step()
            self._moving.update_parameters(self._net)
        return loss

    def validate(self, stretch: Stretch, folder: Path, progress: Progress) -> Findings:
        """See :class:`leakscan.training.trainer.Lesson`."""
        config = self._config
        progress.start("validate", len(self._validation.films))
        found = validate(self.average, self._validation, config.side, progress)
        before = (row["val_auc"] if row["val_tar"] is None else row["val_tar"] for row in stretch.rows)
        best = found.merit > max(before, default=-1.0)
        figures: Row = {
            "learning_rate": learning_rate_at(stretch.step - 1, config),
            "films_per_second": config.films / stretch.seconds,
            "val_auc": found.auc,
            "val_fmr": found.fmr,
            "val_tar": found.tar,
            "val_tar_1e3": found.tar_1e3,
            "val_precision_at_1": found.precision_at_1,
            "val_20_way_1_shot": found.one_shot,
            "best": best,
        }
        about = {"architecture": config.architecture, "side": config.side}
        about |= {"step": stretch.step, "loss": stretch.loss, **figures}
        for name in (BEST, LAST) if best else (LAST,):
            save_weights(folder / name, self.average, about)
        return Findings(figures, str(found))

    def state(self) -> dict[str, Any]:
        """See :class:`leakscan.training.trainer.Lesson`."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See :class:`leakscan.training.trainer.Lesson`."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {
            "net": self._net,
            "average": self._moving,
            "loss": self._loss,
            "optimiser": self._optimiser,
        }

    def _views(self, films: npt.NDArray[np.int64]) -> torch.Tensor:
        x = self._films[films][:, None].float() / 255.0
        return augment(x, self._config)

    def _forward(self, films: torch.Tensor) -> torch.Tensor:
        low = self._config.precision == "bfloat16"
        with low_precision(self._device, low):
            out: torch.Tensor = self._compiled(films)
        return out


def _curves(row: Row) -> dict[str, float | None]:
    at = "" if row["val_fmr"] is None else f" at FMR {row['val_fmr']:g}"
    return {
        "AUC": row["val_auc"],
        f"TAR{at}": row["val_tar"],
        "P@1": row["val_precision_at_1"],
        "20-way 1-shot": row["val_20_way_1_shot"],
    }


def _unit_centres(centres: torch.Tensor) -> npt.NDArray[np.float32]:
    """``(subjects, d)`` unit directions of the margin softmax."""
    return nn.functional.normalize(centres.detach(), dim=0).T.cpu().numpy()

"""What a step of teaching tissues is: a network names them on views that no scanner has made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from leakscan import tables
from leakscan.fingerprint.encoders.brain.tissue_net import TISSUE_CHANNELS, TissueNet
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.synthetic.brains.generator import Manner, make_views
from leakscan.synthetic.brains.people import People
from leakscan.synthetic.brains.tissue_labels import UNKNOWN
from leakscan.training.settings import TrainingSettings
from leakscan.training.trainer import Course, Findings, Stretch, Watch
from leakscan.training.training_folder import save_weights
from leakscan.types import Progress

TISSUE_METRICS = tables.table_schema(
    "tissue_metrics", [("step", pa.int64()), ("loss", pa.float64()), ("val_dice", pa.float64())]
)
"""One row per validation; ``loss`` is the mean since the last."""


class TissueConfig(TrainingSettings):
    """How the network that names tissues is taught.

    Attributes:
        steps: Optimiser steps.
        seed: The seed of weights and views.
        views: Views of a step.
        learning_rate: The highest rate of AdamW; a half cosine to zero follows a short rise.
        anatomy_mm: How far heads are deformed, so that the network sees more than it was given.
        ema: The decay of the moving average of the weights, which is what is kept.
        evaluate_every: Steps between validations and checkpoints.
        manner: How far views may differ from a clean scan.
    """

    steps: int
    seed: int
    views: int = 4
    learning_rate: float = 2e-3
    anatomy_mm: float = 2.5
    ema: float = 0.995
    evaluate_every: int = 100
    manner: Manner = Field(default_factory=Manner)


class TissueLesson:
    """Teaches a network to name the tissues of a head, whatever the contrast. A trainer's lesson.

    It leaves ``last.safetensors``, the averaged weights.

    Args:
        config: How it is taught.
        people: The heads to learn from; those without labels are left out.
        validation: Heads of other people.
        device: Where to train; CUDA where there is one if not given.

    Example::

        people, others = read_people(heads["train"]), read_people(heads["val"])
        lesson = TissueLesson(TissueConfig(steps=1500, seed=0), people, others)
        Trainer(lesson, Path("run")).run()
    """

    def __init__(
        self,
        config: TissueConfig,
        people: People,
        validation: People,
        device: torch.device | None = None,
    ) -> None:
        self._config, self._validation = config, validation
        self._device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(config.seed)
        self._people = people.take(np.flatnonzero(people.labelled))
        self._net = TissueNet().to(self._device)
        moving = torch.optim.swa_utils.get_ema_multi_avg_fn(config.ema)  # type: ignore[no-untyped-call]
        self._moving = torch.optim.swa_utils.AveragedModel(self._net, multi_avg_fn=moving, use_buffers=True)
        self._optimiser = torch.optim.AdamW(self._net.parameters(), config.learning_rate, weight_decay=1e-4)

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
            items=self._config.views,
            validate_every=self._config.evaluate_every,
            metrics=TISSUE_METRICS,
            curves=lambda row: {"mean Dice on val": row["val_dice"]},
            remedy="Lower the learning rate.",
        )

    def prepare(self, progress: Progress) -> None:
        """Does nothing: the network starts from chance."""

    def step(self, number: int, watch: Watch) -> float:
        """See :class:`leakscan.training.trainer.Lesson`."""
        config, net = self._config, self._net
        rate = min(1.0, (number + 1) / 50) * 0.5 * (1 + math.cos(math.pi * number / config.steps))
        for group in self._optimiser.param_groups:
            group["lr"] = config.learning_rate * rate
        chosen = np.random.default_rng((config.seed, number)).choice(len(self._people), config.views)
        torch.manual_seed(config.seed * 1_000_003 + number)
        with torch.no_grad():
            heads = self._people.take(chosen)
            views = make_views(heads, config.manner, self._device, anatomy_mm=config.anatomy_mm)
        net.train()
        self._optimiser.zero_grad(set_to_none=True)
        with low_precision(self._device):
            logits = net(views.images)
        loss = _tissue_loss(logits.float(), views.tissues)
        value = float(loss.detach())
        if math.isfinite(value):
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            self._optimiser.step()
            self._moving.update_parameters(net)
            watch.done(config.views)
        return value

    def validate(self, stretch: Stretch, folder: Path, progress: Progress) -> Findings:
        """See :class:`leakscan.training.trainer.Lesson`."""
        figures = {"val_dice": _dice(self.average, self._validation, self._config.manner, self._device)}
        row = {"step": stretch.step, "loss": stretch.loss, **figures}
        save_weights(folder / "last.safetensors", self.average, {**self._config.model_dump(), **row})
        return Findings(figures)

    def state(self) -> dict[str, Any]:
        """See :class:`leakscan.training.trainer.Lesson`."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See :class:`leakscan.training.trainer.Lesson`."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {"net": self._net, "average": self._moving, "optimiser": self._optimiser}


def _tissue_loss(logits: torch.Tensor, tissues: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus one minus the mean soft Dice of the tissues (Milletari 2016, arXiv 1606.04797).

    Args:
        logits: ``(n, TISSUE_CHANNELS, x, y, z)`` float32.
        tissues: ``(n, x, y, z)`` int64 positions in ``TISSUES``; ``UNKNOWN`` counts for nothing.
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
def _dice(net: nn.Module, people: People, manner: Manner, device: torch.device) -> float:
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

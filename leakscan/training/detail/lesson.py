"""What a step of teaching detail matching is: pairs to tell apart, and the loss of telling them wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import nn

from leakscan import tables
from leakscan.fingerprint.encoders.film.detail_grid import SIDE
from leakscan.fingerprint.encoders.film.detail_net import DetailNet
from leakscan.fingerprint.encoders.precision import low_precision
from leakscan.training.detail.batches import DetailBatches
from leakscan.training.detail.config import DetailConfig
from leakscan.training.films.augment import at_once, public_view
from leakscan.training.films.machines import of_another_machine
from leakscan.training.films.pack import PackedFilms
from leakscan.training.trainer import Course, Findings, Stretch, Watch
from leakscan.types import Progress

DETAIL_METRICS = tables.table_schema("detail_metrics", [("step", pa.int64()), ("loss", pa.float64())])
"""One row per checkpoint; ``loss`` is the mean since the last. Nothing is chosen by a validation."""

_WARM_UP = 100  # steps
_PAIRWISE = 0.5  # weight of the logistic loss
_CLIP = 1.0
_SAVE_EVERY = 100  # steps


class DetailLesson:
    """Teaches a network to say from the details of two films whether one person is on both.

    A trainer's lesson. The network is trained in place.

    Args:
        net: The network, on the device to train on.
        films: ``(n, s, s)`` packed films, larger than what the network sees, so that crops find detail.
        batches: Draws from these films.
        config: How it is taught.

    Example::

        batches = DetailBatches(pack.subjects, prints, config)
        Trainer(DetailLesson(net, pack.films, batches, config), Path("detail")).run()
    """

    def __init__(
        self, net: DetailNet, films: npt.NDArray[np.uint8], batches: DetailBatches, config: DetailConfig
    ) -> None:
        self._net, self._batches, self._config = net, batches, config
        net.trunk.requires_grad_(config.trunk_rate > 0)
        trunk = list(net.trunk.parameters())
        own = [p for name, p in net.named_parameters() if not name.startswith("trunk.")]
        groups = [{"params": own, "factor": 1.0}, {"params": trunk, "factor": config.trunk_rate}]
        learns = groups if config.trunk_rate > 0 else groups[:1]
        self._optimiser = torch.optim.AdamW(learns, weight_decay=config.weight_decay)
        self._clipped = [*own, *trunk]
        self._films = PackedFilms(films, net.place.device)

    @property
    def course(self) -> Course:
        """See :class:`leakscan.training.trainer.Lesson`."""
        return Course(
            stage="teach",
            steps=self._config.steps,
            items=1,
            validate_every=_SAVE_EVERY,
            metrics=DETAIL_METRICS,
            curves=lambda row: {},
            remedy="Lower learning_rate.",
        )

    def prepare(self, progress: Progress) -> None:
        """Does nothing: the network comes with the trunk it starts from."""

    def step(self, number: int, watch: Watch) -> float:
        """See :class:`leakscan.training.trainer.Lesson`."""
        config, net = self._config, self._net
        net.train()
        net.trunk.eval()
        torch.manual_seed(config.seed * 1_000_003 + number)
        rate = 0.5 * (1.0 + math.cos(math.pi * number / config.steps)) * min(1.0, (number + 1) / _WARM_UP)
        for group in self._optimiser.param_groups:
            group["lr"] = config.learning_rate * rate * group["factor"]
        batch = self._batches(number)
        chosen = np.concatenate([batch.anchors, batch.partners, batch.strangers.ravel()])
        loss = _detail_loss(net, _views_of(self._films[chosen], config), batch.strangers.shape[1])
        value = float(loss.detach())
        if math.isfinite(value):
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._clipped, _CLIP)
            self._optimiser.step()
            watch.done(1)
        return value

    def validate(self, stretch: Stretch, folder: Path, progress: Progress) -> Findings:
        """Measures nothing: what was learned is measured once, when all steps are done."""
        return Findings({})

    def state(self) -> dict[str, Any]:
        """See :class:`leakscan.training.trainer.Lesson`."""
        return {"net": self._net.state_dict(), "optimiser": self._optimiser.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See :class:`leakscan.training.trainer.Lesson`."""
        self._net.load_state_dict(state["net"])
        self._optimiser.load_state_dict(state["optimiser"])


def _detail_loss(net: DetailNet, films: torch.Tensor, strangers: int) -> torch.Tensor:
    """The loss of one batch of films ``(b * (2 + strangers), 1, SIDE, SIDE)`` in 0..1; see :func:`pair_loss`.

    The network is in training mode, its trunk in evaluation mode.
    """
    with low_precision(films.device):
        fine, coarse = net.maps(films.contiguous(memory_format=torch.channels_last))
    return pair_loss(net, net.details(fine, coarse), strangers)


def pair_loss(net: DetailNet, details: torch.Tensor, strangers: int) -> torch.Tensor:
    """The loss of one batch: a softmax over partner and strangers, and a logistic loss on each pair.

    Args:
        net: The network in training mode.
        details: ``(b * (2 + strangers), GRID * GRID, DETAIL_DIM)``: of anchors, of their partners, of the
            strangers of the first anchor, of the second, and so on.
        strangers: The number of strangers of an anchor; its partner meets them too.

    Example:
        >>> net = DetailNet()
        >>> pair_loss(net, torch.zeros(2 * 5, 196, 96), strangers=3).item() > 0
        True
    """
    b = len(details) // (2 + strangers)
    each = torch.arange(b, device=details.device)
    often = each.repeat_interleave(strangers)
    other = details[2 * b :]
    logits = net.compare(
        torch.cat([details[each], details[often], details[b + often]]),
        torch.cat([details[b : 2 * b], other, other]),
    )
    same, apart = logits[:b], logits[b:].reshape(2, b, strangers)
    right = torch.zeros(b, dtype=torch.long, device=details.device)
    ranked = sum(nn.functional.cross_entropy(torch.cat([same[:, None], row], dim=1), right) for row in apart)
    pairwise = nn.functional.softplus(-same).mean() + nn.functional.softplus(apart).mean()
    return ranked / 2 + _PAIRWISE * pairwise


def _views_of(films: torch.Tensor, config: DetailConfig) -> torch.Tensor:
    """One view of every film, ``(n, 1, SIDE, SIDE)`` in 0..1.

    Args:
        films: ``(n, s, s)`` uint8, packed.
        config: The shares of films that are seen as they are, or hardly altered.
    """
    x = films[:, None].float() / 255.0
    plain = nn.functional.interpolate(x, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    order = torch.randperm(len(x), device=x.device)
    parts = list(torch.split(x[order], at_once(x.device)))
    if config.machines:
        parts = [of_another_machine(part, config.machines) for part in parts]
    altered = torch.cat([public_view(part, SIDE, config.mild) for part in parts])[order.argsort()]
    kept = torch.rand(len(x), 1, 1, 1, device=x.device) < config.plain
    return torch.where(kept, plain, altered)

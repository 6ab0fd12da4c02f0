"""Everything that decides a training run, as one value, and the presets.

``paper-2d`` and ``paper-3d`` are the recipes of arXiv 2512.16685 as its authors released them;
``fingerprint-2d`` is ours. A run starts from a preset and may change any field of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from leakscan.errors import UsageError
from leakscan.training.films.form import Form

Schedule = Literal["plateau", "warm_restarts"]
Augmentation = Literal["films", "affine"]
Precision = Literal["bfloat16", "float32"]


_SHAPE = re.compile(r"[1-9]\d{0,3}x[1-9]\d{0,3}x[1-9]\d{0,3}")
_Allowed = tuple[Callable[[Any], bool], str]


def _at_least(least: float) -> _Allowed:
    return lambda value: value >= least, f"at least {least}"


_POSITIVE: _Allowed = (lambda value: value > 0, "more than 0")
_SHARE: _Allowed = (lambda value: 0 <= value <= 1, "a share between 0 and 1")
_RANGES: dict[str, _Allowed] = {
    **{"side": _at_least(32), "pairs": _at_least(2), "films_per_subject": _at_least(2)},
    **{"evaluate_every": _at_least(1), "oversample": _at_least(1)},
    **dict.fromkeys(
        ("singles", "hard", "alike", "decay", "apart", "mild", "negatives", "letters", "jpeg"), _SHARE
    ),
    **dict.fromkeys(("steps", "learning_rate", "restart", "margin", "temperature", "step_mm"), _POSITIVE),
    **dict.fromkeys(("chunk", "clip", "memory", "weight_decay", "seed"), _at_least(0)),
    **dict.fromkeys(("triplet", "contrastive", "softmax", "multi_similarity", "supcon"), _at_least(0)),
    "ema": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run but the films; saved beside it.

    Attributes:
        preset: the name it came from.
        architecture: a key of ``ARCHITECTURES``; those that end in ``_3d`` see volumes.
        side: side of the films the network sees, in pixels.
        shape: voxels of the volumes the network sees, such as ``120x120x78``; empty for films.
        step_mm: edge of their voxels.
        oversample: packed films are this many times larger, so that zooming in finds detail.
        pairs: subjects of a batch; with two films each these are anchor-positive pairs.
        films_per_subject: films of each subject in a batch, 2 or more.
        singles: share of the batch that shows subjects with one film, in several augmentations.
        hard: share of the other subjects drawn as look-alikes of one another (needs ``softmax``).
        alike: share of them drawn from one group of sex, view and age, where the manifest has them.
        apart: how often a film's partner is one of another source width, and a volume's one of another
            contrast, where there is one; 1 leaves subjects without such a partner out of the pairs.
        steps: optimiser steps in all.
        chunk: films that go through the network at once; 0 is the whole batch. The gradients are
            those of the whole batch in any case, but batch norm sees chunks.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        schedule: ``plateau`` (linear rise, plateau, half cosine to zero) or ``warm_restarts`` (cosine
            that starts anew every ``restart`` steps, arXiv 1608.03983).
        restart: steps of one cosine.
        decay: share of the steps, at the end of a plateau, over which the rate falls to zero.
        clip: largest norm of the gradient; 0 is none.
        normalised: whether the triplet loss measures between unit vectors or raw embeddings.
        margin: of the triplet loss, in Euclidean distance.
        triplet: weight of the triplet term.
        contrastive: weight of the contrastive term (NT-Xent).
        softmax: weight of the margin softmax over subjects (CosFace).
        multi_similarity: weight of the multi-similarity term (arXiv 1904.06627).
        supcon: weight of the supervised contrastive term (arXiv 2004.11362).
        temperature: of the contrastive terms.
        memory: fingerprints of earlier batches that the three batch-wise cosine terms look at as
            well (cross-batch memory, arXiv 1912.06798); 0 is none.
        augmentation: ``films`` (what happens to public films) or ``affine`` (small turns only).
        mild: share of the films that ``films`` turns and crops hardly at all, as most films to be read are.
        negatives: share of the films that ``films`` shows as negatives.
        letters: share of the films that ``films`` burns letters into.
        jpeg: share of the films that ``films`` compresses.
        ema: decay of the moving average of the weights, which is what is kept; 0 is none.
        precision: of the network's forward and backward pass; ``bfloat16`` where the device computes in it.
        compiled: whether the network goes through ``torch.compile`` (a third faster on a CPU).
        seed: of weights, batches and augmentation.
        evaluate_every: steps between validations and checkpoints.

    Raises:
        UsageError: fields out of range, or that do not fit together.
    """

    preset: str = "fingerprint-2d"
    architecture: str = "efficientnet_lite0"
    side: int = 128
    shape: str = ""
    step_mm: float = 2.0
    oversample: float = 1.25
    pairs: int = 64
    films_per_subject: int = 2
    singles: float = 0.15
    hard: float = 0.5
    alike: float = 0.0
    apart: float = 0.7
    steps: int = 40_000
    chunk: int = 0
    learning_rate: float = 6e-4
    weight_decay: float = 0.02
    schedule: Schedule = "plateau"
    restart: int = 100
    decay: float = 0.1
    clip: float = 5.0
    normalised: bool = True
    margin: float = 0.25
    triplet: float = 1.0
    contrastive: float = 1.0
    softmax: float = 0.5
    multi_similarity: float = 0.0
    supcon: float = 0.0
    temperature: float = 0.07
    memory: int = 0
    augmentation: Augmentation = "films"
    mild: float = 0.0
    negatives: float = 0.0
    letters: float = 0.0
    jpeg: float = 0.0
    ema: float = 0.998
    precision: Precision = "bfloat16"
    compiled: bool = False
    seed: int = 0
    evaluate_every: int = 500

    def __post_init__(self) -> None:
        """Refuses what cannot be trained."""
        for name, (allowed, words) in _RANGES.items():
            if not allowed(getattr(self, name)):
                raise UsageError(f"{name} is {getattr(self, name)}; it must be {words}.")
        batch_wise = self.contrastive or self.multi_similarity or self.supcon
        if bool(self.shape) != self.architecture.endswith("_3d"):
            what = "needs shape, such as 120x120x78" if not self.shape else "sees films and takes no shape"
            raise UsageError(f"The backbone {self.architecture} {what}.")
        if self.shape and not _SHAPE.fullmatch(self.shape):
            raise UsageError(f"shape is {self.shape!r}; it must be three numbers, such as 120x120x78.")
        refused = {
            "hard needs softmax: look-alikes are found among the centres that the margin softmax learns.": (
                self.hard and not self.softmax
            ),
            "hard and alike are shares of one batch and cannot exceed 1 together.": self.hard + self.alike
            > 1,
            "Every term of the loss has weight 0: there is nothing to learn.": (
                not (batch_wise or self.triplet or self.softmax)
            ),
            "memory serves contrastive, multi_similarity and supcon; none has a weight.": (
                self.memory and not batch_wise
            ),
            f"memory is {self.memory}; it must hold a batch of {self.films} films.": (
                0 < self.memory < self.films
            ),
        }
        for sentence, applies in refused.items():
            if applies:
                raise UsageError(sentence)

    @property
    def films(self) -> int:
        """Films in a batch."""
        return self.pairs * self.films_per_subject

    @property
    def form(self) -> Form:
        """What images are packed as."""
        if self.shape:
            x, y, z = map(int, self.shape.split("x"))
            return Form((x, y, z), self.step_mm)
        packed = round(self.side * self.oversample)
        return Form((packed, packed))


PRESETS: dict[str, TrainConfig] = {
    "paper-2d": TrainConfig(
        preset="paper-2d",
        architecture="resnet50",
        side=512,
        oversample=1.0,
        pairs=225,
        singles=0.0,
        hard=0.0,
        apart=0.0,
        steps=4000,
        chunk=8,
        learning_rate=1e-3,
        weight_decay=0.01,
        schedule="warm_restarts",
        restart=100,
        clip=0.0,
        normalised=False,
        margin=4.0,
        triplet=1.0,
        contrastive=0.0,
        softmax=0.0,
        augmentation="affine",
        ema=0.0,
        evaluate_every=100,
    ),
    "paper-3d": TrainConfig(
        preset="paper-3d",
        architecture="resnet50_3d",
        shape="120x120x78",
        oversample=1.0,
        pairs=45,
        singles=0.0,
        hard=0.0,
        apart=1.0,
        steps=4000,
        chunk=2,
        learning_rate=1e-3,
        weight_decay=0.01,
        schedule="warm_restarts",
        restart=100,
        clip=0.0,
        normalised=False,
        margin=4.0,
        triplet=1.0,
        contrastive=0.0,
        softmax=0.0,
        augmentation="affine",
        ema=0.0,
        evaluate_every=100,
    ),
    "fingerprint-2d": TrainConfig(),
}
"""Name -> what it trains with. The paper gives no weight decay; 0.01 is AdamW's own default."""

_PACE_FIELDS = frozenset({"steps", "compiled", "evaluate_every"})


def preset(name: str) -> TrainConfig:
    """A preset by name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PRESETS:
        raise UsageError(
            f"There is no preset {name!r}.", f"Presets are {', '.join(PRESETS)} and fingerprint-3d."
        )
    return PRESETS[name]


def changed(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """A config with other values, given as such or as text (``--set softmax=0.5``).

    Raises:
        UsageError: there is no such field, or the value is none of its kind.
    """
    kinds = get_type_hints(TrainConfig)
    known = [f.name for f in fields(TrainConfig) if f.name != "preset"]
    parsed = {}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"A training run has no setting {name!r}.", f"Settings are {', '.join(known)}.")
        parsed[name] = _parsed(name, value, kinds[name])
    return replace(config, **parsed)


def _parsed(name: str, value: Any, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        allowed = get_args(kind)
        if value not in allowed:
            raise UsageError(f"{name} is {value!r}; it must be one of {', '.join(map(str, allowed))}.")
        return value
    if kind is bool:
        truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in truth:
            raise UsageError(f"{name} is {value!r}; it must be true or false.")
        return truth[str(value).lower()]
    try:
        number = kind(value)
        if kind is float and not math.isfinite(number):
            raise ValueError
    except (TypeError, ValueError):
        what = {int: "a whole number", float: "a number"}.get(kind, "text")
        raise UsageError(f"{name} is {value!r}; it must be {what}.") from None
    return number


def to_json(config: TrainConfig) -> dict[str, Any]:
    """Plain values, for ``config.json``."""
    return asdict(config)


def from_json(values: Mapping[str, Any]) -> TrainConfig:
    """The inverse of :func:`to_json`.

    Raises:
        UsageError: a field is unknown or out of range.
    """
    config = replace(TrainConfig(), preset=str(values.get("preset", TrainConfig.preset)))
    return changed(config, {k: v for k, v in values.items() if k != "preset"})


def differences(one: TrainConfig, other: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """Fields in which two configs differ, with both values."""
    a, b = asdict(one), asdict(other)
    return {name: (a[name], b[name]) for name in a if a[name] != b[name]}


def may_go_on(begun: TrainConfig, now: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """What forbids going on with a run under another config; empty if nothing does.

    Only the number of steps, compilation and the pace of validation may change.
    """
    return {k: v for k, v in differences(begun, now).items() if k not in _PACE_FIELDS}


def shortfalls(config: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """Where a config is not its preset, apart from seed, pace and how the batch is cut."""
    free = {"seed", "compiled", "evaluate_every", "chunk"}
    full = PRESETS.get(config.preset, TrainConfig())
    return {k: v for k, v in differences(config, full).items() if k not in free}

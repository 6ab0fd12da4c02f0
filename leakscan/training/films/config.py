"""Everything that decides the training of a fingerprint, as one value, and the presets.

``paper-2d`` and ``paper-3d`` are the recipes of arXiv 2512.16685 as its authors released them;
``fingerprint-2d`` is ours. A run starts from a preset and may change any field of it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from leakscan.errors import UsageError
from leakscan.setting_words import nearest
from leakscan.training.films.form import Form
from leakscan.training.settings import TrainingSettings, differences

Schedule = Literal["plateau", "warm_restarts"]
Augmentation = Literal["films", "affine"]
Precision = Literal["bfloat16", "float32"]

_Share = Annotated[float, Field(ge=0, le=1)]
_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]

_SHAPE = re.compile(r"[1-9]\d{0,3}x[1-9]\d{0,3}x[1-9]\d{0,3}")


class TrainConfig(TrainingSettings):
    """Everything that decides a training run but the films; saved beside it.

    Attributes:
        preset: The name of the preset that it came from.
        architecture: The network, a key of ``ARCHITECTURES``; those that end in ``_3d`` see volumes.
        side: The side of the films that the network sees, in pixels.
        shape: The voxels of the volumes that the network sees, such as ``120x120x78``; empty for films.
        step_mm: The edge of their voxels.
        oversample: Packed films are this many times larger, so that zooming in finds detail.
        pairs: Subjects of a batch; with two films each these are anchor-positive pairs.
        films_per_subject: Films of each subject in a batch, 2 or more.
        singles: The share of the batch that shows subjects with one film, in several augmentations.
        hard: The share of the subjects, with one film and with several, that are drawn as look-alikes of one
            another (needs ``softmax``).
        alike: The share of them drawn from one group of sex, view and age, where the manifest has them.
        apart: How often a film's partner is one of another source width, and a volume's one of another
            contrast, where there is one; 1 leaves subjects without such a partner out of the pairs.
        steps: Optimiser steps in all.
        chunk: Films that go through the network at once; 0 is the whole batch. The gradients are
            those of the whole batch in any case, but batch norm sees chunks.
        learning_rate: The highest rate of AdamW.
        weight_decay: The weight decay of AdamW.
        schedule: ``plateau`` (linear rise, plateau, half cosine to zero) or ``warm_restarts`` (cosine
            that starts anew every ``restart`` steps, arXiv 1608.03983).
        restart: Steps of one cosine.
        decay: The share of the steps, at the end of a plateau, over which the rate falls to zero.
        clip: The largest norm of the gradient; 0 is no limit.
        normalised: Whether the triplet loss measures between unit vectors or raw embeddings.
        margin: The margin of the triplet loss, in Euclidean distance.
        triplet: The weight of the triplet term.
        contrastive: The weight of the contrastive term (NT-Xent).
        softmax: The weight of the margin softmax over subjects (CosFace).
        multi_similarity: The weight of the multi-similarity term (arXiv 1904.06627).
        supcon: The weight of the supervised contrastive term (arXiv 2004.11362).
        temperature: The temperature of the contrastive terms.
        memory: Fingerprints of earlier batches that the three batch-wise cosine terms see as well
            (cross-batch memory, arXiv 1912.06798); 0 is none.
        augmentation: ``films`` (what happens to public films) or ``affine`` (small turns only).
        mild: The share of the films that ``films`` turns and crops hardly at all, as most films to be read
            are.
        negatives: The share of the films that ``films`` shows as negatives.
        letters: The share of the films that ``films`` burns letters into.
        jpeg: The share of the films that ``films`` compresses.
        machines: The share of the films that ``films`` shows as another hospital's machine would, with tones
            and sharpness of other films of the batch.
        mix_styles: How often a step mixes the means and spreads of early maps between films (MixStyle,
            arXiv 2104.02008), so that no machine's manner can be learned; EfficientNets only.
        ema: The decay of the moving average of the weights, which is what is kept; 0 is none.
        precision: The precision of the network's forward and backward pass; ``bfloat16`` where the device
            computes in it.
        compiled: Whether the network goes through ``torch.compile`` (a third faster on a CPU).
        seed: The seed of weights, batches and augmentation.
        evaluate_every: Steps between validations and checkpoints.

    Example:
        >>> from leakscan.training.settings import changed
        >>> changed(preset("fingerprint-2d"), {"softmax": "0.25"}).softmax
        0.25
    """

    model_config = ConfigDict(title="A training run")
    fixed: ClassVar[frozenset[str]] = frozenset({"preset"})
    pace: ClassVar[frozenset[str]] = frozenset({"steps", "compiled", "evaluate_every"})

    preset: str = "fingerprint-2d"
    architecture: str = "efficientnet_lite0"
    side: Annotated[int, Field(ge=32)] = 128
    shape: str = ""
    step_mm: _Positive = 2.0
    oversample: Annotated[float, Field(ge=1)] = 1.25
    pairs: Annotated[int, Field(ge=2)] = 64
    films_per_subject: Annotated[int, Field(ge=2)] = 2
    singles: _Share = 0.15
    hard: _Share = 0.5
    alike: _Share = 0.0
    apart: _Share = 0.7
    steps: Annotated[int, Field(gt=0)] = 40_000
    chunk: _Count = 0
    learning_rate: _Positive = 6e-4
    weight_decay: _NotNegative = 0.02
    schedule: Schedule = "plateau"
    restart: Annotated[int, Field(gt=0)] = 100
    decay: _Share = 0.1
    clip: _NotNegative = 5.0
    normalised: bool = True
    margin: _Positive = 0.25
    triplet: _NotNegative = 1.0
    contrastive: _NotNegative = 1.0
    softmax: _NotNegative = 0.5
    multi_similarity: _NotNegative = 0.0
    supcon: _NotNegative = 0.0
    temperature: _Positive = 0.07
    memory: _Count = 0
    augmentation: Augmentation = "films"
    mild: _Share = 0.0
    negatives: _Share = 0.0
    letters: _Share = 0.0
    jpeg: _Share = 0.0
    machines: _Share = 0.0
    mix_styles: _Share = 0.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998
    precision: Precision = "bfloat16"
    compiled: bool = False
    seed: _Count = 0
    evaluate_every: Annotated[int, Field(ge=1)] = 500

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Refuses what cannot be trained."""
        batch_wise = self.contrastive or self.multi_similarity or self.supcon
        if bool(self.shape) != self.architecture.endswith("_3d"):
            what = "needs shape, such as 120x120x78" if not self.shape else "sees films and takes no shape"
            raise ValueError(f"The backbone {self.architecture} {what}.")
        if self.mix_styles and not self.architecture.startswith("efficientnet_lite0"):
            raise ValueError(f"mix_styles mixes maps of an EfficientNet-Lite0, not of {self.architecture}.")
        if self.shape and not _SHAPE.fullmatch(self.shape):
            raise ValueError(f"shape is {self.shape!r}; it must be three numbers, such as 120x120x78.")
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
                raise ValueError(sentence)
        return self

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


def preset(name: str) -> TrainConfig:
    """A preset by name.

    Raises:
        UsageError: There is none of that name.

    Example:
        >>> preset("paper-2d").architecture, preset("paper-2d").side
        ('resnet50', 512)
    """
    if name not in PRESETS:
        raise UsageError(
            f"There is no preset {name!r}.",
            nearest(name, [*PRESETS, "fingerprint-3d"], "Presets"),
        )
    return PRESETS[name]


def shortfalls(config: TrainConfig) -> dict[str, tuple[Any, Any]]:
    """Where settings are not those of their preset, apart from seed, pace and how the batch is cut.

    Example:
        >>> shortfalls(TrainConfig(steps=500, seed=3))
        {'steps': (500, 40000)}
    """
    free = {"seed", "compiled", "evaluate_every", "chunk"}
    full = PRESETS.get(config.preset, TrainConfig())
    return {name: both for name, both in differences(config, full).items() if name not in free}

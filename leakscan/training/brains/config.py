"""Everything that decides the training of a brain fingerprint, but the heads."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from leakscan.training.settings import TrainingSettings

PRESET = "fingerprint-3d"


class BrainConfig(TrainingSettings):
    """The settings of ``fingerprint-3d``.

    Attributes:
        steps: Steps of the network that names tissues, four views each.
        seed: The seed of that network's weights and views.
        views: Views of every head, from which the metric learns how scans of one person differ.
        anatomies: People made of every head for the metric, the head itself included.
        components: Principal components of the tissue metric.
        shrinkage: The share of the mean variance that the tissue metric adds before it whitens.
        same: Subjects who may be one person, ``A=B`` with commas between.
    """

    model_config = ConfigDict(title=PRESET)

    steps: Annotated[int, Field(ge=1)] = 1500
    seed: Annotated[int, Field(ge=0)] = 0
    views: Annotated[int, Field(ge=1)] = 4
    anatomies: Annotated[int, Field(ge=1)] = 2
    components: Annotated[int, Field(ge=1)] = 700
    shrinkage: Annotated[float, Field(gt=0)] = 0.1
    same: str = ""

    @model_validator(mode="after")
    def _views_differ(self) -> Self:
        """Refuses views that show no difference between scans of one person."""
        if self.views < 2:
            raise ValueError("A metric learns from two views of every head or more.")
        return self

    @property
    def one_person(self) -> dict[str, str]:
        """Subject -> the subject who may be the same person."""
        pairs = [pair.partition("=") for pair in self.same.split(",") if pair.strip()]
        return {a.strip(): b.strip() for a, _, b in pairs}

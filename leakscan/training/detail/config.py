"""Everything that decides how detail matching is taught, but the films."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from leakscan.training.settings import TrainingSettings

_Share = Annotated[float, Field(ge=0, le=1)]


class DetailConfig(TrainingSettings):
    """How detail matching is taught.

    Attributes:
        steps: Steps in all.
        anchors: Anchors of a step, each of another subject.
        strangers: Strangers whom every anchor meets.
        learning_rate: The highest rate; it rises over 100 steps and falls as half a cosine.
        trunk_rate: The rate of the trunk, as a share of the learning rate; 0 leaves the trunk as it is.
        weight_decay: The weight decay of AdamW.
        plain: The share of the films that are seen as they are.
        mild: The share of the others that are turned and cropped hardly at all, as most films are that
            users compare.
        machines: The share of the others that are shown as another hospital's machine would show them.
        seed: The seed of batches and views.
    """

    model_config = ConfigDict(title="Detail matching")

    steps: Annotated[int, Field(ge=1)] = 2000
    anchors: Annotated[int, Field(ge=1)] = 32
    strangers: Annotated[int, Field(ge=1)] = 5
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    trunk_rate: Annotated[float, Field(ge=0)] = 0.3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    plain: _Share = 0.2
    mild: _Share = 0.6
    machines: _Share = 0.0
    seed: Annotated[int, Field(ge=0)] = 0

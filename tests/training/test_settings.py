"""Settings by name: one sentence for whatever is wrong, whichever training they belong to."""

from __future__ import annotations

import pytest

from leakscan.errors import UsageError
from leakscan.training.brains.config import BrainConfig
from leakscan.training.detail.config import DetailConfig
from leakscan.training.films.config import TrainConfig
from leakscan.training.settings import (
    TrainingSettings,
    changed,
    differences,
    from_names,
    may_go_on,
    pairs_of,
)

ALL: tuple[type[TrainingSettings], ...] = (TrainConfig, BrainConfig, DetailConfig)


@pytest.mark.parametrize("model", ALL)
def test_a_typo_says_which_and_suggests_the_nearest(model: type[TrainingSettings]) -> None:
    with pytest.raises(UsageError, match="has no setting 'seeed'") as wrong:
        from_names(model, {"seeed": 1})
    assert wrong.value.hint.startswith("Did you mean seed? Settings are ")


@pytest.mark.parametrize("model", ALL)
def test_what_resembles_nothing_gets_the_list_alone(model: type[TrainingSettings]) -> None:
    with pytest.raises(UsageError) as wrong:
        from_names(model, {"zzz": 1})
    assert wrong.value.hint.startswith("Settings are ")


@pytest.mark.parametrize("model", ALL)
def test_text_and_values_are_the_same_and_settings_are_frozen(model: type[TrainingSettings]) -> None:
    config = from_names(model, {"steps": "12", "seed": "3"})
    assert config == from_names(model, {"steps": 12, "seed": 3})
    assert from_names(model, config.model_dump(mode="json")) == config
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 4  # type: ignore[attr-defined]


def test_a_setting_that_a_preset_fixes_cannot_be_changed() -> None:
    with pytest.raises(UsageError, match="no setting 'preset'") as wrong:
        changed(TrainConfig(), {"preset": "mine"})
    assert "preset" not in wrong.value.hint


def test_only_the_pace_may_differ_between_sittings() -> None:
    begun = TrainConfig()
    now = changed(begun, {"steps": 9, "seed": 4})
    assert differences(begun, now) == {"steps": (40_000, 9), "seed": (0, 4)}
    assert may_go_on(begun, now) == {"seed": (0, 4)}
    assert may_go_on(BrainConfig(), BrainConfig(steps=9)) == {"steps": (1500, 9)}


def test_pairs_are_taken_apart_at_the_first_equals_sign() -> None:
    assert pairs_of(["a=1", " b = x=y "]) == {"a": "1", "b": "x=y"}
    with pytest.raises(UsageError, match="softmax has no value"):
        pairs_of(["softmax"])

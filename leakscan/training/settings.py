"""Settings of training by name: one way to read them, and one sentence for whatever is wrong with them.

Every kind of training has one frozen model of its settings, in which each default stands once. What a user
types, what ``config.json`` holds and what a program passes all go through :func:`from_names`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from leakscan.errors import UsageError
from leakscan.setting_words import OUT_OF_RANGE, no_setting, wanted

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S", bound="TrainingSettings")


class TrainingSettings(BaseModel):
    """Everything that decides a training run but its images; frozen, and saved beside the run.

    Attributes:
        fixed: Settings that a preset has and nobody may change.
        pace: Settings that may differ when a begun run goes on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fixed: ClassVar[frozenset[str]] = frozenset()
    pace: ClassVar[frozenset[str]] = frozenset()


def from_names(model: type[M], given: Mapping[str, Any]) -> M:
    """Builds settings from names and values, which may be text.

    Args:
        model: The settings to build. Its title, if it has one, begins the sentence about an unknown name.
        given: Names and values. Settings that are not named get their defaults.

    Raises:
        UsageError: There is no such setting, or a value does not fit. The message says which, and the hint
            suggests the nearest name.

    Example:
        >>> from leakscan.training.detail.config import DetailConfig
        >>> from_names(DetailConfig, {"steps": "100"}).steps
        100
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as e:
        raise _usage_error(e, model) from None


def changed(settings: S, given: Mapping[str, Any]) -> S:
    """The same settings but for the values that are named.

    Args:
        settings: The settings to start from, such as a preset.
        given: Names and new values, which may be text.

    Raises:
        UsageError: There is no such setting, it is fixed, or a value does not fit.

    Example:
        >>> from leakscan.training.films.config import PRESETS
        >>> ours = changed(PRESETS["fingerprint-2d"], {"side": "192", "letters": "0.2"})
        >>> ours.side, ours.letters
        (192, 0.2)
    """
    model = type(settings)
    for name in given:
        if name in model.fixed:
            raise no_setting(name, model, model.fixed)
    return from_names(model, {**settings.model_dump(), **given})


def pairs_of(words: Iterable[str]) -> dict[str, str]:
    """Takes ``name=value`` apart.

    Args:
        words: What was typed, one pair a word.

    Raises:
        UsageError: A word has no equals sign.

    Example:
        >>> pairs_of(["softmax=0.5"])
        {'softmax': '0.5'}
    """
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"{word} has no value.", "Write it as name=value, as in softmax=0.5.")
        pairs[name.strip()] = value.strip()
    return pairs


def differences(one: TrainingSettings, other: TrainingSettings) -> dict[str, tuple[Any, Any]]:
    """The settings in which two runs differ, with both values.

    Example:
        >>> from leakscan.training.detail.config import DetailConfig
        >>> differences(DetailConfig(anchors=16), DetailConfig(anchors=32))
        {'anchors': (16, 32)}
    """
    a, b = one.model_dump(), other.model_dump()
    return {name: (a[name], b[name]) for name in a if a[name] != b[name]}


def may_go_on(begun: S, now: S) -> dict[str, tuple[Any, Any]]:
    """The changes that forbid going on with a begun run, with both values; empty if nothing does.

    Example:
        >>> from leakscan.training.films.config import TrainConfig
        >>> may_go_on(TrainConfig(steps=1000), TrainConfig(steps=2000))  # more steps are welcome
        {}
        >>> may_go_on(TrainConfig(side=128), TrainConfig(side=192))
        {'side': (128, 192)}
    """
    return {name: both for name, both in differences(begun, now).items() if name not in begun.pace}


def _usage_error(error: ValidationError, model: type[BaseModel]) -> UsageError:
    found = error.errors()
    for one in found:
        if one["type"] == "extra_forbidden":
            return no_setting(str(one["loc"][0]), model, getattr(model, "fixed", ()))
    first = found[0]
    if first["type"] == "value_error":  # a validator's own sentence
        return UsageError(str(first["ctx"]["error"]))
    name = str(first["loc"][0])
    value = first["input"] if first["type"] in OUT_OF_RANGE else repr(first["input"])
    return UsageError(f"{name} is {value}; it must be {wanted(first, model.model_fields[name])}.")

"""Settings of training by name: one way to read them, and one sentence for whatever is wrong with them.

Every kind of training has one frozen model of its settings, in which each default stands once. What a user
types, what ``config.json`` holds and what a program passes all go through :func:`from_names`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from leakscan.errors import UsageError

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S", bound="TrainingSettings")

_OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_NEAR = 0.8  # of difflib's ratio
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


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
    """
    model = type(settings)
    for name in given:
        if name in model.fixed:
            raise _unknown(name, model)
    return from_names(model, {**settings.model_dump(), **given})


def nearest(name: str, known: Collection[str]) -> str:
    """The beginning of a hint, ``Did you mean NAME? ``; empty where no known name is near."""
    near = difflib.get_close_matches(name, known, 1, _NEAR)
    return f"Did you mean {near[0]}? " if near else ""


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
    """The settings in which two runs differ, with both values."""
    a, b = one.model_dump(), other.model_dump()
    return {name: (a[name], b[name]) for name in a if a[name] != b[name]}


def may_go_on(begun: S, now: S) -> dict[str, tuple[Any, Any]]:
    """The changes that forbid going on with a begun run, with both values; empty if nothing does."""
    return {name: both for name, both in differences(begun, now).items() if name not in begun.pace}


def _usage_error(error: ValidationError, model: type[BaseModel]) -> UsageError:
    found = error.errors()
    for one in found:
        if one["type"] == "extra_forbidden":
            return _unknown(str(one["loc"][0]), model)
    first = found[0]
    if first["type"] == "value_error":  # a validator's own sentence
        return UsageError(str(first["ctx"]["error"]))
    name = str(first["loc"][0])
    return UsageError(_sentence(name, first, model.model_fields[name]))


def _unknown(name: str, model: type[BaseModel]) -> UsageError:
    fixed: frozenset[str] = getattr(model, "fixed", frozenset())
    known = [field for field in model.model_fields if field not in fixed]
    title = model.model_config.get("title")
    message = f"{title} has no setting {name!r}." if title else f"There is no setting {name!r}."
    return UsageError(message, f"{nearest(name, known)}Settings are {', '.join(known)}.")


def _sentence(name: str, error: ErrorDetails, field: FieldInfo) -> str:
    value = error["input"]
    if error["type"] in _OUT_OF_RANGE:
        return f"{name} is {value}; it must be {range_words(field)}."
    if get_origin(field.annotation) is Literal:
        words = f"one of {', '.join(map(str, get_args(field.annotation)))}"
    else:
        words = next((words for kind, words in _KINDS.items() if field.annotation is kind), "something else")
    return f"{name} is {value!r}; it must be {words}."


def range_words(field: FieldInfo) -> str:
    """What a number may be, such as ``at least 2``; empty where nothing is said."""
    limits = {
        name: getattr(rule, name)
        for rule in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if getattr(rule, name, None) is not None
    }
    if limits == {"ge": 0, "le": 1}:
        return "a share between 0 and 1"
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "below"}
    return " and ".join(f"{words[name]} {limit:g}" for name, limit in limits.items())

"""What is said of a setting that does not exist or a value that does not fit, of a run or of training."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from leakscan.errors import UsageError

OUT_OF_RANGE = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    tuple: "a list",
}


NAMED_COLUMNS = ("path", "subject_id", "split", "kind", "study_uid", "series_uid", "sop_uid")
"""What a column of a manifest may be named as."""


def named_columns(value: Any) -> dict[str, str]:
    """Which column of a manifest is which, from ``path=filename,kind=modality``, a list, or a mapping.

    Args:
        value: What the user gave.

    Raises:
        UsageError: It is not of this form, or names what no manifest has.

    Example:
        >>> named_columns("path=Image Index, subject_id=Patient ID")
        {'path': 'Image Index', 'subject_id': 'Patient ID'}
    """
    if isinstance(value, Mapping):
        pairs = [(str(ours), str(theirs)) for ours, theirs in value.items()]
    else:
        texts = [value] if isinstance(value, str) else list(value)
        parts = [part for text in texts for part in str(text).split(",") if part.strip()]
        if unclear := next((part for part in parts if "=" not in part), None):
            raise UsageError(
                f"The setting columns holds {unclear.strip()!r}, which names no column.",
                "Write path=filename,subject_id=patient_id: what it is, then what the manifest calls it.",
            )
        pairs = [(ours, theirs) for ours, _, theirs in (part.partition("=") for part in parts)]
    found = {ours.strip(): theirs.strip() for ours, theirs in pairs}
    for ours, theirs in found.items():
        if ours not in NAMED_COLUMNS:
            swapped = f" Write {theirs}={ours}." if theirs in NAMED_COLUMNS else ""
            raise UsageError(
                f"The setting columns names {ours!r}, which no manifest is asked for.",
                (swapped or nearest(ours, NAMED_COLUMNS, "Columns")).strip(),
            )
        if not theirs:
            raise UsageError(f"The setting columns does not say which column is {ours}.")
    return found


def nearest(name: str, known: Iterable[str], what: str = "Settings") -> str:
    """A hint at the known name that is spelt most like ``name``, and at all of them.

    Args:
        name: What was asked for.
        known: What there is.
        what: A word for several of them, which begins a sentence.

    Example:
        >>> nearest("max_pair", ["max_pairs", "same_ids"])
        'Did you mean max_pairs? Settings are max_pairs, same_ids.'
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    return (f"Did you mean {near[0]}? " if near else "") + f"{what} are {', '.join(names)}."


def wanted(error: ErrorDetails, field: FieldInfo) -> str:
    """What a setting must be, as the end of a sentence, such as ``at least 2`` or ``a whole number``.

    Args:
        error: What pydantic found wrong.
        field: The field of the setting.

    Example:
        >>> from leakscan.settings import DecidingSettings, DecodeOptions
        >>> wanted({"type": "less_than_equal"}, DecidingSettings.model_fields["max_unread"])
        'a share between 0 and 1'
        >>> wanted({"type": "literal_error"}, DecodeOptions.model_fields["frames"])
        'one of first, all'
    """
    if error["type"] in OUT_OF_RANGE:
        return range_words(field)
    if get_origin(field.annotation) is tuple:
        return "a list"
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return f"a section, with {', '.join(field.annotation.model_fields)} in it"
    kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not type(None)]
    if get_origin(field.annotation) is Literal:
        return f"one of {', '.join(map(str, kinds))}"
    if kinds and get_origin(kinds[0]) is Literal:
        return f"one of {', '.join(map(str, get_args(kinds[0])))}"
    return next((words for kind, words in _KINDS.items() if kind in kinds), "something else")


def range_words(field: FieldInfo) -> str:
    """What a number may be, such as ``at least 2``; empty where nothing is said.

    Example:
        >>> from leakscan.settings import SearchSettings
        >>> range_words(SearchSettings.model_fields["max_pairs"])
        'at least 1'
    """
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


def no_setting(name: str, model: type[BaseModel], left_out: Collection[str] = ()) -> UsageError:
    """The error of a name that no setting has.

    Args:
        name: What was asked for.
        model: The settings, whose title (if any) begins the sentence.
        left_out: Settings that cannot be chosen.

    Example:
        >>> from leakscan.settings import LimitSettings
        >>> no_setting("workerz", LimitSettings).hint
        'Did you mean workers? Settings are cache, check_seconds, workers...'
    """
    known = [field for field in model.model_fields if field not in left_out]
    title = model.model_config.get("title")
    message = f"{title} has no setting {name!r}." if title else f"There is no setting {name!r}."
    return UsageError(message, nearest(name, known), code="no_setting")

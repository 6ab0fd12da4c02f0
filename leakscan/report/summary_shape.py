"""The kinds of values in ``summary.json``: a run folder may come from a stranger, or be edited by hand."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class _Part(BaseModel):
    """A part of a summary, which may hold more than is checked here."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Dataset(_Part):
    name: str = ""
    files: int = 0
    status: dict[str, int] = {}


class _Compared(_Part):
    a: str = ""
    b: str = ""
    decisions: dict[str, dict[str, int]] = {}
    shared_subjects: dict[str, Any] | None = None
    thresholds: dict[str, dict[str, Any]] = {}


class _Answer(_Part):
    headline: str = ""
    pairs_of_datasets: list[dict[str, Any]] = []
    not_judged: dict[str, Any] = {}
    not_done: list[Any] = []


class _Shape(_Part):
    exit_code: Annotated[int, Field(ge=0, le=3)] = 0
    fail_on: str = ""
    reasons: list[str] = []
    warnings: list[str] = []
    datasets: list[_Dataset] = []
    comparisons: list[_Compared] = []
    decisions: dict[str, dict[str, int]] = {}
    answer: _Answer = _Answer()
    sources: dict[str, str | None] | None = None
    baseline: dict[str, Any] | None = None
    verdicts: dict[str, Any] | None = None
    encoders: dict[str, Any] = {}
    identity: dict[str, Any] | None = None
    timings: dict[str, Any] = {}


def misshapen(summary: dict[str, Any]) -> str:
    """The first place where a summary holds what no run writes; empty where there is none.

    Args:
        summary: What ``summary.json`` holds. A key that it lacks is no fault here.

    Example:
        >>> misshapen({"exit_code": 1}), misshapen({"exit_code": 256}), misshapen({"datasets": {"x": 1}})
        ('', 'exit_code', 'datasets')
    """
    try:
        _Shape.model_validate(summary)
    except ValidationError as error:
        return ".".join(map(str, error.errors()[0]["loc"]))
    return ""

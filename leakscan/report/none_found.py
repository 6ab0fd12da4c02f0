"""The words of a run without leaks, which it says once. Imports nothing: the command line starts with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NONE = "No leak was found"
"""How the headline of a run without leaks begins."""


def further_reasons(summary: Mapping[str, Any]) -> list[str]:
    """The reasons of an exit code that the headline does not give already.

    Args:
        summary: What ``summary.json`` holds.

    Example:
        >>> further_reasons({"reasons": ["No leak was found."], "answer": {"headline": "No leak was found"}})
        []
    """
    headline = str((summary.get("answer") or {}).get("headline") or "")
    said = {f"{headline}.", *([f"{NONE}."] if headline.startswith(NONE) else [])}
    return [words for words in summary["reasons"] if words not in said]

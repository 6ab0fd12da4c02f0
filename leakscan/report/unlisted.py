"""What is known of shared people whom no list of a run names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FEW = 20  # people of a dataset, below which what is missed elsewhere says nothing of it


def on_no_list(pair: Mapping[str, Any]) -> str:
    """What is known of shared people whom no list names, in at most 35 characters.

    Args:
        pair: One of ``pairs_of_datasets`` of ``leakscan.report.answer.answer``.

    Example:
        >>> pair = {"estimate": None, "missed_share": 0.37, "missed_share_of_this_run": False,
        ...         "subject_comparisons": 9_000, "people": {"a": {"of": 90}, "b": {"of": 100}}}
        >>> on_no_list(pair)
        'unknown here (elsewhere 37%)'
        >>> on_no_list({**pair, "missed_share_of_this_run": True})
        'est. 37% of shared people'
        >>> on_no_list({**pair, "people": {"a": {"of": 1}, "b": {"of": 1}}})
        'unknown: too few people to tell'
    """
    if pair["estimate"]:
        e = pair["estimate"]
        return f"est. {e['estimate']:.0f} shared in all ({e['low']:.0f} to {e['high']:.0f})"
    if pair["missed_share"] is None:
        return "this run cannot tell" if pair["subject_comparisons"] else "persons were not compared"
    if pair["missed_share_of_this_run"]:
        return f"est. {pair['missed_share']:.0%} of shared people"
    if min(told["of"] for told in pair["people"].values()) < _FEW:
        return "unknown: too few people to tell"
    return f"unknown here (elsewhere {pair['missed_share']:.0%})"

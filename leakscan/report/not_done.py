"""What a run did not do, in short sentences over all its comparisons: green must mean compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leakscan.counted import counted


def not_done(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was not compared, not checked or cut, counted over all comparisons; empty where nothing was.

    Args:
        comparisons: ``comparisons`` of ``summary.json``.

    Example:
        >>> no_time = {
        ...     "distinct_pictures": [10, 20],
        ...     "thresholds": {},
        ...     "search": {},
        ...     "candidates": 70,
        ...     "unverified": 60,
        ...     "cut_by_max_pairs": 0,
        ...     "identifiers_unjoinable": False,
        ... }
        >>> for sentence in not_done([no_time]):
        ...     print(sentence)
        No subject comparison was possible: only copies were looked for, not persons.
        60 of 70 candidate pairs got no copy check: no time, or no pixels at hand.
    """
    return [
        *_subjects(comparisons),
        *_copies(comparisons),
        *_search(comparisons),
        *_details(comparisons),
        *_cautions(comparisons),
    ]


def _subjects(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """Between which pictures nobody could be recognised."""
    some = [c for c in comparisons if _pairs(c["distinct_pictures"])]
    total = sum(_pairs(c["distinct_pictures"]) for c in some)
    compared = [sum(_pairs(t["pictures"]) for t in c["thresholds"].values()) for c in some]
    words = []
    if empty := len(comparisons) - len(some):
        words.append(f"{counted(empty, 'pair')} of datasets had nothing to compare.")
    if some and not any(compared):
        words.append("No subject comparison was possible: only copies were looked for, not persons.")
    elif some and sum(compared) < total:
        words.append(
            f"Persons were compared in {sum(compared):,} of {total:,} pairs of pictures, in the others only "
            "copies were looked for: no encoder serves both."
        )
    if any(c["identifiers_unjoinable"] for c in comparisons):
        words.append("Identifiers were not compared: the stores have different identity keys.")
    return words


def _copies(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    words = []
    if unchecked := sum(c["unverified"] for c in comparisons):
        words.append(
            f"{unchecked:,} of {sum(c['candidates'] for c in comparisons):,} candidate pairs got no copy "
            "check: no time, or no pixels at hand."
        )
    if cut := sum(c["cut_by_max_pairs"] for c in comparisons):
        words.append(f"{cut:,} candidate pairs were cut by the limit max_pairs.")
    return words


def _search(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """How much an approximate search found, at worst."""
    recalls = [r["recall"] for c in comparisons for r in c["search"].values() if r["sampled_pairs"]]
    if not recalls:
        return []
    return [f"Not all fingerprints were compared: the search found {min(recalls):.2%} in a sample."]


def _details(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    tests = [t for c in comparisons for t in c["thresholds"].values()]
    due, done = (sum(t[key] or 0 for t in tests) for key in ("looks_due", "looked"))
    return [f"{due - done:,} of {due:,} detail matches were not made: no time, or no pixels."] * (due > done)


def _cautions(comparisons: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why no similarity was called a leak, however high: the commonest reason, and how many others."""
    by_encoder: dict[str, list[str]] = {}
    for comparison in comparisons:
        for encoder, told in comparison["thresholds"].items():
            if told["caution"]:
                by_encoder.setdefault(encoder.partition("@")[0], []).append(told["caution"])
    words = []
    for encoder, cautions in by_encoder.items():
        different = sorted(set(cautions), key=cautions.count, reverse=True)
        more = (
            f" ({counted(len(different) - 1, 'more reason')} in summary.json)" if len(different) > 1 else ""
        )
        name = f"{encoder}: " if len(by_encoder) > 1 else ""
        words.append(f"{name}No similarity alone is called a leak: {different[0]}{more}.")
    return words


def _pairs(sizes: Sequence[int]) -> int:
    return sizes[0] * sizes[1]

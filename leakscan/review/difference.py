"""What is new between two runs: pairs are the same where their pixels are, wherever the files lie."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan import tables
from leakscan.review.judged_run import JudgedRun
from leakscan.types import RELATIONS

DIFFERENCES = pa.schema(
    [
        ("change", pa.string()),
        *((name, pa.string()) for name in ("dataset_a", "path_a", "dataset_b", "path_b")),
        *((name, pa.string()) for name in ("relation_before", "relation", "decision_before", "decision")),
    ]
)
"""One row per pair that differs. ``change`` is ``new``, ``gone``, ``stronger`` (in its relation),
``weaker``, or ``decided`` (another decision)."""

Key = frozenset[str]


@dataclass(frozen=True)
class RunDifference:
    """How two runs differ.

    Attributes:
        table: One row per pair that differs, schema ``DIFFERENCES``; new leaks first.
        new_leaks: Leaks of the second run that the first has not, or with a weaker relation.
        gone_leaks: Leaks of the first run that the second has not.
        same: Pairs that are the same in both.
    """

    table: pa.Table
    new_leaks: int
    gone_leaks: int
    same: int


def difference(before: Path, after: Path) -> RunDifference:
    """How the pairs of a run differ from those of an earlier one.

    Args:
        before: The folder of the earlier run.
        after: The folder of the later run.

    Raises:
        StoreError: One is no run folder.

    Example::

        difference(Path("run-monday"), Path("run-tuesday")).new_leaks
    """
    old, new = known_pairs(before), known_pairs(after)
    rows = []
    for key in new.keys() | old.keys():
        one, other = old.get(key), new.get(key)
        change = _change(one, other)
        if change:
            shown: dict[str, Any] = other or one or {}
            rows.append(
                {
                    "change": change,
                    **{f"path_{s}": shown[f"path_{s}"] or shown[f"image_{s}"] for s in ("a", "b")},
                    **{f"dataset_{s}": shown[f"dataset_{s}"] for s in ("a", "b")},
                    "relation_before": one and one["relation"],
                    "relation": other and other["relation"],
                    "decision_before": one and one["decision"],
                    "decision": other and other["decision"],
                }
            )
    rows.sort(key=lambda r: (r["decision"] != "leak", r["change"], r["path_a"], r["path_b"]))
    return RunDifference(
        tables.from_rows(rows, DIFFERENCES),
        sum(is_new_leak(pair, old) for pair in new.values()),
        sum(is_new_leak(pair, new) for pair in old.values()),
        len(new.keys() | old.keys()) - len(rows),
    )


def known_pairs(run: Path) -> dict[Key, dict[str, Any]]:
    """The strongest pair of a run for every two pictures, by their pixel hashes.

    Raises:
        StoreError: ``run`` is no run folder.

    Example::

        known_pairs(Path("run"))[frozenset(("px1:0a", "px1:9f"))]["decision"]
    """
    judged = JudgedRun.open(run)
    out: dict[Key, dict[str, Any]] = {}
    for row, pair in enumerate(judged.pairs):
        key = frozenset((judged.picture(row, "a"), judged.picture(row, "b")))
        if key not in out or _rank(pair) < _rank(out[key]):
            out[key] = {**pair, "key": key}
    return out


def is_new_leak(
    pair: dict[str, Any], known: dict[Key, dict[str, Any]], failing: Collection[str] = ("leak",)
) -> bool:
    """Whether a pair is a leak that is not known, or was known with a weaker relation.

    Args:
        pair: The pair, with its ``key``.
        known: The pairs of an earlier run, as :func:`known_pairs` has them.
        failing: The decisions that count as leaks; with ``review`` among them a pair for review does.

    Example:
        >>> pair = {"key": frozenset("xy"), "decision": "leak", "relation": "same_file"}
        >>> is_new_leak(pair, {}), is_new_leak(pair, {pair["key"]: pair})
        (True, False)
    """
    if pair["decision"] not in failing:
        return False
    before = known.get(pair["key"])
    return before is None or before["decision"] not in failing or _strength(pair) < _strength(before)


def _change(one: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    if one is None or other is None:
        return "new" if one is None else "gone"
    if _strength(one) != _strength(other):
        return "stronger" if _strength(other) < _strength(one) else "weaker"
    return "decided" if one["decision"] != other["decision"] else ""


def _strength(pair: dict[str, Any]) -> int:
    return RELATIONS.index(pair["relation"])


def _rank(pair: dict[str, Any]) -> tuple[bool, int]:
    return pair["decision"] != "leak", _strength(pair)

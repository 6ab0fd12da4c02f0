"""A run held against an earlier one: only leaks that are new fail it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan.counted import counted
from leakscan.fingerprint.pipeline import Dataset
from leakscan.report.summary import EXIT_LEAK, EXIT_OK
from leakscan.review.difference import Key, is_new_leak, known_pairs
from leakscan.settings import FailOn
from leakscan.types import RELATIONS


def held_against(
    summary: Mapping[str, Any], pairs: pa.Table, datasets: Sequence[Dataset], baseline: Path
) -> dict[str, Any]:
    """What a summary says once leaks that an earlier run knew do not fail it.

    Args:
        summary: The summary of this run.
        pairs: Its pairs, of schema ``tables.PAIRS``.
        datasets: Its datasets.
        baseline: The folder of the earlier run.

    Returns:
        The summary with ``baseline`` (``new_leaks``, ``known_leaks``), and perhaps another exit code.

    Raises:
        StoreError: ``baseline`` is no run folder.

    Example::

        summary |= held_against(summary, found.pairs, datasets, Path("run-of-last-week"))
    """
    known = known_pairs(baseline)
    keys = _keys(pairs, datasets)
    failing = _failing(summary["fail_on"])
    rows = pairs.select(["decision", "relation"]).to_pylist()
    leaks = [{**row, "key": key} for row, key in zip(rows, keys, strict=True) if row["decision"] == "leak"]
    new = [pair for pair in leaks if is_new_leak(pair, known)]
    told: dict[str, Any] = {"baseline": {"new_leaks": len(new), "known_leaks": len(leaks) - len(new)}}
    fails = sum(pair["relation"] in failing for pair in leaks)
    if summary["exit_code"] == EXIT_LEAK and fails and summary["fail_on"] != "review":
        if fresh := sum(pair["relation"] in failing for pair in new):
            told["reasons"] = [f"{counted(fresh, 'leak')} that the baseline does not have."]
        else:
            told |= {
                "exit_code": EXIT_OK,
                "reasons": [f"No new leak: the baseline has all {counted(fails, 'leak')} as well."],
            }
    return told


def _failing(fail_on: FailOn) -> tuple[str, ...]:
    if fail_on not in RELATIONS:
        return RELATIONS
    return RELATIONS[: RELATIONS.index(fail_on) + 1]


def _keys(pairs: pa.Table, datasets: Sequence[Dataset]) -> list[Key]:
    pixels = {
        (d.name, image): pixel or ""
        for d in datasets
        for image, pixel in zip(d.rows["image_id"].to_pylist(), d.rows["pixel_hash"].to_pylist(), strict=True)
    }
    columns = (pairs[name].to_pylist() for name in ("dataset_a", "image_a", "dataset_b", "image_b"))
    return [frozenset((pixels[da, a], pixels[db, b])) for da, a, db, b in zip(*columns, strict=True)]

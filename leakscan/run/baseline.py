"""A run held against an earlier one: only leaks that are new fail it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from leakscan.counted import counted
from leakscan.fingerprint.pipeline import Dataset
from leakscan.report.exit_code import EXIT_LEAK, without_leaks
from leakscan.report.run_tables import RunTables
from leakscan.review.difference import Key, is_new_leak, known_pairs
from leakscan.settings import DecidingSettings, FailOn
from leakscan.types import RELATIONS

_ENDS = ("dataset_a", "dataset_b", "image_a", "image_b")
_WORDS = {("leak",): "leak", ("leak", "review"): "pair"}
_LISTED = 100  # new leaks whose images the summary names


def held_against(
    summary: Mapping[str, Any], found: RunTables, datasets: Sequence[Dataset], deciding: DecidingSettings
) -> dict[str, Any]:
    """What a summary says once leaks that an earlier run knew do not fail it.

    Args:
        summary: The summary of this run.
        found: Its tables.
        datasets: Its datasets.
        deciding: What fails it, and the folder of the earlier run (``baseline``).

    Returns:
        The summary with ``baseline``, and perhaps another exit code: where all leaks are known, that of a
        run without leaks, which may be unable to vouch for the rest. ``baseline`` has ``new_leaks``,
        ``known_leaks``, ``new_by_relation`` (``a``, ``b``, ``relation`` and ``leaks``) and ``new_pairs``
        (the ids of the two images of the strongest new leaks).

    Raises:
        StoreError: ``baseline`` is no run folder.

    Example::

        summary |= held_against(summary, found, datasets, settings.deciding)
    """
    assert deciding.baseline is not None
    known = known_pairs(deciding.baseline)
    counting = ("leak", "review") if deciding.fail_on == "review" else ("leak",)
    rows = found.pairs.select([*_ENDS, "decision", "relation"]).to_pylist()
    keys = _keys(rows, datasets)
    leaks = [{**r, "key": key} for r, key in zip(rows, keys, strict=True) if r["decision"] in counting]
    new = [pair for pair in leaks if is_new_leak(pair, known, counting)]
    told: dict[str, Any] = {"baseline": _told(new, len(leaks) - len(new))}
    failing = _failing(deciding.fail_on)
    if summary["exit_code"] == EXIT_LEAK and (fails := sum(pair["relation"] in failing for pair in leaks)):
        if fresh := sum(pair["relation"] in failing for pair in new):
            told["reasons"] = [f"{counted(fresh, _WORDS[counting])} that the baseline does not have."]
        else:
            old = f"No new leak: the baseline has all {counted(fails, _WORDS[counting])} as well."
            code, reasons = without_leaks(summary["datasets"], found.comparisons, deciding)
            told |= {"exit_code": code, "reasons": [old, *(reasons if code else [])]}
    return told


def _told(new: Sequence[Mapping[str, Any]], known: int) -> dict[str, Any]:
    counts = Counter((pair["dataset_a"], pair["dataset_b"], pair["relation"]) for pair in new)
    return {
        "new_leaks": len(new),
        "known_leaks": known,
        "new_by_relation": [{"a": a, "b": b, "relation": r, "leaks": n} for (a, b, r), n in counts.items()],
        "new_pairs": [[pair["image_a"], pair["image_b"]] for pair in new[:_LISTED]],
    }


def _failing(fail_on: FailOn) -> tuple[str, ...]:
    if fail_on not in RELATIONS:
        return RELATIONS
    return RELATIONS[: RELATIONS.index(fail_on) + 1]


def _keys(rows: Sequence[Mapping[str, Any]], datasets: Sequence[Dataset]) -> list[Key]:
    pixels = {
        (d.name, image): pixel or ""
        for d in datasets
        for image, pixel in zip(d.rows["image_id"].to_pylist(), d.rows["pixel_hash"].to_pylist(), strict=True)
    }
    return [frozenset(pixels[r[f"dataset_{s}"], r[f"image_{s}"]] for s in ("a", "b")) for r in rows]

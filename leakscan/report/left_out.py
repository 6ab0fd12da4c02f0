"""The lines of the answer about images that were not compared, or not in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from leakscan.counted import counted
from leakscan.sources.left_out import ONLY_FIRST, kinds_in_words
from leakscan.sources.table_names import LOOSE, MANIFEST_SUFFIXES

_TABLES = tuple(end for end in MANIFEST_SUFFIXES if end not in (*LOOSE, ".json", ".yaml", ".yml"))


def counts_of(column: pa.ChunkedArray) -> Counter[str | None]:
    """How often each value stands in a column, which may have a million rows.

    Example:
        >>> counts_of(pa.chunked_array([["ok", None, "ok"]]))
        Counter({'ok': 2, None: 1})
    """
    return Counter({row["values"]: row["counts"] for row in pc.value_counts(column).to_pylist()})


def left_out_facts(own: pa.Table) -> dict[str, Any]:
    """What the summary says of the files of one dataset that were not compared.

    Args:
        own: The rows of the dataset, of the schema ``tables.IMAGES``.

    Returns:
        ``left_out``, the number of files of every kind that look like images and were not compared;
        ``unread_share``, their share of all that look like images, 0..1; and ``only_first_frame``, how
        many files hold frames that were not asked for. ``tables`` counts the tables that may list images
        elsewhere, in a dataset without any image of its own.

    Example:
        >>> from leakscan import tables
        >>> link = {"status": "unsupported", "left_out": "link that leaves the folder"}
        >>> rows = tables.from_rows([{"status": "ok"}, link, {"status": "ignored"}], tables.IMAGES)
        >>> left_out_facts(rows)
        {'left_out': {'link that leaves the folder': 1}, 'unread_share': 0.5, ...}
    """
    status = counts_of(own["status"])
    unread = status["unreadable"] + status["unsupported"]
    considered = sum(status.values()) - status["ignored"]
    out = own.filter(pc.is_in(own["status"], pa.array(["unreadable", "unsupported"])))
    notes = pc.list_flatten(own["notes"])
    ignored = own.filter(pc.equal(own["status"], "ignored"))["path"] if not status["ok"] else None
    tables = 0 if ignored is None else sum((p or "").lower().endswith(_TABLES) for p in ignored.to_pylist())
    return {
        # Rows of a store of an earlier version do not say what kind of thing they are.
        "left_out": {kind or "unread file": n for kind, n in counts_of(out["left_out"]).items()},
        "unread_share": unread / considered if considered else 0.0,
        "tables": tables,
        "only_first_frame": int(pc.sum(pc.match_substring(notes, ONLY_FIRST)).as_py() or 0),
    }


def left_out_words(dataset: Mapping[str, Any]) -> str:
    """What looks like an image in one dataset and was not compared, or nothing.

    Args:
        dataset: An entry of ``datasets`` in ``summary.json``.

    Example:
        >>> left_out_words({"name": "A", "left_out": {"JPEG 2000": 101, "video": 1}})
        '102 files of A that look like images were not compared: 101 JPEG 2000, 1 video.'
    """
    kinds = [kind for kind, n in dataset["left_out"].items() for _ in range(n)]
    if not kinds:
        return ""
    was = "looks like an image was" if len(kinds) == 1 else "look like images were"
    files = counted(len(kinds), "file")
    return f"{files} of {dataset['name']} that {was} not compared: {kinds_in_words(kinds)}."


def notices(
    datasets: Sequence[Mapping[str, Any]],
    reasons: Sequence[str],
    comparisons: Sequence[Mapping[str, Any]] = (),
) -> list[str]:
    """What a reader of the answer must know of files that were not compared in full.

    Args:
        datasets: ``datasets`` of ``summary.json``.
        reasons: The reasons of the exit code, which may have said it already.
        comparisons: ``comparisons`` of ``summary.json``.

    Example:
        >>> notices([{"name": "A", "left_out": {"video": 1}, "only_first_frame": 2, "kinds": {}}], [])
        ['1 file of A that looks like an image was not compared: 1 video.', '2 files of A hold ...']
    """
    said = " ".join(reasons)
    found = []
    for dataset in datasets:
        words = left_out_words(dataset)
        if words and words.rstrip(".") not in said:
            found.append(words)
        if more := dataset["only_first_frame"]:
            holds = "holds" if more == 1 else "hold"
            found.append(
                f"{counted(more, 'file')} of {dataset['name']} {holds} more frames than the first, which "
                "were not compared."
            )
    return found + [words for comparison in comparisons if (words := _slices_not_sought(comparison))]


def _slices_not_sought(comparison: Mapping[str, Any]) -> str:
    """Where one dataset holds volumes whose slices were not compared with pictures of the other."""
    sought = comparison["slices"]
    missed = sought["volumes"] - sought["compared_volumes"]
    if not missed:
        return ""
    return (
        f"{missed:,} of {counted(sought['volumes'], 'volume')} in {comparison['a']} and {comparison['b']} "
        f"{'was' if missed == 1 else 'were'} not searched for slices that are pictures of the other: the "
        "search was not wanted, the images were not at hand, or the time was up."
    )

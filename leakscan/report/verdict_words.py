"""What people said of a pair, as the first sentence of its evidence."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from leakscan.counted import counted

_WORDS = {
    "same": "says that it is one person",
    "different": "says that they are two people",
    "unsure": "cannot tell",
    "wanted": "says that the overlap is wanted",
}


def with_verdicts(evidence: pa.ChunkedArray, found: pa.Table) -> pa.ChunkedArray:
    """Sentences of evidence with what people said put first.

    Args:
        evidence: A list of sentences for each pair.
        found: The pairs, with the columns ``verdict``, ``verdict_by``, ``verdict_at`` and ``reopened``.

    Example:
        >>> sentences = pa.chunked_array([[["equal files (blake3)"]]])
        >>> said = {"verdict": ["wanted"], "verdict_by": ["ann"], "verdict_at": [None], "reopened": [None]}
        >>> with_verdicts(sentences, pa.table(said)).to_pylist()
        [['ann says that the overlap is wanted', 'equal files (blake3)']]
    """
    if found["verdict"].null_count == len(found):
        return evidence
    names = ("verdict", "verdict_by", "verdict_at", "reopened")
    rows = zip(evidence.to_pylist(), *(found[name].to_pylist() for name in names), strict=True)
    out = []
    for sentences, word, who, when, reopened in rows:
        said = f"{who} {_WORDS[word]}" if word in _WORDS else ""
        said += f" ({when:%Y-%m-%d})" if said and when else ""
        if reopened:
            said = f"open again: {reopened}" + (f"; {said}" if said else "")
        out.append(([said] if said else []) + sentences)
    return pa.chunked_array([out], evidence.type)


def verdict_counts(told: Mapping[str, int]) -> str:
    """What the verdicts of a run came to, in a sentence that leaves out what there is none of.

    Args:
        told: What ``summary.json`` holds under ``verdicts``.

    Example:
        >>> none = dict.fromkeys(("cleared", "made_leaks", "disputed", "reopened", "ended"), 0)
        >>> verdict_counts({"verdicts": 9, "standing": 7, "accepted": 2, "stale": 1, **none})
        '9 verdicts, 7 of which stand: 2 pairs of images accepted, 1 verdict on what this run does not have.'
    """
    pairs = (
        ("accepted", "accepted"),
        ("cleared", "different"),
        ("made_leaks", "made leaks"),
        ("disputed", "disputed"),
        ("reopened", "open again"),
    )
    said = [(told[name], words) for name, words in pairs if told[name]]
    parts = [
        f"{counted(n, 'pair') + ' of images' if not at else f'{n:,}'} {w}" for at, (n, w) in enumerate(said)
    ]
    if told["stale"]:
        parts.append(f"{counted(told['stale'], 'verdict')} on what this run does not have")
    if told["ended"]:
        parts.append(f"{counted(told['ended'], 'verdict')} at an end")
    stand = "" if told["standing"] == told["verdicts"] else f", {told['standing']:,} of which stand"
    return f"{counted(told['verdicts'], 'verdict')}{stand}{': ' if parts else ''}{', '.join(parts)}."

"""What people said of a pair, as the first sentence of its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from leakscan.counted import counted

if TYPE_CHECKING:
    import pyarrow as pa

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
        >>> import pyarrow as pa
        >>> sentences = pa.chunked_array([[["equal files (blake3)"]]])
        >>> said = {"verdict": ["wanted"], "verdict_by": ["ann"], "verdict_at": [None], "reopened": [None]}
        >>> with_verdicts(sentences, pa.table(said)).to_pylist()
        [['ann says that the overlap is wanted', 'equal files (blake3)']]
    """
    import pyarrow as pa  # a wrong path is said without waiting for it

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


def verdict_counts(told: Mapping[str, Any]) -> str:
    """What the verdicts of a run came to, in sentences that leave out what there is none of.

    Args:
        told: What ``summary.json`` holds under ``verdicts``.

    Example:
        >>> people = {"accepted": 2, "different": 1, "same": 0, "disputed": 0, "reopened": 0}
        >>> verdict_counts({"verdicts": 9, "stale": 0, "ended": 0, "people": people})
        '9 verdicts. By them 2 pairs of people are accepted, 1 is cleared as different.'
        >>> verdict_counts({"verdicts": 3, "stale": 2, "ended": 1, "people": {}})
        '3 verdicts. 2 verdicts are on no pair of this run. 1 verdict is past its last day.'
    """
    people: Mapping[str, int] = told.get("people") or {}
    words = {
        "accepted": "accepted",
        "different": "cleared as different",
        "same": "called one person",
        "disputed": "disputed",
        "reopened": "open again",
    }
    parts: list[str] = []
    for name, said in words.items():
        if n := people.get(name, 0):
            of = "" if parts else " pair of people" if n == 1 else " pairs of people"
            parts.append(f"{n:,}{of} {'is' if n == 1 else 'are'} {said}")
    sentences = [counted(told["verdicts"], "verdict")] + ([f"By them {', '.join(parts)}"] if parts else [])
    for name, said in (("stale", "on no pair of this run"), ("ended", "past")):
        if n := told[name]:
            last = (" its last day" if n == 1 else " their last day") if name == "ended" else ""
            sentences.append(f"{counted(n, 'verdict')} {'is' if n == 1 else 'are'} {said}{last}")
    return ". ".join(sentences) + "."

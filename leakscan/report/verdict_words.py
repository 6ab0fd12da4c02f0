"""What people said of a pair, as the first sentence of its evidence."""

from __future__ import annotations

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

"""Why each pair was called what it is, in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leakscan import tables
from leakscan.counted import rounded
from leakscan.decide.found import FOUND
from leakscan.decide.relation import Evidence
from leakscan.report.altered_words import FROM, SLICE
from leakscan.report.verdict_words import with_verdicts

_ROWS_AT_ONCE = 1 << 16  # pairs whose sentences are Python texts at the same time
_MOST_NATS = 14.0  # a ratio of a million: more is not borne out by some thousand pairs


def with_evidence(found: pa.Table) -> pa.Table:
    """Rows of ``pairs.parquet``, of which the sentences are made here.

    Args:
        found: Pairs as a :class:`~leakscan.decide.comparison.Comparison` has them: schema ``FOUND``. The
            tables of several comparisons may be joined before.

    Returns:
        The same rows in the same order, schema ``tables.PAIRS``.

    Example:
        ``pairs = with_evidence(pa.concat_tables([c.pairs for c in comparisons]))``
    """
    chunks = [_sentences(found.slice(at, _ROWS_AT_ONCE)) for at in range(0, len(found), _ROWS_AT_ONCE)]
    evidence = pa.chunked_array(chunks, tables.PAIRS.field("evidence").type)
    evidence = with_verdicts(evidence, found)
    columns = [
        evidence if f.name == "evidence" else found[f.name].cast(f.type, safe=False) for f in tables.PAIRS
    ]
    return pa.Table.from_arrays(columns, schema=tables.PAIRS)


def _sentences(found: pa.Table) -> pa.Array:
    """The sentences of some pairs, one list a pair, strongest reason first."""
    found = found.select(_NUMBERS)
    reasons = found["reasons"].to_numpy()
    rows: list[npt.NDArray[np.int64]] = []
    texts: list[str] = []
    for reason in Evidence:
        at = np.flatnonzero(reasons & int(reason))
        if reason in _IN_OTHERS or not len(at):
            continue
        rows.append(at)
        texts += _texts(reason, found.take(pa.array(at)), reasons[at])
    row = np.concatenate([np.zeros(0, np.int64), *rows])
    order = np.argsort(row, kind="stable")  # reasons come in the order of the reader already
    starts = np.searchsorted(row[order], np.arange(len(found) + 1))
    flat = pa.array(texts, pa.string()).take(pa.array(order))
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), flat)


_NUMBERS = [
    "correlation",
    "inliers",
    "transform",
    "p_value",
    *FOUND.names[FOUND.get_field_index("reasons") :],
]
"""The columns that sentences are made from."""

_IN_OTHERS = (Evidence.PIXELS_NOT_AT_HAND, Evidence.NO_PROOF)
"""Reasons that only change the words of another."""

_PROOF = int(Evidence.EQUAL_FILES | Evidence.EQUAL_PIXELS | Evidence.ALIGNED)
"""Reasons beside which chance plays no part."""

_PLAIN = {
    Evidence.EQUAL_FILES: "equal files (blake3)",
    Evidence.EQUAL_PIXELS: "equal pixels in another file",
    Evidence.SAME_STUDY: "same StudyInstanceUID (or UID of the series or instance)",
    Evidence.ONE_STUDY_OF_TWO: (
        "same StudyInstanceUID (or UID of the series or instance), but two declared subjects: "
        "one of the three is wrong"
    ),
}


def _texts(reason: Evidence, found: pa.Table, reasons: npt.NDArray[np.int16]) -> list[str]:
    """One sentence for each of some pairs that all have this reason."""
    if reason in _PLAIN:
        return [_PLAIN[reason]] * len(found)
    if reason is Evidence.PERHAPS_A_COPY:
        why = [
            "only fingerprints were at hand, so the pictures could not be compared"
            if gone
            else "the time for copy checks was up"
            for gone in (reasons & Evidence.PIXELS_NOT_AT_HAND).tolist()
        ]
        return [f"perhaps a copy, not checked: {words}" for words in why]
    if reason is Evidence.SAME_SUBJECT:
        doubt = " (not proof across sources unless identifiers mean the same in both)"
        return [
            "same declared subject" + (doubt if open_ else "")
            for open_ in (reasons & Evidence.NO_PROOF).tolist()
        ]

    def numbers(*names: str) -> Sequence[tuple[Any, ...]]:
        return list(zip(*(found[name].to_pylist() for name in names), strict=True))

    if reason is Evidence.ALIGNED:
        return [_aligned(*values) for values in numbers("correlation", "overlap", "inliers", "transform")]
    if reason is Evidence.SIMILARITY:
        proven = (reasons & _PROOF).astype(bool).tolist()
        told = numbers("similarity", "p_value", "p_floor", "comparisons")
        return [
            _similar(*v) if not sure else _plainly_similar(v[0]) for v, sure in zip(told, proven, strict=True)
        ]
    if reason is Evidence.DETAIL:
        return [_detail(*values) for values in numbers("detail_gain")]
    if reason is Evidence.FOLDS:
        return [_folds(*values) for values in numbers("fold_agreement", "fold_strangers", "fold_others")]
    return [f"perceptual hashes differ in {int(bits)} of 63 bits" for (bits,) in numbers("bits")]


def _aligned(correlation: float, overlap: float, inliers: int, transform: str | None) -> str:
    words = f"aligned correlation {correlation:.3f} on {overlap:.0%} of the picture"
    words += f", {inliers} matched keypoints" if inliers else ""
    if transform and (found := SLICE.match(transform)):
        return f"the picture is slice {found[2]} of the volume, counted from the {FROM[found[1]]}; {words}"
    return words


def _plainly_similar(similarity: float) -> str:
    """What fingerprints say of a copy: chance plays no part in it, so no rate is named."""
    return f"fingerprint similarity {similarity:.3f}"


def _similar(similarity: float, p_value: float, p_floor: float, comparisons: int) -> str:
    false = rounded(p_value * comparisons)
    most = "about or below " if p_value <= p_floor and not false.startswith("less") else ""
    return (
        f"fingerprint similarity {similarity:.3f}: {most}{false} false pairs as good expected in "
        f"{comparisons:,} subject comparisons"
    )


def _detail(gain: float) -> str:
    times = rounded(math.exp(min(abs(gain), _MOST_NATS)))
    likelier = "likelier" if gain >= 0 else "less likely"
    return f"the detail match of both films makes one person {times} times {likelier}"


def _folds(agreement: float, strangers: float, others: int) -> str:
    words = f"folds agree by {agreement:.2f} once the two are aligned to each other"
    return words + (f"; with {others} others they agree by {strangers:.2f} at most" if others else "")

"""Everything about two datasets that wants a decision, strongest candidates first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from leakscan.decide.columns import Known
from leakscan.match.candidates import Candidates, Side, equal_pixels, scores


@dataclass(frozen=True)
class Work:
    """Pairs of distinct pictures to decide about.

    Attributes:
        pairs: ``(n, 2)`` indices into the sides, strongest candidates first.
        score: ``(n,)`` NaN where unknown.
        bits: ``(n,)`` NaN where unknown.
        equal: ``(n,)`` whether their pixels are equal.
        verifiable: positions in ``pairs`` that deserve a look, best first.
        ids_cut: pairs with equal identifiers beyond the limit.
    """

    pairs: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    bits: npt.NDArray[np.float32]
    equal: npt.NDArray[np.bool_]
    verifiable: list[int]
    ids_cut: int


def gather(side_a: Side, side_b: Side, found: Candidates, known: Known, max_pairs: int) -> Work:
    """Joins what was found by pixels, by similarity, and by identifiers where those are proof.

    Args:
        side_a: distinct pictures of the first dataset.
        side_b: of the other.
        found: candidates of the search.
        known: rows of both.
        max_pairs: most pairs taken for equal identifiers alone.
    """
    equal_a, equal_b = equal_pixels(side_a, side_b)
    look = {pair: i for i, pair in enumerate(zip(found.a.tolist(), found.b.tolist(), strict=True))}
    everything = dict.fromkeys(zip(equal_a.tolist(), equal_b.tolist(), strict=True))
    n_equal = len(everything)
    everything.update(dict.fromkeys(look))
    ids_cut = 0
    if known.ids_are_proof:
        for number, pair in enumerate(_same_subject_pairs(known)):
            if number < max_pairs or pair in everything:
                everything[pair] = None
            else:
                ids_cut += 1
    pairs = np.array(list(everything), np.int64).reshape(-1, 2)
    at = np.array([look.get(pair, -1) for pair in everything], np.int64)
    bits = np.where(at >= 0, found.bits[at], np.nan) if len(found.bits) else np.full(len(pairs), np.nan)
    equal = np.arange(len(pairs)) < n_equal
    score = scores(side_a, side_b, pairs)
    # Best first by either measure: the n-th nearest fingerprint beside the n-th nearest look.
    open_pairs = np.flatnonzero(~equal & (at >= 0))
    by_score = np.argsort(np.argsort(-np.nan_to_num(score[open_pairs], nan=-2.0), kind="stable"))
    by_bits = np.argsort(np.argsort(np.nan_to_num(bits[open_pairs], nan=99.0), kind="stable"))
    verifiable = open_pairs[np.argsort(np.minimum(by_score, by_bits), kind="stable")]
    return Work(pairs, score, bits.astype(np.float32), equal, verifiable.tolist(), ids_cut)


def _same_subject_pairs(known: Known) -> Iterator[tuple[int, int]]:
    """Pictures of every subject that both datasets declare."""
    by_subject: dict[str, list[int]] = {}
    for index, members in enumerate(known.b.side.members):
        for subject in {known.b.subject[row] for row in members} - {None}:
            by_subject.setdefault(str(subject), []).append(index)
    for index, members in enumerate(known.a.side.members):
        for subject in {known.a.subject[row] for row in members} - {None}:
            yield from ((index, other) for other in by_subject.get(str(subject), []))

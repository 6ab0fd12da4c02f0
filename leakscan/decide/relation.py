"""What pairs of images are, what is to be done about them, and the codes of why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from leakscan.decide.table import PairTable
from leakscan.types import RELATIONS, Decision

DECISIONS: tuple[Decision, ...] = ("leak", "review")
"""What pairs are called here; their places are the codes. ``cleared`` is for people to say."""
NOTHING = -1
"""The code of a relation or decision of strangers."""

ALIKE_BITS = 4
"""Pictures whose hashes differ in so few bits may be copies of each other, unless a copy check says no."""
_ALIKE_SIMILARITY = 0.97

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int8]


class Evidence(IntFlag):
    """Reasons for a decision, in the order in which a reader gets them."""

    EQUAL_FILES = 1
    EQUAL_PIXELS = 2
    ALIGNED = 4
    PERHAPS_A_COPY = 8
    PIXELS_NOT_AT_HAND = 16
    SAME_SUBJECT = 32
    NO_PROOF = 64
    SAME_STUDY = 128
    SIMILARITY = 256
    DETAIL = 512
    FOLDS = 1024
    HASHES = 2048
    ONE_STUDY_OF_TWO = 4096


@dataclass(frozen=True, kw_only=True)
class ImagePairs:
    """Pairs of images, one entry each; several show one pair of pictures.

    Attributes:
        row: ``(n,)`` row of the pair of pictures in the table.
        image_a: ``(n,)`` row of the image in the table of A.
        image_b: ``(n,)`` row of the image in the table of B.
        same_file: ``(n,)`` whether the files are equal.
        same_subject: ``(n,)`` whether the declared subjects agree (keyed hashes, placeholders dropped).
        same_study: ``(n,)`` whether a UID of the study, series or instance agrees, and the declared subjects
            do not differ.
        disputed: ``(n,)`` whether a UID of the study, series or instance agrees, and the declared subjects
            differ: a study holds one person only, so the UID or a subject is wrong.
        at_hand: ``(n,)`` whether the pixels of both can be read.
    """

    row: Ints
    image_a: Ints
    image_b: Ints
    same_file: Bools
    same_subject: Bools
    same_study: Bools
    disputed: Bools
    at_hand: Bools


def alike_unchecked(table: PairTable) -> Bools:
    """``(n,)`` which pairs of pictures may be copies, but nobody has checked them.

    Example:
        >>> bits, score = np.array([2, 30, 30], np.float32), np.array([0.5, 0.99, 0.5], np.float32)
        >>> no, at = np.zeros(3, bool), np.arange(3)
        >>> table = PairTable(a=at, b=at, score=score, bits=bits, equal=no, declared=no, to_check=at)
        >>> alike_unchecked(table).tolist()
        [True, True, False]
    """
    near = np.nan_to_num(table.bits, nan=np.inf) <= ALIKE_BITS
    similar = np.nan_to_num(table.score.astype(np.float64), nan=-2.0) >= _ALIKE_SIMILARITY
    return np.asarray(~table.checked & (near | similar), np.bool_)


def relate(images: ImagePairs, table: PairTable, ids_are_proof: bool) -> tuple[Codes, Codes]:
    """The strongest relation that the facts bear out, and what is to be done.

    Args:
        images: The pairs of images.
        table: The pairs of pictures that they show.
        ids_are_proof: Whether equal identifiers prove equal subjects.

    Returns:
        Places in ``RELATIONS`` and in ``DECISIONS``, ``(n,)`` each, ``NOTHING`` for strangers.

    Example:
        ``relation, decision = relate(images, table, ids_are_proof=False)``
    """
    row = images.row
    proven = ((images.same_subject | images.same_study) & ids_are_proof) | table.person_leak[row]
    copy, person = RELATIONS.index("same_image"), RELATIONS.index("same_subject")
    leak, review = DECISIONS.index("leak"), DECISIONS.index("review")
    # What could not be checked never weakens what is proved otherwise.
    rules = [
        (images.same_file, RELATIONS.index("same_file"), leak),
        (table.equal[row], RELATIONS.index("same_pixels"), leak),
        (table.same_image[row], copy, leak),
        (proven, person, leak),
        (alike_unchecked(table)[row], copy, review),
        (table.person_review[row] | (images.disputed & ids_are_proof), person, review),
    ]
    holds = [condition for condition, _, _ in rules]
    relation = np.select(holds, [relation for _, relation, _ in rules], NOTHING)
    decision = np.select(holds, [decision for _, _, decision in rules], NOTHING)
    return relation.astype(np.int8), decision.astype(np.int8)


def evidence_of(images: ImagePairs, table: PairTable, ids_are_proof: bool) -> npt.NDArray[np.int16]:
    """The reasons for what was decided, ``(n,)`` sums of :class:`Evidence`; arguments of :func:`relate`.

    Example::

        reasons = evidence_of(images, table, ids_are_proof=True)
        [reason.name for reason in Evidence if reason & reasons[0]]  # such as ['ALIGNED', 'SAME_SUBJECT']
    """
    row = images.row
    equal = table.equal[row] & ~images.same_file
    aligned = table.same_image[row] & ~table.equal[row] & ~images.same_file
    perhaps = alike_unchecked(table)[row] & ~(images.same_file | equal | aligned)
    known = {
        Evidence.EQUAL_FILES: images.same_file,
        Evidence.EQUAL_PIXELS: equal,
        Evidence.ALIGNED: aligned,
        Evidence.PERHAPS_A_COPY: perhaps,
        Evidence.PIXELS_NOT_AT_HAND: perhaps & ~images.at_hand,
        Evidence.SAME_SUBJECT: images.same_subject,
        Evidence.NO_PROOF: images.same_subject & (not ids_are_proof),
        Evidence.SAME_STUDY: images.same_study,
        Evidence.SIMILARITY: (np.isfinite(table.score) & np.isfinite(table.p_value))[row],
        Evidence.DETAIL: np.isfinite(table.detail_gain)[row],
        Evidence.FOLDS: np.isfinite(table.fold_agreement)[row],
        Evidence.HASHES: np.isfinite(table.bits)[row],
        Evidence.ONE_STUDY_OF_TWO: images.disputed,
    }
    out = np.zeros(len(row), np.int16)
    for reason, holds in known.items():
        out |= np.where(holds, np.int16(reason), np.int16(0))
    return out

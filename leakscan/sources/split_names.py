"""Names of splits, and that nobody stands on both sides of the line between them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from leakscan.counted import counted
from leakscan.errors import SourceError

TRAIN, VALIDATION = "train", "val"
"""Values of the column ``split``: images to train on, and to choose the best weights by."""


def check_disjoint(subjects: Mapping[str, Collection[str]], splits: Iterable[str], where: str) -> None:
    """Refuses splits that share subjects with ``train``.

    Args:
        subjects: The declared subjects of each split, without the empty name.
        splits: The splits to hold against ``train``.
        where: The table or tables, for the message.

    Raises:
        SourceError: A subject is in both.

    Example:
        >>> check_disjoint({"train": {"P1", "P2"}, "test": {"P3"}}, ["test"], "films.csv")
    """
    for split in splits:
        shared = sorted(set(subjects.get(TRAIN, ())) & set(subjects.get(split, ())))
        if shared and split != TRAIN:
            raise SourceError(
                f"{counted(len(shared), 'subject')} of the split 'train' in {where} "
                f"{'are' if len(shared) > 1 else 'is'} also in {split or '(empty)'!r} "
                f"({', '.join(shared[:3])}{'...' if len(shared) > 3 else ''}): every figure measured there "
                "would be of persons that the network knows.",
                "Split by subject. If two archives use the same numbers for different people, put a prefix "
                "before those of one.",
            )

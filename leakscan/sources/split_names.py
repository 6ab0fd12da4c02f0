"""Names of splits, and that nobody stands on both sides of the line between them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from leakscan.counted import counted
from leakscan.errors import SourceError

TRAIN, VALIDATION = "train", "val"
"""Values of the column ``split``: images to train on, and to choose the best weights by."""

_SAME = (
    {"train", "training", "trn", "tr", "trainset"},
    {"val", "valid", "validation", "dev", "valset"},
    {"test", "testing", "tst", "testset"},
)
_LEAST_LETTERS = 4


def alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """Names of splits, two by two, that may be two spellings of one split.

    They mean the same, differ in signs between words alone, or in one letter, as after a slip; folds that
    differ in a number are different.

    Args:
        names: The names of the splits.

    Example:
        >>> alike(["train", "Training", "test", "fold1", "fold2"]), alike(["train", "tain"])
        ([('train', 'Training')], [('train', 'tain')])
    """
    every = list(names)
    return [(one, two) for i, one in enumerate(every) for two in every[i + 1 :] if _may_be_one(one, two)]


def _may_be_one(one: str, two: str) -> bool:
    a, b = ("".join(filter(str.isalnum, name.casefold())) for name in (one, two))
    if a == b or any(a in group and b in group for group in _SAME):
        return True
    if min(len(a), len(b)) < _LEAST_LETTERS or any(map(str.isdigit, a + b)):
        return False
    shorter, longer = sorted((a, b), key=len)
    if len(longer) - len(shorter) > 1:
        return False
    first = next((i for i, letter in enumerate(shorter) if letter != longer[i]), len(shorter))
    return shorter[first + (len(shorter) == len(longer)) :] == longer[first + 1 :]


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

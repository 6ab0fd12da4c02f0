"""How the films of known people are dealt to two datasets, some people to both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_FIRST = 0  # the group of people that is filled up first where a merge is not mixed


@dataclass(frozen=True, kw_only=True)
class MergeKind:
    """What kind of merge is simulated.

    Attributes:
        subjects: The number of subjects on each side, shared ones among them.
        shared: The number of subjects with different films on both sides.
        declared: Whether both sides name their subjects.
        mixed: The share of the subjects of each side who are of the second group of people, 0..1.
        copies: Films of further subjects that stand on both sides as copies, every other one altered.
    """

    subjects: int
    shared: int
    declared: bool = False
    mixed: float = 0.0
    copies: int = 0

    @property
    def name(self) -> str:
        """A short name, which a file can have.

        Example:
            >>> MergeKind(subjects=315, shared=30, declared=True, copies=100).name
            '315-shared30-declared-copies100'
        """
        parts = [f"{self.subjects}", f"shared{self.shared}", "declared" if self.declared else "undeclared"]
        parts += [f"mixed{self.mixed:.2f}"] * (self.mixed > 0) + [f"copies{self.copies}"] * (self.copies > 0)
        return "-".join(parts)


@dataclass(frozen=True, kw_only=True)
class Deal:
    """Which films stand on which side.

    Attributes:
        a: The films of side A.
        b: The films of side B.
        shared: The people with different films on both sides, ascending.
        copied: ``(copies, 2)`` places in ``a`` and in ``b`` of one and the same film.
        altered: ``(copies,)`` which of the copies have other pixels in B.
    """

    a: Ints
    b: Ints
    shared: Ints
    copied: Ints
    altered: npt.NDArray[np.bool_]


def reach(counts: Ints, groups: Ints, mixed: float, shared: float | int) -> int:
    """The most subjects a side that known people allow.

    Args:
        counts: ``(people,)`` the number of films of each.
        groups: ``(people,)`` the group of each, 0 or 1.
        mixed: The share of the second group on each side.
        shared: The share (a float) or the number (an int) of shared subjects.

    Example:
        >>> counts, groups = np.array([2] * 100 + [1] * 200), np.zeros(300, int)
        >>> reach(counts, groups, 0.0, 0.3), reach(counts, groups, 0.0, 30)
        (176, 165)
    """
    several, everybody = (np.bincount(groups[rows], minlength=2) for rows in (counts > 1, counts > 0))

    def fits(subjects: int) -> bool:
        total = shared if isinstance(shared, int) else round(shared * subjects)
        parts = _parts(subjects, total, mixed)
        return all(_fits(*part, int(several[g]), int(everybody[g])) for g, part in enumerate(parts))

    return next((n for n in range(len(counts), 0, -1) if fits(n)), 0)


def _fits(subjects: int, shared: int, several: int, people: int) -> bool:
    """Whether so many people, ``several`` of them with two films, are enough for two sides."""
    return shared <= min(subjects, several) and 2 * subjects - shared <= people


def _parts(subjects: int, shared: int, mixed: float) -> list[tuple[int, int]]:
    """Subjects a side and shared subjects of each group."""
    second = round(subjects * mixed), round(shared * mixed)
    return [(subjects - second[0], shared - second[1]), second]


def deal(kind: MergeKind, codes: Ints, groups: Ints, seed: int) -> Deal:
    """Deals films to two sides.

    A shared subject has at least one film on each side, and no film on both. A copied film's subject stands
    on both sides too, and counts to the subjects of each.

    Args:
        kind: The kind of merge.
        codes: ``(n,)`` the person on each film.
        groups: ``(people,)`` the group of each person.
        seed: The seed of all draws.

    Raises:
        ValueError: There are too few people.

    Example:
        >>> codes = np.array([0, 0, 0, 1, 1, 2, 3])  # three films of person 0, two of 1, one of 2 and 3
        >>> dealt = deal(MergeKind(subjects=3, shared=2), codes, np.zeros(4, int), seed=0)
        >>> dealt.shared.tolist(), *(sorted(set(codes[side].tolist())) for side in (dealt.a, dealt.b))
        ([0, 1], [0, 1, 2], [0, 1, 3])
    """
    rng = np.random.default_rng((seed, kind.subjects, kind.shared))
    counts = np.bincount(codes, minlength=len(groups))
    side = np.full(len(codes), -1)
    everybody = []
    for group, (subjects, shared) in enumerate(_parts(kind.subjects, kind.shared, kind.mixed)):
        people = rng.permutation(np.flatnonzero(groups == group))
        if not _fits(subjects, shared, int((counts[people] > 1).sum()), len(people)):
            raise ValueError(f"{len(people)} people are too few for two sides of {subjects}")
        both = people[counts[people] > 1][:shared]
        others = people[~np.isin(people, both)][: 2 * (subjects - shared)]
        place = np.full(len(groups), -1)
        place[others] = np.arange(len(others)) % 2
        side = np.where(place[codes] >= 0, place[codes], side)
        for person in both.tolist():
            films = rng.permutation(np.flatnonzero(codes == person))
            side[films] = np.arange(len(films)) < rng.integers(1, len(films))
        everybody.append(both)
    a, b = (rng.permutation(np.flatnonzero(side == s)) for s in (0, 1))
    shared_people = np.sort(np.concatenate(everybody))
    # One film each of people who are not shared otherwise.
    _, first = np.unique(codes[a], return_index=True)
    copied, b = _planted(kind.copies, a, b, first[~np.isin(codes[a[first]], shared_people)], rng)
    return Deal(a=a, b=b, shared=shared_people, copied=copied, altered=np.arange(len(copied)) % 2 == 1)


def _planted(copies: int, a: Ints, b: Ints, free: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Places of copies on both sides, and the films of B with the copies among them."""
    chosen = rng.permutation(free)[:copies]
    with_copies = np.concatenate([b, a[chosen]])
    order = rng.permutation(len(with_copies))
    now_at = np.empty(len(order), np.int64)
    now_at[order] = np.arange(len(order))
    return np.stack([chosen, now_at[len(b) :]], axis=1), with_copies[order]

"""Splits that no person crosses, as near as can be to the shares that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leakscan import tables
from leakscan.errors import UsageError
from leakscan.review.people import Owners

SPLITS = tables.table_schema(
    "splits",
    [
        ("dataset", pa.string()),
        ("image_id", pa.string()),
        ("path", pa.string()),
        ("split", pa.string()),
        ("person", pa.int32()),
        ("subject_id", pa.string()),
        ("label", pa.string()),
        ("split_before", pa.string()),
    ],
)
"""One row per image: a manifest. ``subject_id`` is the person, so that an audit of it knows who is who."""

_ROUNDS = 400  # improving moves of one start
_STARTS = 8
_AT_ONCE = 4_000_000  # numbers that the costs of all moves may take together

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SplitChoices:
    """What is asked of a split.

    Attributes:
        shares: The share of each split by its name, adding up to 1.
        labels: The label of an image by dataset and image id; images without one count as having none.
        seed: The seed of the random starts. The same seed and images give the same split.
        before: The split of an image until now, by dataset and image id.
        keep_test: Whether to move as few images as possible, and none out of ``test``.
    """

    shares: Mapping[str, float]
    labels: Mapping[tuple[str, str], str]
    seed: int = 0
    before: Mapping[tuple[str, str], str]
    keep_test: bool = False


@dataclass(frozen=True, kw_only=True)
class Splits:
    """A split without a person on two sides.

    Attributes:
        table: One row per image, schema ``SPLITS``.
        reached: What each split came to: ``asked`` (share), ``images``, ``people`` (counts),
            ``share_of_images``, ``share_of_people``, ``labels`` (label to its share in the split).
        off: The largest difference between a share that was asked for and one that was reached, over images,
            people and labels; 0..1.
        farthest: What that is the difference of, such as ``Of 5 images with the label cyst, 1 is in test``.
        moved: How many images stand in another split than before.
        notes: What a reader should know, in sentences.
    """

    table: pa.Table
    reached: dict[str, dict[str, Any]]
    off: float
    farthest: str
    moved: int
    notes: list[str]


def split_people(people: Owners, choices: SplitChoices) -> Splits:
    """Gives every person to one split, so that images, people and labels have the shares asked for.

    The cost is the squared difference between the shares reached and asked for, of images, people and each
    label, weighed by the share asked for, as in a chi-square. People go largest first to where they fit
    best; then the move or exchange that lowers the cost most is made until none does. The best of several
    random starts counts.

    Args:
        people: The images, and which are one person's.
        choices: What is asked.

    Raises:
        UsageError: There are fewer people than splits.

    Example:
        >>> rows = [{"dataset": "A", "image_id": str(i), "path": f"{i}.png", "subject": f"P{i // 2}",
        ...          "study_uid_hash": None, "status": "ok"} for i in range(20)]
        >>> from leakscan.review.ratios import parse_ratios
        >>> asked = SplitChoices(shares=parse_ratios("80/20"), labels={}, before={})
        >>> found = split_people(Owners.of(rows), asked)
        >>> {name: told["images"] for name, told in found.reached.items()}, found.off
        ({'train': 16, 'test': 4}, 0.0)
    """
    names = list(choices.shares)
    count = int(people.person.max(initial=-1)) + 1
    if count < len(names):
        raise UsageError(f"There are {count} people for {len(names)} splits.", "Ask for fewer splits.")
    keys = [(row["dataset"], row["image_id"]) for row in people.images]
    labels = [choices.labels.get(key, "") for key in keys]
    kinds = sorted({label for label in labels if label})
    problem = _Problem.of(people.person, labels, kinds, np.array(list(choices.shares.values())))
    if choices.keep_test:
        place = _mended(people, choices, names)
        free = _free(people, choices, place, names)
        place = problem.improved(place, free) if free.any() else place
    else:
        place = problem.solved(choices.seed)
    split_of = [names[place[person]] for person in people.person.tolist()]
    before = [choices.before.get(key) for key in keys]
    moved = sum(old is not None and old != new for old, new in zip(before, split_of, strict=True))
    reached, off, farthest = _reached(problem, place, choices, kinds)
    rows = [
        {
            **{name: row[name] for name in ("dataset", "image_id", "path")},
            "split": split,
            "person": person,
            "subject_id": f"person-{person:06d}",
            "label": label or None,
            "split_before": old,
        }
        for row, split, person, label, old in zip(
            people.images, split_of, people.person.tolist(), labels, before, strict=True
        )
    ]
    return Splits(
        table=tables.from_rows(rows, SPLITS),
        reached=reached,
        off=off,
        farthest=farthest,
        moved=moved,
        notes=_notes(problem, choices, labels, reached),
    )


@dataclass(frozen=True)
class _Problem:
    """People as rows of counts: images, themselves, and each label.

    Attributes:
        counts: ``(people, features)``.
        wanted: ``(splits, features)`` the counts that would be exactly as asked.
        weight: ``(splits, features)`` of each squared difference.
    """

    counts: Floats
    wanted: Floats
    weight: Floats

    @classmethod
    def of(cls, person: Ints, labels: Sequence[str], kinds: Sequence[str], shares: Floats) -> _Problem:
        n = int(person.max(initial=-1)) + 1
        counts = np.zeros((n, 2 + len(kinds)))
        np.add.at(counts[:, 0], person, 1)
        counts[:, 1] = 1
        at = {kind: 2 + i for i, kind in enumerate(kinds)}
        for owner, label in zip(person.tolist(), labels, strict=True):
            if label:
                counts[owner, at[label]] += 1
        total = counts.sum(axis=0)
        wanted = shares[:, None] * total[None, :]
        # Labels together weigh as much as images, and as much as people.
        each = np.array([1.0, 1.0, *([1.0 / len(kinds)] * len(kinds) if kinds else [])])
        return cls(counts, wanted, each[None, :] / (shares[:, None] * np.maximum(total, 1.0)[None, :] ** 2))

    def cost(self, sums: Floats) -> float:
        """The cost of counts ``(splits, features)``."""
        return float((self.weight * (sums - self.wanted) ** 2).sum())

    def sums(self, place: Ints) -> Floats:
        """The counts of each split."""
        out = np.zeros_like(self.wanted)
        np.add.at(out, place, self.counts)
        return out

    def solved(self, seed: int) -> Ints:
        """The best of several starts."""
        best, lowest = np.zeros(0, np.int64), np.inf
        for start in range(_STARTS):
            place = self.improved(self._greedy(np.random.default_rng((seed, start))))
            cost = self.cost(self.sums(place))
            if cost < lowest - 1e-15:
                best, lowest = place, cost
        return best

    def _greedy(self, random: np.random.Generator) -> Ints:
        """People largest first, those of one size in random order, each to where it lowers the cost most."""
        order = np.lexsort((random.random(len(self.counts)), -self.counts[:, 0]))
        place = np.zeros(len(order), np.int64)
        sums = np.zeros_like(self.wanted)
        for person in order.tolist():
            new = sums + self.counts[person]
            gain = (self.weight * ((new - self.wanted) ** 2 - (sums - self.wanted) ** 2)).sum(axis=1)
            place[person] = int(gain.argmin())
            sums[place[person]] += self.counts[person]
        return place

    def improved(self, place: Ints, free: npt.NDArray[np.bool_] | None = None) -> Ints:
        """Moves and exchanges of people, the best first, until none lowers the cost.

        People with equal counts are alike, so one of each kind in each split stands for all.
        """
        place = place.copy()
        free = np.ones(len(place), np.bool_) if free is None else free
        _, kind = np.unique(self.counts, axis=0, return_inverse=True)
        kind = kind.reshape(-1)
        for _ in range(_ROUNDS):
            sums = self.sums(place)
            _, first = np.unique(np.stack([kind, place, ~free]), axis=1, return_index=True)
            people = first[free[first]]
            most = max(1, int(np.sqrt(_AT_ONCE / (self.counts.shape[1] * len(sums)))))
            if len(people) > most:
                people = people[np.argsort(-self.counts[people, 0], kind="stable")][
                    np.linspace(0, len(people) - 1, most).astype(int)
                ]
            best = self._best_move(place, people, sums)
            if best is None:
                break
            for person, to in best:
                place[person] = to
        return place

    def _best_move(self, place: Ints, people: Ints, sums: Floats) -> list[tuple[int, int]] | None:
        now = (self.weight * (sums - self.wanted) ** 2).sum(axis=1)
        counts, own = self.counts[people], place[people]
        lowest, found = -1e-15, None
        for to in range(len(sums)):
            at = np.flatnonzero(own != to)
            if not len(at):
                continue
            out = (self.weight[own[at]] * (sums[own[at]] - counts[at] - self.wanted[own[at]]) ** 2).sum(
                axis=1
            )
            into = (self.weight[to] * (sums[to] + counts[at] - self.wanted[to]) ** 2).sum(axis=1)
            gain = out + into - now[own[at]] - now[to]
            if gain.min() < lowest:
                lowest, found = float(gain.min()), [(int(people[at[gain.argmin()]]), to)]
            back = np.flatnonzero(own == to)
            for origin in range(len(sums)):
                here = at[own[at] == origin]
                if not len(here) or not len(back) or origin > to:
                    continue
                change = counts[here][:, None, :] - counts[back][None, :, :]
                out = (self.weight[origin] * (sums[origin] - change - self.wanted[origin]) ** 2).sum(axis=2)
                into = (self.weight[to] * (sums[to] + change - self.wanted[to]) ** 2).sum(axis=2)
                gain = out + into - now[origin] - now[to]
                if gain.min() < lowest:
                    one, other = np.unravel_index(int(gain.argmin()), gain.shape)
                    lowest = float(gain.min())
                    found = [(int(people[here[one]]), to), (int(people[back[other]]), origin)]
        return found


def _mended(people: Owners, choices: SplitChoices, names: Sequence[str]) -> Ints:
    """Everybody where most of their images are already; who has an image in ``test`` goes there."""
    place = np.full(int(people.person.max(initial=-1)) + 1, -1, np.int64)
    for person, members in people.members.items():
        keys = [(people.images[i]["dataset"], people.images[i]["image_id"]) for i in members]
        old = [choices.before[key] for key in keys if choices.before.get(key) in names]
        if "test" in old:
            place[person] = names.index("test")
        elif old:
            place[person] = max(range(len(names)), key=lambda i: (old.count(names[i]), -i))
    return place


def _free(people: Owners, choices: SplitChoices, place: Ints, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """People who were in no split: they may go anywhere but into ``test``, which stays as it is."""
    free = place < 0
    others = [i for i, name in enumerate(names) if name != "test"] or [0]
    place[free] = others[0]
    return free


def _reached(
    problem: _Problem, place: Ints, choices: SplitChoices, kinds: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], float, str]:
    sums, total = problem.sums(place), np.maximum(problem.counts.sum(axis=0), 1.0)
    out, off, farthest = {}, 0.0, ""
    things = ["images", "people", *(f"images with the label {kind}" for kind in kinds)]
    for i, (name, asked) in enumerate(choices.shares.items()):
        shares = sums[i] / total
        differs = np.abs(shares - asked)
        if differs.max() > off:
            off, most = float(differs.max()), int(differs.argmax())
            count, where = int(sums[i, most]), "is" if sums[i, most] == 1 else "are"
            farthest = f"Of {int(total[most]):,} {things[most]}, {count:,} {where} in {name}"
        out[name] = {
            "asked": round(asked, 6),
            "images": int(sums[i, 0]),
            "people": int(sums[i, 1]),
            "share_of_images": round(float(shares[0]), 4),
            "share_of_people": round(float(shares[1]), 4),
            "labels": {kind: round(float(shares[2 + j]), 4) for j, kind in enumerate(kinds)},
        }
    return out, round(off, 4), farthest


def _notes(
    problem: _Problem, choices: SplitChoices, labels: Sequence[str], reached: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    notes = []
    total, largest = problem.counts[:, 0].sum(), problem.counts[:, 0].max(initial=0)
    for name, came in reached.items():
        if not came["images"]:
            asked = f"{choices.shares[name] * total:.2g} of {total:,.0f} images"
            notes.append(f"{name} is empty: {asked} were asked for. Ask for a larger share, or fewer splits.")
        elif largest > choices.shares[name] * total:
            notes.append(
                f"One group of {int(largest):,} images is larger than the share of {name} "
                f"({choices.shares[name] * total:,.0f}): it is not divided."
            )
    if choices.labels and (without := sum(not label for label in labels)):
        notes.append(
            f"{without:,} of {len(labels):,} images have no label; they count as images and people only."
        )
    return notes

"""What a tool found of the planted leaks: recall per alteration and relation, and false pairs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from leakscan.synthetic.planted import PlantedCopy, PlantedTruth
from leakscan.types import RELATIONS, Relation

_STRENGTH = {relation: len(RELATIONS) - i for i, relation in enumerate(RELATIONS)}


@dataclass(frozen=True)
class Share:
    """``hits`` of ``total``, with the interval that so few trials leave open.

    Example:
        >>> low, high = Share(20, 20).interval  # all found, and the tool may still miss 16 %
        >>> round(low, 3), high
        (0.839, 1.0)
    """

    hits: int
    total: int

    @property
    def rate(self) -> float:
        """The share, 0..1; not a number where nothing was tried."""
        return self.hits / self.total if self.total else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927), in 0..1."""
        if not self.total:
            return 0.0, 1.0
        z, n, p = 1.959964, self.total, self.rate
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        # At 0 and n hits the bounds are 0 and 1 exactly, which rounding would miss.
        low = 0.0 if self.hits == 0 else max(middle - half, 0.0)
        return low, 1.0 if self.hits == n else min(middle + half, 1.0)


@dataclass(frozen=True)
class Recall:
    """What was found of one group of leaks.

    Attributes:
        name: The alteration, the relation, or ``all``.
        found: The share that was reported as ``same_image`` or stronger.
        as_expected: The share that was reported as the relation that was owed, or stronger.
    """

    name: str
    found: Share
    as_expected: Share


@dataclass(frozen=True)
class PlantedScore:
    """How well the planted leaks were found.

    Attributes:
        overall: What was found of all leaks.
        by_alteration: What was found of each alteration, in the order of the truth.
        by_relation: What was found by the relation that was owed, strongest first.
        false_pairs: The pairs of different films reported as ``same_image`` or stronger, with what was
            reported, sorted.
    """

    overall: Recall
    by_alteration: tuple[Recall, ...]
    by_relation: tuple[Recall, ...]
    false_pairs: tuple[tuple[str, str, Relation], ...]


def score_planted(truth: PlantedTruth, pairs: Iterable[tuple[str, str, Relation]]) -> PlantedScore:
    """Holds reported pairs against the truth.

    A pair that is named twice, or the other way round, counts once at its strongest relation. Two
    altered copies of one film show the same image, so a pair of them is not false.

    Args:
        truth: What :func:`leakscan.synthetic.planted.plant` planted.
        pairs: ``(path_a, path_b, relation)``, paths relative to A and to B.

    Example:
        >>> from pathlib import Path
        >>> copy = PlantedCopy("a1.png", "b1.jpg", "jpeg_q50", "same_image")
        >>> truth = PlantedTruth(Path("A"), Path("B"), (copy,), only_a=(), only_b=("b2.png",))
        >>> reported = [("a1.png", "b1.jpg", "same_image"), ("a1.png", "b2.png", "same_image")]
        >>> score = score_planted(truth, reported)
        >>> score.overall.found.hits, score.false_pairs
        (1, (('a1.png', 'b2.png', 'same_image'),))
    """
    film_of = {copy.path_b: copy.path_a for copy in truth.copies}
    reported: dict[tuple[str, str], Relation] = {}

    def strength(path_a: str, path_b: str) -> int:
        relation = reported.get((path_a, path_b))
        return 0 if relation is None else _STRENGTH[relation]

    for path_a, path_b, relation in pairs:
        # Planted names are unique over both folders, so a name alone says which folder is meant.
        first, second = (path_b, path_a) if path_a in film_of and path_b not in film_of else (path_a, path_b)
        if _STRENGTH[relation] > strength(first, second):
            reported[first, second] = relation

    def recall(name: str, copies: list[PlantedCopy]) -> Recall:
        strengths = [strength(copy.path_a, copy.path_b) for copy in copies]
        found = sum(reached >= _STRENGTH["same_image"] for reached in strengths)
        owed = sum(
            reached >= _STRENGTH[copy.relation] for reached, copy in zip(strengths, copies, strict=True)
        )
        return Recall(name, Share(found, len(copies)), Share(owed, len(copies)))

    copies = list(truth.copies)
    alterations = dict.fromkeys(copy.alteration for copy in copies)
    owed_relations = [relation for relation in RELATIONS if any(c.relation == relation for c in copies)]
    false_pairs = sorted(
        (path_a, path_b, relation)
        for (path_a, path_b), relation in reported.items()
        if _STRENGTH[relation] >= _STRENGTH["same_image"]
        and film_of.get(path_a, path_a) != film_of.get(path_b, path_b)
    )
    return PlantedScore(
        overall=recall("all", copies),
        by_alteration=tuple(
            recall(name, [c for c in copies if c.alteration == name]) for name in alterations
        ),
        by_relation=tuple(recall(name, [c for c in copies if c.relation == name]) for name in owed_relations),
        false_pairs=tuple(false_pairs),
    )

"""How far people who reviewed the same things agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from leakscan.review.opinions import newest_of_each
from leakscan.review.verdicts import About, Verdict


@dataclass(frozen=True)
class Agreed:
    """What two people said of the things that both reviewed.

    Attributes:
        by: The names of the two.
        things: How many things both said something of.
        equal: How many of those they said the same of.
        kappa: Cohen's kappa, 1 for full agreement, 0 for what chance alone would give; ``None`` where both
            used one and the same word for everything, so that chance explains all.
    """

    by: tuple[str, str]
    things: int
    equal: int
    kappa: float | None


def agreement(verdicts: Sequence[Verdict]) -> list[Agreed]:
    """Cohen's kappa of every two people who reviewed the same things, by the newest word of each.

    Kappa is ``(p_o - p_e) / (1 - p_e)``, with the observed share of equal words ``p_o`` and the share that
    two people with these habits reach by chance ``p_e`` (J. Cohen, Educational and Psychological
    Measurement 20, 1960).

    Args:
        verdicts: All verdicts.

    Example:
        >>> words = {"ann": "same same different different", "bob": "same different different different"}
        >>> said = [
        ...     Verdict(by=who, verdict=word, scope="pair", pictures_a=(f"p{i}",), pictures_b=("q",))
        ...     for who, line in words.items() for i, word in enumerate(line.split())
        ... ]
        >>> agreement(said)
        [Agreed(by=('ann', 'bob'), things=4, equal=3, kappa=0.5)]
    """
    by_person: dict[str, dict[About, str]] = defaultdict(dict)
    for (about, by), verdict in newest_of_each(verdicts).items():
        if verdict.verdict != "withdrawn":
            by_person[by][about] = verdict.verdict
    out = []
    for one, other in combinations(sorted(by_person), 2):
        both = by_person[one].keys() & by_person[other].keys()
        if not both:
            continue
        equal = sum(by_person[one][about] == by_person[other][about] for about in both)
        first, second = (Counter(by_person[who][about] for about in both) for who in (one, other))
        observed = equal / len(both)
        chance = sum(first[word] * second[word] for word in first) / len(both) ** 2
        kappa = None if chance == 1 else round((observed - chance) / (1 - chance), 4)
        out.append(Agreed((one, other), len(both), equal, kappa))
    return out

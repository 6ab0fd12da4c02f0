"""What stands by now about each thing that somebody has said something of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from leakscan.review.verdicts import About, Verdict


@dataclass(frozen=True)
class Opinion:
    """What stands about one thing, after the newest verdict of each person.

    Attributes:
        word: ``same``, ``different``, ``wanted`` or ``unsure``; ``disputed`` where people disagree.
        verdict: The newest verdict that says so; of a dispute the newest one.
        by: The names of all who have a say in it, in order.
    """

    word: str
    verdict: Verdict
    by: tuple[str, ...]


def opinions(verdicts: Sequence[Verdict], today: dt.date | None = None) -> dict[About, Opinion]:
    """What stands about each thing that anybody has said something of.

    Of each person the newest verdict on a thing counts. Withdrawn ones and those whose last day is over say
    nothing. Who is unsure leaves it to the others. Answers to hidden pairs with known answers do not count.

    Args:
        verdicts: All verdicts.
        today: The day to judge end dates by; the present one by default.

    Example:
        >>> said = [
        ...     Verdict(by=who, verdict=word, scope="pair", pictures_a=("p1",), pictures_b=("p2",))
        ...     for who, word in (("ann", "same"), ("bob", "different"), ("ann", "different"))
        ... ]
        >>> [opinion.word for opinion in opinions(said).values()]
        ['different']
        >>> opinions(said[:2])["pair", "p1", "p2"].word
        'disputed'
    """
    today = today or dt.datetime.now(dt.UTC).date()
    newest = newest_of_each(verdicts)
    by_thing: dict[About, list[Verdict]] = {}
    for (about, _), verdict in newest.items():
        if verdict.verdict != "withdrawn" and not is_over(verdict, today):
            by_thing.setdefault(about, []).append(verdict)
    out = {}
    for about, own in by_thing.items():
        sure = [v for v in own if v.verdict != "unsure"] or own
        words = {v.verdict for v in sure}
        last = max(sure, key=lambda v: v.at)
        names = tuple(sorted({v.by for v in own}))
        out[about] = Opinion(last.verdict if len(words) == 1 else "disputed", last, names)
    return out


def newest_of_each(verdicts: Sequence[Verdict]) -> dict[tuple[About, str], Verdict]:
    """The newest verdict of every person on every thing, by what it is about and the person's name.

    Args:
        verdicts: All verdicts, in the order of the file; of equal times the later one counts.

    Example:
        >>> said = [
        ...     Verdict(by="ann", verdict=word, scope="pair", pictures_a=("p1",), pictures_b=("p2",))
        ...     for word in ("unsure", "same")
        ... ]
        >>> [verdict.verdict for verdict in newest_of_each(said).values()]
        ['same']
    """
    ordered = sorted((v for v in verdicts if v.gold is None), key=lambda v: v.at)
    return {(v.about, v.by): v for v in ordered}


def is_over(verdict: Verdict, today: dt.date) -> bool:
    """Whether the last day of a verdict is over.

    Example:
        >>> wanted = Verdict(by="ann", verdict="wanted", scope="datasets", dataset_a="A", dataset_b="B",
        ...                  until=dt.date(2026, 1, 31))
        >>> is_over(wanted, dt.date(2026, 1, 31)), is_over(wanted, dt.date(2026, 2, 1))
        (False, True)
    """
    return verdict.until is not None and verdict.until < today

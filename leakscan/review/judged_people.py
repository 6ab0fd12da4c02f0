"""What verdicts came to in pairs of people: what is accepted, what is cleared, and what is open again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from leakscan.decide.comparison import JudgedPeople
from leakscan.review.judged_pairs import JudgedPair
from leakscan.types import RELATIONS

_PERSON = RELATIONS.index("same_subject")


def judged_people(pairs: Iterable[JudgedPair], added: int = 0) -> JudgedPeople:
    """Counts the pairs of one comparison by their people; those of two people are counted once.

    Args:
        pairs: The pairs of the comparison, after the verdicts.
        added: Pairs of people that only a verdict links.

    Example::

        judged_people(row for row in rows if row.comparison == 0).accepted  # 2
    """
    rows = list(pairs)
    couples: dict[tuple[tuple[str, str], ...], list[JudgedPair]] = defaultdict(list)
    for row in rows:
        couples[row.a.person, row.b.person].append(row)
    standing = Counter(_standing(own) for own in couples.values())
    copied: dict[tuple[str, str], list[JudgedPair]] = defaultdict(list)
    for row in rows:
        if row.found == "leak" and RELATIONS.index(row.relation) < _PERSON:
            copied[row.b.person].append(row)
    copies = Counter(_standing(own) for own in copied.values())
    reviews = [own for own in couples.values() if _was_for_review(own)]
    return JudgedPeople(
        accepted=standing["wanted"],
        different=standing["different"],
        same=standing["same"] + added,
        disputed=standing["disputed"],
        reopened=sum(
            _standing(own) != "disputed" and any(row.reopened for row in own) for own in couples.values()
        ),
        copies_accepted=copies["wanted"],
        copies_different=copies["different"],
        reviews_judged=sum(_standing(own) in ("wanted", "different", "same") for own in reviews),
    )


def _standing(pairs: Sequence[JudgedPair]) -> str:
    """What people made of two others: the word that cleared all their pairs or made a leak; or none."""
    if all(row.decision == "cleared" for row in pairs):
        return "wanted" if any(row.verdict == "wanted" for row in pairs) else "different"
    if any(row.verdict == "disputed" for row in pairs):
        return "disputed"
    said = any(row.verdict == "same" and row.decision == "leak" for row in pairs)
    return "same" if said else ""


def _was_for_review(pairs: Sequence[JudgedPair]) -> bool:
    return all(row.found == "review" and row.relation == "same_subject" for row in pairs)

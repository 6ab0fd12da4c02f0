"""How well people agree with each other, and with known answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any


def kappa(words: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Cohen's kappa (Cohen 1960): agreement of two people beyond what chance would give.

    Args:
        words: What the one and the other said of each thing that both judged.

    Returns:
        ``agree`` (share, 0..1) and ``kappa`` (-1..1). Both are ``None`` where nothing was judged by both,
        kappa also where both only ever used one and the same word: then chance explains everything.

    Example:
        >>> kappa([("same", "same"), ("same", "different"), ("different", "different"), ("same", "same")])
        {'agree': 0.75, 'kappa': 0.5}
    """
    n = len(words)
    if not n:
        return {"agree": None, "kappa": None}
    agree = sum(one == other for one, other in words) / n
    first, second = Counter(one for one, _ in words), Counter(other for _, other in words)
    chance = sum(first[word] * second[word] for word in first) / n**2
    return {"agree": round(agree, 3), "kappa": round((agree - chance) / (1 - chance), 3) if chance < 1 else None}


def rates(answers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """How often a reviewer erred on pairs with known answers.

    Args:
        answers: The right answer (``same`` or ``different``) and what the reviewer said, pair by pair.

    Returns:
        ``judged`` and ``unsure`` (counts); ``same`` and ``different``: how many such pairs were judged
        surely, and how many of them wrongly.

    Example:
        >>> rates([("same", "same"), ("same", "different"), ("different", "different")])["same"]
        {'judged': 2, 'wrong': 1}
    """
    sure = [(right, said) for right, said in answers if said != "unsure"]
    out: dict[str, Any] = {"judged": len(answers), "unsure": len(answers) - len(sure)}
    for answer in ("same", "different"):
        own = [said for right, said in sure if right == answer]
        out[answer] = {"judged": len(own), "wrong": sum(said != answer for said in own)}
    return out

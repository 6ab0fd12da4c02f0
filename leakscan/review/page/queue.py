"""Which card comes first, and which are shown: order, filters and search."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from blake3 import blake3

from leakscan.review.page.deck import ReviewCard
from leakscan.types import RELATIONS

Order = Literal["change", "likely", "unlikely"]
ORDERS: tuple[Order, ...] = get_args(Order)
"""What a verdict changes most; the most probable first; the least probable first."""

State = Literal["open", "mine", "others", "disputed", "settled"]
STATES: tuple[State, ...] = get_args(State)
"""Nobody has judged it; the reviewer has; only others have; people disagree; equal pixels settle it."""

_LEAST_GROUP = 3  # images that a weakest link must split off or hold before it jumps the queue


@dataclass(frozen=True, kw_only=True)
class Wish:
    r"""What a reviewer wants to see.

    Attributes:
        order: What comes first.
        relation: The relation that the strongest pair must have; empty for any.
        decision: The decision that a card must have; empty for any.
        datasets: The two datasets, as ``A\nB``; empty for any.
        state: The state that a card must have; empty for any.
        least: The least probability, 0..1.
        most: The highest probability, 0..1.
        unseen: Whether only cards count that were never opened.
        text: Words that all must stand in a path, a subject or the id of a group.
    """

    order: Order = "change"
    relation: str = ""
    decision: str = ""
    datasets: str = ""
    state: str = ""
    least: float = 0.0
    most: float = 1.0
    unseen: bool = False
    text: str = ""

    def allows(self, card: ReviewCard) -> bool:
        """Whether a card has what is asked for, its state apart."""
        if self.relation and self.relation not in (card.lead.relation, card.strongest.relation):
            return False
        if self.decision and card.decision != self.decision:
            return False
        if self.datasets and "\n".join(card.datasets) != self.datasets:
            return False
        known = card.probability
        if known is None and (self.least > 0 or self.most < 1):
            return False
        if known is not None and not self.least <= known <= self.most:
            return False
        return not self.text or all(word in _searched(card) for word in self.text.casefold().split())


def in_order(
    cards: Iterable[ReviewCard], order: Order, settled: Callable[[ReviewCard], bool]
) -> list[ReviewCard]:
    """Cards as a reviewer gets them; those that are settled come last.

    By what a verdict changes: first the links that alone hold a group of three and more people together,
    the one that would split off most images first; then pairs for review, the most probable first; then
    leaks, the least probable first, because those are the ones that a person may still overturn.

    Args:
        cards: The cards.
        order: What comes first.
        settled: Whether nothing is left to judge about a card.

    Example::

        first, *others = in_order(deck, "change", settled=lambda card: card.proven)
    """
    key = {"change": _by_change, "likely": _by_likely, "unlikely": _by_unlikely}[order]
    return sorted(cards, key=lambda card: (settled(card), *key(card), card.key))


def shuffled(cards: Iterable[ReviewCard], seed: str) -> list[ReviewCard]:
    """Cards in an order that says nothing about them, the same for the same seed."""
    return sorted(cards, key=lambda card: blake3(f"{seed} {card.key}".encode()).digest())


def why_first(card: ReviewCard) -> str:
    """Why a card jumps the queue, in a sentence; empty where it does not."""
    if _weakest(card):
        return (
            f"This pair alone holds a group of {card.group_images or card.splits_off} images together: "
            f"if it is false, {card.splits_off} of them go free."
        )
    return ""


def spread(cards: Sequence[ReviewCard], hidden: Sequence[ReviewCard], step: int = 6) -> list[ReviewCard]:
    """Puts hidden cards between others, one after every few, so that a reviewer soon meets them all."""
    out = list(cards)
    step = max(1, min(step, len(cards) // max(1, len(hidden))))
    for i, card in enumerate(hidden):
        jitter = blake3(card.key.encode()).digest()[0] % step
        out.insert(min(len(out), i * (step + 1) + jitter), card)
    return out


def _weakest(card: ReviewCard) -> bool:
    return card.splits_off >= 1 and card.group_images >= _LEAST_GROUP and not card.proven


def _by_change(card: ReviewCard) -> tuple[float, ...]:
    if _weakest(card):
        return (0, -card.splits_off, *_by_unlikely(card))
    if card.decision == "review":
        return (1, 0, *_by_likely(card))
    return (2, 0, *_by_unlikely(card))


def _by_likely(card: ReviewCard) -> tuple[float, ...]:
    """The probability where there is one; where not, the relation and the p-value."""
    p = card.p_value
    return (
        -(card.probability if card.probability is not None else -1.0),
        RELATIONS.index(card.strongest.relation),
        math.inf if p is None else p,
    )


def _by_unlikely(card: ReviewCard) -> tuple[float, ...]:
    return tuple(-value for value in _by_likely(card))


def _searched(card: ReviewCard) -> str:
    parts = [card.group, *card.datasets]
    for image in card.images:
        parts += [image.row["path"] or "", image.row["subject"] or "", image.image_id]
    return " ".join(parts).casefold()

"""Cards in the words of the page: what a reviewer may read of them by now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leakscan.report.altered_words import altered_words
from leakscan.review.page.deck import PROVEN, FoundPair, ReviewCard, RunImage
from leakscan.review.page.facts import (
    RELATION_WORDS,
    expected_comparisons,
    image_facts,
    pair_facts,
    waterfall,
)
from leakscan.review.page.queue import why_first
from leakscan.review.page.session import ReviewSession
from leakscan.review.page.views import PageViews
from leakscan.review.verdicts import Verdict
from leakscan.types import RELATIONS


class Teller:
    """Puts cards into words; a blind review reads only what does not give the answer away.

    Args:
        session: The review.
        summary: What the run's ``summary.json`` holds.
        hide_paths: Whether paths are left out.

    Example::

        Teller(session, summary, hide_paths=False).line(card)["title"]
    """

    def __init__(self, session: ReviewSession, summary: Mapping[str, Any], hide_paths: bool) -> None:
        self._session, self._summary, self._hide = session, summary, hide_paths

    def run(self) -> dict[str, Any]:
        """The run, for the head of the page and its filters."""
        blind = self._session.blind
        deck = self._session.deck
        couples = sorted({card.datasets for card in deck})
        return {
            "datasets": [dataset["name"] for dataset in self._summary.get("datasets", [])],
            "couples": [] if blind else ["\n".join(couple) for couple in couples],
            "relations": [] if blind else self._relations(),
            "decisions": [] if blind else sorted({card.decision for card in deck}),
            "probabilities": not blind and any(card.probability is not None for card in deck),
            "reviewer": self._session.reviewer,
            "blind": blind,
            "cards": len(deck) + len(self._session.gold),
            "hidden": len(self._session.gold),
        }

    def line(self, card: ReviewCard) -> dict[str, Any]:
        """One line of the queue."""
        hidden = self._session.hides(card)
        mine = [v for v in self._session.opinions(card) if v.by == self._session.reviewer]
        lead = card.lead
        known = {
            "key": card.key,
            "state": self._session.state(card),
            "word": mine[-1].verdict if mine else "",
            "seen": self._session.is_seen(card),
            "a": lead.a.key,
            "b": lead.b.key,
            "ndim": max(lead.a.ndim, lead.b.ndim),
            "images": [len(card.images_a), len(card.images_b)],
        }
        if hidden or card.key in self._session.gold:
            return {**known, "title": ["left", "right"], "hidden": True}
        return {
            **known,
            "hidden": False,
            "title": [self._title(lead.a), self._title(lead.b)],
            "datasets": list(card.datasets),
            "relation": card.strongest.relation,
            "decision": card.decision,
            "probability": card.probability,
            "p_value": card.p_value,
            "why": why_first(card),
        }

    def card(self, card: ReviewCard) -> dict[str, Any]:
        """Everything about a card."""
        line = self.line(card)
        session = self._session
        hidden = session.hides(card)
        gold = session.gold.get(card.key)
        shown = hidden or gold is not None
        said = session.opinions(card)
        visible = [v for v in said if v.by == session.reviewer] if shown else said
        return {
            **line,
            "left": [self._image(image, i, shown) for i, image in enumerate(card.images_a)],
            "right": [self._image(image, i, shown) for i, image in enumerate(card.images_b)],
            "pairs": [self._pair(pair, card, shown) for pair in card.pairs],
            "opinions": [self._opinion(verdict) for verdict in visible],
            "group": None if shown or not card.group else {"id": card.group, "images": card.group_images},
            "revealed": self._revealed(card) if gold is not None and not hidden else None,
            "facts": [] if shown else pair_facts(card.lead.a, card.lead.b),
        }

    def laid(self, card: ReviewCard, a: RunImage, b: RunImage, views: PageViews) -> dict[str, Any]:
        """How the right picture lies on the left one; a blind reviewer sees no figures of it."""
        pair = next((pair for pair in card.pairs if (pair.a.key, pair.b.key) == (a.key, b.key)), None)
        found = views.laid(a, b, (pair.row["transform"] if pair else "") or "")
        if not self._session.hides(card):
            return found
        words = (
            "The two lie on each other as well as can be. How well they agree is hidden until your verdict."
        )
        return {**found, "correlation": None, "agreeing": 0, "points": [], "words": words, "hidden": True}

    def _relations(self) -> list[list[str]]:
        used = {card.strongest.relation for card in self._session.deck}
        used |= {card.lead.relation for card in self._session.deck}
        return [[relation, RELATION_WORDS[relation]] for relation in RELATIONS if relation in used]

    def _title(self, image: RunImage) -> str:
        if image.row["path"] and not self._hide:
            return str(image.row["path"])
        return f"image {image.image_id[:8]}"

    def _image(self, image: RunImage, number: int, hidden: bool) -> dict[str, Any]:
        about = {"key": image.key, "ndim": image.ndim, "title": f"Image {number + 1}"}
        if hidden:
            return about
        title = self._title(image)
        facts = image_facts(image, show_path=not self._hide)
        return {**about, "title": title, "date": image.row["acquired"] or "", "facts": facts}

    def _pair(self, pair: FoundPair, card: ReviewCard, hidden: bool) -> dict[str, Any]:
        known = {"key": pair.key, "a": pair.a.key, "b": pair.b.key}
        if hidden:
            return known
        row = pair.row
        return {
            **known,
            "relation": pair.relation,
            "words": RELATION_WORDS[pair.relation],
            "decision": pair.decision,
            "settled": pair.relation in PROVEN,
            "probability": pair.probability,
            "p_value": row["p_value"],
            "altered": altered_words(row["transform"]),
            "evidence": list(row["evidence"] or ()),
            "waterfall": waterfall(pair, expected_comparisons(self._summary, card)),
        }

    def _opinion(self, verdict: Verdict) -> dict[str, Any]:
        return {
            "by": verdict.by,
            "word": verdict.verdict,
            "at": verdict.at.astimezone().isoformat(timespec="minutes"),
            "note": verdict.note,
            "reason": verdict.reason,
            "until": verdict.until.isoformat() if verdict.until else None,
            "pair": self._session.pair_of(verdict),
            "mine": verdict.by == self._session.reviewer,
        }

    def _revealed(self, card: ReviewCard) -> str:
        gold = self._session.gold[card.key]
        return f"This was a hidden pair with a known answer: {gold.answer} ({gold.how})."

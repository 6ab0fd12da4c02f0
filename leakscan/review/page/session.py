"""One person's review of one run: what was said, by whom, and what is left."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from leakscan.errors import OutputError, UsageError
from leakscan.review.agreement import agreement
from leakscan.review.judged_run import JudgedRun, Said
from leakscan.review.opinions import newest_of_each
from leakscan.review.page.deck import Deck, FoundPair, ReviewCard
from leakscan.review.page.gold import GoldPair, gold_rates
from leakscan.review.page.queue import Order, State, Wish, in_order, shuffled, spread
from leakscan.review.page.standing import Standing, disputed
from leakscan.review.verdicts import Verdict, VerdictFile, Word


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a reviewer says of a card, as the page sends it.

    Attributes:
        id: A name that no other judgement has, so that one that is sent twice counts once.
        card: The key of the card.
        word: The verdict.
        pair: The key of the pair that alone is meant; empty for the two people with all their images.
        note: A remark.
        reason: Why an overlap is wanted.
        until: The last day on which it holds.
    """

    id: str
    card: str
    word: Word
    pair: str = ""
    note: str = ""
    reason: str = ""
    until: date | None = None


class ReviewSession:
    """The review of a run by one person; any number of them may work on one file of verdicts.

    Args:
        run: The run.
        deck: Its cards.
        file: Where verdicts are kept.
        reviewer: The name of the person.
        blind: Whether scores and labels are hidden until a verdict is given.
        gold: Hidden pairs with known answers.

    Example::

        session = ReviewSession(JudgedRun.open(run), deck, VerdictFile(run / "verdicts.parquet"), "ann")
        session.give(Judgement(id=uuid.uuid4().hex, card=card.key, word="different"))
    """

    def __init__(
        self,
        run: JudgedRun,
        deck: Deck,
        file: VerdictFile,
        reviewer: str,
        blind: bool = False,
        gold: Sequence[GoldPair] = (),
    ) -> None:
        self.run, self.deck, self.file = run, deck, file
        self.reviewer, self.blind = reviewer, blind
        self.gold = {pair.card.key: pair for pair in gold}
        self.seen: set[str] = set()
        self._lock = threading.RLock()
        self._given: list[Verdict] = []
        self._taken_back: dict[str, str | None] = {}
        self._standing = Standing(file)
        self._pair_of: dict[Any, str] = {}
        self._card_of: dict[Any, list[str]] = {}
        self._abouts = {card.key: self._index(card) for card in deck}
        self._orders: dict[Order, list[ReviewCard]] = {}
        self._progress: dict[str, int] | None = None
        self.refresh()

    def card(self, key: str) -> ReviewCard | None:
        """The card of that name, a hidden one too."""
        found = self.gold.get(key)
        return found.card if found else self.deck.get(key)

    def refresh(self) -> None:
        """Reads the verdicts again if anybody has written some.

        Raises:
            StoreError: The file is damaged.
        """
        with self._lock:
            if self._standing.refresh():
                self._progress = None

    def give(self, said: Judgement) -> Verdict:
        """Puts a verdict on disk. It is there when this returns.

        Raises:
            UsageError: There is no such card or pair, or the verdict cannot be given of it.
            OutputError: The file cannot be written.
        """
        with self._lock:
            verdict = self._verdict(said)
            self._append(verdict)
            if verdict.id not in {given.id for given in self._given}:
                self._given.append(verdict)
            self._written()
            return verdict

    def undo(self, id: str) -> str | None:
        """Takes back the newest verdict that was given in this session; what stood before stands again.

        Args:
            id: A name for the verdict that takes back; the same name takes back only once.

        Returns:
            The key of the card that it was about, ``None`` where there is nothing to take back.
        """
        with self._lock:
            if id in self._taken_back:  # the page never had the answer, and asks again
                return self._taken_back[id]
            if not self._given:
                return None
            last = self._given[-1]
            before = [v for v in self._given[:-1] if v.about == last.about and v.gold == last.gold]
            old = before[-1] if before else self._before(last)
            word = old.verdict if old else "withdrawn"
            base = old or last
            back = replace(base, verdict=word, id=id, at=datetime.now().astimezone())
            self._append(back)
            self._given.pop()
            self._written()
            self._taken_back[id] = self._key_of(last)
            return self._taken_back[id]

    def opinions(self, card: ReviewCard) -> list[Verdict]:
        """The newest verdict of every person on a card or one of its pairs, oldest first."""
        gold = self.gold.get(card.key)
        if gold is not None:
            about = self._gold_verdict_about(card)
            own = [v for v in self._standing.verdicts if v.gold is not None and v.about == about]
            newest = {v.by: v for v in own}
            return [v for v in newest.values() if v.verdict != "withdrawn"]
        found = [v for about in self._abouts[card.key] for v in self._standing.on(about)]
        return sorted(found, key=lambda v: v.at)

    def state(self, card: ReviewCard) -> State:
        """How far a card is."""
        said = self.opinions(card)
        mine = [v for v in said if v.by == self.reviewer]
        if not self.hides(card) and disputed(said):
            return "disputed"
        if mine:
            return "mine"
        if said and not self.blind:
            return "others"
        return "settled" if card.proven and not self.blind else "open"

    def hides(self, card: ReviewCard) -> bool:
        """Whether what the run and others say of a card must not be shown yet."""
        return self.blind and not any(v.by == self.reviewer for v in self.opinions(card))

    def pair_of(self, verdict: Verdict) -> str:
        """The key of the pair that a verdict of scope ``pair`` is about, else an empty text."""
        return self._pair_of.get(verdict.about, "")

    def queue(self, wish: Wish, after: str = "") -> list[ReviewCard]:
        """The cards to show, in order. In a blind review neither order nor filters give anything away.

        Args:
            wish: What the reviewer wants to see.
            after: The key of a card: only what comes after it counts, wherever it stands by now.
        """
        if self.blind:
            cards = shuffled(self.deck, self.reviewer)
            cards = spread(cards, [pair.card for pair in self.gold.values()])
            wish = Wish(state=wish.state, unseen=wish.unseen)
        else:
            if wish.order not in self._orders:
                self._orders[wish.order] = in_order(self.deck, wish.order, lambda card: card.proven)
            cards = self._orders[wish.order]
        at = next((i for i, card in enumerate(cards) if card.key == after), -1) if after else -1
        out = []
        for card in cards[at + 1 :]:
            if not wish.allows(card) or (wish.unseen and self.is_seen(card)):
                continue
            if wish.state and self.state(card) != wish.state:
                continue
            out.append(card)
        return out

    def is_seen(self, card: ReviewCard) -> bool:
        """Whether the reviewer has opened or judged a card."""
        return card.key in self.seen or any(v.by == self.reviewer for v in self.opinions(card))

    def progress(self) -> dict[str, int]:
        """Counts of cards: all, and by state."""
        if self._progress is not None:
            return self._progress
        cards = [*self.deck, *(pair.card for pair in self.gold.values())]
        states = Counter(self.state(card) for card in cards)
        mine = sum(any(v.by == self.reviewer for v in self.opinions(card)) for card in cards)
        self._progress = {
            "cards": len(cards),
            "judged_by_me": mine,
            **{state: states[state] for state in _STATES},
        }
        return self._progress

    def summary(self) -> dict[str, Any]:
        """What the review came to: words by reviewer, disagreement, agreement, and errors on hidden pairs."""
        mine = {v.about for v in self._standing.verdicts if v.by == self.reviewer}
        # Of a blind review only what the reviewer has judged may be told.
        visible = [v for v in self._standing.verdicts if not self.blind or v.about in mine]
        words: dict[str, Counter[str]] = {}
        for (_, who), verdict in newest_of_each(visible).items():
            if verdict.verdict != "withdrawn":
                words.setdefault(who, Counter())[verdict.verdict] += 1
        open_ = [card.key for card in self.deck if self.state(card) == "disputed"]
        return {
            "reviewers": {who: dict(counts) for who, counts in sorted(words.items())},
            "disputed": open_,
            "agreement": [
                {"one": a.by[0], "other": a.by[1], "both": a.things, "equal": a.equal, "kappa": a.kappa}
                for a in agreement(visible)
            ],
            "gold": self._gold_rates(),
        }

    def _written(self) -> None:
        self._standing.forget_age()
        self.refresh()

    def _append(self, verdict: Verdict) -> None:
        """Puts a verdict on disk, but never into a new folder where the run's folder was before it moved."""
        if not self.file.path.parent.is_dir():
            raise OutputError(
                "The verdicts {path} cannot be written: their folder is not where it was.",
                "Put the folder back, or start the review again where it is now.",
                path=self.file.path,
            )
        self.file.append([verdict])

    def _gold_rates(self) -> dict[str, Any] | None:
        """How the reviewer did on hidden pairs; ``None`` where there are none."""
        answers = [
            (pair.answer, _merged(verdict.verdict))
            for pair in self.gold.values()
            for verdict in self.opinions(pair.card)
            if verdict.by == self.reviewer
        ]
        return {"hidden": len(self.gold), **gold_rates(answers)} if self.gold else None

    def _verdict(self, said: Judgement) -> Verdict:
        gold = self.gold.get(said.card)
        if gold is not None:
            return self._gold_verdict(gold, said)
        card = self.deck.get(said.card)
        if card is None:
            raise UsageError("This run has no such card; load the page again.")
        pairs: Sequence[FoundPair] = card.pairs
        if said.pair:
            one = card.pair(said.pair)
            if one is None:
                raise UsageError("This card has no such pair; load the page again.")
            pairs = [one]
        words = Said(
            by=self.reviewer,
            verdict=said.word,
            note=said.note,
            reason=said.reason,
            until=said.until,
            blind=self.blind,
        )
        made = self.run.verdict([p.number for p in pairs], words, "pair" if said.pair else "subjects")
        return replace(made, id=said.id)

    def _gold_verdict(self, gold: GoldPair, said: Judgement) -> Verdict:
        a, b = gold.card.images_a[0], gold.card.images_b[0]
        return Verdict(
            id=said.id,
            by=self.reviewer,
            verdict=said.word,
            scope="pair",
            dataset_a=a.dataset,
            dataset_b=b.dataset,
            pictures_a=(a.picture,),
            pictures_b=(f"{b.picture} {b.key}",),
            note=said.note,
            blind=True,
            gold=gold.answer,
        )

    def _gold_verdict_about(self, card: ReviewCard) -> Any:
        a, b = card.images_a[0], card.images_b[0]
        return ("pair", *sorted((a.picture, f"{b.picture} {b.key}")))

    def _index(self, card: ReviewCard) -> list[Any]:
        """What verdicts on a card are about: the two people, or one pair of pictures."""
        nothing = Said(by="nobody", verdict="unsure")
        whole = self.run.verdict([pair.number for pair in card.pairs], nothing, "subjects").about
        self._card_of.setdefault(whole, []).append(card.key)
        abouts = [whole]
        for pair in card.pairs:
            about = self.run.verdict([pair.number], nothing, "pair").about
            self._pair_of[about] = pair.key
            self._card_of.setdefault(about, []).append(card.key)
            abouts.append(about)
        return list(dict.fromkeys(abouts))

    def _key_of(self, verdict: Verdict) -> str | None:
        if verdict.gold is not None:
            return next(
                (k for k, g in self.gold.items() if self._gold_verdict_about(g.card) == verdict.about), None
            )
        return next(iter(self._card_of.get(verdict.about, [])), None)

    def _before(self, last: Verdict) -> Verdict | None:
        """What the reviewer had said of the same thing before this session."""
        given = {v.id for v in self._given}
        own = [
            v
            for v in self._standing.verdicts
            if v.about == last.about and v.by == last.by and v.gold == last.gold
        ]
        earlier = [v for v in own if v.id not in given and v.at < last.at]
        return earlier[-1] if earlier and earlier[-1].verdict != "withdrawn" else None


_STATES: tuple[State, ...] = ("open", "mine", "others", "disputed", "settled")


def _merged(word: str) -> str:
    """A wanted overlap is one person as well."""
    return "same" if word == "wanted" else word

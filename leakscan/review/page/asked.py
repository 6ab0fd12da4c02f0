"""What requests ask for, read with suspicion: they may come from anything that runs on this machine."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from leakscan.review.page.queue import ORDERS, STATES, Order, Wish
from leakscan.review.page.session import Judgement
from leakscan.review.verdicts import Word
from leakscan.types import RELATIONS

KEY = re.compile(r"[0-9a-f]{16}")
"""How the page names cards, images and pairs: these names lead to nothing but entries of the run's tables."""

_ID = re.compile(r"[0-9a-f]{32}")
_WORDS: tuple[Word, ...] = ("same", "different", "unsure", "wanted")
_MOST_NOTE, _MOST_REASON = 2000, 500
_CONTROL = re.compile(
    "[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)


class Refused(Exception):
    """A request that makes no sense.

    Args:
        sentence: Why, for the reader of the page.
        status: The status of the answer.
    """

    def __init__(self, sentence: str, status: int = 400) -> None:
        self.sentence, self.status = sentence, status
        super().__init__(sentence)


def asked_wish(given: Mapping[str, str]) -> Wish:
    """What a reviewer wants to see, from the query of a request.

    Raises:
        Refused: A value is none that there is.

    Example:
        >>> asked_wish({"order": "likely", "least": "0.2"}).least
        0.2
    """

    def one_of(name: str, allowed: tuple[str, ...]) -> str:
        value = given.get(name, "")
        if value and value not in allowed:
            raise Refused(f"{name} is one of: {', '.join(allowed)}.")
        return value

    wanted = one_of("order", ORDERS) or "change"
    order: Order = next(known for known in ORDERS if known == wanted)
    return Wish(
        order=order,
        relation=one_of("relation", RELATIONS),
        decision=one_of("decision", ("leak", "review", "cleared")),
        datasets=given.get("datasets", ""),
        state=one_of("state", STATES),
        least=_share(given.get("least", "0")),
        most=_share(given.get("most", "1")),
        unseen=given.get("unseen") == "1",
        text=given.get("text", "")[:200],
    )


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise Refused("A probability lies between 0 and 1.")
    return value


def asked_number(text: str, most: int) -> int:
    """A whole number from a request, at most ``most``.

    Raises:
        Refused: It is none.

    Example:
        >>> asked_number("12", most=200)
        12
    """
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Refused("A number of cards is a whole number.")
    return min(int(text), most)


def asked_judgement(body: Mapping[str, Any]) -> Judgement:
    """A verdict from the body of a request.

    Raises:
        Refused: Something in it makes no sense.

    Example:
        >>> asked_judgement({"id": 32 * "0", "card": 16 * "a", "word": "perhaps"})
        Traceback (most recent call last):
        leakscan.review.page.asked.Refused: A verdict is one of: same, different, unsure, wanted.
    """
    if strange := set(body) - {"id", "card", "pair", "word", "note", "reason", "until"}:
        raise Refused(f"A verdict has no {sorted(strange)[0][:40]!r}.")
    word: Word | None = next((known for known in _WORDS if known == body.get("word")), None)
    if word is None:
        raise Refused(f"A verdict is one of: {', '.join(_WORDS)}.")
    pair = body.get("pair") or ""
    if pair and not (isinstance(pair, str) and KEY.fullmatch(pair)):
        raise Refused("This card has no such pair; load the page again.")
    return Judgement(
        id=asked_id(body.get("id")),
        card=str(body.get("card")),
        word=word,
        pair=pair,
        note=_text(body.get("note"), _MOST_NOTE, "note"),
        reason=_text(body.get("reason"), _MOST_REASON, "reason"),
        until=_day(body.get("until")),
    )


def asked_id(value: Any) -> str:
    """The name that a page gave to what it sends.

    Raises:
        Refused: It is none.

    Example:
        >>> asked_id(32 * "0") == 32 * "0"
        True
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise Refused("The request has no proper name; load the page again.")
    return value


def _text(value: Any, most: int, what: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused(f"A {what} is a text.")
    if len(value) > most:
        raise Refused(f"A {what} has at most {most:,} characters.")
    return _CONTROL.sub(" ", value).strip()


def _day(value: Any) -> dt.date | None:
    if not value:
        return None
    try:
        day = dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Refused("The last day is a date such as 2027-12-31.") from None
    if day < dt.datetime.now().astimezone().date():
        raise Refused("The last day is over already.")
    return day

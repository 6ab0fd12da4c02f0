"""What stands about a thing that several people have spoken of."""

from __future__ import annotations

import datetime as dt
from typing import Any

from leakscan.review.opinions import opinions
from leakscan.review.verdicts import Verdict


def said(by: str = "ann", word: Any = "same", a: str = "p1", b: str = "p2", **more: Any) -> Verdict:
    return Verdict(by=by, verdict=word, scope="pair", pictures_a=(a,), pictures_b=(b,), **more)


def test_the_newest_word_of_each_person_stands() -> None:
    def word(*verdicts: Verdict, today: dt.date | None = None) -> list[str]:
        return [opinion.word for opinion in opinions(verdicts, today).values()]

    assert word(said(word="same"), said(word="different", a="p2", b="p1")) == ["different"]
    assert word(said(word="same"), said("bob", "different")) == ["disputed"]
    assert word(said(word="same"), said("bob", "unsure")) == ["same"]
    assert word(said(word="unsure")) == ["unsure"]
    assert word(said(word="same"), said(word="withdrawn")) == []
    assert word(said(word="same"), said(gold="different")) == ["same"]
    first, last = said(), said(word="wanted", until=dt.date(2026, 5, 1))
    assert word(first, last, today=dt.date(2026, 5, 1)) == ["wanted"]
    assert word(first, last, today=dt.date(2026, 5, 2)) == []
    early = said(word="different", at=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert word(said(word="same"), early) == ["same"]  # merged files may be out of order

"""Agreement is counted on what two people both reviewed, and chance is taken off."""

from __future__ import annotations

from typing import Any

from leakscan.review.agreement import agreement
from leakscan.review.verdicts import Verdict


def said(by: str, words: str) -> list[Verdict]:
    return [
        Verdict(by=by, verdict=word, scope="pair", pictures_a=(f"p{i}",), pictures_b=("q",))  # type: ignore[arg-type]
        for i, word in enumerate(words.split())
    ]


def kappas(*verdicts: Any) -> list[float | None]:
    return [found.kappa for found in agreement([v for some in verdicts for v in some])]


def test_full_agreement_is_one_and_full_disagreement_below_nought() -> None:
    assert kappas(said("ann", "same different"), said("bob", "same different")) == [1.0]
    assert kappas(said("ann", "same different"), said("bob", "different same")) == [-1.0]


def test_one_word_for_everything_has_no_kappa() -> None:
    assert kappas(said("ann", "same same"), said("bob", "same same")) == [None]


def test_only_things_that_both_reviewed_count() -> None:
    (found,) = agreement(said("ann", "same same same") + said("bob", "same different"))
    assert (found.things, found.equal) == (2, 1)
    assert agreement(said("ann", "same")) == []

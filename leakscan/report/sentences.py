"""What a comparison came to, in sentences."""

from __future__ import annotations

import math

from leakscan.decide.calibration.calibration import LEAK_Q
from leakscan.decide.pairs import Comparison
from leakscan.decide.persons.tests import PersonTest

Interval = tuple[float, float, float]


def comparison_words(c: Comparison) -> list[str]:
    """What a reader must know about one comparison."""
    total = c.pictures[0] * c.pictures[1]
    if not total:
        return ["Nothing was compared: one of the two has no readable image."]
    words = []
    compared = sum(t.pictures[0] * t.pictures[1] for t in c.persons)
    if not compared:
        words.append(
            "No subject comparison was possible: no calibrated encoder here serves images of both. Copies "
            "were looked for; other pictures of the same person were not."
        )
    elif compared < total:
        words.append(
            f"Subjects were compared in {compared:,} of {total:,} pairs of pictures; for the others only "
            "copies were looked for, because no encoder serves both pictures."
        )
    for test in c.persons:
        words += person_words(test)
    if c.ids_unjoinable:
        words.append(
            "Identifiers were not compared, although --same-ids asks for it: the stores were made with "
            "different identity keys."
        )
    if c.unverified:
        words.append(
            f"{c.unverified:,} of {c.candidates:,} candidate pairs were not verified by their pixels."
        )
    if c.cut:
        below = "" if c.cut_score is None else f" below a similarity of {c.cut_score:.3f}"
        words.append(f"{c.cut:,} candidate pairs{below} were cut by --max-pairs.")
    return words


def person_words(test: PersonTest) -> list[str]:
    """What the fingerprints of one encoder could say of persons."""
    n = test.comparisons
    words = []
    if test.caution:
        words.append(f"No similarity alone is called a leak: {test.caution}. Such pairs are for review.")
    elif test.leak_p is not None and test.leak_false is not None and test.missed is not None:
        words.append(
            f"Among {n:,} subject comparisons, {_count(test.leak_false)} false same-subject leaks are "
            f"expected; of subjects who stand in both, {_share(test.missed)} are missed by that threshold "
            f"(false discovery rate {LEAK_Q:.0%})."
        )
    elif test.floor * n > LEAK_Q:
        words.append(
            f"Among {n:,} subject comparisons no similarity was called a leak. The calibration supports "
            f"p-values down to {test.floor:.1g} only, which is {test.floor * n:.2g} false pairs at this "
            "size, so a single pair cannot reach a false discovery rate of 1 %. Pairs are ranked for review."
        )
    else:
        words.append(f"Among {n:,} subject comparisons no similarity was high enough for a leak.")
    if test.few_people:
        expected, _, most = test.review_false
        words.append(
            f"The review list holds similarities of {test.review_score:.4f} and more. By a distribution that "
            f"reaches far beyond what was measured, {expected:.2g} false pairs are expected on it; by what "
            f"was measured, {most:.2g} at most. {_share(test.missed_review)} of repeated subjects lie below "
            "it, as far as scans that a generator made of few people tell."
        )
        return words
    words.append(
        f"The review list reaches down to a p-value of {test.review_p:.1g}: {_count(test.review_false)} of "
        f"its pairs are expected to be false, and {_share(test.missed_review)} of repeated subjects lie "
        "below it."
    )
    if test.details_due:
        left = test.details_due - test.looked
        words.append(
            f"{test.looked:,} of {test.details_due:,} pairs of subjects with a high score got a second "
            "look, which counts in their p-values."
            + (f" The other {left:,} keep the p-value of their score: no pixels, or no time." if left else "")
        )
    if test.first_false:
        parts = [f"{share:.0%} of the first {k:,}" for k, share in test.first_false.items()]
        words.append(f"Expected false pairs in the review list, best first: {', '.join(parts)}.")
    return words


def _count(value: Interval) -> str:
    rate, low, high = (f"{v:.2g}" for v in value)
    return f"{rate} (95 % interval {low} to {high})"


def _share(value: Interval) -> str:
    if math.isnan(value[0]):
        return "an unknown share (no genuine pairs to calibrate on)"
    return f"{value[0]:.0%} ({value[1]:.0%} to {value[2]:.0%})"

"""The exit code of a run, and the reasons for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc
from scipy.special import pdtrc

from leakscan.counted import counted, rounded
from leakscan.decide.comparison import Comparison
from leakscan.report.left_out import left_out_words
from leakscan.report.sentences import doubt_words, scattered_words
from leakscan.settings import DecidingSettings, FailOn
from leakscan.types import RELATIONS

EXIT_OK, EXIT_LEAK, EXIT_CANNOT_VOUCH = 0, 1, 3
_BY_CHANCE = 1e-3  # how often a run without a leak may wait for review by chance
_HANGING = 20  # pairs that hang together count as one at least
_LIKELY = 0.5  # probability of a pair that nobody should pass over where the run is too small to decide
_WHO = ["relation", "probability", "subject_a", "subject_b", "image_a", "image_b"]


def exit_code(
    datasets: Sequence[Mapping[str, Any]],
    comparisons: Sequence[Comparison],
    decisions: Mapping[str, Mapping[str, int]],
    deciding: DecidingSettings,
) -> tuple[int, list[str]]:
    """The exit code of a run, and why.

    Args:
        datasets: What the summary says of each dataset.
        comparisons: What came of every two datasets.
        decisions: How many pairs have each relation and decision.
        deciding: What fails a run.

    Example::

        code, reasons = exit_code(summary["datasets"], comparisons, summary["decisions"], settings.deciding)
    """
    failing = _failing(decisions, deciding.fail_on)
    if failing:
        return EXIT_LEAK, [_failing_words(failing, deciding.fail_on)]
    if deciding.fail_on in ("same_subject", "review"):
        certain = [
            f"{c.a} and {c.b} share subjects for certain ({counted(t.shared.found, 'match', 'matches')}, "
            f"where strangers make {rounded(t.shared.expected)}), although no single pair is certain."
            for c in comparisons
            for t in c.persons
            if t.shared is not None and t.shared.sure > _cleared(c)
        ]
        if certain:
            return EXIT_LEAK, certain
    return without_leaks(datasets, comparisons, deciding)


def without_leaks(
    datasets: Sequence[Mapping[str, Any]], comparisons: Sequence[Comparison], deciding: DecidingSettings
) -> tuple[int, list[str]]:
    """The exit code of a run whose leaks do not fail it, and why: whether it can vouch for the rest.

    Args:
        datasets: What the summary says of each dataset.
        comparisons: What came of every two datasets.
        deciding: What fails a run.

    Example::

        code, reasons = without_leaks(summary["datasets"], comparisons, settings.deciding)
    """
    if deciding.fail_on == "none":
        return EXIT_OK, ["No relation fails this run: it only reports."]
    reasons = []
    for d in datasets:
        if not d["status"]["ok"]:
            # What is blank was read, and still there was nothing to compare.
            why = "has anything in it" if d["status"]["blank"] else "could be read"
            words = [f"No image of {d['name']} {why}, so nothing was compared.", left_out_words(d)]
            if tables := d.get("tables", 0):
                them = "it lists, name the table itself" if tables == 1 else "they list, name one of them"
                words.append(f"It holds {counted(tables, 'table')}: to read the images that {them}.")
            reasons.append(" ".join(filter(None, words)))
        elif d["unread_share"] > deciding.max_unread:
            reasons.append(
                f"{left_out_words(d)[:-1]} ({d['unread_share']:.1%}, more than the {deciding.max_unread:.1%} "
                "that are allowed)."
            )
    if all(d["status"]["ok"] for d in datasets) and not any(c.persons for c in comparisons):
        reasons.append(
            "No subject comparison was possible: no calibrated encoder here serves images of two sources. "
            "Copies were looked for, other pictures of the same person were not."
        )
    for c in comparisons:
        reasons += _open(c, len(comparisons))
    return (EXIT_CANNOT_VOUCH, reasons) if reasons else (EXIT_OK, ["No leak was found."])


def _open(c: Comparison, comparisons: int) -> list[str]:
    """Why two datasets without a leak cannot be vouched for, one of so many comparisons."""
    reasons = []
    if c.ids_disagree or any(doubt.most for doubt in c.doubts):
        reasons += doubt_words(c)
    waiting = c.pairs.filter(pc.equal(c.pairs["decision"], "review")).select(_WHO).to_pylist()
    # Many images of the same two subjects are one pair of subjects, as the expectation counts. What hangs on
    # a pair is hardly another chance, unless it is very much.
    pairs = {_two_subjects(r) for r in waiting if r["relation"] == "same_subject"}
    reviews = max(_groups(pairs), len(pairs) // _HANGING)
    if copies := sum(r["relation"] != "same_subject" for r in waiting):
        # Chance does not make pictures look like copies: one that was not checked is no false match.
        reasons.append(
            f"{counted(copies, 'likely copy', 'likely copies')} of {c.a} and {c.b} got no "
            "copy check, so look at them."
        )
    reasons += [
        f"{c.a} and {c.b}: the images are outside the encoder's domain, so that its similarities say "
        "little about persons."
        for test in c.persons
        if test.bulk is not None and test.bulk.out_of_domain
    ]
    reasons += [scattered_words(c, test.scattered) for test in c.persons if test.scattered]
    likely = {_two_subjects(r) for r in waiting if (r["probability"] or 0.0) >= _LIKELY}
    few = any(t.bulk is None and not t.few_people for t in c.persons)
    # The upper end of what strangers make, and a chance of 0.1 % for all comparisons of the run together.
    expected = sum(t.review_false[2] for t in c.persons)
    # Beyond that point of the Poisson count (scipy.stats loads slowly).
    if reviews and pdtrc(reviews - 1, max(expected, 1e-9)) <= _BY_CHANCE / comparisons:
        reasons.append(
            f"{reviews:,} pairs of subjects of {c.a} and {c.b} wait for review, more than the "
            f"{rounded(expected)} false ones that strangers explain at most: look at them, some are most "
            "likely real."
        )
    elif likely and few:
        reasons.append(
            f"{counted(len(likely), 'pair')} of subjects of {c.a} and {c.b} "
            f"{'is' if len(likely) == 1 else 'are'} as alike as one person, and these images are too few "
            "to be sure: look at them."
        )
    return reasons


def _cleared(c: Comparison) -> int:
    """How many pairs of people a person cleared or accepted: they are no reason to fail any more."""
    names = ("subject_a", "subject_b", "image_a", "image_b")
    rows = c.pairs.filter(pc.equal(c.pairs["decision"], "cleared")).select(names).to_pylist()
    return len({_two_subjects(row) for row in rows})


def _groups(pairs: Iterable[tuple[str, str]]) -> int:
    """How many groups hang together by pairs of an end in A and an end in B."""
    above: dict[tuple[str, str], tuple[str, str]] = {}

    def top(end: tuple[str, str]) -> tuple[str, str]:
        while (up := above.setdefault(end, end)) != end:
            above[end] = above[up]
            end = up
        return end

    for a, b in pairs:
        above[top(("a", a))] = top(("b", b))
    return sum(end == up for end, up in above.items())


def _two_subjects(pair: Mapping[str, Any]) -> tuple[str, str]:
    """The subjects of a pair: declared ones, else the images stand for themselves."""
    a, b = (pair[f"subject_{s}"] or f"image {pair[f'image_{s}']}" for s in ("a", "b"))
    return a, b


def _failing_words(failing: int, fail_on: FailOn) -> str:
    pairs = counted(failing, "pair")
    if fail_on == "review":
        return f"{pairs} called leaks or left for review."
    return f"{pairs} of the relation {fail_on} or a stronger one."


def _failing(decisions: Mapping[str, Mapping[str, int]], fail_on: FailOn) -> int:
    if fail_on == "none":
        return 0
    if fail_on == "review":
        return sum(counts["leak"] + counts["review"] for counts in decisions.values())
    strong = RELATIONS[: RELATIONS.index(next(r for r in RELATIONS if r == fail_on)) + 1]
    return sum(decisions[relation]["leak"] for relation in strong)

"""What a run comes to: counts, thresholds, plain words, and the exit code."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import pdtrc

from leakscan import tables
from leakscan.counted import counted, rounded
from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.comparison import Comparison
from leakscan.decide.groups import contradictions
from leakscan.decide.persons.tests import PersonTest
from leakscan.report.left_out import counts_of, left_out_facts, left_out_words, notices
from leakscan.report.run_tables import RunTables
from leakscan.report.sentences import (
    comparison_words,
    doubt_words,
    many_films_words,
    scattered_words,
    shared_words,
)
from leakscan.settings import DecidingSettings, FailOn
from leakscan.types import RELATIONS

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

EXIT_OK, EXIT_LEAK, EXIT_CANNOT_VOUCH = 0, 1, 3
_ANSWERED = 3  # comparisons, up to which the first line says how many subjects each shares
_BY_CHANCE = 1e-3  # how often a run without a leak may wait for review by chance
_HANGING = 20  # pairs that hang together count as one at least
_LIKELY = 0.5  # probability of a pair that nobody should pass over where the run is too small to decide
_WHO = ["relation", "probability", "subject_a", "subject_b", "image_a", "image_b"]


def summarise(found: RunTables, context: RunContext) -> dict[str, Any]:
    """The content of ``summary.json``.

    Args:
        found: The tables of the run.
        context: Its settings, models and timings.

    Example::

        found = RunTables.of(datasets, comparisons, settings.privacy)
        summarise(found, context)["reasons"]  # ['No leak was found.']
    """
    models, deciding, timings = context.models, context.settings.deciding, context.timings
    datasets = [_dataset(found.images, name) for name in _unique(found.images["dataset"])]
    comparisons = [_comparison(c) for c in found.comparisons]
    decisions = _decisions(found.pairs["relation"].to_pylist(), found.pairs["decision"].to_pylist())
    code, reasons = _exit(datasets, found.comparisons, decisions, deciding)
    if len(found.comparisons) <= _ANSWERED:
        reasons = [w for c in found.comparisons for t in c.persons for w in shared_words(c, t)] + reasons
    return {
        "leakscan": version("leakscan"),
        "schema_version": tables.VERSION,
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "encoders": {
            name: {
                "kind": card.kind,
                "calibration": _calibration(models.calibrations.get(name)),
                "measured": dict(card.measured),
            }
            for name, card in models.cards.items()
        },
        "datasets": datasets,
        "comparisons": comparisons,
        "decisions": decisions,
        "linked_subjects": len(set(found.subjects["group"].to_pylist())),
        "contradictions": contradictions(found.subjects.to_pylist()),
        "fail_on": deciding.fail_on,
        "exit_code": code,
        "reasons": reasons,
        "warnings": notices(datasets, reasons, comparisons) + _of_persons(found.comparisons, reasons),
        "timings": {
            "scan_s": round(timings.scan, 3),
            "prepare_s": round(timings.prepare, 3),
            "encode_s": round(timings.encode, 3),
            "match_s": round(sum(c.match_seconds for c in found.comparisons), 3),
            "verify_s": round(sum(c.check_seconds for c in found.comparisons), 3),
            "total_s": round(time.monotonic() - timings.began, 3),
            "worked_s": {stage: round(spent, 3) for stage, spent in timings.worked.items()},
            "images_read": timings.images_read,
            "busy": None if context.timeline is None else context.timeline.busy(),
        },
    }


def _of_persons(comparisons: tuple[Comparison, ...], reasons: list[str]) -> list[str]:
    """What a reader must know of the people of a run, and no reason has said."""
    words = [w for c in comparisons for w in doubt_words(c)]
    words += [w for c in comparisons for t in c.persons for w in many_films_words(c, t)]
    return [w for w in dict.fromkeys(words) if w not in reasons]


def _calibration(calibration: Calibration | None) -> dict[str, Any] | None:
    if calibration is None:
        return None
    tail = calibration.tail
    return {
        "source": calibration.source,
        "subjects": tail.n_subjects,
        "impostor_pairs": tail.n_pairs,
        "genuine_pairs": len(calibration.genuine.score),
        "cohort": len(calibration.cohort),
        "smallest_p_value": tail.floor,
    }


def _dataset(images: pa.Table, name: str) -> dict[str, Any]:
    own = images.filter(pc.equal(images["dataset"], name))
    status = counts_of(own["status"])
    unread = own.filter(pc.is_in(own["status"], pa.array(["unreadable", "unsupported"])))
    return {
        "name": name,
        "files": sum(status.values()),
        "status": {s: status[s] for s in ("ok", "blank", "unreadable", "unsupported", "ignored")},
        "kinds": {kind: n for kind, n in counts_of(own["kind"]).items() if kind},
        **left_out_facts(own),
        "declared_subjects": sum(bool(subject) for subject in counts_of(own["subject"])),
        "unread": [
            {"path": path, "status": state, "error": error}
            for path, state, error in zip(
                *(unread[c].slice(0, 100).to_pylist() for c in ("path", "status", "error")), strict=True
            )
        ],
    }


def _comparison(c: Comparison) -> dict[str, Any]:
    counts = _decisions(c.pairs["relation"].to_pylist(), c.pairs["decision"].to_pylist())
    return {
        "a": c.a,
        "b": c.b,
        "distinct_pictures": list(c.pictures),
        "subject_comparisons": {t.encoder: t.comparisons for t in c.persons},
        "shared_subjects": _shared(c),
        "thresholds": {t.encoder: _thresholds(t) for t in c.persons},
        "candidates": c.candidates,
        "verified": c.checked,
        "unverified": c.unchecked,
        "slices": {
            "pictures": c.slices.pictures,
            "volumes": c.slices.volumes,
            "compared_volumes": c.slices.compared,
        },
        "cut_by_max_pairs": c.cut,
        "cut_score": c.cut_score,
        "identifiers_unjoinable": c.ids_unjoinable,
        "search": {
            name: {"lowest_score": r.score, "recall": r.recall, "sampled_pairs": r.sampled}
            for name, r in c.reach.items()
        },
        "hash_radius": c.hash_radius,
        "decisions": counts,
        "words": comparison_words(c),
    }


def _thresholds(test: PersonTest) -> dict[str, Any]:
    """What one encoder decided by, and what it promises; intervals are at 95 %."""

    def interval(value: tuple[float, float, float] | None) -> list[float | None] | None:
        return None if value is None else [None if math.isnan(v) else float(f"{v:.4g}") for v in value]

    return {
        "pictures": list(test.pictures),
        "subjects": list(test.subjects),
        "smallest_p_value": test.floor,
        "leak_p_value": test.leak_p,
        "leak_score": test.leak_score,
        "leak_expected_false": interval(test.leak_false),
        "leak_missed_share": interval(test.missed),
        "review_p_value": test.review_p,
        "review_score": test.review_score,
        "review_expected_false": interval(test.review_false),
        "review_missed_share": interval(test.missed_review),
        "expected_false_among_first": {str(k): round(v, 4) for k, v in test.first_false.items()},
        "own_scores": None if test.bulk is None else test.bulk.__dict__,
        "own_strangers": None
        if test.own is None
        else {
            "subjects": test.own.subjects,
            "pairs": test.own.pairs,
            "decide_alone": test.own.alone,
        },
        "missed_shares_of_this_run": test.own_missed,
        "search_reach": test.reach,
        "looks_due": test.details_due,
        "looked": test.details_matched,
        "caution": test.caution or None,
    }


def _shared(c: Comparison) -> dict[str, Any] | None:
    """How many subjects two datasets share, over all encoders; ``None`` where nothing can be said."""
    found = [t.shared for t in c.persons if t.shared is not None and not t.caution]
    if not found:
        return None
    return {
        "estimate": round(sum(e.value for e in found), 2),
        "low": round(sum(e.low for e in found), 2),
        "high": round(sum(e.high for e in found), 2),
        "certainly": sum(e.sure for e in found),
        "named": sum(t.named for t in c.persons),
        "unnoticed_below": sum(e.unnoticed for e in found),
        "share_found": [round(e.share, 4) for e in found],
        "share_found_of_this_run": all(e.own_share for e in found),
    }


def _exit(
    datasets: list[dict[str, Any]],
    comparisons: tuple[Comparison, ...],
    decisions: Mapping[str, Mapping[str, int]],
    deciding: DecidingSettings,
) -> tuple[int, list[str]]:
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
    if deciding.fail_on == "none":
        return EXIT_OK, ["No relation fails this run: it only reports."]
    reasons = []
    for d in datasets:
        if not d["status"]["ok"]:
            # What is blank was read, and still there was nothing to compare.
            why = "has anything in it" if d["status"]["blank"] else "could be read"
            left = left_out_words(d)
            reasons.append(
                f"No image of {d['name']} {why}, so nothing was compared." + f" {left}" * bool(left)
            )
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


def _decisions(relations: list[str], decisions: list[str]) -> dict[str, dict[str, int]]:
    counts = Counter(zip(relations, decisions, strict=True))
    return {r: {d: counts[r, d] for d in ("leak", "review", "cleared")} for r in RELATIONS}


def _unique(column: pa.ChunkedArray) -> list[str]:
    values: list[str] = pc.unique(column).to_pylist()
    return values

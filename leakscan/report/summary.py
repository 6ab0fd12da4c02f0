"""What a run comes to: counts, thresholds and plain words."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from leakscan import tables
from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.comparison import Comparison
from leakscan.decide.groups import contradictions
from leakscan.decide.persons.tests import PersonTest
from leakscan.report.exit_code import exit_code
from leakscan.report.left_out import counts_of, left_out_facts, notices
from leakscan.report.run_tables import RunTables
from leakscan.report.sentences import comparison_words, doubt_words, many_films_words, shared_words
from leakscan.types import RELATIONS

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

_ANSWERED = 3  # comparisons, up to which the first line says how many subjects each shares


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
    code, reasons = exit_code(datasets, found.comparisons, decisions, deciding)
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


_TOLD = ["path", "kind", "subject", "status", "error", "notes", "left_out"]
"""The columns that a summary tells of; there may be a million rows."""


def _dataset(images: pa.Table, name: str) -> dict[str, Any]:
    own = images.select(_TOLD).filter(pc.equal(images["dataset"], name))
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


def _decisions(relations: list[str], decisions: list[str]) -> dict[str, dict[str, int]]:
    counts = Counter(zip(relations, decisions, strict=True))
    return {r: {d: counts[r, d] for d in ("leak", "review", "cleared")} for r in RELATIONS}


def _unique(column: pa.ChunkedArray) -> list[str]:
    values: list[str] = pc.unique(column).to_pylist()
    return values

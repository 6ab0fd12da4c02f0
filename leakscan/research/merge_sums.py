"""What simulated merges come to: figures of one kind of merge, and the table of all kinds.

Merges of one kind are dealt from the same people and are not independent of each other. So the 95 %
intervals of shares draw merges and people again; a pair of people counts as often as both were drawn
(Owen 2007, "The pigeonhole bootstrap"). Intervals of counted merges are those of Wilson (1927).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.research.film_splits import short
from leakscan.research.merge_decisions import Outcome
from leakscan.subject_bootstrap import estimate, subject_draws

Floats = npt.NDArray[np.float64]
Figure = Callable[[Outcome, Floats], tuple[Floats, Floats]]

BINS = 10
"""Bins of equal width that stated probabilities fall into."""
_DRAWS = 300
_Z = 1.959964


def called_falsely(outcome: Outcome, times: Floats) -> tuple[Floats, Floats]:
    """False pairs of subjects among those called leaks, and all of those.

    Args:
        outcome: One merge.
        times: ``(draws, people)`` how often each person counts.
    """
    pairs = np.array([pair[:2] for pair in outcome.leaks], np.int64).reshape(-1, 2)
    same = pairs[:, 0] == pairs[:, 1]
    false = (times[:, pairs[~same, 0]] * times[:, pairs[~same, 1]]).sum(axis=1)
    return false, false + times[:, pairs[same, 0]].sum(axis=1)


def accused_falsely(outcome: Outcome, times: Floats) -> tuple[Floats, Floats]:
    """Subjects of B who are called leaked for no right pair, and all who are called leaked."""
    accused = {b for _, b, _ in outcome.leaks}
    right = {b for a, b, _ in outcome.leaks if a == b}
    false = times[:, sorted(accused - right)].sum(axis=1)
    return false, false + times[:, sorted(right)].sum(axis=1)


def found_as_leak(outcome: Outcome, times: Floats) -> tuple[Floats, Floats]:
    """Shared subjects called leaks, and all shared ones."""
    return _found(outcome, times, {a for a, b, _ in outcome.leaks if a == b})


def found_at_all(outcome: Outcome, times: Floats) -> tuple[Floats, Floats]:
    """Shared subjects that are leaks or for review, and all shared ones."""
    return _found(outcome, times, {a for a, b, _ in (*outcome.leaks, *outcome.review) if a == b})


def _found(outcome: Outcome, times: Floats, known: set[int]) -> tuple[Floats, Floats]:
    shared = np.array(outcome.shared, np.int64)
    hit = np.isin(shared, sorted(known))
    return times[:, shared[hit]].sum(axis=1), times[:, shared].sum(axis=1)


def pooled(outcomes: Sequence[Outcome], figure: Figure, people: int) -> list[float] | None:
    """A share over all merges together, with its 95 % interval; ``None`` of nothing.

    Args:
        outcomes: Merges that were dealt from the same people.
        figure: Gives part and whole of one merge.
        people: The number of these people.

    Returns:
        ``[share, low, high]``.

    Example::

        pooled(outcomes, called_falsely, lab.films.people)  # [0.004, 0.0, 0.013]
    """
    times = np.concatenate([np.ones((1, people)), subject_draws(people, _DRAWS)]).astype(np.float64)
    parts, wholes = (np.stack(values) for values in zip(*(figure(o, times) for o in outcomes), strict=True))
    if not wholes[:, 0].any():
        return None
    chosen = np.random.default_rng(1).integers(0, len(outcomes), parts.shape)
    chosen[:, 0] = np.arange(len(outcomes))
    part, whole = (np.take_along_axis(values, chosen, axis=0).sum(axis=0) for values in (parts, wholes))
    shares = part[whole > 0] / whole[whole > 0]
    found = estimate(float(shares[0]), shares[1:], people)
    return [short(v) for v in (found.value, found.low, found.high)]


def counted_share(hits: int, of: int) -> list[float]:
    """A share of merges with its 95 % interval.

    Example:
        >>> counted_share(0, 200)
        [0.0, 0.0, 0.0188]
    """
    share, z = hits / of, _Z**2 / of
    middle = (share + z / 2) / (1 + z)
    half = _Z * math.sqrt(share * (1 - share) / of + z / (4 * of)) / (1 + z)
    return [short(share), short(max(0.0, middle - half)), short(min(1.0, middle + half))]


def reliability(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Stated probabilities held against the share of true pairs, in bins of equal width.

    Counted are leaks and pairs for review, every two subjects as the run knows them: of undeclared ones
    every two pictures.

    Returns:
        A row for every bin that holds a pair.

    Example::

        [row for row in reliability(outcomes) if row["pairs"] >= 50 and abs(row["off"]) > 0.1]
    """
    listed = [pair for o in outcomes for pair in o.stated]
    stated = np.array([probability for probability, _ in listed])
    true = np.array([same for _, same in listed], np.float64)
    at = np.minimum((stated * BINS).astype(int), BINS - 1)
    rows = []
    for number in np.unique(at).tolist():
        own = at == number
        rows.append(
            {
                "from": number / BINS,
                "pairs": int(own.sum()),
                "stated": short(float(stated[own].mean())),
                "actual": short(float(true[own].mean())),
                "off": short(float(stated[own].mean() - true[own].mean())),
            }
        )
    return rows


def summed_up(outcomes: Sequence[Outcome], people: int) -> dict[str, Any]:
    """The figures of merges of one kind.

    Args:
        outcomes: The merges, dealt from the same people.
        people: The number of these people.

    Example::

        summed_up([lab.decide(kind, seed) for seed in range(20)], lab.films.people)["exit_1"]
    """
    n = len(outcomes)
    leaks = [sum(a == b for a, b, _ in o.leaks) for o in outcomes]
    false = [sum(a != b for a, b, _ in o.leaks) for o in outcomes]
    estimated = [o for o in outcomes if o.estimate is not None]
    out: dict[str, Any] = {
        "merges": n,
        "subjects": list(outcomes[0].subjects),
        "films": [round(float(np.mean([o.films[s] for o in outcomes]))) for s in (0, 1)],
        "shared": len(outcomes[0].shared),
        "copied": len(outcomes[0].copied),
        "called": [short(float(np.mean(leaks))), short(float(np.mean(false)))],
        "called_in_all": [sum(leaks), sum(false)],
        "false_discovery": pooled(outcomes, called_falsely, people),
        "falsely_accused": pooled(outcomes, accused_falsely, people),
        "merges_with_a_false_leak": counted_share(sum(f > 0 for f in false), n),
        "recall_leak": pooled(outcomes, found_as_leak, people),
        "recall_leak_or_review": pooled(outcomes, found_at_all, people),
        "review": [
            short(float(np.mean([sum((a == b) is true for a, b, _ in o.review) for o in outcomes])))
            for true in (True, False)
        ],
        "copies_found": None,
        "estimate": None,
        "estimate_covers": None,
        "reliability": reliability(outcomes),
        "cautious": short(float(np.mean([bool(o.caution) for o in outcomes]))),
        "seconds": short(float(np.mean([o.seconds for o in outcomes]))),
    }
    if outcomes[0].copied:
        both = [len(set(o.copied) & set(o.copies_found)) for o in outcomes]
        out["copies_found"] = short(sum(both) / sum(len(o.copied) for o in outcomes))
    for code in (0, 1, 3):
        out[f"exit_{code}"] = counted_share(sum(o.exit_code == code for o in outcomes), n)
    if estimated:
        means = np.array([o.estimate for o in estimated], np.float64).mean(axis=0)
        inside = [e[1] <= len({*o.shared, *o.copied}) <= e[2] for o in estimated if (e := o.estimate)]
        out["estimate"] = [short(float(v)) for v in means]
        out["estimate_covers"] = counted_share(sum(inside), len(inside))
    return out


def as_markdown(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures of all kinds as tables for the benchmarks' page.

    Args:
        kinds: The figures by the name of the kind.
    """
    head = (
        "| merge | merges | called (false) each | false discovery | recall as leak | leak or review |"
        " review true + false | exit 1 | exit 3 | estimate (interval), covers |"
    )
    rows = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    for name, f in kinds.items():
        estimated = "none stated"
        if f["estimate"] is not None:
            value, low, high = f["estimate"]
            estimated = f"{value:g} ({low:g} to {high:g}), {f['estimate_covers'][0]:.1%}"
        cells = [
            name,
            str(f["merges"]),
            f"{f['called'][0]:g} ({f['called'][1]:g})",
            _interval(f["false_discovery"]),
            _interval(f["recall_leak"]),
            _interval(f["recall_leak_or_review"]),
            f"{f['review'][0]:g} + {f['review'][1]:g}",
            _interval(f["exit_1"]),
            _interval(f["exit_3"]),
            estimated,
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def reliability_as_markdown(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    """Stated and actual probabilities of all kinds, bin by bin; empty where none were stated.

    Args:
        kinds: The figures by the name of the kind.
    """
    stated = {name: {row["from"]: row for row in f["reliability"]} for name, f in kinds.items()}
    stated = {name: rows for name, rows in stated.items() if rows}
    if not stated:
        return ""
    bins = [number / BINS for number in range(BINS)]
    lines = ["| merge | " + " | ".join(f"{b:.1f} to {b + 1 / BINS:.1f}" for b in bins) + " |"]
    lines.append("|---" * (BINS + 1) + "|")
    for name, rows in stated.items():
        cells = [
            f"{rows[b]['stated']:.2f}: {rows[b]['actual']:.2f} ({rows[b]['pairs']})" if b in rows else ""
            for b in bins
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _interval(found: Sequence[float] | None) -> str:
    return "" if found is None else f"{found[0]:.3g} ({found[1]:.3g} to {found[2]:.3g})"

"""What the decisions on simulated merges got right and wrong, counted in subjects.

Two subjects called one person are one discovery, however many of their films were matched. All merges
are dealt from the same subjects and are not independent of each other, so the 95 % intervals draw merges
and subjects again; a pair of subjects counts as often as both were drawn (Owen 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import LEAK_Q
from leakscan.decide.persons.discovery import unit_p_value
from leakscan.research.film_splits import short
from leakscan.research.merge_cases import FIRST, LEVELS, DecidedMerge
from leakscan.subject_bootstrap import estimate, subject_draws

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DRAWS = 300


def false_discovery(pairs: Ints, times: npt.NDArray[np.floating]) -> Floats:
    """Share of the pairs of subjects called one person that are two; 0 where none is called.

    Args:
        pairs: ``(n, 2)`` distinct pairs of codes.
        times: ``(..., subjects)`` how often each subject counts.

    Returns:
        ``(...)``.

    Example:
        >>> called = np.array([[0, 0], [1, 1], [2, 3], [4, 1]])  # 2 was taken for 3, and 4 for 1
        >>> float(false_discovery(called, times=np.ones(6)))
        0.5
    """
    same = pairs[:, 0] == pairs[:, 1]
    return _share(_weight(pairs[~same], times), times[..., pairs[same, 0]].sum(axis=-1), nothing=0.0)


def falsely_accused(pairs: Ints, times: npt.NDArray[np.floating]) -> Floats:
    """Share of the subjects of B called leaked for whom no pair found is right; 0 where none is called.

    Arguments and result are those of :func:`false_discovery`.

    Example:
        >>> called = np.array([[0, 0], [1, 1], [2, 3], [4, 1]])
        >>> round(float(falsely_accused(called, times=np.ones(6))), 3)  # 3 alone, of the subjects 0, 1 and 3
        0.333
    """
    called = np.unique(pairs[:, 1])
    right = np.isin(called, pairs[pairs[:, 0] == pairs[:, 1], 1])
    false, true = (times[..., called[which]].sum(axis=-1) for which in (~right, right))
    return _share(false, true, nothing=0.0)


def recall(pairs: Ints, leaked: Ints, times: npt.NDArray[np.floating]) -> Floats:
    """Share of the leaked subjects that stand in a pair with themselves; NaN where none leaked.

    Args:
        pairs: ``(n, 2)`` distinct pairs of codes.
        leaked: ``(k,)`` the codes of the subjects who leaked.
        times: ``(..., subjects)`` how often each subject counts.

    Example:
        >>> called = np.array([[0, 0], [1, 1], [2, 3]])
        >>> float(recall(called, leaked=np.array([0, 1, 2, 5]), times=np.ones(6)))
        0.5
    """
    hit = np.isin(leaked, pairs[pairs[:, 0] == pairs[:, 1], 0])
    found, missed = (times[..., leaked[which]].sum(axis=-1) for which in (hit, ~hit))
    return _share(found, missed, nothing=float("nan"))


def _weight(pairs: Ints, times: npt.NDArray[np.floating]) -> Floats:
    """How much pairs of two subjects each count, by subjects' times."""
    return np.asarray((times[..., pairs[:, 0]] * times[..., pairs[:, 1]]).sum(axis=-1), np.float64)


def _share(part: Floats, rest: Floats, nothing: float) -> Floats:
    total = np.asarray(part + rest, np.float64)
    return np.where(total > 0, part / np.where(total > 0, total, 1.0), nothing)


def with_interval(
    outcomes: Sequence[DecidedMerge],
    figure: Callable[[DecidedMerge, npt.NDArray[np.floating]], Floats],
    subjects: int,
) -> list[float]:
    """Mean of a figure over merges, and its 95 % interval: ``[mean, low, high]``.

    Args:
        outcomes: Decided merges, dealt from the same subjects.
        figure: Gives the figure of one merge for ``(draws, subjects)`` how often each subject counts; NaN
            has no say.
        subjects: The number of subjects.

    Example::

        outcomes = [decide_merge(split, deal(codes, 0.3, seed), calibration, loose) for seed in range(20)]
        with_interval(outcomes, lambda merge, times: recall(merge.leaks, merge.leaked, times), subjects=440)
    """
    times = np.concatenate([np.ones((1, subjects)), subject_draws(subjects, _DRAWS)])
    values = np.stack([figure(o, times) for o in outcomes])
    chosen = np.random.default_rng(1).integers(0, len(outcomes), values.shape)
    chosen[:, 0] = np.arange(len(outcomes))
    again = np.take_along_axis(values, chosen, axis=0)
    known = ~np.isnan(again)
    means = np.where(known, again, 0.0).sum(axis=0)[known.any(axis=0)] / known.sum(axis=0)[known.any(axis=0)]
    found = estimate(float(means[0]), means[1:], subjects)
    return [short(v) for v in (found.value, found.low, found.high)]


def summed_up(outcomes: Sequence[DecidedMerge], subjects: int) -> dict[str, Any]:
    """Figures of merges of one kind; every triple is mean, low and high.

    Args:
        outcomes: Decided merges, dealt from the same subjects.
        subjects: The number of these subjects.

    Example::

        outcomes = [decide_merge(split, deal(codes, 0.3, seed), calibration, loose) for seed in range(20)]
        summed_up(outcomes, subjects=440)["recall"]["leak"]  # [mean, low, high]
    """
    tests = [o.test for o in outcomes]
    bulks = [t.bulk for t in tests if t.bulk is not None]
    among = partial(with_interval, outcomes, subjects=subjects)
    units = tests[0].subjects
    out = {
        "merges": len(outcomes),
        "leaked_subjects": len(outcomes[0].leaked),
        "subjects_on_each_side": list(outcomes[0].subjects),
        "open_units_on_each_side": list(units),
        "units_at_the_floor_that_q_asks_for": _asked_for(units, tests[0].floor),
        "false_discovery_pairs_of_subjects": among(lambda o, t: false_discovery(o.leaks, t)),
        "false_discovery_subjects_of_b": among(lambda o, t: falsely_accused(o.leaks, t)),
        "false_discovery_pairs_of_subjects_at_q": {f"{q:g}": _at_q(outcomes, q, subjects) for q in LEVELS},
        "pairs_called": sum(len(o.leaks) for o in outcomes),
        "false_pairs_called": sum(len(_strangers(o.leaks)) for o in outcomes),
        "merges_without_a_false_leak": among(
            lambda o, t: np.asarray(_weight(_strangers(o.leaks), t) == 0, np.float64)
        ),
        "merges_without_a_leak": short(float(np.mean([not len(o.leaks) for o in outcomes]))),
        "false_pairs_in_review_found_and_expected": [
            short(float(np.mean([o.false_review for o in outcomes]))),
            short(float(np.mean([t.review_false[0] for t in tests]))),
        ],
        "location": _range([b.location for b in bulks]),
        "scale": _range([b.scale for b in bulks]),
        "out_of_domain": short(float(np.mean([b.out_of_domain for b in bulks]))) if bulks else None,
        "cautious": short(float(np.mean([bool(t.caution) for t in tests]))),
    }
    if len(outcomes[0].leaked):
        out["recall"] = {
            "leak": among(lambda o, t: recall(o.leaks, o.leaked, t)),
            f"first_{FIRST}_of_review": among(lambda o, t: recall(o.first, o.leaked, t)),
            f"leak_or_first_{FIRST}": among(
                lambda o, t: recall(np.concatenate([o.leaks, o.first]), o.leaked, t)
            ),
            "leak_or_review": among(lambda o, t: recall(np.concatenate([o.leaks, o.review]), o.leaked, t)),
        }
    return out


def _at_q(outcomes: Sequence[DecidedMerge], q: float, subjects: int) -> dict[str, Any]:
    """What would be called at another q-value; shows the control where the floor forbids the usual one."""
    return {
        "pairs": sum(len(o.below[q]) for o in outcomes),
        "mean": with_interval(outcomes, lambda o, t: false_discovery(o.below[q], t), subjects),
    }


def _asked_for(units: tuple[int, int], floor: float) -> int:
    """How many units must stand at the floor of the p-value before any of them has a q-value for a leak."""
    each = [float(unit_p_value(floor, other)) * own / LEAK_Q for own, other in (units, units[::-1])]
    return int(np.ceil(max(each)))


def _strangers(pairs: Ints) -> Ints:
    return np.asarray(pairs[pairs[:, 0] != pairs[:, 1]], np.int64)


def _range(values: Sequence[float]) -> list[float]:
    return [short(v) for v in (float(np.mean(values)), min(values), max(values))] if values else []

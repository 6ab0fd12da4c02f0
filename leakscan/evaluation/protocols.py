"""Which pairs count: all, or those that rule out an easy way of being right.

Films of one subject often share a source width, a view or a day. An encoder that saw nothing else would
have good figures on all pairs. Each protocol restricts the pairs. A breakdown by time restricts the
genuine pairs alone, because strangers have no time between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from leakscan.evaluation.pairing import PairRule

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_VISITS = ((0, 0), (1, 1), (2, 4), (5, 14), (15, None))
_DAYS = ((0, 30), (31, 365), (366, 3 * 365), (3 * 365 + 1, None))


@dataclass(frozen=True, kw_only=True)
class ImageLabels:
    """What is known of each image beside its pixels.

    Attributes:
        subjects: ``(n,)`` codes from 0.
        widths: ``(n,)`` width in px at which the image was found; negative if unknown.
        views: ``(n,)`` a code per projection (PA, AP); negative if unknown.
        contrasts: ``(n,)`` a code per contrast (T1, FLAIR); negative if unknown.
        sexes: ``(n,)`` a code; negative if unknown.
        follow_up: ``(n,)`` number of the image in its subject's course; NaN if unknown.
        acquired: ``(n,)`` day number; NaN if unknown.
    """

    subjects: Ints
    widths: Ints
    views: Ints
    contrasts: Ints
    sexes: Ints
    follow_up: Floats
    acquired: Floats


@dataclass(frozen=True)
class Protocol:
    """A way of choosing pairs.

    Attributes:
        name: The name in the table: ``all``, ``unequal_width``, ``view=same``, ``gap=2-4``...
        rule: Says which pairs count; ``None`` for all.
        words: What it means, for people.
    """

    name: str
    rule: PairRule | None
    words: str


ALL = Protocol("all", None, "all pairs")


def protocols(labels: ImageLabels) -> Iterator[Protocol]:
    """All pairs, and every restriction that the labels can tell.

    Example:
        >>> none, unknown = np.full(3, -1), np.full(3, np.nan)
        >>> labels = ImageLabels(
        ...     subjects=np.array([0, 0, 1]), widths=none, views=np.array([0, 1, 1]), contrasts=none,
        ...     sexes=none, follow_up=unknown, acquired=unknown,
        ... )
        >>> [(protocol.name, protocol.words) for protocol in protocols(labels)][1:]
        [('view=different', 'one PA, the other AP'), ('view=same', 'both of the same view')]
    """
    yield ALL
    yield from _by_label(labels.widths, "unequal_width", ("films found at different widths",))
    yield from _by_label(labels.views, "view", ("one PA, the other AP", "both of the same view"))
    yield from _by_label(
        labels.contrasts, "contrast", ("of different contrasts", "both of the same contrast")
    )
    if len(np.unique(labels.sexes[labels.sexes >= 0])) > 1:
        yield Protocol("sex=same", _same(labels.sexes), "both of the same sex")
    if np.isfinite(labels.acquired).any():
        yield from _by_time(labels.acquired, labels.subjects, _DAYS, "days", "days between the films")
    if np.isfinite(labels.follow_up).any():
        yield from _by_time(
            labels.follow_up, labels.subjects, _VISITS, "gap", "steps between their follow-up numbers"
        )


def projection(view: str) -> str:
    """``PA`` or ``AP`` of a view as DICOM and public sets spell it (``AP Supine``); empty if neither.

    Example:
        >>> projection("AP Supine"), projection("LATERAL")
        ('AP', '')
    """
    first = view.strip().upper().replace("_", " ").split(" ")[0]
    return first if first in ("PA", "AP") else ""


def is_frontal(view: str) -> bool:
    """Whether a view is frontal, or nothing is said of it.

    Example:
        >>> [is_frontal(view) for view in ("PA", "frontal", "", "LL")]
        [True, True, True, False]
    """
    return not view.strip() or bool(projection(view)) or view.strip().upper() == "FRONTAL"


def day_number(text: str) -> float:
    """Days since year 1 of ``YYYY-MM-DD``, NaN for anything else.

    Example:
        >>> day_number("2020-03-01") - day_number("2020-02-01"), day_number("March 2020")
        (29.0, nan)
    """
    try:
        return float(date.fromisoformat(text[:10]).toordinal())
    except ValueError:
        return float("nan")


def _by_label(labels: Ints, name: str, words: tuple[str, ...]) -> Iterator[Protocol]:
    """Pairs of different labels and, where there are words for them, pairs of equal labels."""
    if len(np.unique(labels[labels >= 0])) < 2:
        return
    yield Protocol(name if len(words) == 1 else f"{name}=different", _different(labels), words[0])
    if len(words) > 1:
        yield Protocol(f"{name}=same", _same(labels), words[1])


def _different(labels: Ints) -> PairRule:
    def rule(rows: Ints) -> npt.NDArray[np.bool_]:
        mine = labels[rows][:, None]
        return np.asarray((mine != labels) & (mine >= 0) & (labels >= 0))

    return rule


def _same(labels: Ints) -> PairRule:
    def rule(rows: Ints) -> npt.NDArray[np.bool_]:
        mine = labels[rows][:, None]
        return np.asarray((mine == labels) & (mine >= 0))

    return rule


def _by_time(
    times: Floats, subjects: Ints, spans: tuple[tuple[int, int | None], ...], name: str, words: str
) -> Iterator[Protocol]:
    for low, high in spans:
        text = f"{low}+" if high is None else f"{low}-{high}" if high > low else str(low)
        yield Protocol(
            f"{name}={text}",
            _within(times, subjects, low, float("inf") if high is None else high),
            f"{text} {words}, genuine pairs only",
        )


def _within(times: Floats, subjects: Ints, low: float, high: float) -> PairRule:
    def rule(rows: Ints) -> npt.NDArray[np.bool_]:
        apart = np.abs(times[rows][:, None] - times)
        return np.asarray((subjects[rows][:, None] != subjects) | ((apart >= low) & (apart <= high)))

    return rule


def as_codes(values: list[str]) -> Ints:
    """A number for every distinct text, -1 for the empty one.

    Example:
        >>> as_codes(["T1", "", "FLAIR", "T1"])
        array([ 1, -1,  0,  1])
    """
    known = {value: i for i, value in enumerate(sorted(set(values) - {""}))}
    return np.array([known.get(value, -1) for value in values], np.int64)


def as_whole_numbers(values: list[str]) -> Ints:
    """Whole positive numbers, -1 for anything else.

    Example:
        >>> as_whole_numbers(["2048", "", "wide", "-3"])
        array([2048,   -1,   -1,   -1])
    """
    return np.array([int(v) if v.isdecimal() and int(v) > 0 else -1 for v in values], np.int64)


def as_numbers(values: list[str]) -> Floats:
    """Numbers, NaN for anything else.

    Example:
        >>> as_numbers(["2", "0.5", "first"])
        array([2. , 0.5, nan])
    """
    return np.array([_number(v) for v in values], np.float64)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if np.isfinite(value) else float("nan")

"""Stated against actual false match rates: ``python -m leakscan.research.tail_check DATA``.

The tail is fitted on calibration subjects. Its settings are chosen on val, and false matches are counted on
test subjects and on other hospitals. Every pair of subjects weighs the same on both sides (a pair of images
weighs 1 / the pairs its subjects have), and every subject with genuine pairs weighs the same. Beside these
rates stand rates for which every pair of images weighs the same (``actual_by_image``). Prints JSON.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.cli.output import Output
from leakscan.decide.calibration.impostors import ImpostorSample, impostor_pairs
from leakscan.decide.calibration.normalise import TOP, CohortStatistics, cohort_statistics, normalise, soften
from leakscan.decide.calibration.tail import Tail, fit_tail
from leakscan.decide.persons.bulk import LocationScale, bulk_map
from leakscan.decide.persons.discovery import best_of_units, q_values, unit_p_value
from leakscan.research.command import DataArgument, EncoderOption, run_command
from leakscan.research.film_splits import COHORT, Split, load_cohort, load_splits, measured_encoder, short

Floats = npt.NDArray[np.float64]

LEVELS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7)
_TOPS = (50, 100, 200, 400, COHORT)
_RULES = ("cosine", "softened", "as_norm")
_FIT_SUBJECTS = 450  # 1e5 pairs of subjects
_HALVES = 20


@dataclass(frozen=True)
class ScoreRule:
    """How scores are made.

    Attributes:
        name: ``cosine``, ``as_norm``, or ``softened`` AS-norm. Softening draws each spread towards the
            median spread of the cohort against itself, each member itself left out.
        cohort: ``(m, d)`` fingerprints of the cohort.
        top: The number of cohort members that count.
    """

    name: str
    cohort: npt.NDArray[np.float32]
    top: int = TOP

    def statistics(self, split: Split) -> CohortStatistics | None:
        """Cohort statistics of the films of a split; ``None`` for plain cosine similarities."""
        if self.name == "cosine":
            return None
        found = cohort_statistics(split.prints, self.cohort, top=self.top)
        if self.name == "as_norm":
            return found
        own = cohort_statistics(self.cohort, self.cohort, top=self.top, trim=4)
        return soften(found, float(np.median(own.std)))

    def sample(self, split: Split, source: str = "") -> ImpostorSample:
        """All impostor pairs of a split."""
        return impostor_pairs(split.prints, split.subjects, self.statistics(split), keep=10**7, source=source)

    def genuine(self, split: Split) -> tuple[Floats, Floats]:
        """Scores of genuine pairs and their weights, 1 per subject in total."""
        found = self.statistics(split)
        scores, weights = [], []
        for name in np.unique(split.subjects):
            own = np.flatnonzero(split.subjects == name)
            i, j = (own[k] for k in np.triu_indices(len(own), 1))
            raw = np.einsum("ij,ij->i", split.prints[i], split.prints[j]).astype(np.float64)
            if found is not None:
                raw = normalise(raw, found.mean[i], found.std[i], found.mean[j], found.std[j])
            scores.append(raw)
            weights.append(np.full(len(raw), 1.0 / max(len(raw), 1)))
        return np.concatenate(scores), np.concatenate(weights)


def _actual(sample: ImpostorSample, score: float) -> tuple[float, float, int]:
    """Share of pairs of subjects above a score, share of pairs of images, and how many those are."""
    above = sample.score > score
    count = int(above.sum())
    return float(sample.weight[above].sum()) / sample.n_subject_pairs, count / sample.n_pairs, count


def stated_and_actual(
    tail: Tail, counted: ImpostorSample, bulk: LocationScale | None = None, least: float = 30.0
) -> list[dict[str, Any]]:
    """A row for every level at which ``least`` false matches of the counted subjects are expected.

    Args:
        tail: The tail whose rates are stated.
        counted: The pairs that are counted, their scores mapped by ``bulk``.
        bulk: Widens the interval as a run does.
        least: The number of expected false matches.

    Example::

        rule = ScoreRule("cosine", cohort)
        tail = fit_tail(rule.sample(splits["calibration"]))
        stated_and_actual(tail, rule.sample(splits["nih_test"]))[0]["ratio"]  # 1 where the rate holds
    """
    rows = []
    for rate in (r for r in LEVELS if r * counted.n_subject_pairs >= least and r >= tail.floor):
        score = tail.score_at(rate)
        found, by_image, count = _actual(counted, score)
        low, high = (float(v) for v in tail.interval(score, subjects=counted.n_subjects))
        if bulk is not None:
            low, high = bulk.widened(rate, low, high, tail)
        rows.append(
            {
                "stated": rate,
                "actual": short(found),
                "actual_by_image": short(by_image),
                "image_pairs": count,
                "ratio": short(rate / found) if found else None,
                "interval": [short(low), short(high)],
                "inside": _inside(found, low, high, tail),
            }
        )
    return rows


def _mapped_stated_and_actual(tail: Tail, counted: Split, rule: ScoreRule) -> dict[str, Any]:
    """As :func:`stated_and_actual`, after location and scale were taken from the images' own bulk."""
    fitted = bulk_of(counted, tail, rule.statistics(counted))
    sample = rule.sample(counted)
    return {
        "location": short(fitted.location),
        "scale": short(fitted.scale),
        "disagreement": short(fitted.disagreement),
        "out_of_domain": fitted.out_of_domain,
        "levels": stated_and_actual(tail, replace(sample, score=fitted.to_tail(sample.score)), fitted),
    }


def bulk_of(split: Split, tail: Tail, statistics: CohortStatistics | None) -> LocationScale:
    """How the scores of a split lie against a tail, as a run would find them.

    Rows and columns of the bulk are one image each of two random halves of the subjects.

    Example::

        bulk = bulk_of(split, calibration.tail, statistics=None)
        mapped = bulk.to_tail(scores)  # what the tail's rates may be stated of
    """
    rng = np.random.default_rng(0)
    order = rng.permutation(len(split.subjects))
    _, first = np.unique(split.subjects[order], return_index=True)
    one = rng.permutation(order[first])
    left, right = one[: len(one) // 2], one[len(one) // 2 :]
    scores = split.prints[left] @ split.prints[right].T
    if statistics is not None:
        mean, std = statistics.mean, statistics.std
        scores = normalise(scores, mean[left, None], std[left, None], mean[right], std[right])
    return bulk_map(scores, tail, genuine_share=2.0 / len(one))


def _extrapolation(fit_from: Split, count_on: Split, rule: ScoreRule, disjoint: bool) -> list[dict[str, Any]]:
    """Fits on 1e5 pairs of subjects, and counts far below; over several random halves.

    Args:
        fit_from: The split whose subjects are drawn for the fit.
        count_on: The split whose subjects are counted.
        rule: How scores are made.
        disjoint: Whether the two are one split, so that the drawn subjects must not be counted.
    """
    rng = np.random.default_rng(0)
    found: dict[float, list[tuple[float, float, bool]]] = {}
    whole = None if disjoint else rule.sample(count_on)
    names = np.unique(fit_from.subjects)
    for _ in range(_HALVES):
        drawn = rng.permutation(names)[:_FIT_SUBJECTS]
        tail = fit_tail(rule.sample(fit_from.of(drawn)), draws=50)
        counted = whole or rule.sample(count_on.of(np.setdiff1d(np.unique(count_on.subjects), drawn)))
        unit = 3.0 / tail.n_effective
        for level in (1e-2, 1e-3, 1e-4, unit, unit / 3, unit / 10):
            beyond = level / tail.share
            score = tail.threshold + tail.scale / tail.shape * np.expm1(-tail.shape * np.log(beyond))
            rate, _, count = _actual(counted, float(score))
            low, high = (float(v) for v in tail.interval(float(score), subjects=counted.n_subjects))
            found.setdefault(round(level, 9), []).append(
                (rate / level, float(count), _inside(rate, low, high, tail))
            )
    return [
        {
            "stated": short(level),
            "times_rule_of_three": short(level / (3.0 / tail.n_effective)),
            "actual_over_stated_mean": short(float(np.mean([r for r, _, _ in rows]))),
            "range_of_runs": [short(min(r for r, _, _ in rows)), short(max(r for r, _, _ in rows))],
            "image_pairs_mean": short(float(np.mean([n for _, n, _ in rows]))),
            "inside_interval": short(float(np.mean([inside for _, _, inside in rows]))),
        }
        for level, rows in found.items()
        if level <= tail.share
    ]


def _tar(split: Split, rule: ScoreRule) -> dict[str, float]:
    """True accept rate at false match rates that at least 10 pairs of subjects stand for."""
    sample, (genuine, weight) = rule.sample(split), rule.genuine(split)
    order = np.argsort(-sample.score)
    running = np.cumsum(sample.weight[order]) / sample.n_subject_pairs
    out = {}
    for rate in (1e-2, 1e-3, 1e-4, 1e-5):
        if rate * sample.n_subject_pairs >= 10:
            threshold = sample.score[order[np.searchsorted(running, rate)]]
            out[f"{rate:g}"] = round(float(np.average(genuine > threshold, weights=weight)), 4)
    return out


def _cost(tail: Tail, candidates: int = 10**6, units: int = 10**5, gallery: int = 10**4) -> dict[str, Any]:
    """Seconds and peak memory of deciding ``units * gallery`` comparisons from the search's candidates."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(tail.score_at(1e-3), tail.score_at(tail.floor) * 1.1, candidates)
    unit = rng.integers(0, units, candidates)
    start = time.perf_counter()
    p = tail.p_value(scores)
    q = q_values(unit_p_value(best_of_units(p, unit, units), gallery))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "comparisons": units * gallery,
        "candidates": candidates,
        "seconds": short(seconds),
        "peak_gib_of_the_whole_check": short(peak),
        "found": int((q <= 0.01).sum()),
    }


def _check_tail(splits: dict[str, Split], cohort: npt.NDArray[np.float32]) -> dict[str, Any]:
    """All measurements.

    Args:
        splits: ``calibration``, ``val``, ``nih_test`` and ``ieee8023``.
        cohort: ``(m, d)`` fingerprints of training subjects, one film each.
    """
    fit_on = partial(ScoreRule.sample, split=splits["calibration"], source="calibration")
    several = splits["calibration"].with_(splits["val"])
    out: dict[str, Any] = {}
    for where, split in (("val", splits["val"]), ("calibration_and_val", several)):
        tops: dict[str, Any] = {"cosine": _tar(split, ScoreRule("cosine", cohort))}
        for name in _RULES[1:]:
            tops[name] = {top: _tar(split, ScoreRule(name, cohort, top)) for top in _TOPS}
        out[f"tar_by_top_{where}"] = tops
    for name in _RULES:
        rule = ScoreRule(name, cohort)
        start = time.perf_counter()
        tail = fit_tail(fit_on(rule))
        out[name] = {
            "fit_seconds": short(time.perf_counter() - start),
            "tail": {k: short(getattr(tail, k)) for k in ("share", "threshold", "shape", "scale", "floor")},
            "goodness_of_fit_p": short(tail.fit.p_value),
            "tar_nih_test": _tar(splits["nih_test"], rule),
            "tar_ieee8023": _tar(splits["ieee8023"], rule),
            "nih_test": stated_and_actual(tail, rule.sample(splits["nih_test"])),
            "ieee8023": stated_and_actual(tail, rule.sample(splits["ieee8023"])),
            "nih_test_mapped": _mapped_stated_and_actual(tail, splits["nih_test"], rule),
            "ieee8023_mapped": _mapped_stated_and_actual(tail, splits["ieee8023"], rule),
            "extrapolation_calibration_val": _extrapolation(several, several, rule, disjoint=True),
            "extrapolation_calibration_to_nih_test": _extrapolation(
                splits["calibration"], splits["nih_test"], rule, disjoint=False
            ),
        }
    out["cost"] = _cost(tail)
    return out


def _inside(rate: float, low: float, high: float, tail: Tail) -> bool:
    """A lower end at the floor is no claim that the rate is not below."""
    return rate <= high and (rate >= low or low <= tail.floor * 1.001)


def tail_check(data: DataArgument, encoder: EncoderOption = None) -> None:
    """Hold stated false match rates against actual ones, and print JSON.

    Example: python -m leakscan.research.tail_check DATA
    """
    measured, _ = measured_encoder(encoder)
    result = _check_tail(load_splits(measured, data), load_cohort(measured, data))
    Output(as_json=True).data({"encoder": measured.card.encoder, **result})


if __name__ == "__main__":
    run_command(tail_check)

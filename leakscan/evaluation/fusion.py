"""What is gained where a dataset declares which films are of one subject, and they decide together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration, against_cohort
from leakscan.decide.calibration.normalise import CohortStatistics, normalise
from leakscan.error_rates import resampled_ratio, subject_draws
from leakscan.evaluation.compared_rates import LEAST_BEHIND_RATE, Draws, Figure
from leakscan.research.film_splits import Split, short

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

SHOTS = (2, 3, 5)
"""Films of a declared subject that decide together."""
RATES = (1e-3, 1e-4)
"""False match rates of one film against the declared films of a subject."""
_TURNS = 5  # times that films and queries are drawn
_DRAWS = 300
_MOST_SUBJECTS = 2000
_LEAST_ABLE = 10


@dataclass(frozen=True)
class Shots:
    """Which films stand for a declared subject, and which ask.

    Attributes:
        able: ``(s,)`` subjects with more films than shots.
        support: ``(turns, s, shots)`` their declared films.
        asking: ``(q,)`` subjects that ask, all of ``able`` among them.
        query: ``(turns, q)`` one film of each, never one of its own declared ones.
    """

    able: Ints
    support: Ints
    asking: Ints
    query: Ints

    @property
    def genuine(self) -> npt.NDArray[np.bool_]:
        """``(s, q)``: whose film asks whom."""
        return np.asarray(self.asking == self.able[:, None])


def draw_shots(subjects: Ints, shots: int, seed: int = 0) -> Shots:
    """Draws declared films and queries; of more than ``_MOST_SUBJECTS`` subjects only so many.

    Args:
        subjects: ``(n,)`` code of each film's subject.
        shots: declared films of each.
        seed: of the draws.
    """
    rng = np.random.default_rng((seed, shots))
    counts = np.bincount(subjects)
    able = rng.permutation(np.flatnonzero(counts > shots))[:_MOST_SUBJECTS]
    others = rng.permutation(np.setdiff1d(np.flatnonzero(counts), able))[: _MOST_SUBJECTS - len(able)]
    able, asking = np.sort(able), np.sort(np.concatenate([able, others]))
    order = np.argsort(subjects, kind="stable")
    films = np.split(order, np.cumsum(counts)[:-1])
    support = np.empty((_TURNS, len(able), shots), np.int64)
    query = np.empty((_TURNS, len(asking)), np.int64)
    row = {int(subject): i for i, subject in enumerate(able)}
    for turn in range(_TURNS):
        for column, subject in enumerate(asking.tolist()):
            shuffled = rng.permutation(films[subject])
            query[turn, column] = shuffled[0]
            if subject in row:
                support[turn, row[subject]] = shuffled[1 : shots + 1]
    return Shots(able, support, asking, query)


def fused_figures(vectors: Vectors, subjects: Ints, draws: Draws, seed: int = 0) -> Iterator[Figure]:
    """TAR of one film against K declared films of a subject together, and against the first of them.

    The K films decide by their template, the direction of the mean of their fingerprints. Nothing is said
    where fewer than ``_LEAST_ABLE`` subjects have more than K films.

    Args:
        vectors: ``(n, d)`` of unit length.
        subjects: ``(n,)`` codes.
        draws: ``(draws, n_subjects)`` from :func:`leakscan.error_rates.subject_draws`.
        seed: of films and queries.
    """
    for shots in SHOTS:
        drawn = draw_shots(subjects, shots, seed)
        if len(drawn.able) < _LEAST_ABLE:
            continue
        asked = vectors[drawn.query]
        one = np.einsum("tsd,tqd->tsq", vectors[drawn.support[:, :, 0]], asked)
        together = np.einsum("tsd,tqd->tsq", _template(vectors, drawn.support), asked)
        among = np.zeros(draws.shape[1])
        among[drawn.able] = 1.0
        for rule, scores in (("one_of", one), ("fused", together)):
            for rate, hit in _accepted(scores, drawn.genuine).items():
                sums = np.zeros(draws.shape[1])
                sums[drawn.able] = hit
                yield Figure(
                    f"{rule}_{shots}.tar@fmr={rate:g}", "subjects", resampled_ratio(sums, among, draws)
                )


def too_few(subjects: Ints) -> list[str]:
    """Sentences about the numbers of images that too few subjects have."""
    counts = np.bincount(subjects)
    have = {shots: int((counts > shots).sum()) for shots in SHOTS}
    return [
        f"fused_{shots}: needs {_LEAST_ABLE} subjects with {shots + 1} images; there are {n}"
        for shots, n in have.items()
        if n < _LEAST_ABLE
    ]


def fusion(split: Split, calibration: Calibration, seed: int = 0) -> dict[str, Any]:
    """One film against K declared films of a subject, fused in several ways: TAR by K, rule and FMR.

    The rule ``one`` takes the first of the K films alone, so that every gain is on the same subjects.

    Args:
        split: films with their subjects.
        calibration: has the cohort.
        seed: of the draws.
    """
    _, codes = np.unique(split.subjects, return_inverse=True)
    own = against_cohort(split.prints, calibration.cohort, calibration.top)
    out = {}
    for shots in (1, *SHOTS):
        drawn = draw_shots(codes.astype(np.int64), shots, seed)
        scores: dict[str, list[Floats]] = {}
        for support, query in zip(drawn.support, drawn.query, strict=True):
            for rule, found in _by_rule(split, own, support, query, calibration).items():
                scores.setdefault(rule, []).append(found)
        hits = {rule: _accepted(np.stack(found), drawn.genuine) for rule, found in scores.items()}
        rows: dict[str, Any] = {"subjects": len(drawn.able)}
        for rule, by_rate in hits.items():
            rows[rule] = {f"{rate:g}": short(float(hit.mean())) for rate, hit in by_rate.items()}
        if shots > 1 and RATES[0] in hits["template"]:
            gain = hits["template"][RATES[0]] - hits["maximum"][RATES[0]]
            again = subject_draws(len(gain), _DRAWS) @ gain / len(gain)
            low, high = np.quantile(again, [0.025, 0.975])
            rows[f"template_minus_maximum_at_{RATES[0]:g}"] = [short(v) for v in (gain.mean(), low, high)]
        out[str(shots)] = rows
    return out


def _accepted(scores: npt.NDArray[np.floating], genuine: npt.NDArray[np.bool_]) -> dict[float, Floats]:
    """Rate -> ``(s,)`` share of the turns in which each subject's own film is accepted.

    Args:
        scores: ``(turns, s, q)``.
        genuine: ``(s, q)``.
    """
    impostor = np.sort(scores[:, ~genuine], axis=None)
    out = {}
    for rate in RATES:
        # The turns show the same subjects, so they add nothing to how far the tail can be read.
        if rate * len(impostor) / len(scores) >= LEAST_BEHIND_RATE:
            limit = impostor[len(impostor) - int(rate * len(impostor)) - 1]
            out[rate] = np.asarray((scores[:, genuine] > limit).mean(axis=0), np.float64)
    return out


def _template(vectors: Vectors, support: Ints) -> Vectors:
    """Direction of the mean of ``(..., shots)`` films, ``(..., d)``."""
    mean = vectors[support].mean(axis=-2)
    return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-9), np.float32)


def _by_rule(
    split: Split, own: CohortStatistics, support: Ints, query: Ints, calibration: Calibration
) -> dict[str, Floats]:
    """``(s, q)`` normalised scores of declared films ``(s, shots)`` by each rule."""
    flat = support.ravel()
    asked = split.prints[query].T
    each = normalise(
        split.prints[flat] @ asked, own.mean[flat, None], own.std[flat, None], own.mean[query], own.std[query]
    ).reshape(*support.shape, len(query))
    out = {"one": each[:, 0]}
    if support.shape[1] > 1:
        template = _template(split.prints, support)
        fused = against_cohort(template, calibration.cohort, calibration.top)
        out["maximum"] = each.max(axis=1)
        out["mean_of_top_2"] = np.sort(each, axis=1)[:, -2:].mean(axis=1)
        out["template"] = normalise(
            template @ asked, fused.mean[:, None], fused.std[:, None], own.mean[query], own.std[query]
        )
    return out

"""What is gained where a dataset declares which films are of one subject, and they decide together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration import Calibration, against_cohort
from leakscan.decide.normalise import CohortStatistics, normalise
from leakscan.evaluation.metrics import subject_draws
from leakscan.evaluation.splits import Split, short

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_SHOTS = (1, 2, 3, 5)
_FUSION_DRAWS = 5
_DRAWS = 300
_LEAST = 10  # pairs of subjects behind a false match rate


def fusion(split: Split, calibration: Calibration, seed: int = 0) -> dict[str, Any]:
    """One film against K declared films of a subject, fused in several ways: TAR by K, rule and FMR.

    Subjects with K + 1 films or more answer; films and queries are drawn ``_FUSION_DRAWS`` times. The rule
    ``one`` takes the first of the K films alone, so that every gain is on the same subjects.

    Args:
        split: films with their subjects.
        calibration: has the cohort.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    names, codes = np.unique(split.subjects, return_inverse=True)
    films = [np.flatnonzero(codes == c) for c in range(len(names))]
    own = against_cohort(split.prints, calibration.cohort, calibration.top)
    out = {}
    for shots in _SHOTS:
        able = np.array([c for c, f in enumerate(films) if len(f) > shots])
        drawn: dict[str, list[Floats]] = {}
        for _ in range(_FUSION_DRAWS):
            shuffled = [rng.permutation(f) for f in films]
            support = np.stack([shuffled[c][1 : shots + 1] for c in able.tolist()])
            query = np.array([f[0] for f in shuffled])
            for rule, score in _fused(split, own, support, query, calibration).items():
                drawn.setdefault(rule, []).append(score)
        rows: dict[str, Any] = {"subjects": len(able)}
        hits: dict[str, dict[float, Floats]] = {}
        genuine = np.arange(len(names)) == able[:, None]
        for rule, scores in drawn.items():
            every = np.stack(scores)
            impostor = np.sort(every[:, ~genuine], axis=None)
            for rate in (1e-3, 1e-4):
                if rate * len(impostor) / _FUSION_DRAWS >= _LEAST:
                    limit = impostor[len(impostor) - int(rate * len(impostor)) - 1]
                    hits.setdefault(rule, {})[rate] = (every[:, genuine] > limit).mean(axis=0)
            rows[rule] = {f"{rate:g}": short(float(hit.mean())) for rate, hit in hits.get(rule, {}).items()}
        if shots > 1 and "template" in hits:
            gain = hits["template"][1e-3] - hits["maximum"][1e-3]
            again = subject_draws(len(gain), _DRAWS) @ gain / len(gain)
            low, high = np.quantile(again, [0.025, 0.975])
            rows["template_minus_maximum_at_0.001"] = [short(v) for v in (gain.mean(), low, high)]
        out[str(shots)] = rows
    return out


def _fused(
    split: Split, own: CohortStatistics, support: Ints, query: Ints, calibration: Calibration
) -> dict[str, Floats]:
    """``(subjects, queries)`` normalised scores of declared films ``(subjects, shots)`` by each rule."""
    flat = support.ravel()
    asked = split.prints[query].T
    each = normalise(
        split.prints[flat] @ asked, own.mean[flat, None], own.std[flat, None], own.mean[query], own.std[query]
    ).reshape(*support.shape, len(query))
    out = {"one": each[:, 0]}
    if support.shape[1] > 1:
        template = split.prints[support].mean(axis=1)
        template /= np.linalg.norm(template, axis=1, keepdims=True)
        fused = against_cohort(template, calibration.cohort, calibration.top)
        out["maximum"] = each.max(axis=1)
        out["mean_of_top_2"] = np.sort(each, axis=1)[:, -2:].mean(axis=1)
        out["template"] = normalise(
            template @ asked, fused.mean[:, None], fused.std[:, None], own.mean[query], own.std[query]
        )
    return out

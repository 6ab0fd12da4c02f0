"""Ways of fusing several declared films of a subject: ``python -m leakscan.research.merge_fusion DATA``.

Each way of making one decision of several films is held against the others. Prints JSON.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.cli.output import Output
from leakscan.decide.calibration.calibration import Calibration, against_cohort
from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.decide.calibration.normalise import CohortStatistics, normalise
from leakscan.errors import ModelError
from leakscan.evaluation.fusion import FUSION_RATES, SHOTS, accepted_by_rate, draw_shots, fused_template
from leakscan.research.command import DataArgument, EncoderOption, run_command
from leakscan.research.film_splits import Split, load_splits, measured_encoder, short
from leakscan.subject_bootstrap import subject_draws

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_DRAWS = 300


def fusion_by_rule(split: Split, calibration: Calibration, seed: int = 0) -> dict[str, Any]:
    """TAR of one film against K declared films of a subject, by K, rule of fusing and FMR.

    The rule ``one`` takes the first of the K films alone, so that every gain is on the same subjects.

    Args:
        split: The films with their subjects.
        calibration: The calibration, whose cohort normalises the scores.
        seed: The seed of the draws.

    Example::

        rows = fusion_by_rule(split, calibration)
        rows["5"]["template"]["0.001"]  # TAR at FMR 1e-3, five declared films fused into one template
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
        hits = {rule: accepted_by_rate(np.stack(found), drawn.genuine) for rule, found in scores.items()}
        rows: dict[str, Any] = {"subjects": len(drawn.able)}
        for rule, by_rate in hits.items():
            rows[rule] = {f"{rate:g}": short(float(hit.mean())) for rate, hit in by_rate.items()}
        if shots > 1 and FUSION_RATES[0] in hits["template"]:
            gain = hits["template"][FUSION_RATES[0]] - hits["maximum"][FUSION_RATES[0]]
            again = subject_draws(len(gain), _DRAWS) @ gain / len(gain)
            low, high = np.quantile(again, [0.025, 0.975])
            rows[f"template_minus_maximum_at_{FUSION_RATES[0]:g}"] = [
                short(v) for v in (gain.mean(), low, high)
            ]
        out[str(shots)] = rows
    return out


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
        template = fused_template(split.prints, support)
        fused = against_cohort(template, calibration.cohort, calibration.top)
        out["maximum"] = each.max(axis=1)
        out["mean_of_top_2"] = np.sort(each, axis=1)[:, -2:].mean(axis=1)
        out["template"] = normalise(
            template @ asked, fused.mean[:, None], fused.std[:, None], own.mean[query], own.std[query]
        )
    return out


def merge_fusion(data: DataArgument, encoder: EncoderOption = None) -> None:
    """Hold ways of fusing declared films against each other, and print JSON.

    Example: python -m leakscan.research.merge_fusion DATA
    """
    measured, folder = measured_encoder(encoder)
    if not (folder / FILE).is_file():
        raise ModelError(f"{folder} has no {FILE}, so nothing would be decided.")
    calibration = read_calibration(folder / FILE, [measured.card.encoder])
    splits = load_splits(measured, data)
    Output(as_json=True).data(
        {
            "encoder": measured.card.encoder,
            "calibration_val": fusion_by_rule(splits["calibration"].with_(splits["val"]), calibration),
            "nih_test": fusion_by_rule(splits["nih_test"], calibration),
        }
    )


if __name__ == "__main__":
    run_command(merge_fusion)

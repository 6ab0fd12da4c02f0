"""False discovery and power by simulated merges: ``python -m leakscan.research.merges DATA``.

Test subjects of one dataset are dealt to two sides and renamed, some of them to both
(``merge_cases.py``). What the decisions call a leak is then held against the truth and counted in subjects
(``merge_figures.py``). Prints JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from leakscan.cli.output import Output
from leakscan.decide.calibration.calibration import Calibration, against_cohort, score_at
from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, choose_cohort, fit_calibration
from leakscan.decide.calibration.impostors import ImpostorSample, impostor_pairs
from leakscan.decide.calibration.normalise import TOP
from leakscan.decide.persons.tests import LOOSE_FMR
from leakscan.engines import start_engine
from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.film.detail_matcher import load_detail_matcher
from leakscan.research.command import DataArgument, EncoderOption, WorkersOption, run_command
from leakscan.research.film_splits import Split, load_cohort, load_splits, measured_encoder, short
from leakscan.research.merge_cases import DecidedMerge, MergeOptions, RememberedMatches, deal, decide_merge
from leakscan.research.merge_figures import summed_up
from leakscan.research.merge_fusion import fusion_by_rule
from leakscan.research.tail_check import stated_and_actual

LEAKED = (0.0, 0.01, 0.05, 0.3, 1.0)
"""Share of the subjects that have films on both sides."""
_POWER = (0.05, 0.3)  # shares at which the steps of the decision are held against each other
_HALVES = 3  # random halves whose bulk is mapped
_ALL = 10**7  # impostor pairs kept
_MOST_OF_ALL = 10  # merges with everybody leaked
_FEW = 5  # merges for each row that says what one step of the decision gains


def _stated(split: Split, calibration: Calibration, loose: float) -> dict[str, Any]:
    """Stated against actual false match rates, every score mapped as in a merge without a leak.

    The map comes from the decision itself on random halves of the subjects; then all impostor pairs of the
    split are counted.
    """
    names, codes = np.unique(split.subjects, return_inverse=True)
    statistics = against_cohort(split.prints, calibration.cohort, calibration.top)
    sample = impostor_pairs(split.prints, split.subjects, statistics, keep=_ALL)
    halves = []
    for seed in range(_HALVES):
        test = decide_merge(split, deal(codes, 0.0, seed), calibration, loose).test
        bulk = test.bulk
        moved: ImpostorSample = sample if bulk is None else replace(sample, score=bulk.to_tail(sample.score))
        halves.append(
            {
                "location": None if bulk is None else short(bulk.location),
                "scale": None if bulk is None else short(bulk.scale),
                "factor_unexplained": None if bulk is None else short(float(np.exp(bulk.disagreement))),
                "caution": test.caution,
                "levels": stated_and_actual(calibration.tail, moved, bulk),
            }
        )
    return {"subjects": len(names), "pairs_of_subjects": sample.n_subject_pairs, "halves": halves}


def _measure_merges(
    splits: Mapping[str, Split],
    calibration: Calibration,
    cohort: npt.NDArray[np.float32],
    loose: float,
    merges: int,
    matches: RememberedMatches | None,
) -> dict[str, Any]:
    """All measurements.

    Args:
        splits: ``calibration``, ``val``, ``nih_test`` and ``ieee8023``.
        calibration: The calibration of the encoder that made the fingerprints.
        cohort: ``(m, d)`` of training subjects, for the normalisation that is compared.
        loose: The cosine similarity from which every pair of films is a candidate.
        merges: The number of merges, over the shares of leaked subjects up to 30 %.
        matches: Gives films of ``nih_test`` their detail matches; ``None`` where the calibration has none.
    """
    test = splits["nih_test"]
    names, codes = np.unique(test.subjects, return_inverse=True)

    def outcomes(
        share: float, count: int, known: Calibration, declared: bool = False, detail: bool = True
    ) -> list[DecidedMerge]:
        used = matches if detail and known.matches_details else None
        return [
            decide_merge(test, deal(codes, share, seed), known, loose, MergeOptions(declared, seed, used))
            for seed in range(count)
        ]

    each = max(1, merges // (len(LEAKED) - 1))
    shares = [(s, each if s < 1 else min(each, _MOST_OF_ALL)) for s in LEAKED]
    normalised = _normalised(calibration.encoder, cohort, splits["calibration"], splits["val"])
    steps = {
        "score": (calibration, False, False),
        "score, AS-norm": (normalised, False, False),
        "score, detail match": (calibration, False, True),
        "score, declared subjects": (calibration, True, False),
        "score, detail match, declared subjects": (calibration, True, True),
    }
    return {
        "floor": short(calibration.tail.floor),
        "merges": {f"{s:g}": summed_up(outcomes(s, n, calibration), len(names)) for s, n in shares},
        "merges_declared": {
            f"{s:g}": summed_up(outcomes(s, -(-n // 2), calibration, True), len(names)) for s, n in shares
        },
        "stated": {name: _stated(splits[name], calibration, loose) for name in ("nih_test", "ieee8023")},
        "power": {
            name: {f"{s:g}": _brief(summed_up(outcomes(s, _FEW, *step), len(names))) for s in _POWER}
            for name, step in steps.items()
        },
        "fusion": {
            "calibration_val": fusion_by_rule(splits["calibration"].with_(splits["val"]), calibration),
            "nih_test": fusion_by_rule(test, calibration),
        },
    }


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: row[k] for k in ("open_units_on_each_side", "pairs_called", "false_pairs_called", "recall")}


def _normalised(encoder: str, cohort: npt.NDArray[np.float32], calibration: Split, val: Split) -> Calibration:
    """As an encoder is shipped, but with scores normalised against a cohort (AS-norm, softened)."""
    return fit_calibration(
        encoder,
        "NIH ChestX-ray14, calibration split",
        Cohort(choose_cohort(cohort, np.arange(len(cohort)).astype(np.str_)), TOP),
        LabelledPrints(calibration.prints, calibration.subjects),
        LabelledPrints(val.prints, val.subjects),
    )


def simulate_merges(
    data: DataArgument,
    encoder: EncoderOption = None,
    merges: Annotated[int, typer.Option("--merges", help="Simulated merges.", min=1)] = 200,
    workers: WorkersOption = 2,
) -> None:
    """Simulate merges, hold the decisions against the truth, and print JSON.

    Example: python -m leakscan.research.merges DATA --merges 100
    """
    measured, folder = measured_encoder(encoder)
    card = measured.card
    if not (folder / FILE).is_file():
        raise ModelError(f"{folder} has no {FILE}, so nothing would be decided.")
    calibration = read_calibration(folder / FILE, [card.encoder])
    splits, cohort = load_splits(measured, data), load_cohort(measured, data)
    matcher = load_detail_matcher(folder)
    refs = splits["nih_test"].refs
    matches = None if matcher is None else RememberedMatches(refs, matcher, start_engine(workers))
    loose = score_at(card.impostors, LOOSE_FMR)
    found = _measure_merges(splits, calibration, cohort, loose, merges, matches)
    Output(as_json=True).data({"encoder": card.encoder, **found})


if __name__ == "__main__":
    run_command(simulate_merges)

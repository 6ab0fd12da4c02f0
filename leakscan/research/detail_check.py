"""What detail matches add, and whether their p-values hold.

``python -m leakscan.research.detail_check DATA`` takes the calibration that lies beside an encoder's card,
and films that it was not fitted on: nih test and other hospitals. As in ``compare``, the scores of either
are mapped by their own bulk, and the findings of detail matches are shifted by those of their own strangers.
Impostors whose score asks for a detail match get one. The share of pairs of subjects whose p-value is below
a level stands beside that level. Every subject with genuine pairs weighs the same. Prints JSON.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from leakscan.cli.output import Output
from leakscan.decide.calibration.calibration import Calibration, against_cohort
from leakscan.decide.calibration.file import FILE, read_calibration
from leakscan.decide.calibration.fit import genuine_pairs
from leakscan.decide.calibration.fit_detail import MatchPairs, match_impostors
from leakscan.decide.calibration.impostors import impostor_pairs
from leakscan.decide.persons.bulk import LocationScale
from leakscan.decide.persons.detail_matches import detail_match_of
from leakscan.decide.persons.nearest import match_nearest
from leakscan.decide.persons.scores import LOOSE_FMR
from leakscan.engines import start_engine
from leakscan.errors import ModelError
from leakscan.fingerprint.encoders.film.detail_matcher import load_detail_matcher
from leakscan.research.command import DataArgument, EncoderOption, WorkersOption, run_command
from leakscan.research.film_splits import Split, load_splits, measured_encoder, short
from leakscan.research.tail_check import LEVELS, bulk_of
from leakscan.settings import DecodeOptions
from leakscan.subject_bootstrap import estimate, subject_draws

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_MATCHES = 20_000
"""Impostor pairs of each set of films that get a detail match."""
_LEAST_FALSE = 30.0  # expected false pairs behind a level
_GENUINE_EACH = 10  # pairs of one subject
_TAR_LEVELS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_DRAWS = 500
_SHIFT_FILMS = 300  # films whose nearest strangers say how much better details match here


def _check_details(split: Split, calibration: Calibration, match: MatchPairs) -> dict[str, Any]:
    """Levels and power on one set of films.

    Args:
        split: The films with their subjects.
        calibration: A calibration with detail matches, of the encoder that made the fingerprints.
        match: Matches the details of pairs of the films.
    """
    statistics = against_cohort(split.prints, calibration.cohort, calibration.top)
    bulk = bulk_of(split, calibration.tail, statistics)

    near = match_nearest(split.prints, split.subjects, match, most=_SHIFT_FILMS)
    usual = ~near.same & (calibration.tail.p_value(bulk.to_tail(near.score)) > calibration.detail_p / 10)
    assert calibration.strangers is not None
    expected = calibration.strangers.expected(calibration.tail.p_value(bulk.to_tail(near.score[usual])))
    shift = float(calibration.detail_shift(near.found[usual] - expected).of(1))

    def shifted(pairs: Ints) -> Floats:
        return match(pairs) - shift

    return {
        "look_shift": short(shift),
        "location": short(bulk.location),
        "scale": short(bulk.scale),
        "factor_unexplained": short(float(np.exp(bulk.disagreement))),
        "levels": _stated_and_actual_with_details(split, calibration, shifted, bulk),
        "power": _power(split, calibration, shifted, bulk),
        "precision_at_1": _precision_by_ranking(split, calibration, shifted, bulk),
    }


def _stated_and_actual_with_details(
    split: Split, calibration: Calibration, match: MatchPairs, bulk: LocationScale
) -> list[dict[str, Any]]:
    """A row for every level at which 30 false matches are expected.

    The arguments are those of :func:`_check_details`.
    """
    tail = calibration.joint_tail
    assert tail is not None
    statistics = against_cohort(split.prints, calibration.cohort, calibration.top)
    sample = impostor_pairs(split.prints, split.subjects, statistics, keep=10**7)
    mapped = replace(sample, score=bulk.to_tail(sample.score))
    impostors = match_impostors(mapped, calibration.tail, match, most=MOST_MATCHES)
    p = calibration.p_value(impostors.sample.score, impostors.found)
    rows = []
    for level in LEVELS:
        if (
            level > calibration.detail_p
            or level < tail.floor
            or level * sample.n_subject_pairs < _LEAST_FALSE
        ):
            continue
        rate = float(impostors.sample.weight[p <= level].sum()) / sample.n_subject_pairs
        low, high = (float(v) for v in tail.interval(tail.score_at(level), subjects=sample.n_subjects))
        low, high = bulk.widened(level, low, high, calibration.tail)
        rows.append(
            {
                "stated": level,
                "actual": short(rate),
                "ratio": short(level / rate) if rate else None,
                "interval": [short(low), short(high)],
                "inside": low <= rate <= high,
            }
        )
    return rows


def _power(split: Split, calibration: Calibration, match: MatchPairs, bulk: LocationScale) -> dict[str, Any]:
    """True accept rate at stated false match rates, by score and with detail; ``[value, low, high]``.

    ``searched`` counts a pair as found only if the search of a run reaches it (``LOOSE_FMR``) by score;
    arguments as in :func:`_check_details`.
    """
    statistics = against_cohort(split.prints, calibration.cohort, calibration.top)
    pairs = genuine_pairs(split.prints, split.subjects, statistics, _GENUINE_EACH)
    score = bulk.to_tail(pairs.score)
    alone = calibration.tail.p_value(score)
    findings = np.full(len(score), np.nan)
    due = np.flatnonzero(alone <= calibration.detail_p)
    findings[due] = match(pairs.images[due])
    seen = calibration.p_value(score, findings)
    searched = calibration.p_value(score, np.where(alone <= LOOSE_FMR, findings, np.nan))
    found = {"score": alone, "with_looks": seen, "with_looks_searched": searched}
    return {
        f"{level:g}": {name: _share(p <= level * (1 + 1e-6), pairs.owner) for name, p in found.items()}
        for level in _TAR_LEVELS
        if level >= calibration.tail.floor
    }


def _precision_by_ranking(
    split: Split, calibration: Calibration, match: MatchPairs, bulk: LocationScale
) -> dict[str, list[float]]:
    """How often the first of the ten nearest films is right; ``[value, low, high]``.

    Ranked by score, by score and detail together, and how often any of the ten is right. It needs a
    calibration of plain cosines. Arguments as in :func:`_check_details`.
    """
    assert calibration.joint is not None and calibration.top == 0
    near = match_nearest(split.prints, split.subjects, match, bulk.to_tail)
    hits = {
        "score": near.first,
        "with_looks": near.first_by_both(calibration.joint),
        "within_ten": near.within,
    }
    return {name: _share(hit, near.owner.astype(np.int32)) for name, hit in hits.items()}


def _share(hit: npt.NDArray[np.bool_], owner: npt.NDArray[np.int32]) -> list[float]:
    _, code, counts = np.unique(owner, return_inverse=True, return_counts=True)
    each = np.bincount(code, hit) / counts
    draws = subject_draws(len(each), _DRAWS) @ each / len(each)
    found = estimate(float(each.mean()), draws, len(each))
    return [short(v) for v in (found.value, found.low, found.high)]


def detail_check(data: DataArgument, encoder: EncoderOption = None, workers: WorkersOption = 2) -> None:
    """Measure what detail matches add and whether their p-values hold, and print JSON.

    Example: python -m leakscan.research.detail_check DATA
    """
    measured, folder = measured_encoder(encoder)
    calibration = read_calibration(folder / FILE, [measured.card.encoder])
    matcher = load_detail_matcher(folder)
    if not calibration.matches_details or matcher is None:
        raise ModelError(f"{folder} has no detail network: nothing to measure.")
    splits = load_splits(measured, data)
    found: dict[str, Any] = {"encoder": measured.card.encoder}
    with Output().progress() as progress:
        for name in ("nih_test", "ieee8023"):
            match = detail_match_of(
                splits[name].refs, matcher, start_engine(workers), DecodeOptions(), progress
            )
            found[name] = _check_details(splits[name], calibration, match)
    Output(as_json=True).data(found)


if __name__ == "__main__":
    run_command(detail_check)

"""False discovery and power by simulated merges: ``python -m leakscan.evaluation.merges DATA``.

Test subjects of one dataset are dealt to two sides and renamed; some subjects leak, that is, their films
are dealt to both sides. What :func:`leakscan.decide.persons.compare_persons` calls a leak is then held
against the truth. Everything is counted in subjects: two subjects called one person are one discovery,
however many of their films were matched. Prints JSON.

All merges are dealt from the same subjects and are not independent of each other, so the 95 % intervals
draw merges and subjects again; a pair of subjects counts as often as both were drawn (Owen 2007).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from leakscan.decide import fit, persons
from leakscan.decide.calibration import FILE, LEAK_Q, Calibration, read_calibration, score_at
from leakscan.decide.calibration import against_cohort as shipped_rule
from leakscan.decide.discovery import unit_p_value
from leakscan.decide.impostors import ImpostorSample, impostor_pairs
from leakscan.decide.normalise import TOP, CohortStatistics, cohort_statistics, normalise
from leakscan.decide.pairs import HASH_RADIUS
from leakscan.decide.persons import LOOSE_FMR, PersonTest, compare_persons
from leakscan.evaluation.encoder_figures import encode_pack
from leakscan.evaluation.metrics import estimate, subject_draws
from leakscan.evaluation.tail_check import Rule, Split, stated_and_actual, tar
from leakscan.fingerprint.encoders.encoder import TorchEncoder
from leakscan.fingerprint.encoders.registry import card_for
from leakscan.match.candidates import Side, find_candidates
from leakscan.training.pack import pack_manifest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Normaliser = Callable[[npt.NDArray[np.floating], npt.NDArray[np.floating], int], CohortStatistics]

LEAKED = (0.0, 0.01, 0.05, 0.3, 1.0)
"""Share of the subjects that have films on both sides."""
FIRST = 100
"""Pairs at the head of the review list that a curator is taken to look at."""
_LEVELS = (0.01, 0.05, 0.1, 0.2)  # q-values at which false discoveries are counted
_POWER = (0.05, 0.3)  # shares at which the steps of the decision are held against each other
_MAX_PAIRS = 10**6
_DRAWS = 300
_HALVES = 3  # random halves whose bulk is mapped
_ALL = 10**7  # impostor pairs kept
_LEAST = 10  # pairs of subjects behind a false match rate
_SHOTS = (1, 2, 3, 5)
_FUSION_DRAWS = 5
_MOST_OF_ALL = 10  # merges with everybody leaked
_FEW = 5  # merges for each row that says what one step of the decision gains


@dataclass(frozen=True)
class Merge:
    """Which films stand on which side.

    Attributes:
        a: rows of the films of side A.
        b: of side B.
        leaked: ascending codes of the subjects with films on both.
    """

    a: Ints
    b: Ints
    leaked: Ints


@dataclass(frozen=True)
class Outcome:
    """What was decided about a merge, in codes of subjects.

    Attributes:
        leaks: ``(n, 2)`` distinct pairs (subject in A, subject in B) with a pair of films called a leak.
        first: of the first ``FIRST`` pairs of films of the review list.
        review: of the whole review list.
        below: q -> those with a pair of films at or below this q-value, whatever was called.
        false_review: pairs of films (of fused subjects where declared) in the review list that are false.
        leaked: the truth.
        subjects: true subjects on each side.
        test: what the decision says of itself.
    """

    leaks: Ints
    first: Ints
    review: Ints
    below: Mapping[float, Ints]
    false_review: int
    leaked: Ints
    subjects: tuple[int, int]
    test: PersonTest


def deal(codes: Ints, share: float, seed: int) -> Merge:
    """Deals subjects to two sides.

    Only a subject with two or more films can leak. Where there are too few of them, as many of the other
    subjects are left out as keeps ``share`` true.

    Args:
        codes: ``(n,)`` subject of each film, 0..subjects - 1.
        share: of the dealt subjects that leak, 0..1.
        seed: decides everything.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(codes)
    several = np.flatnonzero(counts > 1)
    dealt = len(counts) if share <= 0 else min(len(counts), int(len(several) / share))
    leaked = rng.permutation(several)[: round(share * dealt)]
    others = rng.permutation(np.setdiff1d(np.arange(len(counts)), leaked))[: dealt - len(leaked)]
    # -1: left out; 0 and 1: the sides.
    place = np.full(len(counts), -1)
    place[others] = np.arange(len(others)) % 2
    side = place[codes]
    for subject in leaked.tolist():
        films = rng.permutation(np.flatnonzero(codes == subject))
        side[films] = np.arange(len(films)) < rng.integers(1, len(films))
    return Merge(np.flatnonzero(side == 0), np.flatnonzero(side == 1), np.sort(leaked))


def new_names(codes: Ints, prefix: str, seed: int) -> list[str]:
    """Names that say which films of one side are of one subject, and nothing about the other side."""
    _, own = np.unique(codes, return_inverse=True)
    number = np.random.default_rng(seed).permutation(int(own.max()) + 1)
    return [f"{prefix}{n}" for n in number[own].tolist()]


def decide(
    split: Split, merge: Merge, calibration: Calibration, loose: float, declared: bool = False, seed: int = 0
) -> Outcome:
    """Has a merge decided as ``compare`` would after its search, no pair being verified as one picture.

    Args:
        split: films with their true subjects.
        merge: how they are dealt.
        calibration: of the encoder.
        loose: cosine similarity from which every pair of films is a candidate.
        declared: whether each side names its subjects, so that their films decide together (few-shot).
        seed: of the new names.
    """
    _, codes = np.unique(split.subjects, return_inverse=True)
    a, b = _side(split, merge.a, calibration.encoder), _side(split, merge.b, calibration.encoder)
    found = find_candidates(a, b, {calibration.encoder: loose}, HASH_RADIUS, _MAX_PAIRS)
    evidence, tests = compare_persons(
        a,
        b,
        new_names(codes[merge.a], "a", seed) if declared else [None] * len(a),
        new_names(codes[merge.b], "b", seed + 1) if declared else [None] * len(b),
        np.stack([found.a, found.b], axis=1),
        np.zeros(len(found.a), np.bool_),
        {calibration.encoder: calibration},
    )
    true = np.stack([codes[merge.a[found.a]], codes[merge.b[found.b]]], axis=1)
    waiting = np.flatnonzero(evidence.review)
    ranked = waiting[np.lexsort((-evidence.score[waiting], evidence.p_value[waiting]))]
    strangers = waiting[true[waiting, 0] != true[waiting, 1]]
    return Outcome(
        np.unique(true[evidence.leak], axis=0),
        np.unique(true[ranked[:FIRST]], axis=0),
        np.unique(true[ranked], axis=0),
        {q: np.unique(true[evidence.q_value <= q], axis=0) for q in _LEVELS},
        len(np.unique(true[strangers], axis=0)) if declared else len(strangers),
        merge.leaked,
        (len(np.unique(codes[merge.a])), len(np.unique(codes[merge.b]))),
        tests[0],
    )


def _side(split: Split, rows: Ints, encoder: str) -> Side:
    """Distinct pictures in memory; their looks are random, so that only fingerprints find pairs."""
    n = len(rows)
    looks = np.random.default_rng(len(split.subjects)).integers(0, 2**63, (len(split.subjects), 8))
    return Side(
        np.arange(n),
        tuple((i,) for i in range(n)),
        rows.astype(np.str_),
        looks[rows].astype(np.uint64),
        np.full(n, 2),
        np.full(n, encoder),
        split.prints[rows],
    )


def false_discovery(pairs: Ints, times: npt.NDArray[np.floating]) -> Floats:
    """Share of the pairs of subjects called one person that are two; 0 where none is called.

    Args:
        pairs: ``(n, 2)`` distinct pairs of codes.
        times: ``(..., subjects)`` how often each subject counts.

    Returns:
        ``(...)``.
    """
    same = pairs[:, 0] == pairs[:, 1]
    return _share(_weight(pairs[~same], times), times[..., pairs[same, 0]].sum(axis=-1), nothing=0.0)


def falsely_accused(pairs: Ints, times: npt.NDArray[np.floating]) -> Floats:
    """Share of the subjects of B called leaked for whom no pair found is right; 0 where none is called.

    Arguments and result as of :func:`false_discovery`.
    """
    called = np.unique(pairs[:, 1])
    right = np.isin(called, pairs[pairs[:, 0] == pairs[:, 1], 1])
    false, true = (times[..., called[which]].sum(axis=-1) for which in (~right, right))
    return _share(false, true, nothing=0.0)


def recall(pairs: Ints, leaked: Ints, times: npt.NDArray[np.floating]) -> Floats:
    """Share of the leaked subjects that stand in a pair with themselves; NaN where none leaked.

    Args:
        pairs: as of :func:`false_discovery`.
        leaked: ``(k,)`` codes.
        times: as of :func:`false_discovery`.
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
    outcomes: Sequence[Outcome],
    figure: Callable[[Outcome, npt.NDArray[np.floating]], Floats],
    subjects: int,
) -> list[float]:
    """Mean of a figure over merges, and its 95 % interval: ``[mean, low, high]``.

    Args:
        outcomes: of merges dealt from the same subjects.
        figure: of one merge, given ``(draws, subjects)`` how often each subject counts; NaN has no say.
        subjects: how many there are.
    """
    times = np.concatenate([np.ones((1, subjects)), subject_draws(subjects, _DRAWS)])
    values = np.stack([figure(o, times) for o in outcomes])
    chosen = np.random.default_rng(1).integers(0, len(outcomes), values.shape)
    chosen[:, 0] = np.arange(len(outcomes))
    again = np.take_along_axis(values, chosen, axis=0)
    known = ~np.isnan(again)
    means = np.where(known, again, 0.0).sum(axis=0)[known.any(axis=0)] / known.sum(axis=0)[known.any(axis=0)]
    found = estimate(float(means[0]), means[1:], subjects)
    return [_short(v) for v in (found.value, found.low, found.high)]


def summed_up(outcomes: Sequence[Outcome], subjects: int) -> dict[str, Any]:
    """Figures of merges of one kind; every triple is mean, low and high."""
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
        "false_discovery_pairs_of_subjects_at_q": {f"{q:g}": _at_q(outcomes, q, subjects) for q in _LEVELS},
        "pairs_called": sum(len(o.leaks) for o in outcomes),
        "false_pairs_called": sum(len(_strangers(o.leaks)) for o in outcomes),
        "merges_without_a_false_leak": among(
            lambda o, t: np.asarray(_weight(_strangers(o.leaks), t) == 0, np.float64)
        ),
        "merges_without_a_leak": _short(float(np.mean([not len(o.leaks) for o in outcomes]))),
        "false_pairs_in_review_found_and_expected": [
            _short(float(np.mean([o.false_review for o in outcomes]))),
            _short(float(np.mean([t.review_false[0] for t in tests]))),
        ],
        "location": _range([b.location for b in bulks]),
        "scale": _range([b.scale for b in bulks]),
        "out_of_domain": _short(float(np.mean([b.out_of_domain for b in bulks]))) if bulks else None,
        "cautious": _short(float(np.mean([bool(t.caution) for t in tests]))),
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


def _at_q(outcomes: Sequence[Outcome], q: float, subjects: int) -> dict[str, Any]:
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


def plain(prints: npt.NDArray[np.floating], cohort: npt.NDArray[np.floating], top: int) -> CohortStatistics:
    """Statistics that leave a cosine similarity as it is."""
    return CohortStatistics(np.zeros(len(prints)), np.ones(len(prints)))


def as_norm(prints: npt.NDArray[np.floating], cohort: npt.NDArray[np.floating], top: int) -> CohortStatistics:
    """Each image's own spread, not drawn towards the usual one."""
    return cohort_statistics(prints, cohort, top=top)


RULES: Mapping[str, Normaliser] = {"cosine": plain, "as_norm": as_norm, "softened": shipped_rule}
"""How scores are normalised; the first is what the shipped calibration says."""


@contextmanager
def decided_by(rule: Normaliser) -> Iterator[None]:
    """Has calibrations fitted, and persons compared, under another normalisation."""
    with mock.patch.object(persons, "against_cohort", rule), mock.patch.object(fit, "against_cohort", rule):
        yield


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
    own = shipped_rule(split.prints, calibration.cohort, calibration.top)
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
            rows[rule] = {f"{rate:g}": _short(float(hit.mean())) for rate, hit in hits.get(rule, {}).items()}
        if shots > 1 and "template" in hits:
            gain = hits["template"][1e-3] - hits["maximum"][1e-3]
            again = subject_draws(len(gain), _DRAWS) @ gain / len(gain)
            low, high = np.quantile(again, [0.025, 0.975])
            rows["template_minus_maximum_at_0.001"] = [_short(v) for v in (gain.mean(), low, high)]
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
        fused = shipped_rule(template, calibration.cohort, calibration.top)
        out["maximum"] = each.max(axis=1)
        out["mean_of_top_2"] = np.sort(each, axis=1)[:, -2:].mean(axis=1)
        out["template"] = normalise(
            template @ asked, fused.mean[:, None], fused.std[:, None], own.mean[query], own.std[query]
        )
    return out


def stated(split: Split, calibration: Calibration, loose: float) -> dict[str, Any]:
    """Stated against actual false match rates, every score mapped as in a merge without a leak.

    The map comes from the decision itself on random halves of the subjects; then all impostor pairs of the
    split are counted.
    """
    names, codes = np.unique(split.subjects, return_inverse=True)
    statistics = shipped_rule(split.prints, calibration.cohort, calibration.top)
    sample = impostor_pairs(split.prints, split.subjects, statistics, keep=_ALL)
    halves = []
    for seed in range(_HALVES):
        test = decide(split, deal(codes, 0.0, seed), calibration, loose).test
        bulk = test.bulk
        moved: ImpostorSample = sample if bulk is None else replace(sample, score=bulk.to_tail(sample.score))
        halves.append(
            {
                "location": None if bulk is None else _short(bulk.location),
                "scale": None if bulk is None else _short(bulk.scale),
                "factor_unexplained": None if bulk is None else _short(float(np.exp(bulk.disagreement))),
                "caution": test.caution,
                "levels": stated_and_actual(calibration.tail, moved),
            }
        )
    return {"subjects": len(names), "pairs_of_subjects": sample.n_subject_pairs, "halves": halves}


def measure(
    splits: Mapping[str, Split],
    calibration: Calibration,
    cohort: npt.NDArray[np.float16],
    loose: float,
    merges: int,
) -> dict[str, Any]:
    """All measurements.

    Args:
        splits: ``calibration``, ``val``, ``nih_test`` and ``ieee8023``.
        calibration: of the encoder that made them.
        cohort: ``(m, d)`` of training subjects, for the normalisations that are compared.
        loose: cosine similarity from which every pair of films is a candidate.
        merges: how many, over the shares of leaked subjects up to 30 %.
    """
    test = splits["nih_test"]
    names, codes = np.unique(test.subjects, return_inverse=True)

    def outcomes(share: float, count: int, known: Calibration, declared: bool = False) -> list[Outcome]:
        return [decide(test, deal(codes, share, seed), known, loose, declared, seed) for seed in range(count)]

    each = max(1, merges // (len(LEAKED) - 1))
    shares = [(s, each if s < 1 else min(each, _MOST_OF_ALL)) for s in LEAKED]
    out: dict[str, Any] = {
        "floor": _short(calibration.tail.floor),
        "merges": {f"{s:g}": summed_up(outcomes(s, n, calibration), len(names)) for s, n in shares},
        "merges_declared": {
            f"{s:g}": summed_up(outcomes(s, -(-n // 2), calibration, True), len(names)) for s, n in shares
        },
        "stated": {name: stated(splits[name], calibration, loose) for name in ("nih_test", "ieee8023")},
    }
    several = splits["calibration"].with_(splits["val"])
    fitted = splits["calibration"], splits["val"]
    steps: dict[str, Any] = {}
    for name, rule in RULES.items():
        with decided_by(rule):
            known = calibration if name == "cosine" else _fitted(calibration.encoder, cohort, TOP, *fitted)
            rows = {f"{s:g}": summed_up(outcomes(s, _FEW, known), len(names)) for s in _POWER}
        steps[name] = {
            "tar": {
                where: tar(split, Rule(name, cohort.astype(np.float32), TOP))
                for where, split in (
                    ("calibration_val", several),
                    ("nih_test", test),
                    ("ieee8023", splits["ieee8023"]),
                )
            },
            "merges": {share: _brief(row) for share, row in rows.items()},
        }
    return out | {
        "power": steps,
        "fusion": {
            "calibration_val": fusion(several, calibration),
            "nih_test": fusion(test, calibration),
        },
    }


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: row[k] for k in ("open_units_on_each_side", "pairs_called", "false_pairs_called", "recall")}


def _fitted(
    encoder: str, cohort: npt.NDArray[np.float16], top: int, calibration: Split, val: Split
) -> Calibration:
    """Fitted as shipping an encoder does."""
    return fit.fit_calibration(
        encoder,
        "NIH ChestX-ray14, calibration split",
        cohort,
        top,
        calibration.prints,
        calibration.subjects,
        val.prints,
        val.subjects,
    )


def _range(values: Sequence[float]) -> list[float]:
    return [_short(v) for v in (float(np.mean(values)), min(values), max(values))] if values else []


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def main() -> None:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with cxr/")
    parser.add_argument(
        "--encoder", help="name of an encoder for chest radiographs (default: the shipped one)"
    )
    parser.add_argument("--merges", type=int, default=200, help="with 0, 1, 5 and 30 %% of subjects leaked")
    arguments = parser.parse_args()
    entry = card_for("chest_radiograph", arguments.encoder)
    if entry is None:
        parser.error("there is no encoder for chest radiographs")
    card, folder = entry
    encoder = TorchEncoder(card, folder)

    def load(dataset: str, split: str, one_each: int = 0) -> Split:
        pack = pack_manifest(arguments.data / "cxr" / dataset / "manifest.csv", {split}, card.side)
        chosen = np.arange(len(pack.subjects))
        if one_each:
            _, first = np.unique(pack.subjects, return_index=True)
            chosen = np.random.default_rng(0).permutation(first)[:one_each]
        return Split(encode_pack(encoder, pack.films[chosen])[0], pack.subjects[chosen])

    splits = {
        "calibration": load("nih", "calibration"),
        "val": load("nih", "val"),
        "nih_test": load("nih", "test"),
        "ieee8023": load("ieee8023", "eval_only"),
    }
    train = load("nih", "train", fit.COHORT)
    cohort = fit.choose_cohort(train.prints, train.subjects)
    if (folder / FILE).is_file():
        calibration = read_calibration(folder / FILE, [card.encoder])
    else:
        calibration = _fitted(card.encoder, cohort[:0], 0, splits["calibration"], splits["val"])
    loose = score_at(card.impostors, LOOSE_FMR)
    print(
        json.dumps(
            {"encoder": card.encoder, **measure(splits, calibration, cohort, loose, arguments.merges)},
            indent=1,
        )
    )


if __name__ == "__main__":
    main()

"""Decisions on more people than there are: ``python -m leakscan.research.made_up_merges DATA``.

Fingerprints are drawn from the statistics of real ones (``made_up_prints.py``), which are printed beside
those of the drawn ones. Then the run's own code decides. Everybody has one film a side; copies are neither
planted nor found. What a detail match of two films would find is drawn from real pairs that are about as
alike (``made_up_details.py``); ``--no-details`` decides by fingerprints alone. Prints JSON.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import typer

from leakscan import tables
from leakscan.cli.output import Output
from leakscan.errors import UsageError
from leakscan.fingerprint.pipeline import Dataset
from leakscan.research.command import DataArgument, EncoderOption, run_command
from leakscan.research.film_splits import short
from leakscan.research.labelled_films import KnownDetails, LabelledFilms, read_films
from leakscan.research.made_up_details import DrawnMatches, RealMatches
from leakscan.research.made_up_prints import GENUINE, LEVELS, PrintStatistics, real_scores
from leakscan.research.merge_decisions import KnownPairs, shared_estimate
from leakscan.run.context import RunContext, TimeBudget
from leakscan.run.memory import PairMemory
from leakscan.run.reported import decide_and_report
from leakscan.run.result import Result
from leakscan.settings import Settings
from leakscan.types import ImageRef, Silent

_CACHE = Path("~/.cache/leakscan-measure")
_ROWS = 1_000  # compared with everybody at once
_SEARCHED_WHOLE = 20_000  # people a side up to which every pair is searched
_FALSE = 0.015  # the share of false ones that the best threshold may make
_REAL = 4_000  # pairs of strangers whose details are matched
_OF_ONE = 10  # pairs of films of one person, at most
_SOURCES = ("nih/manifest.csv?split=val", "nih/manifest.csv?split=calibration")


@dataclass(frozen=True, kw_only=True)
class MadeUpMerge:
    """Which people stand on two sides.

    Attributes:
        subjects: The people on each side.
        shared: Those on both sides, with another film on each.
        declared: Whether both sides name their subjects.
        seed: The seed of all draws.
    """

    subjects: int
    shared: int
    declared: bool
    seed: int = 0

    def sides(self, statistics: PrintStatistics) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The fingerprints of both sides; the first ``shared`` rows of both are the same people."""
        first, second = statistics.draw(2, 2 * self.subjects - self.shared, self.seed)
        return first[: self.subjects], np.concatenate([second[: self.shared], second[self.subjects :]])


def side_of(
    name: str, prints: npt.NDArray[np.float32], encoder: str, declared: bool, details: bool = False
) -> Dataset:
    """A dataset of one film for everybody, of which only fingerprints are at hand.

    Args:
        name: The name of the dataset; films are called by it and their row.
        prints: ``(n, d)`` fingerprints.
        encoder: The encoder that they are said to come from.
        declared: Whether everybody has a name.
        details: Whether to say that there are files, so that a memory is asked for detail matches.

    Example:
        >>> ward = side_of("ward", np.eye(2, dtype=np.float32), "made-up@1", declared=True)
        >>> ward.rows["subject"].to_pylist()
        ['ward-0', 'ward-1']
    """
    n, dim = prints.shape
    ids = [f"{name}-{i}" for i in range(n)]
    hashes = np.random.default_rng((len(name), ord(name[-1]))).integers(0, 2**63, n * tables.ORIENTATIONS)
    offsets = pa.array(np.arange(n + 1) * dim, pa.int32())
    values = {
        "image_id": ids,
        "path": ids,
        "format": ["png"] * n,
        "kind": ["chest_radiograph"] * n,
        "file_hash": ids,
        "pixel_hash": ids,
        "subject": ids if declared else [None] * n,
        "status": ["ok"] * n,
        "encoder": [encoder] * n,
        "fingerprint": pa.ListArray.from_arrays(offsets, pa.array(prints.astype(np.float16).ravel())),
        "phash": pa.FixedSizeListArray.from_arrays(pa.array(hashes.astype(np.uint64)), tables.ORIENTATIONS),
    }
    columns = [
        pa.array(values[f.name], f.type) if f.name in values else pa.nulls(n, f.type) for f in tables.STORE
    ]
    refs = {i: ImageRef(image_id=i, path=i, format="png", files=()) for i in ids} if details else {}
    return Dataset(name, pa.Table.from_arrays(columns, schema=tables.STORE), refs, {}, "simulated")


def figures(merge: MadeUpMerge, result: Result) -> dict[str, Any]:
    """What was decided, held against who is who.

    Args:
        merge: The merge.
        result: What ``compare`` returned of its two sides.
    """
    listed: dict[str, set[tuple[int, int]]] = {"leak": set(), "review": set()}
    columns = ("decision", "image_a", "image_b")
    for decision, a, b in zip(*(result.pairs[c].to_pylist() for c in columns), strict=True):
        listed[decision].add((int(a.rpartition("-")[2]), int(b.rpartition("-")[2])))
    true = {(i, i) for i in range(merge.shared)}
    leaks = listed["leak"]
    comparison = result.summary["comparisons"][0]
    return {
        **asdict(merge),
        "called": len(leaks),
        "false": len(leaks - true),
        "share_false": short(len(leaks - true) / max(len(leaks), 1)),
        "recall": short(len(leaks & true) / max(merge.shared, 1)),
        "recall_leak_or_review": short(len((leaks | listed["review"]) & true) / max(merge.shared, 1)),
        "for_review": len(listed["review"]),
        "exit_code": result.exit_code,
        "estimate": shared_estimate(comparison),
        "cautions": [t["caution"] for t in comparison["thresholds"].values() if t["caution"]],
        "match_seconds": result.summary["timings"]["match_s"],
    }


def reachable(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], shared: int, false_share: float) -> int:
    """How many shared people the best threshold on the similarity finds: more than any honest decision could.

    Args:
        a: ``(n, d)`` fingerprints of one side.
        b: ``(m, d)`` those of the other; the first ``shared`` rows of both are the same people.
        shared: How many people stand on both sides.
        false_share: The share of false ones among those found that is allowed.

    Example:
        >>> one = np.eye(3, dtype=np.float32)
        >>> reachable(one[:2], one, shared=2, false_share=0.015)
        2
    """
    if not shared:
        return 0
    highest = [np.full(1, -2.0)]
    for start in range(0, len(a), _ROWS):
        cosine = a[start : start + _ROWS] @ b.T
        rows = np.arange(start, min(start + _ROWS, shared))
        cosine[rows - start, rows] = -2.0
        flat = cosine.ravel()
        highest.append(np.partition(flat, -min(shared, len(flat)))[-min(shared, len(flat)) :])
    strangers = np.sort(np.concatenate(highest))[::-1]
    same = np.sort((a[:shared] * b[:shared]).sum(axis=1))
    best = 0
    for false, at in enumerate(strangers[: shared + 1].tolist()):
        found = shared - int(np.searchsorted(same, at, "right"))
        if false <= false_share * (found + false):
            best = max(best, found)
    return best


def _statistics(films: LabelledFilms) -> tuple[PrintStatistics, dict[str, Any]]:
    """What is drawn from, and how its scores lie beside real ones."""
    prints = _prints(films)
    found = PrintStatistics.of(prints, films.codes)
    real, drawn = real_scores(prints, films.codes), found.scores(seed=1)
    names: Sequence[tuple[str, Sequence[float]]] = (("strangers", LEVELS), ("repeated", GENUINE))
    return found, {
        name: {f"{at:g}": [short(float(r)), short(float(d))] for at, r, d in zip(places, *both, strict=True)}
        for (name, places), *both in zip(names, real, drawn, strict=True)
    }


def _prints(films: LabelledFilms) -> npt.NDArray[np.float64]:
    stored = films.rows["fingerprint"].combine_chunks()
    flat = stored.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat.reshape(len(stored), -1), np.float64)


def _real_matches(films: LabelledFilms, context: RunContext, encoder: str) -> tuple[RealMatches, RealMatches]:
    """Real pairs of strangers, the most alike ones, and of one person, with what their details came to."""
    matcher = context.models.matchers[encoder]
    details = KnownDetails(films, matcher, _CACHE.expanduser())
    names = films.rows["pixel_hash"].to_pylist()
    place = {name: at for at, name in enumerate(names)}
    memory = KnownPairs(_CACHE.expanduser() / "pairs.sqlite3", place, details, matcher)
    prints = _prints(films)
    out = []
    for pairs in (_strangers(prints, films.codes), _same(films.codes)):
        found = memory.detail_matches(matcher.digest, [(names[i], names[j]) for i, j in pairs.tolist()])
        score = (prints[pairs[:, 0]] * prints[pairs[:, 1]]).sum(axis=1)
        match = np.array([found[names[i], names[j]] for i, j in pairs.tolist()])
        out.append(RealMatches.of(score, match))
    memory.save()
    return out[0], out[1]


def _strangers(prints: npt.NDArray[np.float64], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``(n, 2)`` the most alike pairs of films of different people, one film of each."""
    order = np.random.default_rng(0).permutation(len(codes))
    one = np.sort(order[np.unique(codes[order], return_index=True)[1]])
    i, j = np.triu_indices(len(one), 1)
    best = np.argsort(-(prints[one] @ prints[one].T)[i, j], kind="stable")[:_REAL]
    return np.stack([one[i[best]], one[j[best]]], axis=1).astype(np.int64)


def _same(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """``(n, 2)`` pairs of films of one person, of everybody a few."""
    rng, out = np.random.default_rng(0), []
    for code in np.flatnonzero(np.bincount(codes) > 1).tolist():
        own = np.flatnonzero(codes == code)
        i, j = np.triu_indices(len(own), 1)
        few = rng.permutation(len(i))[:_OF_ONE]
        out.append(np.stack([own[i[few]], own[j[few]]], axis=1))
    return np.concatenate(out).astype(np.int64)


def made_up_merges(
    data: DataArgument,
    subjects: Annotated[int, typer.Option("--subjects", help="People on each side.", min=2)] = 10_000,
    shared: Annotated[int, typer.Option("--shared", help="People on both sides.", min=0)] = 300,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all draws.", min=0)] = 0,
    details: Annotated[
        bool, typer.Option("--details/--no-details", help="Draw detail matches as well.")
    ] = True,
    encoder: EncoderOption = None,
) -> None:
    """Draw fingerprints, have undeclared and declared sides decided, and print JSON.

    Example: python -m leakscan.research.made_up_merges DATA --subjects 100000 --shared 2000
    """
    if shared > subjects:
        raise UsageError(f"Of {subjects} people on a side no {shared} can stand on both.")
    context = RunContext.open(Settings.of(cache=_CACHE.expanduser(), encoder=encoder, workers=0))
    films = read_films([[str(data / "cxr" / source) for source in _SOURCES]], context)
    began = time.monotonic()
    statistics, beside = _statistics(films)
    out: dict[str, Any] = {
        "real_and_drawn": beside,
        "fit_seconds": short(time.monotonic() - began),
        "merges": [],
    }
    name = context.models.encoders["chest_radiograph"].card.encoder
    real = _real_matches(films, context, name) if details else None
    for declared in (False, True):
        merge = MadeUpMerge(subjects=subjects, shared=shared, declared=declared, seed=seed)
        out["merges"].append(_measured(merge, statistics, name, context, real))
    Output(as_json=True).data(out)


def _measured(
    merge: MadeUpMerge,
    statistics: PrintStatistics,
    encoder: str,
    context: RunContext,
    real: tuple[RealMatches, RealMatches] | None,
) -> Mapping[str, Any]:
    a, b = merge.sides(statistics)
    sides = [side_of(n, p, encoder, merge.declared, real is not None) for n, p in (("a", a), ("b", b))]
    memory: PairMemory = KnownPairs(None, {}, None, None)
    if real is not None:
        memory = DrawnMatches({"a": a, "b": b}, merge.shared, *real)
    began = time.monotonic()
    fresh = replace(context, memory=memory, budget=TimeBudget(1e9), progress=Silent())
    result = decide_and_report(sides, fresh, None)
    most = reachable(a, b, merge.shared, _FALSE) if merge.subjects <= _SEARCHED_WHOLE else None
    return {
        **figures(merge, result),
        "at_most_by_any_threshold": most,
        "seconds": short(time.monotonic() - began),
        "peak_gib": short(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20),
    }


if __name__ == "__main__":
    run_command(made_up_merges)

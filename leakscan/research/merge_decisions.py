"""One simulated merge, decided by the same code that ``compare`` runs after it has read its stores.

What a run would compute from pixels is answered without them: detail matches come from details that were
made once, and copy checks from what was planted. Every other part of a run is the run's own: the search,
the scores, the tests, the estimate, the summary and the exit code.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leakscan import tables
from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.decide.persons.film_details import DetailMatcher
from leakscan.fingerprint.pipeline import Dataset
from leakscan.research.labelled_films import KnownDetails, LabelledFilms, read_films
from leakscan.research.merge_deals import Deal, MergeKind, deal
from leakscan.run.context import RunContext, TimeBudget, Timings
from leakscan.run.memory import Pair, PairMemory
from leakscan.run.reported import decide_and_report
from leakscan.run.result import Result
from leakscan.settings import Settings
from leakscan.types import Progress, Silent

Ints = npt.NDArray[np.int64]

_ALTERED = "-altered"  # what the pixel hash of an altered copy ends in
_ALTERED_APART = 0.1  # the tangent between the fingerprints of a film and its altered copy
_A_COPY = CopyCheck(True, 0.99, 200, "crop", 0.95)
_SECONDS = 1e9  # a simulated run is never short of time


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the decisions on one merge came to, in codes of people.

    Attributes:
        kind: The name of the kind of merge.
        seed: The seed it was dealt by.
        subjects: The people on each side.
        films: The films on each side.
        shared: The people who stand on both sides by different films.
        copied: The people who stand on both sides by copies.
        leaks: Distinct pairs (person of A, person of B, stated probability) called leaks because they look
            like one person; the probability is ``None`` where none was stated.
        review: The same of pairs that wait for review and are no leak.
        stated: The stated probability of every two subjects as the run knows them (undeclared: two pictures)
            that are no copies, and whether they are one person.
        copies_found: The people whose copies were called leaks.
        exit_code: The exit code of the run.
        estimate: The stated number of shared subjects with its interval, ``None`` where none was stated.
        caution: Why no score decided, empty where it did.
        seconds: The time that deciding took.
    """

    kind: str
    seed: int
    subjects: tuple[int, int]
    films: tuple[int, int]
    shared: list[int]
    copied: list[int]
    leaks: list[tuple[int, int, float | None]]
    review: list[tuple[int, int, float | None]]
    stated: list[tuple[float, bool]]
    copies_found: list[int]
    exit_code: int
    estimate: tuple[float, float, float] | None
    caution: str
    seconds: float

    def as_row(self) -> dict[str, Any]:
        """The outcome as JSON has it."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Outcome:
        """The outcome that :meth:`as_row` made a row of."""
        pairs = {name: [tuple(pair) for pair in row[name]] for name in ("leaks", "review", "stated")}
        triple = None if row["estimate"] is None else tuple(row["estimate"])
        sides = {name: tuple(row[name]) for name in ("subjects", "films")}
        return cls(**{**row, **pairs, **sides, "estimate": triple})


class KnownPairs(PairMemory):
    """A memory that knows what would be found of every pair of films.

    Args:
        path: The file that keeps detail matches from merge to merge; ``None`` keeps them in this process.
        place: The place of each film's detail by its pixel hash.
        details: The details of the films; ``None`` where the encoder has none.
        matcher: Matches them.
    """

    def __init__(
        self,
        path: Path | None,
        place: Mapping[str, int],
        details: KnownDetails | None,
        matcher: DetailMatcher | None,
    ) -> None:
        super().__init__(path)
        self._place, self._details, self._matcher = place, details, matcher

    def copy_checks(self, pairs: Sequence[Pair]) -> Mapping[Pair, CopyCheck]:
        """A planted copy is one, and no other pair is."""
        return {pair: _A_COPY if _are_copies(*pair) else NOT_ALIGNED for pair in pairs}

    def detail_matches(self, matcher: str, pairs: Sequence[Pair]) -> Mapping[Pair, float]:
        """What is remembered, and what the details say of all other pairs."""
        if self._details is None or self._matcher is None or matcher != self._matcher.digest:
            return super().detail_matches(matcher, pairs)
        plain = [_plain(pair) for pair in pairs]
        known = dict(super().detail_matches(matcher, plain))
        fresh = [pair for pair in dict.fromkeys(plain) if pair not in known]
        if fresh:
            a, b = (
                self._details.of([self._place[name] for name in side]) for side in zip(*fresh, strict=True)
            )
            found = dict(zip(fresh, self._matcher.compare(a, b).tolist(), strict=True))
            self.keep_detail_matches(matcher, [(*pair, value) for pair, value in found.items()])
            known |= found
        return {pair: known[own] for pair, own in zip(pairs, plain, strict=True)}


def _plain(pair: Pair) -> Pair:
    """The films behind two pictures, in one order whichever dataset was named first."""
    a, b = sorted(name.removesuffix(_ALTERED) for name in pair)
    return a, b


def _are_copies(a: str, b: str) -> bool:
    return a.removesuffix(_ALTERED) == b.removesuffix(_ALTERED)


@dataclass(frozen=True)
class MergeLab:
    """Deals merges from known films and has them decided.

    Attributes:
        films: The films.
        context: The models and settings; each merge gets its own clock.
    """

    films: LabelledFilms
    context: RunContext

    @classmethod
    def open(
        cls, groups: Sequence[Sequence[str]], settings: Settings, progress: Progress | None = None
    ) -> MergeLab:
        """Reads the films and their details, or takes them from the cache of the settings.

        Args:
            groups: Selections of films, as :func:`~leakscan.research.labelled_films.read_films` has them.
            settings: The choices; the cache keeps stores, details and detail matches.
            progress: Receives how far the work is.

        Raises:
            LeakscanError: A model or a manifest cannot be used.

        Example::

            lab = MergeLab.open([["cxr/nih/manifest.csv?split=val"]], Settings.of(cache=cache))
            lab.decide(MergeKind(subjects=150, shared=15), seed=0).leaks
        """
        context = RunContext.open(settings, progress)
        films = read_films(groups, context)
        hashes = films.rows["pixel_hash"].to_pylist()
        matcher = context.models.matchers.get(_encoder(films))
        details = None
        if matcher is not None:
            details = KnownDetails(films, matcher, settings.limits.cache)
        place = {name: at for at, name in enumerate(hashes)}
        memory = KnownPairs(settings.limits.cache / "pairs.sqlite3", place, details, matcher)
        return cls(films, replace(context, memory=memory, progress=Silent()))

    def decide(self, kind: MergeKind, seed: int) -> Outcome:
        """Deals one merge and has it decided.

        Args:
            kind: The kind of merge.
            seed: The seed of all draws.
        """
        dealt = deal(kind, self.films.codes, self.films.groups, seed)
        began = time.monotonic()
        result = self.result(kind, dealt, seed)
        return self._outcome(kind, seed, dealt, result, time.monotonic() - began)

    def result(self, kind: MergeKind, dealt: Deal, seed: int) -> Result:
        """What ``compare`` returns for two sides."""
        context = replace(self.context, budget=TimeBudget(_SECONDS), timings=Timings())
        a = self._side("a", dealt.a, kind.declared, np.zeros(len(dealt.a), np.bool_), seed)
        changed = np.zeros(len(dealt.b), np.bool_)
        changed[dealt.copied[dealt.altered, 1]] = True
        b = self._side("b", dealt.b, kind.declared, changed, seed + 1)
        return decide_and_report([a, b], context, None)

    def _side(
        self, name: str, films: Ints, declared: bool, altered: npt.NDArray[np.bool_], seed: int
    ) -> Dataset:
        """One side: the stored rows of its films under new names."""
        rows = self.films.rows.take(pa.array(films))
        ids = [f"{name}{i}" for i in range(len(films))]
        hashes = [
            own + _ALTERED if other else own
            for own, other in zip(rows["pixel_hash"].to_pylist(), altered.tolist(), strict=True)
        ]
        nobody = [None] * len(films)
        new: dict[str, list[Any]] = {
            "image_id": ids,
            "path": [f"{i}.png" for i in ids],
            "pixel_hash": hashes,
            "file_hash": [f"{name} {own}" for own in hashes],  # copies were saved anew
            "subject": self._new_names(films, name, seed) if declared else nobody,
            "study_uid_hash": nobody,
            "acquired": nobody,
            "split": nobody,
            "fingerprint": list(_moved(rows["fingerprint"], altered, seed)),
        }
        for column, values in new.items():
            at = tables.STORE.get_field_index(column)
            rows = rows.set_column(at, tables.STORE.field(at), pa.array(values, tables.STORE.field(at).type))
        refs = {i: self.films.refs[film] for i, film in zip(ids, films.tolist(), strict=True)}
        return Dataset(name, rows, refs, {}, "simulated")

    def _new_names(self, films: Ints, name: str, seed: int) -> list[str]:
        """Names that say which films of one side are of one person, and nothing about the other side."""
        _, own = np.unique(self.films.codes[films], return_inverse=True)
        number = np.random.default_rng((seed, len(films))).permutation(int(own.max()) + 1)
        return [f"{name}{n}" for n in number[own].tolist()]

    def _outcome(self, kind: MergeKind, seed: int, dealt: Deal, result: Result, seconds: float) -> Outcome:
        """What a run says, held against who is who."""
        codes = self.films.codes
        own, other = codes[dealt.a], codes[dealt.b]
        leaks: dict[tuple[int, int], float | None] = {}
        review: dict[tuple[int, int], float | None] = {}
        stated: dict[tuple[Any, Any], tuple[float, bool]] = {}
        copies: set[int] = set()
        for row in _listed(result.pairs):
            pair = int(own[int(row["image_a"][1:])]), int(other[int(row["image_b"][1:])])
            if row["relation"] == "same_subject":
                listed = leaks if row["decision"] == "leak" else review
                listed[pair] = _larger(listed.get(pair), row.get("probability"))
                if row.get("probability") is not None:
                    two = pair if kind.declared else (row["image_a"], row["image_b"])
                    stated[two] = float(row["probability"]), pair[0] == pair[1]
            elif row["decision"] == "leak":
                copies.add(pair[1])
        comparison = result.summary["comparisons"][0]
        cautions = [t["caution"] for t in comparison["thresholds"].values() if t["caution"]]
        return Outcome(
            kind=kind.name,
            seed=seed,
            subjects=(len(np.unique(own)), len(np.unique(other))),
            films=(len(own), len(other)),
            shared=dealt.shared.tolist(),
            copied=np.unique(own[dealt.copied[:, 0]]).tolist(),
            leaks=[(*pair, known) for pair, known in leaks.items()],
            review=[(*pair, known) for pair, known in review.items() if pair not in leaks],
            stated=list(stated.values()),
            copies_found=sorted(copies),
            exit_code=result.exit_code,
            estimate=shared_estimate(comparison),
            caution=cautions[0] if cautions else "",
            seconds=round(seconds, 3),
        )


def _listed(pairs: pa.Table) -> Iterator[dict[str, Any]]:
    """The columns of the pairs that count here."""
    wanted = ("image_a", "image_b", "relation", "decision", "probability")
    yield from pairs.select([name for name in wanted if name in pairs.column_names]).to_pylist()


def _larger(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else max(one, other)


def shared_estimate(comparison: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """The stated number of shared subjects, with its interval."""
    found = comparison.get("shared_subjects")
    return None if found is None else (found["estimate"], found["low"], found["high"])


def _moved(prints: pa.ChunkedArray, altered: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.float16]:
    """Fingerprints ``(n, d)``; those of altered copies lie a little off."""
    flat = prints.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    out = flat.reshape(len(prints), -1).astype(np.float32)
    noise = np.random.default_rng((seed, len(out))).normal(size=(int(altered.sum()), out.shape[1]))
    noise *= _ALTERED_APART / np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1e-12)
    moved = out[altered] + noise
    out[altered] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(out, np.float16)


def _encoder(films: LabelledFilms) -> str:
    """The encoder that most films were fingerprinted with."""
    names, counts = np.unique(films.rows["encoder"].to_pylist(), return_counts=True)
    return str(names[counts.argmax()])

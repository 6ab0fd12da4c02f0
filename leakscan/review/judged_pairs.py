"""The pairs of a run as verdicts see them: by people and pixels, wherever the files lie."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leakscan.decide.comparison import Comparison
from leakscan.fingerprint.pipeline import Dataset
from leakscan.review.opinions import Opinion


@dataclass(frozen=True)
class PairEnd:
    """One side of a pair: its dataset, declared subject, identity key and pixels."""

    dataset: str
    subject: str | None
    key: str
    picture: str

    @property
    def person(self) -> tuple[str, str]:
        """The declared subject of the dataset, else the picture."""
        return (self.dataset, self.subject) if self.subject else ("", self.picture)


@dataclass(kw_only=True)
class JudgedPair:
    """One pair of a run, and what people say of it.

    Attributes:
        comparison: The number of the comparison that found it.
        a: Its first side.
        b: Its second side.
        relation: What the two are to each other.
        decision: What is decided after the verdicts.
        found: What the run decided without them.
        verdict: What people say.
        verdict_by: Who says so.
        verdict_at: When the newest of them said so.
        reopened: Why a verdict does not hold any more.
        opinion: The opinion that counts.
    """

    comparison: int
    a: PairEnd
    b: PairEnd
    relation: str
    decision: str
    found: str
    verdict: str | None = None
    verdict_by: str | None = None
    verdict_at: dt.datetime | None = None
    reopened: str | None = None
    opinion: Opinion | None = None

    @property
    def pictures(self) -> set[str]:
        """The pixels of both sides."""
        return {self.a.picture, self.b.picture}


class PeopleOfDatasets:
    """Who is on the pictures of the datasets, and where the pictures are.

    Args:
        datasets: The datasets of a run.

    Example::

        rows = list(PeopleOfDatasets(datasets).rows(0, comparison))
    """

    def __init__(self, datasets: Sequence[Dataset]) -> None:
        self.datasets = {d.name: d for d in datasets}
        self.images: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self._picture: dict[tuple[str, str], str] = {}
        for d in datasets:
            columns = (d.rows[name].to_pylist() for name in ("image_id", "pixel_hash", "status"))
            for row, (name, pixels, status) in enumerate(zip(*columns, strict=True)):
                self._picture[d.name, name] = pixels or ""
                if pixels and status == "ok":  # what a list leaves out is on neither side
                    self.images[pixels].append((d.name, row))

    def rows(self, number: int, comparison: Comparison) -> Iterator[JudgedPair]:
        """The pairs of one comparison."""
        names = ("image_a", "image_b", "subject_a", "subject_b", "relation", "decision")
        columns = (comparison.pairs[name].to_pylist() for name in names)
        for image_a, image_b, subject_a, subject_b, relation, decision in zip(*columns, strict=True):
            yield JudgedPair(
                comparison=number,
                a=self._end(comparison.a, image_a, subject_a),
                b=self._end(comparison.b, image_b, subject_b),
                relation=relation,
                decision=decision,
                found=decision,
            )

    def _end(self, dataset: str, image: str, subject: str | None) -> PairEnd:
        key = self.datasets[dataset].key_id
        return PairEnd(dataset, subject, key, self._picture.get((dataset, image), ""))

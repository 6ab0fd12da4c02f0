"""What verdicts make of the pairs of a new run: cleared, leaks, or open again because something is new."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from leakscan import tables
from leakscan.decide.comparison import Comparison
from leakscan.decide.found import FOUND
from leakscan.decide.order import most_probable_first
from leakscan.fingerprint.pipeline import Dataset
from leakscan.review.judged_pairs import JudgedPair, PairEnd, PeopleOfDatasets
from leakscan.review.judged_people import judged_people
from leakscan.review.opinions import Opinion, is_over, newest_of_each, opinions
from leakscan.review.verdicts import About, Verdict
from leakscan.types import RELATIONS

_NARROW = ("pair", "subjects", "subject", "datasets")
_SAID = ("decision", "verdict", "verdict_by", "verdict_at", "reopened")


@dataclass(frozen=True)
class Judged:
    """The pairs of a run after the verdicts.

    Attributes:
        comparisons: What every two datasets came to, with decisions as people gave them.
        facts: Counts for the summary: ``verdicts`` (all that were ever given), ``standing`` (things that
            somebody has an opinion on), ``cleared``, ``accepted``, ``made_leaks`` and ``disputed`` (pairs),
            ``reopened`` (pairs), ``stale`` (opinions that no pair of this run is about), ``ended``
            (verdicts whose last day is over); ``people``: ``accepted``, ``different``, ``same``,
            ``disputed`` and ``reopened`` in pairs of people.
    """

    comparisons: tuple[Comparison, ...]
    facts: dict[str, Any]


def judge(
    comparisons: Sequence[Comparison],
    datasets: Sequence[Dataset],
    verdicts: Sequence[Verdict],
    today: dt.date | None = None,
) -> Judged:
    """Applies verdicts to what a run found.

    ``different`` and ``wanted`` clear a pair, ``same`` makes it a leak, also where the run did not find it.
    A cleared pair is open again, and is what the run found, when its relation is stronger than it was at the
    verdict, when a picture joined its group since, or when people disagree. A verdict on a pair goes before
    one on two subjects, that before one on a subject, that before one on two datasets.

    Args:
        comparisons: What every two datasets came to.
        datasets: The datasets.
        verdicts: All verdicts of the file.
        today: The day to judge end dates by; the present one by default.

    Example::

        judged = judge(comparisons, datasets, VerdictFile.open(Path("verdicts.parquet")).read())
        judged.facts["stale"]  # how many opinions this run has no pair for
    """
    today = today or dt.datetime.now(dt.UTC).date()
    standing = opinions(verdicts, today)
    people = PeopleOfDatasets(datasets)
    bench = _Bench(people, standing)
    rows = [row for number, c in enumerate(comparisons) for row in people.rows(number, c)]
    bench.say(rows)
    bench.open_by_groups(rows)
    out = []
    for number, comparison in enumerate(comparisons):
        own = [row for row in rows if row.comparison == number]
        added = list(bench.missed(comparison))
        said = judged_people(own, len(added))
        out.append(replace(comparison, pairs=_table(comparison.pairs, own, added), judged=said))
    counts = Counter(_said(out))
    ended = sum(is_over(v, today) for v in newest_of_each(verdicts).values() if v.verdict != "withdrawn")
    return Judged(
        tuple(out),
        {
            "verdicts": len(verdicts),
            "standing": len(standing),
            "cleared": counts["different", "cleared"],
            "accepted": counts["wanted", "cleared"],
            "made_leaks": counts["same", "leak"],
            "disputed": counts["disputed", "leak"] + counts["disputed", "review"],
            "reopened": sum(len(c.pairs) - c.pairs["reopened"].null_count for c in out),
            "stale": len(standing) - len(bench.met),
            "ended": ended,
            "people": {
                name: sum(getattr(c.judged, name) for c in out)
                for name in ("accepted", "different", "same", "disputed", "reopened")
            },
        },
    )


def _said(comparisons: Sequence[Comparison]) -> Iterator[tuple[str, str]]:
    for c in comparisons:
        yield from zip(c.pairs["verdict"].to_pylist(), c.pairs["decision"].to_pylist(), strict=True)


class _Bench:
    """Opinions, and the pairs that they are about."""

    def __init__(self, people: PeopleOfDatasets, standing: Mapping[About, Opinion]) -> None:
        self.met: set[About] = set()
        self._people = people
        self._standing = standing
        self._by_picture: dict[str, list[About]] = defaultdict(list)
        self._by_person: dict[tuple[str, str], list[About]] = defaultdict(list)
        self._by_datasets: dict[frozenset[str | None], About] = {}
        for about, opinion in standing.items():
            verdict = opinion.verdict
            if verdict.scope == "datasets":
                self._by_datasets[frozenset((verdict.dataset_a, verdict.dataset_b))] = about
            for picture in {*verdict.pictures_a, *verdict.pictures_b}:
                self._by_picture[picture].append(about)
            for person in set(_named(verdict)):
                self._by_person[person].append(about)

    def say(self, rows: Sequence[JudgedPair]) -> None:
        """Puts into every pair what people say of it."""
        joined = {about for row in rows for about in self._grown(row)}
        for row in rows:
            self._say(row, joined)

    def _say(self, row: JudgedPair, joined: set[About]) -> None:
        abouts = sorted(self._on(row), key=lambda about: _NARROW.index(about[0]))
        self.met.update(abouts)
        sure = [about for about in abouts if self._standing[about].word != "unsure"]
        if not abouts:
            return
        about = (sure or abouts)[0]
        opinion = self._standing[about]
        row.opinion, row.verdict = opinion, opinion.word
        row.verdict_by, row.verdict_at = ", ".join(opinion.by), opinion.verdict.at
        if not sure:
            return
        row.reopened = _why_open(row, opinion, about in joined)
        if row.reopened is None:
            row.decision = "leak" if opinion.word == "same" else "cleared"

    def _on(self, row: JudgedPair) -> Iterator[About]:
        """What the opinions that cover a pair are about."""
        near = [about for end in (row.a, row.b) for about in self._by_picture.get(end.picture, ())]
        near += [about for end in (row.a, row.b) for about in self._by_person.get(end.person, ())]
        whole = self._by_datasets.get(frozenset((row.a.dataset, row.b.dataset)))
        for about in dict.fromkeys(near + ([whole] if whole else [])):
            if _covers(self._standing[about].verdict, row.a, row.b):
                yield about

    def _grown(self, row: JudgedPair) -> Iterator[About]:
        """Opinions on the same two declared subjects as a pair that did not know a picture of it."""
        if not (row.a.subject and row.b.subject):
            return  # a picture without a subject is a group of its own
        for about in self._by_person.get(row.a.person, ()):
            verdict = self._standing[about].verdict
            same = verdict.scope in ("pair", "subjects") and verdict.key_id in (None, row.a.key)
            if (
                same
                and set(_named(verdict)) == {row.a.person, row.b.person}
                and _unknown(verdict, row.pictures)
            ):
                yield about

    def open_by_groups(self, rows: Sequence[JudgedPair]) -> None:
        """Opens pairs called different whose two sides newer pictures link to one person by other leaks."""
        import networkx as nx  # a run without verdicts does not wait for it

        graph: nx.Graph[Any] = nx.Graph()
        for row in rows:
            if row.decision == "leak":
                graph.add_edge(row.a.person, row.b.person)
                graph.nodes[row.a.person].setdefault("pictures", set()).add(row.a.picture)
                graph.nodes[row.b.person].setdefault("pictures", set()).add(row.b.picture)
        group = {p: i for i, part in enumerate(nx.connected_components(graph)) for p in part}
        pictures: dict[int, set[str]] = defaultdict(set)
        for person, i in group.items():
            pictures[i] |= graph.nodes[person]["pictures"]
        for row in rows:
            number = group.get(row.a.person)
            if row.decision != "cleared" or row.opinion is None or row.opinion.word != "different":
                continue
            linked = number is not None and number == group.get(row.b.person)
            if linked and _unknown(row.opinion.verdict, pictures[group[row.a.person]]):
                row.decision = row.found
                row.reopened = "newer pictures link the two sides to one person"

    def missed(self, comparison: Comparison) -> Iterator[dict[str, Any]]:
        """Rows for pairs that somebody called the same and the run did not find."""
        for about, opinion in self._standing.items():
            verdict = opinion.verdict
            if opinion.word != "same" or about in self.met:
                continue
            ends = [
                (x, y) if x[0] == comparison.a else (y, x)
                for x in self._images(verdict.pictures_a)
                for y in self._images(verdict.pictures_b)
                if {x[0], y[0]} == {comparison.a, comparison.b}
            ]
            if ends:
                self.met.add(about)
            # One link is enough to join two people.
            for a, b in ends if verdict.scope == "pair" else ends[:1]:
                yield self._row_of(a, b, opinion)

    def _images(self, pictures: Sequence[str]) -> list[tuple[str, int]]:
        return [image for picture in pictures for image in self._people.images.get(picture, ())]

    def _row_of(self, a: tuple[str, int], b: tuple[str, int], opinion: Opinion) -> dict[str, Any]:
        row: dict[str, Any] = {
            "relation": opinion.verdict.relation or "same_subject",
            "decision": "leak",
            "reasons": 0,
            "verdict": opinion.word,
            "verdict_by": ", ".join(opinion.by),
            "verdict_at": opinion.verdict.at,
        }
        for side, (name, at) in (("a", a), ("b", b)):
            own = self._people.datasets[name].rows.slice(at, 1)
            row[f"dataset_{side}"] = name
            for column, of in (("image", "image_id"), ("path", "path"), ("subject", "subject")):
                row[f"{column}_{side}"] = own[of][0].as_py()
        return row


def _named(verdict: Verdict) -> list[tuple[str, str]]:
    """The declared subjects that a verdict names."""
    sides = ((verdict.dataset_a, verdict.subject_a), (verdict.dataset_b, verdict.subject_b))
    return [(dataset or "", subject) for dataset, subject in sides if subject]


def _unknown(verdict: Verdict, pictures: set[str]) -> bool:
    """Whether some pictures were in no group that the verdict knew of."""
    return verdict.members is not None and not pictures <= {*verdict.members, ""}


def _covers(verdict: Verdict, a: PairEnd, b: PairEnd) -> bool:
    """Whether a verdict is about a pair, whichever of its sides comes first."""
    if verdict.scope == "datasets":
        return True  # it was found by the names of the two

    def is_side(end: PairEnd, dataset: str | None, subject: str | None, pictures: tuple[str, ...]) -> bool:
        if end.picture in pictures:
            return True
        if verdict.scope == "pair" or not subject or verdict.key_id not in (None, end.key):
            return False
        return end.subject == subject and dataset in (None, end.dataset)

    def first(end: PairEnd) -> bool:
        return is_side(end, verdict.dataset_a, verdict.subject_a, verdict.pictures_a)

    def second(end: PairEnd) -> bool:
        return is_side(end, verdict.dataset_b, verdict.subject_b, verdict.pictures_b)

    if verdict.scope == "subject":
        return first(a) or first(b)
    return (first(a) and second(b)) or (first(b) and second(a))


def _why_open(row: JudgedPair, opinion: Opinion, joined: bool) -> str | None:
    """Why a verdict does not hold for a pair, ``None`` where it does."""
    if opinion.word == "disputed":
        return f"{' and '.join(opinion.by)} disagree"
    if opinion.word == "same":
        return None
    before, now = (
        next((r for r in RELATIONS if r == name), None) for name in (opinion.verdict.relation, row.relation)
    )
    if before and now and RELATIONS.index(now) < RELATIONS.index(before):
        return f"it was {before} at the verdict and is {now} now"
    if joined and opinion.word == "different":
        return "a picture joined the group after the verdict"
    return None


def _table(pairs: pa.Table, rows: Sequence[JudgedPair], added: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The pairs with what people say of them, leaks first, what is cleared last, the most probable first."""
    for name in _SAID:
        at = pairs.column_names.index(name)
        values = pa.array([getattr(row, name) for row in rows], FOUND.field(name).type)
        pairs = pairs.set_column(at, FOUND.field(name), values)
    return most_probable_first(pa.concat_tables([pairs, tables.from_rows(added, FOUND)]))

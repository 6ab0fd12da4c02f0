"""Who is one person? The whole of it for all datasets of a run: scores, own strangers, detail matches,
decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from leakscan.decide.calibration.calibration import Calibration, score_at
from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.persons.bulk import LocationScale, pooled_bulk, run_bulk
from leakscan.decide.persons.calling import call, keep
from leakscan.decide.persons.detail_matches import (
    DetailMatching,
    FilmSide,
    OwnMatches,
    due,
    match_candidates,
    match_own,
)
from leakscan.decide.persons.evidence import OwnSide, evidence_of
from leakscan.decide.persons.families import Tested, check_promise, family_q
from leakscan.decide.persons.met_strangers import ALONE
from leakscan.decide.persons.own_copies import proven_one
from leakscan.decide.persons.own_strangers import OwnStrangers, own_strangers
from leakscan.decide.persons.repeats import genuine_of_run, repeated_pictures
from leakscan.decide.persons.scores import LOOSE_FMR, DatasetPeople, Scored, score_pairs
from leakscan.decide.persons.subjects import Subjects, subjects_of
from leakscan.decide.persons.tests import PersonTest, summed_up
from leakscan.decide.table import PairTable

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Met:
    """Two datasets that met, and their pairs of pictures, of which copies are settled.

    Attributes:
        a: The number of the first dataset.
        b: The number of the second.
        pair: The two datasets.
        table: Their pairs.
    """

    a: int
    b: int
    pair: DatasetPair
    table: PairTable


class Persons:
    """What the fingerprints and details of one encoder say of the persons in all datasets of a run.

    Args:
        calibration: The calibration of the encoder.
        columns: The datasets.
        context: The settings, models, memory and time of the run.
        one_dataset: Whether the datasets are splits of one, whose people and machines are the same.

    Example::

        persons = Persons(calibration, columns, context, one_dataset=False)
        persons.radius(0, 1)  # the similarity from which every pair is a candidate
        tests = persons.decide(met)  # fills the columns of the tables
    """

    def __init__(
        self, calibration: Calibration, columns: Sequence[Columns], context: RunContext, one_dataset: bool
    ) -> None:
        self.calibration = calibration
        self._columns, self._context, self._one = columns, context, one_dataset
        self._people: dict[int, DatasetPeople] = {
            number: DatasetPeople(c.side, subjects_of(c.side, calibration))
            for number, c in enumerate(columns)
            if (c.side.encoder == calibration.encoder).any()
        }
        self._pooled: tuple[LocationScale | None] | None = None
        self._bulks: dict[tuple[int, int], LocationScale | None] = {}
        self._repeats: dict[int, Floats] = {}

    def __contains__(self, numbers: tuple[int, int]) -> bool:
        return all(number in self._people for number in numbers)

    def subjects(self, number: int) -> Subjects:
        """The subjects of a dataset."""
        return self._people[number].subjects

    def bulk(self, a: int, b: int) -> LocationScale | None:
        """How the scores of two datasets lie against the calibration's; splits of one are taken together."""
        if self._one:
            if self._pooled is None:
                self._pooled = (pooled_bulk([p.subjects for p in self._people.values()], self.calibration),)
            if self._pooled[0] is not None:
                return self._pooled[0]
        if (a, b) not in self._bulks:
            self._bulks[a, b] = run_bulk(self.subjects(a), self.subjects(b), self.calibration)
        return self._bulks[a, b]

    def radius(self, a: int, b: int) -> float:
        """The cosine similarity from which every pair of pictures of two datasets is a candidate.

        It is where strangers of the run, and not those of the calibration, reach the rate ``LOOSE_FMR``.
        Where scores are normalised, the encoder's card says so, as for images like those it was made from.
        """
        card = score_at(self._context.models.cards[self.calibration.encoder].impostors, LOOSE_FMR)
        bulk = self.bulk(a, b)
        if self.calibration.top or bulk is None:
            return card
        return float(bulk.location + bulk.scale * self.calibration.tail.score_at(LOOSE_FMR))

    def decide(self, met: Sequence[Met]) -> dict[tuple[int, int], PersonTest]:
        """Decides about all pairs of pictures whether they show one person.

        Fills the columns ``detail``, ``person_score``, ``p_value``, ``q_value``, ``probability``,
        ``person_leak``, ``person_review`` and ``detail_gain`` of the tables.

        Args:
            met: Every two datasets that met.

        Returns:
            What the comparison came to, by the numbers of the two datasets.
        """
        met = [two for two in met if (two.a, two.b) in self]
        scored = [
            score_pairs(
                self._people[two.a], self._people[two.b], two.table, self.calibration, self.bulk(two.a, two.b)
            )
            for two in met
        ]
        own = self._matched(met, scored)
        evidence = [
            evidence_of(one, two.table.detail[one.at], self._strangers_of(two, own))
            for two, one in zip(met, scored, strict=True)
        ]
        tested = [
            Tested(a=two.a, b=two.b, code_a=one.code_a, code_b=one.code_b, p=seen.p, open=~one.settled)
            for two, one, seen in zip(met, scored, evidence, strict=True)
        ]
        subjects = {number: len(people.subjects) for number, people in self._people.items()}
        q = family_q(tested, subjects)
        out = {}
        for two, one, seen, pairs, q_values in zip(met, scored, evidence, tested, q, strict=True):
            ends = self._people if self._one else (two.a, two.b)
            repeats = [self._people[n] for n in ends], [self._repeats[n] for n in ends]
            by_p = genuine_of_run(one, seen.rates, *repeats)
            genuine = by_p, by_p if seen.plain is seen.p else genuine_of_run(one, seen.rates.plain, *repeats)
            called = call(one, seen, q_values, genuine, self._context.settings.deciding.fdr)
            keep(called, one, seen, q_values, two.table)
            if len(met) == 1:
                check_promise(pairs, called.leak, (len(one.a), len(one.b)), called.fdr)
            out[two.a, two.b] = summed_up(one, seen, called)
        return out

    def _matched(self, met: Sequence[Met], scored: Sequence[Scored]) -> dict[int, OwnSide]:
        """Own strangers of every dataset with declared subjects, and all detail matches."""
        encoder = self.calibration.encoder
        matcher = self._context.models.matchers.get(encoder)
        matching = None
        if matcher is not None and self.calibration.matches_details:
            matching = DetailMatching(matcher, encoder, self._context)
        out = {}
        for number, people in self._people.items():
            columns = self._columns[number]
            ranked = matching is not None and matching.can_match(columns)
            unnamed = self._is_counted_unnamed(number, met)
            found = own_strangers(people.subjects, self.calibration, ranked, self._context.engine, unnamed)
            if found is not None:
                found = proven_one(columns, people.subjects, found, self._context)
                matches = None
                if matching is not None:
                    matches = self._own_matches(number, found, met, scored, matching)
                out[number] = OwnSide(people.subjects, found, matches, named=not unnamed)
            first, second, _ = repeated_pictures(people)
            self._repeats[number] = (
                np.full(len(first), np.nan)
                if matching is None
                else matching.of(columns, columns, first, second, 0.2)
            )
        if matching is not None:
            for two, one in zip(met, scored, strict=True):
                match_candidates(two.pair, two.table, one, matching)
        return out

    def _is_counted_unnamed(self, number: int, met: Sequence[Met]) -> bool:
        """Whether pairs inside a dataset that declares nobody say how often strangers are very alike: where
        the run itself decides on that, and the dataset was not compared with itself.
        """
        ends = {end for two in met if number in (two.a, two.b) for end in (two.a, two.b)}
        large = all(len(self._people[end].subjects) >= ALONE for end in ends)
        return not self._one and large and not any(self._people[end].subjects.declared for end in ends)

    def _own_matches(
        self,
        number: int,
        own: OwnStrangers,
        met: Sequence[Met],
        scored: Sequence[Scored],
        matching: DetailMatching,
    ) -> OwnMatches | None:
        """Detail matches of the own strangers of a dataset, as many as it has candidates in its largest
        meeting.
        """
        due_here, high = 0, None
        for two, one in zip(met, scored, strict=True):
            if number in (two.a, two.b):
                sides = (FilmSide.of(side, matching.digest) for side in (two.pair.a, two.pair.b))
                rows = due(one, two.table, *sides)
                if len(rows) > due_here or high is None:
                    due_here = max(due_here, len(rows))
                    high = self.calibration.tail.p_value(one.mapped(own.score)) <= self.calibration.detail_p
        if high is None or not due_here:
            return None
        people = self._people[number].subjects
        return match_own(self._columns[number], people, own, own.chosen(high)[:due_here], matching)

    def _strangers_of(self, two: Met, own: Mapping[int, OwnSide]) -> list[OwnSide]:
        """The own strangers that stand for those of two datasets."""
        numbers = own if self._one else (two.a, two.b)
        return [own[number] for number in numbers if number in own]

"""What came of two datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from leakscan.decide.persons.declared import Doubt
from leakscan.decide.persons.tests import PersonTest
from leakscan.decide.slices import SlicesSought
from leakscan.match.index import Reach


@dataclass(frozen=True, kw_only=True)
class JudgedPeople:
    """What people said of two datasets, in pairs of people.

    Attributes:
        accepted: Pairs of people whose overlap is wanted.
        different: Pairs that were cleared as different people.
        same: Pairs that somebody called one person, and that are leaks.
        disputed: Pairs of which people say different things.
        reopened: Pairs that were cleared once and are open again.
        copies_accepted: People of the second dataset whom copies link, all of them wanted.
        copies_different: People of the second dataset whom copies link, all called different.
        reviews_judged: Pairs of the review list that a verdict decided.
    """

    accepted: int = 0
    different: int = 0
    same: int = 0
    disputed: int = 0
    reopened: int = 0
    copies_accepted: int = 0
    copies_different: int = 0
    reviews_judged: int = 0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came of two datasets.

    Attributes:
        a: The name of the first dataset.
        b: The name of the second.
        pairs: The pairs of images that are leaks or for review, the most probable first, with codes for
            sentences: schema ``leakscan.decide.found.FOUND``.
            ``leakscan.report.evidence_words.with_evidence`` makes rows of ``pairs.parquet`` from it.
        pictures: Distinct pictures on each side.
        persons: What each encoder that compared anything could say of persons.
        candidates: Pairs of pictures that deserve a copy check.
        checked: How many of them got one.
        unchecked: How many did not, for want of pixels or time.
        cut: Pairs dropped by the limit of pairs.
        cut_score: The weakest similarity kept where some were cut, else ``None``.
        reach: How far the search for fingerprints went and how much it finds there, by encoder.
        hash_radius: The most bits that perceptual hashes of candidates may differ in.
        copied: Distinct pictures on each side that are also in the other dataset, as such or as a copy.
        doubts: Identifiers on each side that name no person.
        ids_disagree: How many identifiers were to count as proof, and name different people in the two.
        ids_unjoinable: Whether identifiers should count as proof, but were hashed with different keys.
        match_seconds: The time spent on the search.
        check_seconds: The time spent on copy checks, detail matches and decisions.
        slices: How far the search for pictures among slices of volumes went.
        judged: What people said of the two datasets.
    """

    a: str
    b: str
    pairs: pa.Table
    pictures: tuple[int, int]
    persons: list[PersonTest]
    candidates: int
    checked: int
    unchecked: int
    cut: int
    cut_score: float | None
    reach: Mapping[str, Reach]
    hash_radius: int
    copied: tuple[int, int]
    doubts: tuple[Doubt, Doubt]
    ids_disagree: int
    ids_unjoinable: bool
    match_seconds: float
    check_seconds: float
    slices: SlicesSought = field(default_factory=SlicesSought)
    judged: JudgedPeople = JudgedPeople()

"""What a comparison came to, in sentences, and why each pair was called what it is."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leakscan import tables
from leakscan.counted import counted
from leakscan.decide.comparison import Comparison
from leakscan.decide.found import FOUND
from leakscan.decide.persons.tests import PersonTest
from leakscan.decide.relation import Evidence
from leakscan.report.verdict_words import with_verdicts

Interval = tuple[float, float, float]

_ROWS_AT_ONCE = 1 << 16  # pairs whose sentences are Python texts at the same time
_MANY_GENUINE = 0.015  # share of pairs of one person, above that of people with a picture or two
_SLICE = re.compile(r"slice-([xyz])-(\d+)")
_FROM = {"x": "left", "y": "back", "z": "feet"}
"""From where slices across each axis are counted."""
_MOST_NATS = 14.0  # a ratio of a million: more is not borne out by some thousand pairs


def with_evidence(found: pa.Table) -> pa.Table:
    """Rows of ``pairs.parquet``, of which the sentences are made here.

    Args:
        found: Pairs as a :class:`~leakscan.decide.comparison.Comparison` has them: schema ``FOUND``. The
            tables of several comparisons may be joined before.

    Returns:
        The same rows in the same order, schema ``tables.PAIRS``.

    Example:
        ``pairs = with_evidence(pa.concat_tables([c.pairs for c in comparisons]))``
    """
    chunks = [_sentences(found.slice(at, _ROWS_AT_ONCE)) for at in range(0, len(found), _ROWS_AT_ONCE)]
    evidence = pa.chunked_array(chunks, tables.PAIRS.field("evidence").type)
    evidence = with_verdicts(evidence, found)
    columns = [
        evidence if f.name == "evidence" else found[f.name].cast(f.type, safe=False) for f in tables.PAIRS
    ]
    return pa.Table.from_arrays(columns, schema=tables.PAIRS)


def _sentences(found: pa.Table) -> pa.Array:
    """The sentences of some pairs, one list a pair, strongest reason first."""
    found = found.select(_NUMBERS)
    reasons = found["reasons"].to_numpy()
    rows: list[npt.NDArray[np.int64]] = []
    texts: list[str] = []
    for reason in Evidence:
        at = np.flatnonzero(reasons & int(reason))
        if reason in _IN_OTHERS or not len(at):
            continue
        rows.append(at)
        texts += _texts(reason, found.take(pa.array(at)), reasons[at])
    row = np.concatenate([np.zeros(0, np.int64), *rows])
    order = np.argsort(row, kind="stable")  # reasons come in the order of the reader already
    starts = np.searchsorted(row[order], np.arange(len(found) + 1))
    flat = pa.array(texts, pa.string()).take(pa.array(order))
    return pa.ListArray.from_arrays(pa.array(starts, pa.int32()), flat)


_NUMBERS = [
    "correlation",
    "inliers",
    "transform",
    "p_value",
    *FOUND.names[FOUND.get_field_index("reasons") :],
]
"""The columns that sentences are made from."""

_IN_OTHERS = (Evidence.PIXELS_NOT_AT_HAND, Evidence.NO_PROOF)
"""Reasons that only change the words of another."""

_PROOF = int(Evidence.EQUAL_FILES | Evidence.EQUAL_PIXELS | Evidence.ALIGNED)
"""Reasons beside which chance plays no part."""

_PLAIN = {
    Evidence.EQUAL_FILES: "equal files (blake3)",
    Evidence.EQUAL_PIXELS: "equal pixels in another file",
    Evidence.SAME_STUDY: "same StudyInstanceUID (or UID of the series or instance)",
}


def _texts(reason: Evidence, found: pa.Table, reasons: npt.NDArray[np.int16]) -> list[str]:
    """One sentence for each of some pairs that all have this reason."""
    if reason in _PLAIN:
        return [_PLAIN[reason]] * len(found)
    if reason is Evidence.PERHAPS_A_COPY:
        why = [
            "only fingerprints were at hand, so the pictures could not be compared"
            if gone
            else "the time for copy checks was up"
            for gone in (reasons & Evidence.PIXELS_NOT_AT_HAND).tolist()
        ]
        return [f"perhaps a copy, not checked: {words}" for words in why]
    if reason is Evidence.SAME_SUBJECT:
        doubt = " (not proof across sources unless identifiers mean the same in both)"
        return [
            "same declared subject" + (doubt if open_ else "")
            for open_ in (reasons & Evidence.NO_PROOF).tolist()
        ]

    def numbers(*names: str) -> Sequence[tuple[Any, ...]]:
        return list(zip(*(found[name].to_pylist() for name in names), strict=True))

    if reason is Evidence.ALIGNED:
        return [_aligned(*values) for values in numbers("correlation", "overlap", "inliers", "transform")]
    if reason is Evidence.SIMILARITY:
        proven = (reasons & _PROOF).astype(bool).tolist()
        told = numbers("similarity", "p_value", "p_floor", "comparisons")
        return [
            _similar(*v) if not sure else _plainly_similar(v[0]) for v, sure in zip(told, proven, strict=True)
        ]
    if reason is Evidence.DETAIL:
        return [_detail(*values) for values in numbers("detail_gain")]
    if reason is Evidence.FOLDS:
        return [_folds(*values) for values in numbers("fold_agreement", "fold_strangers", "fold_others")]
    return [f"perceptual hashes differ in {int(bits)} of 63 bits" for (bits,) in numbers("bits")]


def _aligned(correlation: float, overlap: float, inliers: int, transform: str | None) -> str:
    words = f"aligned correlation {correlation:.3f} on {overlap:.0%} of the picture"
    words += f", {inliers} matched keypoints" if inliers else ""
    if transform and (found := _SLICE.match(transform)):
        return f"the picture is slice {found[2]} of the volume, counted from the {_FROM[found[1]]}; {words}"
    return words


def _plainly_similar(similarity: float) -> str:
    """What fingerprints say of a copy: chance plays no part in it, so no rate is named."""
    return f"fingerprint similarity {similarity:.3f}"


def _similar(similarity: float, p_value: float, p_floor: float, comparisons: int) -> str:
    most = "about or below " if p_value <= p_floor else ""
    return (
        f"fingerprint similarity {similarity:.3f}: {most}{p_value * comparisons:.2g} false pairs as good "
        f"expected in {comparisons:,} subject comparisons"
    )


def _detail(gain: float) -> str:
    times = f"{math.exp(min(abs(gain), _MOST_NATS)):.2g}"
    likelier = "likelier" if gain >= 0 else "less likely"
    return f"the detail match of both films makes one person {times} times {likelier}"


def _folds(agreement: float, strangers: float, others: int) -> str:
    words = f"folds agree by {agreement:.2f} once the two are aligned to each other"
    return words + (f"; with {others} others they agree by {strangers:.2f} at most" if others else "")


def comparison_words(c: Comparison) -> list[str]:
    """What a reader must know about one comparison, in whole sentences.

    Example::

        for comparison in decide_pairs(datasets, context):
            print(comparison.a, comparison.b, *comparison_words(comparison))
    """
    total = c.pictures[0] * c.pictures[1]
    if not total:
        return ["Nothing was compared: one of the two has no readable image."]
    words = [*_copy_words(c), *doubt_words(c)]
    compared = sum(t.pictures[0] * t.pictures[1] for t in c.persons)
    if not compared:
        words.append(
            "No subject comparison was possible: no calibrated encoder here serves images of both. Copies "
            "were looked for; other pictures of the same person were not."
        )
    elif compared < total:
        words.append(
            f"Subjects were compared in {compared:,} of {total:,} pairs of pictures; for the others only "
            "copies were looked for, because no encoder serves both pictures."
        )
    for test in c.persons:
        words += [*shared_words(c, test), *many_films_words(c, test), *_person_words(test)]
    for reach in c.reach.values():
        if reach.sampled:
            words.append(
                f"So many fingerprints are not all compared with each other: of the pairs whose "
                f"similarity is {reach.score:.3f} or more, the search found {reach.recall:.2%} in a sample "
                f"of {reach.sampled:,}."
            )
    if c.ids_unjoinable:
        words.append(
            "Identifiers were not compared, although they were to count as proof: the stores were made with "
            "different identity keys."
        )
    if c.unchecked:
        words.append(
            f"{c.unchecked:,} of {c.candidates:,} candidate pairs got no copy check: the time was up, or "
            "their pixels were not at hand."
        )
    if c.cut:
        below = "" if c.cut_score is None else f" below a similarity of {c.cut_score:.3f}"
        words.append(f"{c.cut:,} candidate pairs{below} were cut by the limit max_pairs.")
    return words


def _copy_words(c: Comparison) -> list[str]:
    """Whether one dataset is a copy of the other."""
    whole = [copied == pictures for copied, pictures in zip(c.copied, c.pictures, strict=True)]
    if all(whole):
        return [f"{c.a} and {c.b} hold the same {_pictures(c.pictures[0])}: one is a copy of the other."]
    names = ((c.a, c.b), (c.b, c.a))
    return [
        f"All {_pictures(pictures)} of {name} are in {other} too: {name} is a part of {other}."
        for is_whole, pictures, (name, other) in zip(whole, c.pictures, names, strict=True)
        if is_whole and pictures > 1
    ]


def doubt_words(c: Comparison) -> list[str]:
    """Which declared subjects were not believed, as their pictures are no more alike than strangers.

    Example::

        doubt_words(comparison)  # ["1 identifier of A stands on 230 pictures that ..."]
    """
    disagree = (
        f"{counted(c.ids_disagree, 'identifier')} of {c.a} {'stands' if c.ids_disagree == 1 else 'stand'} in "
        f"{c.b} too, but on pictures that are no more alike than those of strangers: they name different "
        "people there, so equal identifiers prove nothing here."
    )
    return [disagree] * bool(c.ids_disagree) + [
        f"{counted(doubt.identifiers, 'identifier')} of {name} "
        f"{'stands' if doubt.identifiers == 1 else 'stand'} on {_pictures(doubt.pictures)} that are no more "
        "alike than pictures of strangers: such identifiers name no person, and each of these pictures "
        "stands for itself. Look at how subjects are declared."
        for name, doubt in ((c.a, c.doubts[0]), (c.b, c.doubts[1]))
        if doubt.identifiers
    ]


def many_films_words(c: Comparison, test: PersonTest) -> list[str]:
    """Whether a few people with many pictures each stand on both sides, and nobody declares who they are.

    Example::

        many_films_words(comparison, comparison.persons[0])  # ["About 4 % of all pairs of pictures of ..."]
    """
    if test.bulk is None or test.bulk.genuine_share <= _MANY_GENUINE:
        return []
    return [
        f"About {test.bulk.genuine_share:.0%} of all pairs of {c.a} and {c.b} show one person: a few people "
        "with many pictures each seem to stand in both. Undeclared, every picture counts as a subject, so "
        "numbers of subjects are those of pictures. Declare subjects for a surer answer."
    ]


def _pictures(number: int) -> str:
    return counted(number, "picture")


def shared_words(c: Comparison, test: PersonTest) -> list[str]:
    """How many subjects two datasets share, and how many could have gone unnoticed: what a reader wants
    first.

    Args:
        c: The comparison of the two.
        test: What one encoder's comparison of their subjects came to.

    Example::

        shared_words(comparison, comparison.persons[0])  # ["About 27 (22 to 33) subjects of B stand in A;
        ..."]
    """
    many = test.shared
    if many is None:
        return []
    if test.caution:
        copies = (
            f"Copies prove that {counted(many.certain, 'subject')} of {c.b} "
            f"{'stands' if many.certain == 1 else 'stand'} in {c.a}. "
            if many.certain
            else ""
        )
        more = "How many more there are" if copies else "How many subjects of one stand in the other"
        return [
            f"{copies}{more} cannot be said: nothing shows that similarities mean here what they mean "
            "elsewhere."
        ]
    words = []
    if many.value >= 0.5 and many.high >= 1:
        about, low, high = round(many.value), math.floor(many.low), math.ceil(many.high)
        named = (
            f"{test.named:,} of them {'is' if test.named == 1 else 'are'} named below"
            if test.named
            else "none of them is named for certain"
        )
        words.append(
            f"{'About' if low or test.named else 'Perhaps'} {about:,} ({low:,} to {high:,}) subjects of "
            f"{c.b} stand in {c.a}; {named}."
            + (" That some are shared is certain." if many.sure and not test.named else "")
        )
    if not many.sure:
        words.append(
            f"Fewer than {many.unnoticed:,} shared subjects could have gone unnoticed in datasets of this "
            "size."
        )
    return words


def _person_words(test: PersonTest) -> list[str]:
    """What the fingerprints of one encoder could say of persons."""
    n = test.comparisons
    words = []
    if test.caution:
        words.append(f"No similarity alone is called a leak: {test.caution}. Such pairs are for review.")
    elif test.leak_p is not None and test.leak_false is not None and test.missed is not None:
        words.append(
            f"Among {n:,} subject comparisons, {_count(test.leak_false)} false same-subject leaks are "
            f"expected (at most {test.fdr:.0%} of those called); {_missed(test, test.missed)}."
        )
    elif test.floor * n > test.fdr:
        words.append(
            f"Among {n:,} subject comparisons no similarity was called a leak. What is known of strangers "
            f"supports p-values down to {test.floor:.1g} only, which is {test.floor * n:.2g} false pairs at "
            f"this size, so a single pair cannot reach a false discovery rate of {test.fdr:.0%}. Pairs are "
            "ranked for review."
        )
    else:
        words.append(f"Among {n:,} subject comparisons no similarity was high enough for a leak.")
    if test.own is not None:
        words.append(
            f"What strangers here look like was measured on {test.own.subjects:,} declared subjects of the "
            f"two datasets themselves ({test.own.pairs:,} pairs of different people)"
            + (", and on nobody else." if test.own.alone else ", beside the encoder's own calibration.")
        )
    if test.few_people:
        expected, _, most = test.review_false
        words.append(
            f"The review list holds similarities of {test.review_score:.4f} and more. By a distribution that "
            f"reaches far beyond what was measured, {expected:.2g} false pairs are expected on it; by what "
            f"was measured, {most:.2g} at most. {_share(test.missed_review)} of repeated subjects lie below "
            "it, as far as scans that a generator made of few people tell."
        )
        return words
    words.append(_review_words(test))
    if test.details_due:
        left = test.details_due - test.details_matched
        words.append(
            f"{test.details_matched:,} of {test.details_due:,} pairs of subjects with a high score got a "
            "detail match, which counts in their p-values."
            + (
                f" The other {left:,} are decided by their score alone: no pixels, or no time."
                if left
                else ""
            )
        )
    if test.first_false:
        parts = [f"{share:.0%} of the first {k:,}" for k, share in test.first_false.items()]
        words.append(f"Expected false pairs in the review list, best first: {', '.join(parts)}.")
    return words


def _review_words(test: PersonTest) -> str:
    """Where the review list ends, and how many of its pairs are expected to be true."""
    ends = "fewer than one true pair is expected among the next hundred"
    if not test.reviewed:
        return f"Nothing is for review: {ends}; {_missed(test, test.missed_review)}."
    holds = f"{counted(test.reviewed, 'pair')} of subjects"
    true = round(test.review_true)
    if not test.caution:
        holds += f", of which about {true:,} {'is' if true == 1 else 'are'} expected to be true"
    return (
        f"The review list holds {holds}, and ends where {ends}: at a p-value of {test.review_p:.1g}, where "
        f"strangers alone make {_count(test.review_false)} pairs; {_missed(test, test.missed_review)}."
    )


def _missed(test: PersonTest, share: Interval) -> str:
    """How many shared subjects a threshold misses, and on whose pictures that was measured."""
    if math.isnan(share[0]):
        return "how many shared subjects are missed is unknown, as there was nobody to measure it on"
    if test.own_missed:
        return f"{_share(share)} of the subjects with several pictures here would be missed by that"
    return (
        f"how many shared subjects are missed is unknown for these images; of those that {test.encoder} was "
        f"calibrated on, {_share(share)} are"
    )


def _count(value: Interval) -> str:
    rate, low, high = (f"{v:.2g}" for v in value)
    return f"{rate} (95 % interval {low} to {high})"


def _share(value: Interval) -> str:
    if math.isnan(value[0]):
        return "an unknown share (no genuine pairs to calibrate on)"
    return f"{value[0]:.0%} ({value[1]:.0%} to {value[2]:.0%})"

"""What a comparison came to, in sentences."""

from __future__ import annotations

import math

from leakscan.counted import counted, rounded
from leakscan.decide.comparison import Comparison, JudgedPeople
from leakscan.decide.persons.tests import PersonTest

Interval = tuple[float, float, float]

_MANY_GENUINE = 0.015  # share of pairs of one person, above that of people with a picture or two


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
        said = [*shared_words(c, test), *many_films_words(c, test), *_person_words(test, c.judged)]
        # Of chest films and brains in one comparison, every sentence says which it is about.
        name = f"{test.encoder.partition('@')[0]}: " if len(c.persons) > 1 else ""
        words += [name + sentence for sentence in said]
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


def scattered_words(c: Comparison, pairs: int) -> str:
    """The warning that identifiers may name studies or films and no people.

    Args:
        c: The comparison of two datasets.
        pairs: How many pairs of their declared subjects are as alike as one person.

    Example::

        scattered_words(comparison, 115)  # "115 pairs of subjects declared inside A or inside B are ..."
    """
    return (
        f"{counted(pairs, 'pair')} of subjects declared inside {c.a} or inside {c.b} "
        f"{'is' if pairs == 1 else 'are'} as alike as one person. If their identifiers stand for studies or "
        "films and not for people, strangers seem more alike than they are, and too little is called: "
        "declare who is one person, or no subjects at all."
    )


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
            f"{'stands' if many.certain == 1 else 'stand'} in {c.a}"
            f"{_settled(many.certain, c.judged.copies_accepted, c.judged.copies_different)}. "
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
            f"{_settled(test.named, c.judged.accepted, c.judged.different)}"
            if test.named
            else "none of them is named for certain"
        )
        words.append(
            f"{'About' if low or test.named else 'Perhaps'} {about:,} ({low:,} to {high:,}) subjects of "
            f"{c.b} stand in {c.a}; {named}."
            + (" That some are shared is certain." if many.sure and not test.named else "")
        )
    if not many.sure:
        few = many.unnoticed <= min(test.subjects)
        number = f"Fewer than {many.unnoticed:,}" if few else "Any number of"
        words.append(f"{number} shared subjects could have gone unnoticed in datasets of this size.")
    return words


def _settled(named: int, accepted: int, different: int) -> str:
    """How many of the people who were named need nobody any more, as people said so."""
    parts = []
    for n, words in ((accepted, "accepted as wanted"), (different, "cleared as different people")):
        if n:
            whole = n >= named
            parts.append(words if whole and named == 1 else f"{'all' if whole else f'{n:,}'} of them {words}")
    return f", {' and '.join(parts)}" if parts else ""


def _person_words(test: PersonTest, judged: JudgedPeople) -> list[str]:
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
            f"supports p-values down to {test.floor:.1g} only, which is {rounded(test.floor * n)} false "
            f"pairs at this size, so a single pair cannot reach a false discovery rate of {test.fdr:.0%}. "
            "Pairs are ranked for review."
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
            f"reaches far beyond what was measured, {rounded(expected)} false pairs are expected on it; by "
            f"what was measured, {rounded(most)} at most. {_share(test.missed_review)} of repeated subjects "
            "lie below it, as far as scans that a generator made of few people tell."
        )
        return words
    words.append(_review_words(test, judged))
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


def _review_words(test: PersonTest, judged: JudgedPeople) -> str:
    """Where the review list ends, and how many of its pairs are expected to be true."""
    ends = "fewer than one true pair is expected among the next hundred"
    if not test.reviewed:
        return f"Nothing is for review: {ends}; {_missed(test, test.missed_review)}."
    holds = f"{counted(test.reviewed, 'pair')} of subjects"
    true = round(test.review_true)
    if done := min(judged.reviews_judged, test.reviewed):
        left = test.reviewed - done
        rest = f"{left:,} {'is' if left == 1 else 'are'} open" if left else "none is open"
        holds += f", {'all' if not left else f'{done:,}'} of which verdicts have decided ({rest})"
    elif not test.caution:
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
    rate, low, high = (rounded(v) for v in value)
    return f"{rate} (95 % interval {low} to {high})"


def _share(value: Interval) -> str:
    if math.isnan(value[0]):
        return "an unknown share (no genuine pairs to calibrate on)"
    return f"{value[0]:.0%} ({value[1]:.0%} to {value[2]:.0%})"

"""Where the numbers of one pair come from: evidence step by step, as the run wrote it down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leakscan.counted import rounded
from leakscan.errors import UsageError
from leakscan.report.equally_likely import equally_likely

_COPIES = ("same_file", "same_pixels", "same_image")


@dataclass(frozen=True)
class Step:
    """One step from likeness to decision.

    Attributes:
        name: What it is, in two or three words.
        value: The number it comes to, ``None`` where it has none.
        words: What that means, a whole sentence.
    """

    name: str
    value: float | None
    words: str


def find_pair(pairs: list[dict[str, Any]], wanted: tuple[str, ...]) -> int:
    """The row of a pair, by its number from 0 or by the paths of its two images in any order.

    Args:
        pairs: The rows of ``pairs.parquet``.
        wanted: One number, or two paths, each with or without the dataset's name and a slash before it.

    Raises:
        UsageError: There is no such pair, or there are several.

    Example:
        >>> pair = {"dataset_a": "A", "path_a": "1.png", "dataset_b": "B", "path_b": "7.png"}
        >>> find_pair([pair], ("0",)), find_pair([pair], ("B/7.png", "1.png"))
        (0, 0)
    """
    if not pairs:
        raise UsageError("The run has no pairs: nothing was called a leak or left for review.")
    last = len(pairs) - 1
    if len(wanted) == 1:
        number = wanted[0]
        if not (number.isascii() and number.isdigit()):
            raise UsageError(f"{number} is no number of a row; name a row from 0 to {last:,}, or two paths.")
        if int(number) > last:
            raise UsageError(f"There is no pair {number}: the rows of the run are 0 to {last:,}.")
        return int(number)
    if len(wanted) != 2:
        raise UsageError(f"Name a row from 0 to {last:,}, or the two paths of the pair.")
    ends = [[_names(pair, side) for side in ("a", "b")] for pair in pairs]
    one, other = wanted
    found = [i for i, (a, b) in enumerate(ends) if (one in a and other in b) or (one in b and other in a)]
    if len(found) == 1:
        return found[0]
    if found:
        rows = ", ".join(str(i) for i in found[:5])
        raise UsageError(f"Several pairs of the run have these paths; name the row: {rows}.")
    known = set().union(*(names for pair in ends for names in pair))
    if gone := [path for path in wanted if path not in known]:
        raise UsageError(
            f"No pair of the run has an image {' or '.join(gone)}, so it is in no leak and on no review list."
        )
    raise UsageError(
        "The two images are in pairs of the run, but not with each other: they are strangers to it."
    )


def explain(
    pair: Mapping[str, Any], summary: Mapping[str, Any], pairs: Sequence[Mapping[str, Any]] = ()
) -> list[Step]:
    """Where the numbers of a pair come from.

    Args:
        pair: A row of ``pairs.parquet``.
        summary: What ``summary.json`` of the same run holds.
        pairs: All rows of ``pairs.parquet``, to say which others are as likely, and why.

    Returns:
        Steps, each of which adds to those before; the last one is the decision.

    Example::

        for step in explain(pairs[0], summary, pairs):
            print(step.name, step.words)
    """
    steps = []
    sentences = [str(words) for words in pair["evidence"] or []]
    proof = pair["decision"] == "leak" and pair["relation"] in _COPIES
    alike = [words for words in sentences if words.startswith("fingerprint similarity")]
    detail = [words for words in sentences if words.startswith("the detail match")]
    for words in sentences:
        if words not in alike + detail:
            steps.append(
                Step("Other evidence", pair["correlation"] if "aligned" in words else None, _sentence(words))
            )
    if pair["score"] is not None:
        steps.append(_fingerprint(pair))
    if detail:
        steps.append(Step("Detail match", None, _sentence(detail[0])))
    elif pair["p_value"] is not None and not proof:
        steps.append(
            Step("Detail match", None, "The details of the two were not matched, so the score stands alone.")
        )
    test = _test(pair, summary)
    if pair["p_value"] is not None and test is not None:
        steps += _rates(pair, *test)
    if pair["probability"] is not None:
        steps.append(_probability(pair, proof))
    if words := equally_likely(pair, pairs):
        steps.append(Step("Equally likely", None, words))
    return [*steps, _decision(pair, summary)]


def _names(pair: Mapping[str, Any], side: str) -> set[str]:
    """What the image at one end may be called."""
    path = pair[f"path_{side}"]
    image = pair.get(f"image_{side}")
    return {str(name) for name in (path, path and f"{pair[f'dataset_{side}']}/{path}", image) if name}


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def _fingerprint(pair: Mapping[str, Any]) -> Step:
    """How alike the two pictures are by themselves."""
    cosine = "" if pair["distance"] is None else f" (their cosine is {1.0 - pair['distance']:.3f})"
    return Step(
        "Fingerprint",
        pair["score"],
        f"The fingerprints of the two pictures score {pair['score']:.3f}{cosine}.",
    )


def _test(pair: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[Mapping[str, Any], int] | None:
    """What the run says of the encoder that compared the pair, and how many pairs of subjects it compared.

    ``None`` where several encoders compared the two datasets: the row does not say which of them it was.
    """
    for one in summary["comparisons"]:
        if {one["a"], one["b"]} == {pair["dataset_a"], pair["dataset_b"]} and len(one["thresholds"]) == 1:
            ((encoder, test),) = one["thresholds"].items()
            return test, int(one["subject_comparisons"][encoder])
    return None


def _rates(pair: Mapping[str, Any], test: Mapping[str, Any], comparisons: int) -> list[Step]:
    """From likeness to a rate, and from the rate to the size of the search."""
    p = float(pair["p_value"])
    steps = []
    if pair["subject_a"] or pair["subject_b"]:
        steps.append(
            Step(
                "Fused pictures",
                None,
                "All pictures that a dataset declares to be of one subject are fused, so the rates below are "
                "those of the two subjects, and the same for all their pairs.",
            )
        )
    steps.append(Step("Strangers", p, _strangers(p, test)))
    expected = p * comparisons
    steps.append(
        Step(
            "Size of the search",
            expected,
            f"{comparisons:,} pairs of subjects were compared, so {rounded(expected)} pairs of strangers as "
            "alike are expected in this run.",
        )
    )
    if pair["q_value"] is not None:
        steps.append(
            Step(
                "Among the others",
                pair["q_value"],
                f"If all subjects as good as these were called leaks, {pair['q_value']:.2%} of them would be "
                "expected to be false.",
            )
        )
    return steps


def _strangers(p: float, test: Mapping[str, Any]) -> str:
    """How often strangers come out as alike, and by whose scores."""
    bulk, own = test["own_scores"], test["own_strangers"]
    least = " (no pair of this run can have a smaller rate)" if p <= test["smallest_p_value"] else ""
    moved = (
        ""
        if bulk is None
        else f", moved by {bulk['location']:+.3f} and stretched {bulk['scale']:.2f} times to its own scores"
    )
    others = "; too few subjects are declared for strangers of this run to count"
    if own:
        pairs = f"{own['pairs']:,} pairs of strangers among {own['subjects']:,} declared subjects of the run"
        if own["decide_alone"]:
            return f"One pair of strangers in {_one_in(p)} comes out as alike{least}, by {pairs} alone."
        others = f", and by {pairs}; the more careful of the two counts"
    return (
        f"One pair of strangers in {_one_in(p)} comes out as alike{least}, by the encoder's calibration"
        f"{moved}{others}."
    )


def _one_in(p: float) -> str:
    return rounded(1.0 / max(p, 1e-300))


def _probability(pair: Mapping[str, Any], proof: bool) -> Step:
    share = float(pair["probability"])
    if proof:
        return Step("Probability", share, "It is proved otherwise, so it is certain.")
    number = min(99, math.floor(100.0 * share + 0.5))
    words = f"Of a hundred pairs as good as this one, {number}{' or more' if share > 0.985 else ''} are"
    return Step("Probability", share, f"{words} expected to be true in this run.")


def _decision(pair: Mapping[str, Any], summary: Mapping[str, Any]) -> Step:
    """What was decided, and by what."""
    found = _test(pair, summary)
    caution = found[0]["caution"] if found else None
    if pair["decision"] == "cleared":
        words = "A person cleared the pair: two people, or a wanted overlap."
    elif pair["decision"] == "leak":
        proof = "It is a leak because it is proved, whatever the numbers above."
        by_likeness = pair["relation"] == "same_subject" and pair["q_value"] is not None
        words = "It is a leak: so few of those as good are expected to be false." if by_likeness else proof
        if by_likeness and (caution or any("declared" in w for w in pair["evidence"] or [])):
            words = proof
    elif caution:
        words = f"It is for review, and no similarity is called a leak here: {caution}."
    else:
        words = "It is for review: too many of those as good may be false for a leak, and some are true."
    return Step("Decision", None, words)

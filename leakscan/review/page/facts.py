"""What stands beside two pictures: facts of the images, and the evidence step by step."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

from leakscan.counted import rounded
from leakscan.review.page.deck import FoundPair, ReviewCard, RunImage

RELATION_WORDS = {
    "same_file": "the same file",
    "same_pixels": "the same pixels in another file",
    "same_image": "the same picture, altered",
    "same_subject": "another picture of the same person",
}
_MOST_DECADES = 12.0
_COMMON = 0.1  # from here on "once in 9" would say more than a reader can use


def image_facts(image: RunImage, show_path: bool) -> dict[str, str]:
    """What is known of one image, for a reader: a label and a text each, in order.

    Args:
        image: The image.
        show_path: Whether its path may be shown.

    Example:
        >>> from leakscan import tables
        >>> row = {"dataset": "ward", "image_id": "9f", "path": "a.png", "acquired": "2020-02-01"}
        >>> row |= {"shape": [512, 480], "format": "png", "kind": "chest_radiograph"}
        >>> image = RunImage.of(tables.from_rows([row], tables.IMAGES).to_pylist()[0])
        >>> image_facts(image, show_path=True)["Size"]
        '480 × 512 px'
    """
    row = image.row
    facts = {"Dataset": image.dataset}
    if show_path and row["path"]:
        facts["File"] = row["path"] + (f", frame {row['frame']}" if row["frame"] else "")
    facts |= {
        "Subject": _name(row["subject"]) or "not declared",
        "Study": _name(row["study_uid_hash"]) or "not declared",
        "Date": row["acquired"] or "",
        "Size": _size(row),
        "Kind": (row["kind"] or "").replace("_", " "),
        "Format": row["format"] or "",
    }
    if row["split"]:
        facts["Split"] = row["split"]
    if show_path and row["notes"]:
        facts["Notes"] = " ".join(row["notes"])
    return {label: text for label, text in facts.items() if text}


def pair_facts(a: RunImage, b: RunImage) -> list[str]:
    """What comparing the facts of two images says, in sentences."""
    said = []
    for column, thing, things in (("subject", "subject", "subjects"), ("study_uid_hash", "study", "studies")):
        one, other = a.row[column], b.row[column]
        if one and other:
            if one == other:
                said.append(f"Both declare the same {thing}.")
            elif a.dataset == b.dataset:
                said.append(f"They declare different {things}.")
            else:  # a person may have a number in each
                said.append(f"Each declares a {thing}; across datasets it tells little that they differ.")
    days = _days_apart(a.row["acquired"], b.row["acquired"])
    if days is not None:
        said.append("Taken on the same day." if days == 0 else f"Taken {days:,} days apart.")
    return said


def waterfall(pair: FoundPair, comparisons: int | None) -> list[dict[str, Any]]:
    """The evidence for one pair, a step each, in powers of ten for (right) or against (left) one person.

    The first step is what one starts from: of all pairs of people that the run compared, about one in that
    many is as good as the best by chance. Then comes what was measured. The sum of both is minus the
    logarithm of the strangers that are expected to be as much alike.

    Args:
        pair: The pair.
        comparisons: How many pairs of people were compared with it, where the run says so.

    Returns:
        Steps with ``label``, ``text``, ``power`` (powers of ten, ``None`` for what proves) and ``total``.

    Example:
        >>> pair = FoundPair(number=0, key="1", a=None, b=None, row={
        ...     "relation": "same_subject", "p_value": 1e-6, "correlation": None, "probability": None})
        >>> [(step["label"], step["power"]) for step in waterfall(pair, comparisons=10_000)]
        [('Compared', -4.0), ('Alike', 6.0), ('Together', None)]
    """
    row = pair.row
    steps: list[dict[str, Any]] = []
    if pair.relation in ("same_file", "same_pixels"):
        words = "Equal files." if pair.relation == "same_file" else "Equal pixels in another file."
        return [_step("Proof", words, None, 1.0)]
    total = 0.0
    if row["p_value"] is not None:
        p = max(float(row["p_value"]), 10**-_MOST_DECADES)
        if comparisons:
            total -= math.log10(comparisons)
            steps.append(
                _step("Compared", f"{comparisons:,} pairs of people.", -math.log10(comparisons), total)
            )
        total -= math.log10(p)
        words = (
            f"Two strangers are as much alike once in {_about(1 / p)}."
            if p < _COMMON
            else "Strangers are often as much alike."
        )
        steps.append(_step("Alike", words, -math.log10(p), total))
    if row["correlation"] is not None and pair.relation == "same_image" and pair.decision == "leak":
        words = f"Aligned, the two agree everywhere (correlation {row['correlation']:.3f})."
        steps.append(_step("Copy check", words, None, total))
    if pair.probability is not None:
        words = f"{_percent(pair.probability)} of such pairs are true."
        steps.append(_step("Together", words, None, total))
    elif row["p_value"] is not None and comparisons:
        words = f"{_about(p * comparisons)} strangers as good are expected in this run."
        steps.append(_step("Together", words, None, total))
    return steps


def expected_comparisons(summary: Mapping[str, Any], card: ReviewCard) -> int | None:
    """How many pairs of people the run compared between the two datasets of a card."""
    for one in summary.get("comparisons", []):
        if {one.get("a"), one.get("b")} == set(card.datasets):
            counts = [int(n) for n in (one.get("subject_comparisons") or {}).values()]
            return sum(counts) or None
    return None


def _step(label: str, text: str, power: float | None, total: float) -> dict[str, Any]:
    shown = None if power is None else round(power, 2)
    return {"label": label, "text": text, "power": shown, "total": round(total, 2)}


def _about(n: float) -> str:
    return rounded(n, 1 if n >= 1_000_000 else 2)


def _percent(share: float) -> str:
    if share > 0.999:
        return "more than 99.9 %"
    if share > 0.985:
        return "99 % or more"
    return f"{100 * share:.0f} %" if share >= 0.01 else "less than 1 %"


def _name(hashed: str | None) -> str:
    """A keyed hash is 32 digits that nobody reads; a subject in clear is shown whole."""
    if not hashed:
        return ""
    keyed = len(hashed) == 32 and all(c in "0123456789abcdef" for c in hashed)
    return hashed[:8] + "…" if keyed else hashed


def _size(row: Mapping[str, Any]) -> str:
    shape = list(row["shape"] or ())
    if not shape:
        return ""
    if len(shape) == 3 and not (row["kind"] or "").endswith(("mri", "3d")):
        shape = shape[:2]
    if len(shape) == 2:
        shape.reverse()
    size = " × ".join(str(n) for n in shape) + (" px" if len(shape) == 2 else " voxels")
    spacing = [float(s) for s in row["spacing_mm"] or ()]
    if len(spacing) >= 2:
        size += f", {' × '.join(f'{s:.3g}' for s in spacing)} mm"
    return size


def _days_apart(one: str | None, other: str | None) -> int | None:
    if not one or not other:
        return None
    try:
        return abs((dt.date.fromisoformat(one) - dt.date.fromisoformat(other)).days)
    except ValueError:
        return None

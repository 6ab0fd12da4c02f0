"""The cards of the page: people whom leaks link, and people who may be one, with their pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leakscan.counted import counted
from leakscan.report.altered_words import altered_words
from leakscan.report.html_pictures import ImageKey
from leakscan.report.run_tables import RunTables
from leakscan.types import RELATIONS

PAIRS_SHOWN = 1000
"""Pairs on the page at most; all are in ``pairs.parquet``."""
_REVIEWS_SHOWN = (
    500  # of those, where there are as many for review: looking at them is what a reader has to do
)
_KEYED = 32  # digits of a keyed hash, which nobody reads to its end
_SHORT = 8

RELATION_WORDS = {
    "same_file": "the same file",
    "same_pixels": "the same pixels in another file",
    "same_image": "the same picture, altered",
    "same_subject": "another picture of the same person",
}
_POSSIBLE = {
    "same_image": "perhaps the same picture, altered",
    "same_subject": "perhaps another picture of the same person",
}

Card = dict[str, Any]
Person = tuple[str, str]


def shown_pairs(pairs: pa.Table) -> pa.Table:
    """At most ``PAIRS_SHOWN`` pairs, the strongest of each decision, in the order of the table.

    Args:
        pairs: A table of the schema ``tables.PAIRS``.

    Example:
        >>> from leakscan import tables
        >>> rows = [{"image_a": str(n), "decision": "leak"} for n in range(1200)]
        >>> len(shown_pairs(tables.from_rows(rows, tables.PAIRS)))
        1000
    """
    leaks, reviews, cleared = (
        np.flatnonzero(pc.equal(pairs["decision"], d).to_numpy()) for d in ("leak", "review", "cleared")
    )
    reviews = reviews[: max(_REVIEWS_SHOWN, PAIRS_SHOWN - len(leaks))]
    leaks = leaks[: PAIRS_SHOWN - len(reviews)]
    cleared = cleared[: PAIRS_SHOWN - len(reviews) - len(leaks)]
    return pairs.take(np.sort(np.concatenate([leaks, reviews, cleared])))


def people_cards(found: RunTables, shown: pa.Table) -> list[Card]:
    """One card for each group of people that leaks link, and one for every two others of a shown pair.

    Args:
        found: The tables of the run.
        shown: The pairs to show, rows of ``found.pairs``.

    Returns:
        Cards in the order of their strongest pair. Each has ``people`` (with ``dataset``, ``subject`` and
        ``images``: ``n``, ``key``, ``pixels``, ``name``, ``acquired``), ``pairs`` (``a`` and ``b`` are
        numbers of images), ``title``, ``decision``, ``probability`` and ``notes``.

    Example::

        cards = people_cards(found, shown_pairs(found.pairs))
        cards[0]["title"]  # '3 images of one person'
    """
    rows = shown.to_pylist()
    ends = {(row[f"dataset_{s}"], row[f"image_{s}"]) for row in rows for s in ("a", "b")}
    images = _images(found.images, ends)
    groups = _groups(found.subjects, images.values())
    of_card: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of_card[_card_of(row, images, groups)].append(row)
    return [_card(own, images, groups, number) for number, own in enumerate(of_card.values(), 1)]


def _images(table: pa.Table, wanted: set[ImageKey]) -> dict[ImageKey, Mapping[str, Any]]:
    ids = pa.array(sorted({image for _, image in wanted}), pa.string())
    columns = ["dataset", "image_id", "path", "subject", "pixel_hash", "acquired"]
    rows = table.filter(pc.is_in(table["image_id"], ids)).select(columns).to_pylist()
    return {(row["dataset"], row["image_id"]): row for row in rows}


def _person(key: ImageKey, images: Mapping[ImageKey, Mapping[str, Any]]) -> Person:
    """The declared subject, or the picture where none is declared."""
    row = images.get(key, {})
    if row.get("subject"):
        return key[0], f"subject {row['subject']}"
    return key[0], f"picture {row.get('pixel_hash') or key[1]}"


def _ends(row: Mapping[str, Any]) -> tuple[ImageKey, ImageKey]:
    return (row["dataset_a"], row["image_a"]), (row["dataset_b"], row["image_b"])


def _groups(
    subjects: pa.Table, images: Iterable[Mapping[str, Any]]
) -> dict[ImageKey | Person, Mapping[str, Any]]:
    """The group of every one of the images that leaks link, and of its declared subject.

    A run may link a million images of which few are shown, so only those become Python objects.
    """
    ids, names = set(), set()
    for image in images:
        ids.add(image["image_id"])
        names.add(image["subject"])
    wanted = pc.or_(
        pc.is_in(subjects["image_id"], pa.array(sorted(ids), pa.string())),
        pc.is_in(subjects["subject"], pa.array(sorted(names - {None}), pa.string())),
    )
    found: dict[ImageKey | Person, Mapping[str, Any]] = {}
    for row in subjects.filter(wanted).to_pylist():
        found[row["dataset"], row["image_id"]] = row
        if row["subject"]:
            found[row["dataset"], f"subject {row['subject']}"] = row
    return found


def _card_of(
    row: Mapping[str, Any],
    images: Mapping[ImageKey, Mapping[str, Any]],
    groups: Mapping[ImageKey | Person, Mapping[str, Any]],
) -> Any:
    """The group that both people stand in, else the two people."""
    ends = _ends(row)
    a, b = (_person(key, images) for key in ends)
    found = [groups.get(key) or groups.get(who) for key, who in zip(ends, (a, b), strict=True)]
    if found[0] and found[1] and found[0]["group"] == found[1]["group"]:
        return found[0]["group"]
    return a, b


def _card(
    rows: Sequence[Mapping[str, Any]],
    images: Mapping[ImageKey, Mapping[str, Any]],
    groups: Mapping[ImageKey | Person, Mapping[str, Any]],
    number: int,
) -> Card:
    people: dict[Person, dict[ImageKey, None]] = {}
    for row in rows:
        for key in _ends(row):
            people.setdefault(_person(key, images), {})[key] = None
    # Dataset by dataset, as the run names them first.
    datasets = list(dict.fromkeys(dataset for dataset, _ in people))
    in_order = sorted(people, key=lambda person: datasets.index(person[0]))
    numbers = {
        key: n for n, key in enumerate((key for person in in_order for key in people[person]), start=1)
    }
    known = [row["probability"] for row in rows if row["probability"] is not None]
    leaks = [row for row in rows if row["decision"] == "leak"]
    group = groups.get(_ends(leaks[0])[0]) if leaks else None
    weakest = (group or {}).get("weakest_link") if len(people) > 2 else None
    return {
        "number": number,
        "title": _title(rows, people, len(numbers)),
        "decision": min((row["decision"] for row in rows), key=("leak", "review", "cleared").index),
        "probability": max(known, default=None),
        "notes": _notes(group, len(numbers)),
        "people": [
            {
                "dataset": person[0],
                "subject": _short(images.get(next(iter(people[person])), {}).get("subject")),
                "images": [_image(key, images, numbers[key]) for key in people[person]],
            }
            for person in in_order
        ],
        "pairs": [_pair(row, numbers, weakest) for row in rows],
    }


def _image(key: ImageKey, images: Mapping[ImageKey, Mapping[str, Any]], n: int) -> dict[str, Any]:
    row = images.get(key, {})
    return {
        "n": n,
        "key": key,
        "pixels": row.get("pixel_hash") or " ".join(key),
        "name": row.get("path") or key[1][:16],
        "acquired": row.get("acquired"),
    }


def _pair(row: Mapping[str, Any], numbers: Mapping[ImageKey, int], weakest: str | None) -> dict[str, Any]:
    a, b = _ends(row)
    words = RELATION_WORDS[row["relation"]]
    if row["decision"] != "leak":
        words = _POSSIBLE.get(row["relation"], words)
    names = (
        "relation",
        "decision",
        "probability",
        "evidence",
        "verdict",
        "verdict_by",
        "reopened",
    )
    return {
        **{name: row[name] for name in names},
        "a": numbers[a],
        "b": numbers[b],
        "words": words,
        "altered": ", ".join(altered_words(row["transform"])),
        "couple": couple_name(row["dataset_a"], row["dataset_b"]),
        "weakest": weakest in (f"{a[1]} {b[1]}", f"{b[1]} {a[1]}"),
    }


def couple_name(a: str, b: str) -> str:
    """What two datasets are called together.

    Example:
        >>> couple_name("ward", "research")
        'ward and research'
    """
    return a if a == b else f"{a} and {b}"


def _title(
    rows: Sequence[Mapping[str, Any]], people: Mapping[Person, Iterable[ImageKey]], images: int
) -> str:
    strongest = min((row["relation"] for row in rows), key=RELATIONS.index)
    leak = any(row["decision"] == "leak" for row in rows)
    if len(rows) == 1:
        words = RELATION_WORDS[strongest] if leak else _POSSIBLE.get(strongest, RELATION_WORDS[strongest])
        return words[0].upper() + words[1:]
    declared = len({person for person in people if person[1].startswith("subject ")})
    of = f" under {declared} declared subjects" if declared > 1 else ""
    pictures = counted(images, "image")
    if all(row["decision"] == "cleared" for row in rows):
        return f"{pictures} of two people, or of a wanted overlap{of}"
    return f"{pictures} of one person{of}" if leak else f"{pictures} that may be of one person{of}"


def _notes(group: Mapping[str, Any] | None, shown: int) -> list[str]:
    """What a reader must know of a group before believing it."""
    if group is None:
        return []
    notes = []
    if group["contradiction"]:
        notes.append("One dataset declares several subjects here: a wrong label there, or a false pair.")
    if group["n_images"] > shown:
        notes.append(f"The group has {counted(group['n_images'], 'image')} in all.")
    if (group["diameter"] or 0) > 2:
        notes.append(f"A chain of {group['diameter']} links: its ends may be unlike. Check the weakest link.")
    return notes


def _short(subject: str | None) -> str:
    """A keyed hash by its first digits, a subject in clear as it is."""
    if not subject:
        return ""
    keyed = len(subject) == _KEYED and all(c in "0123456789abcdef" for c in subject)
    return subject[:_SHORT] + "…" if keyed else subject

"""Why several pairs of a run have one probability, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import networkx as nx

from leakscan.counted import counted

Row = Mapping[str, Any]
Person = tuple[str, str]


def equally_likely(pair: Row, pairs: Sequence[Row]) -> str:
    """Why other pairs of the same two datasets have the probability of this one; empty where none has.

    A pair with another picture of the same two declared subjects was judged together with this one. Pairs
    that hang on the people of this one, by a person they share or by other links, are true together or not
    at all. All others were too near in their p-values for the run to tell them apart.

    Args:
        pair: A row of ``pairs.parquet``.
        pairs: All rows.

    Example:
        >>> def row(a, b, p, probability=0.69):
        ...     return {"dataset_a": "A", "dataset_b": "B", "image_a": a, "image_b": b, "subject_a": None,
        ...             "subject_b": None, "p_value": p, "probability": probability, "decision": "review"}
        >>> rows = [row("1", "2", 1e-6), row("1", "3", 1e-5), row("8", "9", 1e-4, 0.1)]
        >>> equally_likely(rows[0], rows)[:61]
        '1 other pair has this probability. 1 of them hangs on the sam'
        >>> equally_likely(rows[2], rows)
        ''
    """
    if pair["probability"] is None or pair["probability"] in (0.0, 1.0):
        return ""
    datasets = {pair["dataset_a"], pair["dataset_b"]}
    here = [row for row in pairs if {row["dataset_a"], row["dataset_b"]} == datasets]
    equal = [row for row in here if row["probability"] == pair["probability"] and row is not pair]
    others = [row for row in equal if _images(row) != _images(pair)]
    if not others:
        return ""
    linked = _linked(pair, [row for row in here if row["decision"] == "leak"] + equal)
    same = [row for row in others if _people(row) == _people(pair)]
    hanging = [row for row in others if row not in same and _people(row) <= linked]
    apart = [row for row in others if row not in same and row not in hanging]
    have = "has" if len(others) == 1 else "have"
    words = [f"{counted(len(others), 'other pair')} {have} this probability."]
    if same:
        words.append(
            f"{_of_them(same, 'shows', 'show')} the same two subjects, whose pictures are judged together."
        )
    if hanging:
        words.append(
            f"{_of_them(hanging, 'hangs', 'hang')} on the same people, by one that they share or by other "
            "links: they are true together or not at all, so all are as likely as the best of them."
        )
    if apart:
        words.append(
            f"{_of_them(apart, 'is', 'are')} of other people{_heights(pair, apart)}: this run has too few "
            "pairs there to tell likelier ones from others, so all get the share of true ones among them."
        )
    return " ".join(words)


def _of_them(rows: Sequence[Row], one: str, several: str) -> str:
    return f"{len(rows):,} of them {one if len(rows) == 1 else several}"


def _heights(pair: Row, others: Iterable[Row]) -> str:
    """The p-values between which the pairs lie."""
    known = [row["p_value"] for row in (pair, *others) if row["p_value"] is not None]
    return f" (p-values {min(known):.1g} to {max(known):.1g})" if known and min(known) < max(known) else ""


def _linked(pair: Row, links: Iterable[Row]) -> set[Person]:
    """The people whom links join to those of a pair."""
    graph: nx.Graph[Person] = nx.Graph([(_end(row, "a"), _end(row, "b")) for row in (pair, *links)])
    found: set[Person] = nx.node_connected_component(graph, _end(pair, "a"))
    return found


def _people(row: Row) -> set[Person]:
    return {_end(row, "a"), _end(row, "b")}


def _images(row: Row) -> set[Person]:
    return {(row[f"dataset_{side}"], row[f"image_{side}"]) for side in "ab"}


def _end(row: Row, side: str) -> Person:
    """The declared subject at one end, or the image where none is declared."""
    return row[f"dataset_{side}"], row[f"subject_{side}"] or f"image {row[f'image_{side}']}"

"""Who is one person by what datasets declare and by what people said of pairs: labels for a calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import networkx as nx
import pyarrow as pa

from leakscan import tables
from leakscan.counted import counted
from leakscan.errors import UsageError
from leakscan.fingerprint.pipeline import Dataset
from leakscan.review.opinions import Opinion, opinions
from leakscan.review.verdicts import Verdict
from leakscan.types import ImageRef

ENOUGH_REPEATED = 20
"""Declared subjects with two pictures or more from which on pairs that people found are left out."""

_Node = tuple[str, ...]


@dataclass(frozen=True)
class Labelled:
    """One dataset of all sources, with the people that declarations and verdicts tell apart.

    Attributes:
        dataset: The images; ``subject`` names the person, and is null where nobody said who it is.
        people: How many people are told apart.
        by_verdicts: How many of them only verdicts tell.
        counts: ``same``, ``different`` (opinions that count), ``unclear`` (unsure or disputed, whose people
            are left out), ``stale`` (about pictures that are not here).
        warnings: What to know of the labels, in sentences.
    """

    dataset: Dataset
    people: int
    by_verdicts: int
    counts: Mapping[str, int]
    warnings: tuple[str, ...]


def labelled_by(datasets: Sequence[Dataset], verdicts: Sequence[Verdict]) -> Labelled:
    """Joins datasets to one, whose subjects are people.

    Equal pixels, one declared subject, and ``same`` make one person. A picture without a subject is a person
    of its own once somebody said ``same`` or ``different`` of it: whoever looks like it has then been judged.
    People of whom somebody was unsure, of whom people disagree, or who are one and two at once, are left out.

    Pairs that a search found are more alike than those that it missed. Where enough declared subjects have
    several pictures, a person keeps the pictures of one declared subject only, so that such pairs do not
    make the missed share look small; else a warning says so.

    Args:
        datasets: The datasets, each with its own subjects.
        verdicts: All verdicts of a file.

    Raises:
        UsageError: No verdict is about two pictures of these datasets.

    Example::

        labelled = labelled_by(load_datasets(opened, context), VerdictFile.open(Path("v.parquet")).read())
        print(labelled.people, "people,", labelled.by_verdicts, "of them by verdicts alone")
    """
    joined = _joined(datasets)
    nodes, pictures = _nodes(joined, len(datasets) > 1), joined.rows["pixel_hash"].to_pylist()
    graph = nx.Graph()
    for node, picture in zip(nodes, pictures, strict=True):
        graph.add_edge(node, ("picture", picture or node[-1]))
    said = [o for about, o in opinions(verdicts).items() if about[0] in ("pair", "subjects")]
    here = [o for o in said if _is_here(o, graph)]
    counts = Counter(o.word for o in here)
    if not counts["same"] + counts["different"]:
        raise UsageError(
            f"None of the {counted(len(said), 'verdict')} on pairs says same or different of two pictures of "
            "these sources.",
            "Name the sources whose pairs were reviewed; verdicts know pictures by their pixels.",
            code="no_verdict_fits",
        )
    declared = {node for node in nodes if node[0] == "subject"}
    people = _people(graph, here, declared)
    kept = [people.get(node) for node in nodes]
    repeated = _repeated(nodes, pictures, kept)
    warnings = []
    if counts["same"] and repeated >= ENOUGH_REPEATED:
        kept = _of_one_subject(nodes, kept)
    elif counts["same"]:
        warnings.append(
            "The missed share comes in part from pairs that a search had found; those it missed are less "
            "alike, so more are missed than this says."
        )
    subjects = pa.array([None if person is None else f"person {person}" for person in kept], pa.string())
    at = tables.STORE.get_field_index("subject")
    by_verdicts = {p for p, node in zip(kept, nodes, strict=True) if p is not None} - {
        people[node] for node in declared if node in people
    }
    return Labelled(
        replace(joined, rows=joined.rows.set_column(at, tables.STORE.field(at), subjects)),
        len(set(kept) - {None}),
        len(by_verdicts),
        {
            "same": counts["same"],
            "different": counts["different"],
            "unclear": counts["unsure"] + counts["disputed"],
            "stale": len(said) - len(here),
        },
        tuple(warnings),
    )


def _joined(datasets: Sequence[Dataset]) -> Dataset:
    """Several datasets as one; ids are told apart by the dataset's number."""
    if len(datasets) == 1:
        return datasets[0]
    at = tables.STORE.get_field_index("image_id")
    rows: list[pa.Table] = []
    refs: dict[str, ImageRef] = {}
    for number, dataset in enumerate(datasets):
        ids = pa.array([f"{number}/{image}" for image in dataset.rows["image_id"].to_pylist()])
        rows.append(dataset.rows.set_column(at, tables.STORE.field(at), ids))
        refs |= {f"{number}/{image}": ref for image, ref in dataset.refs.items()}
    name = " + ".join(dataset.name for dataset in datasets)
    return Dataset(name, pa.concat_tables(rows), refs, {}, datasets[0].key_id)


def _nodes(joined: Dataset, several: bool) -> list[_Node]:
    """What each image stands for: its subject, of its own dataset, else its pixels."""
    columns = (joined.rows[name].to_pylist() for name in ("image_id", "subject", "pixel_hash"))
    return [
        ("subject", image.partition("/")[0] if several else "", subject)
        if subject
        else ("picture", pixels or image)
        for image, subject, pixels in zip(*columns, strict=True)
    ]


def _is_here(opinion: Opinion, graph: nx.Graph) -> bool:
    """Whether pictures of both sides are there."""
    verdict = opinion.verdict
    return all(
        any(("picture", p) in graph for p in side) for side in (verdict.pictures_a, verdict.pictures_b)
    )


def _people(graph: nx.Graph, here: Sequence[Opinion], declared: set[_Node]) -> dict[_Node, int]:
    """The person that each subject and picture shows, of those who are known."""
    judged: set[_Node] = set()
    unclear: set[_Node] = set()
    for opinion in here:
        sides = [
            [node for p in side if (node := ("picture", p)) in graph]
            for side in (opinion.verdict.pictures_a, opinion.verdict.pictures_b)
        ]
        if opinion.word == "same":
            nx.add_path(graph, sides[0] + sides[1])
        (judged if opinion.word in ("same", "different") else unclear).update(sides[0] + sides[1])
    person = {node: i for i, part in enumerate(nx.connected_components(graph)) for node in part}
    torn = {
        person["picture", a]
        for opinion in here
        if opinion.word == "different"
        for a in opinion.verdict.pictures_a
        for b in opinion.verdict.pictures_b
        if person.get(("picture", a), -1) == person.get(("picture", b), -2)
    }
    known = {person[node] for node in (declared | judged) if node in person}
    known -= torn | {person[node] for node in unclear}
    return {node: i for node, i in person.items() if i in known}


def _repeated(nodes: Sequence[_Node], pictures: Sequence[str | None], kept: Sequence[int | None]) -> int:
    """Declared subjects with two different pictures or more."""
    several: dict[_Node, set[str | None]] = {}
    for node, picture, person in zip(nodes, pictures, kept, strict=True):
        if node[0] == "subject" and person is not None:
            several.setdefault(node, set()).add(picture)
    return sum(len(own) > 1 for own in several.values())


def _of_one_subject(nodes: Sequence[_Node], kept: Sequence[int | None]) -> list[int | None]:
    """Leaves each person the images of the declared subject, or picture, with most of them."""
    images = Counter(zip(kept, nodes, strict=True))
    chosen: dict[int | None, _Node] = {}
    for (person, node), _ in sorted(images.items(), key=lambda item: (-item[1], item[0][1])):
        chosen.setdefault(person, node)
    return [p if chosen[p] == node else None for p, node in zip(kept, nodes, strict=True)]

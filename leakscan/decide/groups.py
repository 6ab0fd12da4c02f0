"""From pairs to people: groups of images linked by leaks, and what holds each group together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from leakscan.types import RELATIONS

if TYPE_CHECKING:
    import networkx as nx

Node = tuple[str, str]
"""Dataset and image id."""

_EXACT_DIAMETER = 300  # members up to which every path is walked; beyond, a lower bound by sweeps


@dataclass(frozen=True)
class Link:
    """A leak between two images.

    Attributes:
        a: The image at one end.
        b: The image at the other.
        relation: What the pair is.
        score: The normalised similarity, minus infinity where it is unknown.
    """

    a: Node
    b: Node
    relation: str
    score: float


def link_subjects(links: Sequence[Link], declared: Mapping[Node, str]) -> list[dict[str, Any]]:
    """Rows of ``subjects.parquet``: one per image of every linked group.

    Images of one dataset that declare the same subject belong together without a link.

    Args:
        links: The leaks.
        declared: The declared subject (hashed) of every image that has one.

    Example:
        >>> rows = link_subjects([Link(("A", "1"), ("B", "7"), "same_image", 9.0)], {})
        >>> [row["image_id"] for row in rows]
        ['1', '7']
    """
    if not links:
        return []
    import networkx as nx  # where nothing leaks, nobody waits for it

    nodes = sorted({end for link in links for end in (link.a, link.b)})
    # A declared subject is one node, so that a bridge is always a leak and never a declaration.
    person = {node: _person(node, declared) for node in nodes}
    graph: nx.MultiGraph[Node] = nx.MultiGraph()
    graph.add_edges_from((person[link.a], person[link.b], {"link": link}) for link in links)
    group_of = {p: number for number, group in enumerate(nx.connected_components(graph)) for p in group}
    groups: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        groups[group_of[person[node]]].append(node)
    own: dict[int, list[Link]] = defaultdict(list)
    for link in links:
        own[group_of[person[link.a]]].append(link)
    rows: list[dict[str, Any]] = []
    for number, members in sorted(groups.items(), key=lambda g: (-len(g[1]), g[1])):
        part = graph.subgraph({person[node] for node in members})
        rows += _group_rows(members, own[number], part, declared)
    return rows


def contradictions(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups in which one dataset declares several subjects: a label error, or a false pair.

    Args:
        rows: The rows of ``subjects.parquet``.

    Returns:
        One entry per group and dataset: ``group``, ``dataset``, ``subjects`` (how many) and the
        ``weakest_link``, which a curator checks first.

    Example:
        >>> contradictions(link_subjects([Link(("A", "1"), ("B", "7"), "same_image", 9.0)], {}))
        []
    """
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    weakest: dict[str, str | None] = {}
    for row in rows:
        weakest[row["group"]] = row["weakest_link"]
        if row["subject"]:
            found[row["group"], row["dataset"]].add(row["subject"])
    return [
        {"group": group, "dataset": dataset, "subjects": len(names), "weakest_link": weakest[group]}
        for (group, dataset), names in found.items()
        if len(names) > 1
    ]


def _person(node: Node, declared: Mapping[Node, str]) -> Node:
    """The graph's node for an image: its declared subject, or itself."""
    return (node[0], f"subject {declared[node]}") if node in declared else (node[0], f"image {node[1]}")


def _rank(relation: str) -> int:
    return [*RELATIONS, ""].index(relation)


def _group_rows(
    members: Sequence[Node], links: Sequence[Link], graph: nx.MultiGraph[Node], declared: Mapping[Node, str]
) -> list[dict[str, Any]]:
    import networkx as nx

    bridges = [graph.get_edge_data(a, b)[0]["link"] for a, b in nx.bridges(graph)]
    bridges.sort(key=lambda link: (-_rank(link.relation), link.score, link.a, link.b))
    several = _declares_several(members, declared)
    common = {
        "group": blake3("\n".join(f"{d}/{i}" for d, i in members).encode()).hexdigest()[:12],
        "n_images": len(members),
        "strongest_relation": min((link.relation for link in links), key=_rank),
        "weakest_link": _name(bridges[0]) if bridges else None,
        "bridges": [_name(link) for link in bridges],
        "diameter": _diameter(graph),
        "contradiction": several,
    }
    return [
        {"dataset": node[0], "subject": declared.get(node), "image_id": node[1], **common} for node in members
    ]


def _name(link: Link) -> str:
    return f"{link.a[1]} {link.b[1]}"


def _declares_several(members: Sequence[Node], declared: Mapping[Node, str]) -> bool:
    names = {(node[0], declared[node]) for node in members if node in declared}
    return len(names) > len({dataset for dataset, _ in names})


def _diameter(graph: nx.MultiGraph[Node]) -> int:
    """Links between the two people of a group who are farthest apart.

    Of a very large group a lower bound, by sweeps to and fro (Crescenzi et al. 2010).
    """
    import networkx as nx

    if len(graph) < 2:
        return 0
    if len(graph) <= _EXACT_DIAMETER:
        return int(nx.diameter(graph))
    return int(nx.approximation.diameter(nx.Graph(graph), seed=0))

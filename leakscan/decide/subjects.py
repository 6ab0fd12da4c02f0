"""From pairs to people: groups of images linked by leaks, and each group's weakest link."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from leakscan.types import RELATIONS

Node = tuple[str, str]
"""Dataset and image id."""


@dataclass(frozen=True)
class Link:
    """A leak between two images.

    Attributes:
        a: one end.
        b: the other.
        relation: what the pair is.
        score: similarity, -1 where unknown.
    """

    a: Node
    b: Node
    relation: str
    score: float


def link_subjects(links: Sequence[Link], declared: Mapping[Node, str]) -> list[dict[str, Any]]:
    """Rows of ``subjects.parquet``: one per image of every linked group.

    Images of one dataset that declare the same subject belong together without a link.

    Args:
        links: the leaks.
        declared: image -> declared subject (hashed), for the images that have one.
    """
    nodes = sorted({end for link in links for end in (link.a, link.b)})
    groups = _components(nodes, links, declared)
    rows: list[dict[str, Any]] = []
    for members in groups:
        inside = set(members)
        own = [link for link in links if link.a in inside]
        strongest = min((link.relation for link in own), key=_rank)
        weakest = _weakest_bridge(members, own, declared)
        name = blake3("\n".join(f"{d}/{i}" for d, i in members).encode()).hexdigest()[:12]
        for dataset, image_id in members:
            rows.append(
                {
                    "group": name,
                    "dataset": dataset,
                    "subject": declared.get((dataset, image_id)),
                    "image_id": image_id,
                    "n_images": len(members),
                    "strongest_relation": strongest,
                    "weakest_link": weakest,
                }
            )
    return rows


def _rank(relation: str) -> int:
    return [*RELATIONS, ""].index(relation)


def _declared_chains(nodes: Iterable[Node], declared: Mapping[Node, str]) -> Iterable[tuple[Node, Node]]:
    last: dict[tuple[str, str], Node] = {}
    for node in nodes:
        if node in declared:
            key = (node[0], declared[node])
            if key in last:
                yield last[key], node
            last[key] = node


def _components(
    nodes: Sequence[Node], links: Sequence[Link], declared: Mapping[Node, str]
) -> list[list[Node]]:
    parent = {node: node for node in nodes}

    def root(node: Node) -> Node:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    edges = [(link.a, link.b) for link in links]
    for a, b in [*edges, *_declared_chains(nodes, declared)]:
        parent[root(a)] = root(b)
    groups: dict[Node, list[Node]] = defaultdict(list)
    for node in nodes:
        groups[root(node)].append(node)
    return sorted(groups.values(), key=lambda g: (-len(g), g))


def _weakest_bridge(
    members: Sequence[Node], links: Sequence[Link], declared: Mapping[Node, str]
) -> str | None:
    """The weakest link whose removal would split the group, as ``image_a image_b``.

    Bridges are found by one depth-first walk (Tarjan 1974): an edge is a bridge when nothing
    reached through it leads back to where it started or above.
    """
    edges = [(link.a, link.b) for link in links] + list(_declared_chains(members, declared))
    neighbours: dict[Node, list[tuple[Node, int]]] = defaultdict(list)
    for number, (a, b) in enumerate(edges):
        neighbours[a].append((b, number))
        neighbours[b].append((a, number))
    order: dict[Node, int] = {}
    low: dict[Node, int] = {}
    bridges: list[int] = []
    stack: list[tuple[Node, int, int]] = [(members[0], -1, 0)]
    while stack:
        node, came_by, at = stack.pop()
        if at == 0:
            order[node] = low[node] = len(order)
        if at < len(neighbours[node]):
            stack.append((node, came_by, at + 1))
            other, number = neighbours[node][at]
            if number == came_by:
                continue
            if other in order:
                low[node] = min(low[node], order[other])
            else:
                stack.append((other, number, 0))
        elif came_by >= 0:
            above = edges[came_by][0] if edges[came_by][1] == node else edges[came_by][1]
            low[above] = min(low[above], low[node])
            if low[node] > order[above]:
                bridges.append(came_by)
    splitting = [links[number] for number in bridges if number < len(links)]
    if not splitting:
        return None
    weakest = max(splitting, key=lambda link: (_rank(link.relation), -link.score))
    return f"{weakest.a[1]} {weakest.b[1]}"

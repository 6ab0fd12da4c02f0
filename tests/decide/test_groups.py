"""Linked images become people, and the link that holds a group together alone is named."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from leakscan.decide.groups import Link, Node, contradictions, link_subjects
from leakscan.types import RELATIONS

NODES = [(dataset, f"{i}") for dataset in ("A", "B") for i in range(5)]


@st.composite
def graphs(draw: Any) -> tuple[list[Link], dict[Node, str]]:
    """Links between images of A and B with distinct scores, and some declared subjects."""
    a, b = NODES[:5], NODES[5:]
    ends = draw(
        st.lists(st.tuples(st.sampled_from(a), st.sampled_from(b)), unique=True, min_size=1, max_size=12)
    )
    scores = draw(st.permutations([i / 20 for i in range(len(ends))]))
    links = [
        Link(x, y, draw(st.sampled_from(RELATIONS)), score)
        for (x, y), score in zip(ends, scores, strict=True)
    ]
    declared = draw(st.dictionaries(st.sampled_from(NODES), st.sampled_from(["s", "t"]), max_size=5))
    return links, declared


def groups_of(links: list[Link], declared: dict[Node, str], nodes: set[Node]) -> list[frozenset[Node]]:
    """Components by plain flooding; images of one dataset that declare one subject hang together."""
    edges = [(link.a, link.b) for link in links]
    edges += [
        (x, y) for x in nodes for y in nodes
        if x < y and x[0] == y[0] and declared.get(x, 1) == declared.get(y, 2)
    ]  # fmt: skip
    left, found = set(nodes), []
    while left:
        group = {left.pop()}
        while True:
            more = {y for e in edges for x, y in (e, e[::-1]) if x in group} - group
            if not more:
                break
            group |= more
        left -= group
        found.append(frozenset(group))
    return found


@given(graphs())
def test_groups_are_what_hangs_together(graph: tuple[list[Link], dict[Node, str]]) -> None:
    links, declared = graph
    nodes = {end for link in links for end in (link.a, link.b)}
    rows = link_subjects(links, declared)
    by_group: dict[str, set[Node]] = {}
    for row in rows:
        by_group.setdefault(row["group"], set()).add((row["dataset"], row["image_id"]))
    assert set(map(frozenset, by_group.values())) == set(groups_of(links, declared, nodes))
    assert len(rows) == len(nodes)
    for row in rows:
        members = by_group[row["group"]]
        assert row["n_images"] == len(members)
        assert row["subject"] == declared.get((row["dataset"], row["image_id"]))
        own = [link.relation for link in links if link.a in members]
        assert row["strongest_relation"] == min(own, key=RELATIONS.index)


@given(graphs())
def test_the_weakest_link_is_the_weakest_of_those_that_split_the_group(
    graph: tuple[list[Link], dict[Node, str]],
) -> None:
    links, declared = graph
    nodes = {end for link in links for end in (link.a, link.b)}
    rows = {(r["dataset"], r["image_id"]): r for r in link_subjects(links, declared)}
    whole = len(groups_of(links, declared, nodes))
    splitting: dict[str, list[Link]] = {}
    for link in links:
        rest = [other for other in links if other is not link]
        if len(groups_of(rest, declared, nodes)) > whole:
            splitting.setdefault(rows[link.a]["group"], []).append(link)
    for row in rows.values():
        candidates = splitting.get(row["group"], [])
        if not candidates:
            assert row["weakest_link"] is None and row["bridges"] == []
            continue
        assert sorted(row["bridges"]) == sorted(f"{link.a[1]} {link.b[1]}" for link in candidates)
        weakest = max(candidates, key=lambda link: (RELATIONS.index(link.relation), -link.score))
        assert row["weakest_link"] == f"{weakest.a[1]} {weakest.b[1]}"


@given(graphs())
def test_the_order_of_the_links_changes_nothing(graph: tuple[list[Link], dict[Node, str]]) -> None:
    links, declared = graph
    assert link_subjects(links, declared) == link_subjects(links[::-1], declared)


def test_swapping_the_ends_changes_the_order_of_the_weakest_link_only() -> None:
    links = [
        Link(("A", "1"), ("B", "2"), "same_file", 0.9),
        Link(("A", "1"), ("B", "3"), "same_subject", 0.5),
    ]
    turned = [Link(link.b, link.a, link.relation, link.score) for link in links]
    one, two = link_subjects(links, {}), link_subjects(turned, {})
    assert {r["weakest_link"] for r in one} == {"1 3"}
    assert {r["weakest_link"] for r in two} == {"3 1"}
    assert one[0]["bridges"] == ["1 3", "1 2"] and two[0]["bridges"] == ["3 1", "2 1"]
    same = {"weakest_link": "", "bridges": []}
    assert [{**r, **same} for r in one] == [{**r, **same} for r in two]


def test_one_subject_declared_in_two_datasets_is_no_link_by_itself() -> None:
    links = [Link(("A", "1"), ("B", "1"), "same_file", 1.0), Link(("A", "2"), ("B", "2"), "same_file", 1.0)]
    rows = link_subjects(links, {("A", "1"): "s", ("B", "2"): "s"})
    assert len({r["group"] for r in rows}) == 2


def test_a_long_chain_needs_no_deep_recursion() -> None:
    links = [
        Link(("A", f"{(i + 1) // 2:05}"), ("B", f"{i // 2:05}"), "same_subject", 0.5) for i in range(6000)
    ]
    (group,) = {r["group"] for r in link_subjects(links, {})}
    assert group


def test_no_links_are_no_groups() -> None:
    assert link_subjects([], {("A", "1"): "s"}) == []


def test_the_diameter_counts_links_between_people_not_between_images() -> None:
    links = [
        Link(("A", "1"), ("B", "1"), "same_subject", 0.5),
        Link(("A", "2"), ("B", "2"), "same_subject", 0.6),
    ]
    rows = link_subjects(links, {("A", "1"): "s", ("A", "2"): "s"})
    assert {row["diameter"] for row in rows} == {2}
    assert {row["n_images"] for row in rows} == {4}


def test_two_names_of_one_dataset_in_a_group_are_a_contradiction() -> None:
    links = [
        Link(("A", "1"), ("B", "1"), "same_subject", 0.5),
        Link(("A", "2"), ("B", "1"), "same_file", 0.6),
    ]
    rows = link_subjects(links, {("A", "1"): "s", ("A", "2"): "t", ("B", "1"): "u"})
    assert all(row["contradiction"] for row in rows)
    (found,) = contradictions(rows)
    assert found == {"group": rows[0]["group"], "dataset": "A", "subjects": 2, "weakest_link": "1 1"}
    named_alike = link_subjects(links, {("A", "1"): "s", ("A", "2"): "s", ("B", "1"): "u"})
    assert not any(row["contradiction"] for row in named_alike) and contradictions(named_alike) == []

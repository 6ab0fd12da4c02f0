"""Cards of a run: one for every two people that it may have found to be one, with all their images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from leakscan import tables
from leakscan.report.run_folder import RunFolder
from leakscan.types import RELATIONS

PROVEN = ("same_file", "same_pixels")
"""Relations that leave nothing to judge about the pictures."""

Who = tuple[str, str]
"""A dataset, and a declared subject or a picture in it."""


@dataclass(frozen=True, kw_only=True)
class RunImage:
    """One image of a run, as its tables describe it.

    Attributes:
        key: A short name for it on the page, which tells nothing.
        dataset: The name of its dataset.
        image_id: Its id in that dataset.
        row: Its row of ``images.parquet``.
    """

    key: str
    dataset: str
    image_id: str
    row: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> RunImage:
        """The image of a row of ``images.parquet``."""
        dataset, image_id = row["dataset"] or "", row["image_id"] or ""
        return cls(key=_short(f"{dataset}\n{image_id}"), dataset=dataset, image_id=image_id, row=row)

    @property
    def who(self) -> Who:
        """The person: the declared subject, or the picture where none is declared."""
        if self.row["subject"]:
            return self.dataset, f"subject {self.row['subject']}"
        return self.dataset, f"picture {self.row['pixel_hash'] or self.image_id}"

    @property
    def picture(self) -> str:
        """The name of what is seen of it, equal for equal pixels."""
        return self.row["pixel_hash"] or f"{self.dataset}\n{self.image_id}"

    @property
    def ndim(self) -> int:
        """3 for a volume, else 2."""
        shape = self.row["shape"] or ()
        return 3 if len(shape) == 3 and (self.row["kind"] or "").endswith(("mri", "3d")) else 2


@dataclass(frozen=True, kw_only=True)
class FoundPair:
    """One pair of ``pairs.parquet``.

    Attributes:
        number: Its place in ``pairs.parquet``, from 0.
        key: A short name for it on the page.
        a: The image of the first dataset.
        b: The image of the second.
        row: Its row of ``pairs.parquet``.
    """

    number: int
    key: str
    a: RunImage
    b: RunImage
    row: Mapping[str, Any] = field(repr=False)

    @property
    def relation(self) -> str:
        """What the run says that it is."""
        return str(self.row["relation"])

    @property
    def decision(self) -> str:
        """What the run says that it counts for."""
        return str(self.row["decision"])

    @property
    def probability(self) -> float | None:
        """The run's probability that it is one person, where the run gives one."""
        value = self.row.get("probability")
        return None if value is None else float(value)

    @property
    def strength(self) -> tuple[int, float, float]:
        """Sorts pairs, the strongest first."""
        p = self.row["p_value"]
        likely = self.probability
        return RELATIONS.index(self.relation), -(likely or 0.0), 1.0 if p is None else float(p)


@dataclass(frozen=True, kw_only=True)
class ReviewCard:
    """Two people, one of each dataset, with everything that the run has of them.

    Attributes:
        key: A short name for it on the page.
        who_a: The person of the first dataset.
        who_b: The person of the second.
        pairs: The pairs of the run between the two, the strongest first.
        images_a: All images of the first person, those in pairs first.
        images_b: All images of the second.
        group: The id of the group of linked images that the card stands in, or empty.
        group_images: The number of images in that group.
        splits_off: How many images a verdict "different" would take from the rest of the group: the smaller
            of the two parts, 0 where other leaks hold them together.
    """

    key: str
    who_a: Who
    who_b: Who
    pairs: tuple[FoundPair, ...]
    images_a: tuple[RunImage, ...]
    images_b: tuple[RunImage, ...]
    group: str = ""
    group_images: int = 0
    splits_off: int = 0

    @property
    def lead(self) -> FoundPair:
        """The pair to look at first: the strongest that is not proven by itself, if there is one."""
        return next((pair for pair in self.pairs if pair.relation not in PROVEN), self.pairs[0])

    @property
    def strongest(self) -> FoundPair:
        """The pair that proves most."""
        return self.pairs[0]

    @property
    def decision(self) -> str:
        """``leak`` where any of its pairs is one, else what the strongest is."""
        decisions = {pair.decision for pair in self.pairs}
        return "leak" if "leak" in decisions else self.strongest.decision

    @property
    def proven(self) -> bool:
        """Whether equal pixels settle it, whoever looks."""
        return self.strongest.relation in PROVEN and self.strongest.decision == "leak"

    @property
    def probability(self) -> float | None:
        """The highest probability of its pairs, where the run gives any."""
        known = [pair.probability for pair in self.pairs if pair.probability is not None]
        return max(known, default=None)

    @property
    def p_value(self) -> float | None:
        """The lowest p-value of its pairs."""
        known = [float(p) for pair in self.pairs if (p := pair.row["p_value"]) is not None]
        return min(known, default=None)

    @property
    def datasets(self) -> tuple[str, str]:
        """The names of the two datasets."""
        return self.who_a[0], self.who_b[0]

    @property
    def images(self) -> tuple[RunImage, ...]:
        """All images of both."""
        return (*self.images_a, *self.images_b)

    def pair(self, key: str) -> FoundPair | None:
        """The pair of that name."""
        return next((pair for pair in self.pairs if pair.key == key), None)

    def couple(self, a: str, b: str) -> tuple[RunImage, RunImage] | None:
        """Two images of the card, one of each person, by their names."""
        left = next((image for image in self.images_a if image.key == a), None)
        right = next((image for image in self.images_b if image.key == b), None)
        return None if left is None or right is None else (left, right)


class Deck:
    """All cards of a run.

    Args:
        cards: The cards, in any order.

    Example::

        deck = Deck.of(RunFolder.open(Path("run")))
        print(len(deck), "pairs of people")
    """

    def __init__(self, cards: Iterable[ReviewCard]) -> None:
        self._cards = {card.key: card for card in cards}

    def __len__(self) -> int:
        return len(self._cards)

    def __iter__(self) -> Iterator[ReviewCard]:
        return iter(self._cards.values())

    def get(self, key: str) -> ReviewCard | None:
        """The card of that name."""
        return self._cards.get(key)

    @classmethod
    def of(cls, folder: RunFolder) -> Deck:
        """The cards of a run folder.

        Raises:
            StoreError: A table of the run is damaged or missing.
        """
        rows = folder.read(tables.PAIRS).to_pylist()
        images = _images(folder.read(tables.IMAGES), rows)
        groups = {
            (row["dataset"], row["image_id"]): (row["group"], row["n_images"])
            for row in folder.read(tables.SUBJECTS).to_pylist()
        }
        return cls(_cards(rows, images, groups))


def _images(table: pa.Table, pairs: Sequence[Mapping[str, Any]]) -> dict[Who, RunImage]:
    """The images that pairs name and all others of their declared subjects, by dataset and id.

    A run may hold a million images of which few are in pairs, so only those become Python objects.
    """
    ids = {pair[f"image_{side}"] for pair in pairs for side in "ab"}
    subjects = {pair[f"subject_{side}"] for pair in pairs for side in "ab"} - {None}
    wanted = pc.or_(
        pc.is_in(table["image_id"], pa.array(sorted(ids), pa.string())),
        pc.is_in(table["subject"], pa.array(sorted(subjects), pa.string())),
    )
    found = table.filter(pc.and_(pc.fill_null(wanted, False), pc.equal(table["status"], "ok"))).to_pylist()
    return {(row["dataset"], row["image_id"]): RunImage.of(row) for row in found}


def _cards(
    rows: Sequence[Mapping[str, Any]], images: Mapping[Who, RunImage], groups: Mapping[Who, tuple[str, int]]
) -> Iterator[ReviewCard]:
    pairs: dict[tuple[Who, Who], list[FoundPair]] = defaultdict(list)
    for number, row in enumerate(rows):
        a = images.get((row["dataset_a"], row["image_a"]))
        b = images.get((row["dataset_b"], row["image_b"]))
        if a is None or b is None:
            continue  # the tables of a run that was put together by hand
        pairs[a.who, b.who].append(
            FoundPair(number=number, key=_short(f"{a.key} {b.key}"), a=a, b=b, row=row)
        )
    of_person: dict[Who, list[RunImage]] = defaultdict(list)
    for image in images.values():
        of_person[image.who].append(image)
    splits = _splits_off(pairs)
    for (who_a, who_b), own in pairs.items():
        own.sort(key=lambda pair: pair.strength)
        group, size = _group_of(own, groups)
        yield ReviewCard(
            key=_short("\n".join((*who_a, *who_b))),
            who_a=who_a,
            who_b=who_b,
            pairs=tuple(own),
            images_a=_in_order(of_person[who_a], [pair.a for pair in own]),
            images_b=_in_order(of_person[who_b], [pair.b for pair in own]),
            group=group,
            group_images=size,
            splits_off=splits.get((who_a, who_b), 0),
        )


def _in_order(images: Sequence[RunImage], first: Sequence[RunImage]) -> tuple[RunImage, ...]:
    """Those of ``first`` once each, then the others by date and path."""
    ahead = {image.key: image for image in first}
    rest = [image for image in images if image.key not in ahead]
    rest.sort(key=lambda image: (image.row["acquired"] or "", image.row["path"] or "", image.image_id))
    return (*ahead.values(), *rest)


def _group_of(pairs: Sequence[FoundPair], groups: Mapping[Who, tuple[str, int]]) -> tuple[str, int]:
    for pair in pairs:
        if pair.decision == "leak" and (found := groups.get((pair.a.dataset, pair.a.image_id))):
            return found
    return "", 0


def _splits_off(pairs: Mapping[tuple[Who, Who], Sequence[FoundPair]]) -> dict[tuple[Who, Who], int]:
    """For each card that alone holds a group of more than two people together, what it would split off."""
    graph: nx.Graph[Who] = nx.Graph()
    weight: dict[Who, set[str]] = defaultdict(set)
    for (who_a, who_b), own in pairs.items():
        if any(pair.decision == "leak" for pair in own):
            graph.add_edge(who_a, who_b)
            weight[who_a] |= {pair.a.key for pair in own}
            weight[who_b] |= {pair.b.key for pair in own}
    found: dict[tuple[Who, Who], int] = {}
    for members in list(nx.connected_components(graph)):
        if len(members) > 2:
            found |= _parts(graph.subgraph(members), weight)
    return found


def _parts(graph: nx.Graph[Who], weight: Mapping[Who, set[str]]) -> dict[tuple[Who, Who], int]:
    """The images in the smaller part for every bridge of a connected graph, either way round.

    Without its bridges a graph falls into parts that form a tree, so one walk gives all sums.
    """
    bridges = {frozenset(edge) for edge in nx.bridges(graph)}
    if not bridges:
        return {}
    loose = nx.Graph(graph)
    loose.remove_edges_from([tuple(edge) for edge in bridges])
    part_of = {who: n for n, part in enumerate(nx.connected_components(loose)) for who in part}
    tree: nx.Graph[int] = nx.Graph()
    tree.add_nodes_from(part_of.values())
    tree.add_edges_from(tuple(part_of[who] for who in edge) for edge in bridges)
    below: dict[int, int] = defaultdict(int)
    for who, part in part_of.items():
        below[part] += len(weight[who])
    total = sum(below.values())
    parent: dict[int, int] = {}
    for upper, lower in reversed(list(nx.dfs_edges(tree, source=0))):
        parent[lower] = upper
    for lower in nx.dfs_postorder_nodes(tree, source=0):
        if lower in parent:
            below[parent[lower]] += below[lower]
    found = {}
    for edge in bridges:
        one, other = edge
        a, b = part_of[one], part_of[other]
        lower = a if parent.get(a) == b else b
        found[one, other] = found[other, one] = min(below[lower], total - below[lower])
    return found


def _short(text: str) -> str:
    return blake3(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

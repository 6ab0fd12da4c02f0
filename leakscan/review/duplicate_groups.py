"""Groups of images of one source that are one picture or one person, and which of each to keep."""

from __future__ import annotations

import fnmatch
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import networkx as nx
import pyarrow as pa

from leakscan import tables
from leakscan.errors import UsageError
from leakscan.types import RELATIONS

KEEP_RULES = ("first", "largest", "sharpest", "dicom")
"""Which image of a group stays: the first by path; the one with most pixels; the sharpest; a DICOM file
before all others. Anything else is a pattern of paths such as ``originals/*``."""

DUPLICATES = tables.table_schema(
    "duplicates",
    [
        ("group", pa.int32()),
        ("dataset", pa.string()),
        ("image_id", pa.string()),
        ("path", pa.string()),
        ("keep", pa.bool_()),
        ("relation", pa.string()),
        ("transform", pa.string()),
        ("label", pa.string()),
        ("conflict", pa.bool_()),
        ("chained", pa.bool_()),
        ("one_folder", pa.bool_()),
        ("n_images", pa.int32()),
    ],
)
"""One row per image of every group. ``relation`` is the image's strongest one within the group."""


@dataclass(frozen=True, kw_only=True)
class GroupRules:
    """What to make of groups.

    Attributes:
        keep: A rule of ``KEEP_RULES``, or a pattern of paths.
        labels: The label of an image by path; empty where there are none.
        across_folders: Whether groups that lie in one folder are left out.
        sharpness: What tells how sharp an image is, by image id; needed for the rule ``sharpest``.
    """

    keep: str = "first"
    labels: Mapping[str, str]
    across_folders: bool = False
    sharpness: Callable[[str], float] | None = None


def duplicate_groups(
    images: Sequence[dict[str, Any]], pairs: Sequence[dict[str, Any]], rules: GroupRules
) -> pa.Table:
    """The groups that the leaks of one source link, largest first, the image to keep first in each.

    Args:
        images: Rows of ``images.parquet``.
        pairs: Rows of ``pairs.parquet``; only leaks link.
        rules: What to make of the groups.

    Returns:
        One row per image of a group, schema ``DUPLICATES``. ``conflict``: the labels of the group differ.
        ``chained``: two images of the group are linked only by way of others, so they may be unlike. Where
        a pattern of paths fits no image of a group, the first by path is kept.

    Example:
        >>> images = [{"dataset": "A", "image_id": i, "path": f"{i}.png", "shape": [9, 9]} for i in "xyz"]
        >>> pair = {"image_a": "x", "image_b": "z", "relation": "same_image", "decision": "leak"}
        >>> rules = GroupRules(labels={"x.png": "benign", "z.png": "malignant"})
        >>> table = duplicate_groups(images, [pair | {"transform": "hflip"}], rules)
        >>> table["path"].to_pylist(), table["keep"].to_pylist(), table["conflict"].to_pylist()
        (['x.png', 'z.png'], [True, False], [True, True])
    """
    row_of = {row["image_id"]: row for row in images}
    graph: nx.Graph[str] = nx.Graph()
    for pair in pairs:
        if pair["decision"] == "leak":
            graph.add_edge(pair["image_a"], pair["image_b"], pair=pair)
    found = [sorted(part, key=lambda i: _path(row_of[i])) for part in nx.connected_components(graph)]
    found.sort(key=lambda group: (-len(group), _path(row_of[group[0]])))
    rows: list[dict[str, Any]] = []
    number = 0
    for group in found:
        folders = {str(PurePosixPath(_path(row_of[i])).parent) for i in group}
        if rules.across_folders and len(folders) == 1:
            continue
        own = [row_of[i] for i in group]
        labels = {i: rules.labels.get(_path(row_of[i])) for i in group}
        keeper = min(own, key=lambda row: (_rank(row, rules), _path(row)))["image_id"]
        number += 1
        common = {
            "group": number,
            "conflict": len({label for label in labels.values() if label}) > 1,
            "chained": len(graph.subgraph(group).edges) < math.comb(len(group), 2),
            "one_folder": len(folders) == 1,
            "n_images": len(group),
        }
        for name in sorted(group, key=lambda i: i != keeper):
            best = min(
                (data["pair"] for _, _, data in graph.edges(name, data=True)),
                key=lambda pair: RELATIONS.index(pair["relation"]),
            )
            rows.append(
                {
                    **{n: row_of[name][n] for n in ("dataset", "image_id", "path")},
                    "keep": name == keeper,
                    "relation": best["relation"],
                    "transform": best["transform"],
                    "label": labels[name],
                    **common,
                }
            )
    return tables.from_rows(rows, DUPLICATES)


def check_rule(images: Sequence[Mapping[str, Any]], keep: str) -> None:
    """Refuses a pattern of paths to keep that fits no image at all, before anything slow is done.

    Args:
        images: Rows of ``images.parquet``.
        keep: A rule of ``KEEP_RULES``, or a pattern of paths.

    Raises:
        UsageError: It is a pattern and fits no image.

    Example:
        >>> check_rule([{"path": "originals/1.png", "image_id": "x"}], "originals/*")
        >>> check_rule([{"path": "originals/1.png", "image_id": "x"}], "larges")
        Traceback (most recent call last):
        leakscan.errors.UsageError: The pattern to keep, 'larges', fits no image.
        A rule is one of first, largest, sharpest, dicom, or a pattern such as originals/*.
    """
    if keep in KEEP_RULES or not images or any(fnmatch.fnmatch(_path(row), keep) for row in images):
        return
    raise UsageError(
        f"The pattern to keep, {keep!r}, fits no image.",
        f"A rule is one of {', '.join(KEEP_RULES)}, or a pattern such as originals/*.",
    )


def unfit_groups(table: pa.Table, keep: str) -> int:
    """How many groups have no image that a pattern of paths fits, so that the first by path is kept.

    Args:
        table: What :func:`duplicate_groups` made.
        keep: A rule of ``KEEP_RULES``, or a pattern of paths.

    Example:
        >>> unfit_groups(DUPLICATES.empty_table(), "originals/*")
        0
    """
    if keep in KEEP_RULES:
        return 0
    kept = table.filter(table["keep"]).to_pylist()
    return sum(not fnmatch.fnmatch(_path(row), keep) for row in kept)


def folder_labels(images: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The folder that each image lies in, as its label.

    Example:
        >>> folder_labels([{"path": "benign/1.png"}, {"path": "2.png"}])
        {'benign/1.png': 'benign'}
    """
    paths = [PurePosixPath(row["path"]) for row in images if row["path"]]
    return {str(path): path.parent.name for path in paths if path.parent.name}


def _path(row: Mapping[str, Any]) -> str:
    return str(row["path"] or row["image_id"])


def _rank(row: Mapping[str, Any], rules: GroupRules) -> float:
    """The smaller, the sooner it is kept."""
    if rules.keep == "first":
        return 0.0
    if rules.keep == "largest":
        return -float(math.prod((row["shape"] or [0])[:3]))
    if rules.keep == "dicom":
        return float(row["format"] != "dicom")
    if rules.keep == "sharpest":
        return -(rules.sharpness(row["image_id"]) if rules.sharpness else 0.0)
    return float(not fnmatch.fnmatch(_path(row), rules.keep))


def counts(table: pa.Table) -> dict[str, Any]:
    """What a table of groups comes to.

    Example:
        >>> counts(DUPLICATES.empty_table())["groups"]
        0
    """
    rows = table.to_pylist()
    groups: dict[int, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        groups[row["group"]] = row
    return {
        "groups": len(groups),
        "images": len(rows),
        "to_drop": sum(not row["keep"] for row in rows),
        "conflicting": sum(row["conflict"] for row in groups.values()),
        "chained": sum(row["chained"] for row in groups.values()),
        "in_one_folder": sum(row["one_folder"] for row in groups.values()),
        "relations": dict(Counter(row["relation"] for row in rows if not row["keep"])),
    }

"""The list of images to drop from a run, so that nobody stands on both sides. Nothing is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan import tables
from leakscan.errors import UsageError
from leakscan.report.run_folder import write_text
from leakscan.review.judged_run import JudgedRun
from leakscan.review.people import Owners, Unit, to_csv
from leakscan.types import RELATIONS

EXCLUSIONS = pa.schema(
    [
        ("dataset", pa.string()),
        ("image_id", pa.string()),
        ("path", pa.string()),
        ("relation", pa.string()),
        ("decision", pa.string()),
        ("because_of", pa.string()),
        ("pixel_hash", pa.string()),
        ("person", pa.int32()),
    ]
)
"""One row per image to drop; ``because_of`` is the strongest partner, as ``dataset/path``. An image that only
goes with its subject has none, and no relation."""

LOOK_FIRST = pa.schema(
    [
        ("why", pa.string()),
        ("dataset_a", pa.string()),
        ("path_a", pa.string()),
        ("dataset_b", pa.string()),
        ("path_b", pa.string()),
        ("relation", pa.string()),
        ("decision", pa.string()),
        ("pairs", pa.int32()),
    ]
)
"""One row per two people of whom a person should see the strongest pair, best first."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What is dropped.

    Attributes:
        dataset: The dataset to drop from; ``None`` chooses for every person the dataset that loses least.
        unit: What goes with a leaking image: all images of its subject (and their studies), of its study,
            or nothing.
        with_review: Whether pairs that are only for review count as leaks.
        protect: Datasets that nothing may be dropped from.
        publish: Whether the list names its own side only.
    """

    dataset: str | None = None
    unit: Unit = "subject"
    with_review: bool = False
    protect: tuple[str, ...] = ()
    publish: bool = False


@dataclass(frozen=True)
class Exclusions:
    """What to drop.

    Attributes:
        drop: One row per image to drop, schema ``EXCLUSIONS``.
        look_first: What a person should see first, schema ``LOOK_FIRST``.
        people: How many people lose images.
        left: How many leaking people stay in two datasets, because both are protected.
    """

    drop: pa.Table
    look_first: pa.Table
    people: int
    left: int


def exclusions(run: Path, policy: Policy) -> Exclusions:
    """The images to drop, so that a comparison without them does not find these people again.

    With ``Policy.dataset``, everybody who leaks between that dataset and another loses all images there.
    Without it, each person stays in the dataset where most of the person's images are, a protected one first.

    Args:
        run: A run folder that ``compare`` or ``audit`` wrote.
        policy: What is dropped.

    Raises:
        StoreError: ``run`` is no run folder.
        UsageError: The run has no dataset of a name, or the dataset to drop from is protected.

    Example::

        drop = exclusions(Path("run"), Policy(dataset="test")).drop
        keep = set(test_paths) - set(drop["path"].to_pylist())
    """
    judged = JudgedRun.open(run)
    names = list(dict.fromkeys(dataset for dataset, _ in judged.images))
    for name in (*([policy.dataset] if policy.dataset is not None else []), *policy.protect):
        if name not in names:
            raise UsageError(f"The run has no dataset {name!r}; it has: {', '.join(sorted(names))}.")
    if policy.dataset in policy.protect:
        raise UsageError(f"{policy.dataset} is protected, so nothing can be dropped from it.")
    decisions = ("leak", "review") if policy.with_review else ("leak",)
    strongest = _strongest(judged, decisions)
    people = Owners.of_run(judged, policy.unit, decisions)
    rows: list[dict[str, Any]] = []
    left = 0
    for person, members in people.members.items():
        own = [people.images[i] for i in members]
        touched = {row["dataset"] for row in own if (row["dataset"], row["image_id"]) in strongest}
        dropped = _dropped(own, touched, policy, names)
        asked = policy.dataset is None or policy.dataset in touched
        left += asked and len(touched - dropped) > 1 and (policy.dataset is None or not dropped)
        rows += [
            _row(row, strongest.get((row["dataset"], row["image_id"])), person, policy)
            for row in own
            if row["dataset"] in dropped
            and (policy.unit != "image" or (row["dataset"], row["image_id"]) in strongest)
        ]
    rows.sort(key=lambda r: (names.index(r["dataset"]), r["path"] or "", r["image_id"]))
    gone = {(r["dataset"], r["image_id"]) for r in rows}
    return Exclusions(
        tables.from_rows(rows, EXCLUSIONS),
        tables.from_rows([] if policy.publish else _look_first(judged, gone), LOOK_FIRST),
        len({r["person"] for r in rows}),
        left,
    )


def _strongest(judged: JudgedRun, decisions: Sequence[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """The strongest pair of every image of one, seen from that image."""
    ranked = sorted(
        (p for p in judged.pairs if p["decision"] in decisions),
        key=lambda p: (p["decision"] != "leak", RELATIONS.index(p["relation"])),
    )
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for pair in ranked:
        for own, other in (("a", "b"), ("b", "a")):
            partner = pair[f"path_{other}"] or pair[f"image_{other}"]
            out.setdefault(
                (pair[f"dataset_{own}"], pair[f"image_{own}"]),
                {
                    "relation": pair["relation"],
                    "decision": pair["decision"],
                    "because_of": f"{pair[f'dataset_{other}']}/{partner}",
                },
            )
    return out


def _dropped(
    own: Sequence[dict[str, Any]], touched: set[str], policy: Policy, names: Sequence[str]
) -> set[str]:
    """The datasets that one person is dropped from."""
    if len(touched) < 2:
        return set()
    if policy.dataset is not None:
        return {policy.dataset} & touched
    count = {name: sum(row["dataset"] == name for row in own) for name in touched}
    kept = min(touched, key=lambda name: (name not in policy.protect, -count[name], names.index(name)))
    return touched - {kept} - set(policy.protect)


def _row(
    row: dict[str, Any], strongest: dict[str, Any] | None, person: int, policy: Policy
) -> dict[str, Any]:
    names = ("dataset", "image_id", "path", "pixel_hash")
    found = {**(strongest or {}), **{name: row[name] for name in names}, "person": person}
    return found | {"because_of": None} if policy.publish else found


def _look_first(judged: JudgedRun, gone: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Pairs for review whose images both stay, then the weakest links of what leaks say is one person."""
    out = []
    for rows in judged.person_pairs.values():
        pairs = [judged.pairs[row] for row in rows]
        waiting = [p for p in pairs if p["decision"] == "review" and not _ends(p) & gone]
        if waiting and not any(p["decision"] == "leak" for p in pairs):
            out.append(_look_row("for review, and nothing of it is dropped", waiting[0], len(pairs)))
    weak = {
        (row["weakest_link"] or "", row["contradiction"])
        for row in judged.folder.read(tables.SUBJECTS).to_pylist()
        if row["contradiction"] and row["weakest_link"]
    }
    for pair in judged.pairs:
        if (f"{pair['image_a']} {pair['image_b']}", True) in weak:
            out.append(_look_row("weakest link of a group that one dataset calls several people", pair, 1))
    return out


def _ends(pair: dict[str, Any]) -> set[tuple[str, str]]:
    return {(pair[f"dataset_{side}"], pair[f"image_{side}"]) for side in ("a", "b")}


def _look_row(why: str, pair: dict[str, Any], pairs: int) -> dict[str, Any]:
    paths = {f"path_{side}": pair[f"path_{side}"] or pair[f"image_{side}"] for side in ("a", "b")}
    return {**pair, **paths, "why": why, "pairs": pairs}


def by_dataset(drop: pa.Table) -> dict[str, pa.Table]:
    """A list for each dataset alone, in which people are numbered anew: nothing joins one to another.

    Args:
        drop: A table of the schema ``EXCLUSIONS``.

    Example:
        >>> rows = [{"dataset": "A", "person": 7}, {"dataset": "B", "person": 7}]
        >>> by_dataset(tables.from_rows(rows, EXCLUSIONS))["B"]["person"].to_pylist()
        [1]
    """
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in drop.to_pylist():
        parts.setdefault(row["dataset"], []).append(row)
    out = {}
    for name, rows in parts.items():
        number = {person: i for i, person in enumerate(dict.fromkeys(row["person"] for row in rows), 1)}
        out[name] = tables.from_rows([row | {"person": number[row["person"]]} for row in rows], EXCLUSIONS)
    return out


def list_name(dataset: str) -> str:
    """The name of a dataset as part of a file name, without the ending of a manifest.

    Example:
        >>> list_name("manifest.csv"), list_name("trial/films.csv?split=test")
        ('manifest', 'trial-films-split-test')
    """
    for suffix in (".csv", ".parquet"):
        dataset = dataset.removesuffix(suffix).replace(f"{suffix}?", "?")
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in dataset)


def write_list(table: pa.Table, stem: Path) -> list[Path]:
    """Writes ``STEM.csv`` and ``STEM.parquet`` and returns their paths.

    Raises:
        UsageError: ``stem`` is a folder.
        OutputError: They cannot be written.

    Example:
        >>> row = {"dataset": "test", "image_id": "9f", "path": "b.png", "relation": "same_image"}
        >>> row |= {"decision": "leak", "because_of": "train/a.png"}
        >>> csv_file, _ = write_list(tables.from_rows([row], EXCLUSIONS), Path("drop"))
        >>> print(csv_file.read_text().strip())
        dataset,image_id,path,relation,decision,because_of,pixel_hash,person
        test,9f,b.png,same_image,leak,train/a.png,,
    """
    if stem.suffix in (".csv", ".parquet"):
        stem = stem.with_suffix("")
    if stem.name in ("", "..") or stem.is_dir():
        raise UsageError(
            "{path} is a folder; name the files in it.",
            "For example {inside}.",
            code="list_is_folder",
            path=stem,
            inside=stem / "exclude",
        )
    paths = [stem.with_name(stem.name + ".csv"), stem.with_name(stem.name + ".parquet")]
    write_text(paths[0], to_csv(table))
    tables.write(table, paths[1])
    return paths

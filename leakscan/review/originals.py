"""Which original is this? For every image of one dataset its best match in another."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan import tables
from leakscan.errors import UsageError
from leakscan.review.judged_run import JudgedRun
from leakscan.types import RELATIONS

ORIGINALS = tables.table_schema(
    "map",
    [
        *((name, pa.string()) for name in ("dataset", "image_id", "path")),
        *((name, pa.string()) for name in ("original_dataset", "original_image_id", "original_path")),
        *((name, pa.string()) for name in ("relation", "decision", "transform")),
        ("correlation", pa.float32()),
        ("distance", pa.float32()),
        ("p_value", pa.float64()),
        ("matches", pa.int32()),
        ("probability", pa.float64()),
    ],
)
"""One row per image; ``matches`` counts its pairs, the best of which the row shows."""


def originals(run: Path, of: str | None = None, to: str | None = None) -> pa.Table:
    """The best match of every image of one dataset in another; an image without any has nulls.

    Args:
        run: A run folder that ``compare`` or ``audit`` wrote.
        of: The dataset whose images are asked about; by default the last of the run.
        to: The dataset of the originals; by default all others.

    Returns:
        One row per image that was read, in the order of the run, schema ``ORIGINALS``. Pairs for review
        count, and overlaps that are wanted; what a person called different does not. A copy goes before
        another picture of the person.

    Raises:
        StoreError: ``run`` is no run folder.
        UsageError: The run has no dataset of that name, or read no image of it.

    Example::

        table = originals(Path("run"), of="mri", to="ct")
        dict(zip(table["path"].to_pylist(), table["original_path"].to_pylist()))
    """
    judged = JudgedRun.open(run)
    names = list(dict.fromkeys(dataset for dataset, _ in judged.images))
    for name in (of, to):
        if name is not None and name not in names:
            raise UsageError(f"The run has no dataset {name!r}; it has: {', '.join(sorted(names))}.")
    if not set(names) - {to}:
        raise UsageError("The run holds no images whose originals could be asked for.")
    of = of if of is not None else next(name for name in reversed(names) if name != to)
    if of == to:
        raise UsageError(f"{of} cannot be mapped to itself.")
    found: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {}
    for pair in judged.pairs:
        if pair["decision"] == "cleared" and pair["verdict"] != "wanted":
            continue
        for own, other in (("a", "b"), ("b", "a")):
            if pair[f"dataset_{own}"] == of and to in (None, pair[f"dataset_{other}"]):
                row = {
                    "original_dataset": pair[f"dataset_{other}"],
                    "original_image_id": pair[f"image_{other}"],
                    "original_path": pair[f"path_{other}"],
                    **{n: pair[n] for n in ("relation", "decision", "transform", "correlation", "distance")},
                    **{n: pair[n] for n in ("p_value", "probability")},
                }
                found.setdefault(pair[f"image_{own}"], []).append((_rank(pair), row))
    rows = []
    for (dataset, image), row in judged.images.items():
        if dataset != of or row["status"] not in ("ok", "blank"):
            continue
        matches = found.get(image, [])
        best = min(matches, key=lambda match: match[0])[1] if matches else {}
        own_part = {"dataset": dataset, "image_id": image, "path": row["path"]}
        rows.append({**own_part, **best, "matches": len(matches)})
    if not rows:
        raise UsageError(f"No image of {of} was read, so there is none whose original could be sought.")
    return tables.from_rows(rows, ORIGINALS)


def _rank(pair: dict[str, Any]) -> tuple[Any, ...]:
    """The best match has the strongest relation, then the best copy check, then the best score."""
    return (
        RELATIONS.index(pair["relation"]),
        pair["decision"] == "review",
        -(pair["correlation"] or -1.0),
        1.0 if pair["p_value"] is None else pair["p_value"],
        math.inf if pair["distance"] is None else pair["distance"],
    )

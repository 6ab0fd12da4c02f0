"""A run folder from a few rows, without a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leakscan import tables
from leakscan.decide.groups import Link, link_subjects


def write_run(
    folder: Path,
    images: Sequence[Mapping[str, Any]],
    pairs: Sequence[tuple[int, int, str, str]],
    **summary: Any,
) -> Path:
    """Writes the tables that lists and splits read.

    Args:
        folder: The run folder.
        images: Images with at least ``dataset``; the rest is filled in plausibly.
        pairs: Pairs as two places in ``images``, a relation and a decision.
        summary: More keys of ``summary.json``.
    """
    rows = [
        {"image_id": f"id{i}", "path": f"{i}.png", "status": "ok", "pixel_hash": f"px{i}", **image}
        for i, image in enumerate(images)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    tables.write(tables.from_rows(rows, tables.IMAGES), folder / "images.parquet")
    found = []
    for a, b, relation, decision in pairs:
        row: dict[str, Any] = {"relation": relation, "decision": decision, "evidence": ["made up"]}
        for side, image in (("a", rows[a]), ("b", rows[b])):
            row |= {f"image_{side}": image["image_id"]}
            row |= {f"{name}_{side}": image.get(name) for name in ("dataset", "path", "subject")}
        found.append(row)
    tables.write(tables.from_rows(found, tables.PAIRS), folder / "pairs.parquet")
    links = [
        Link((r["dataset_a"], r["image_a"]), (r["dataset_b"], r["image_b"]), r["relation"], 0.0)
        for r in found
        if r["decision"] == "leak"
    ]
    declared = {(r["dataset"], r["image_id"]): r["subject"] for r in rows if r.get("subject")}
    tables.write(
        tables.from_rows(link_subjects(links, declared), tables.SUBJECTS), folder / "subjects.parquet"
    )
    (folder / "summary.json").write_text(json.dumps({"identity": {"key_ids": {}}, **summary}))
    return folder

"""Leakage inside one dataset, between its splits, by the same path as ``compare``."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan.compare import (
    Result,
    RunOptions,
    claim_output,
    dataset_names,
    decide_and_report,
    load_dataset,
    load_encoders,
)
from leakscan.engines.local import LocalEngine
from leakscan.errors import UsageError
from leakscan.fingerprint.pipeline import Dataset, Timings
from leakscan.types import ImageRef, Progress, Silent

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
"""Top folders that are splits, and the split each means."""


def audit(
    source: str | Path,
    *,
    split_column: str | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    options: RunOptions | None = None,
    progress: Progress | None = None,
) -> Result:
    """Finds subjects that stand in more than one split of a dataset.

    Identifiers mean the same everywhere in one dataset, so declared subjects in two splits count
    as proof, and different declared subjects that look like one person are counted apart.

    Args:
        source: a directory with top folders named like splits, or a manifest.
        split_column: manifest column that names the split; by default ``split``.
        output: run folder to write.
        overwrite: whether ``output`` may exist.
        options: as for :func:`leakscan.compare`.
        progress: is told how far the run is.

    Raises:
        UsageError: the dataset has fewer than two splits.
        LeakscanError: as for :func:`leakscan.compare`.
    """
    options, progress = replace(options or RunOptions(), same_ids=True), progress or Silent()
    run_dir = claim_output(Path(output), overwrite) if output is not None else None
    began, timings, engine = time.monotonic(), Timings(), LocalEngine(options.workers)
    encoders = load_encoders(options)
    spec = _with_split_column(str(source), split_column)
    name = dataset_names([str(source)])[0]
    whole = load_dataset(spec, name, encoders, options, engine, progress, timings)
    parts = split_dataset(whole, split_column)
    return decide_and_report(
        parts, encoders, options, engine, progress, timings, began, run_dir, lambda r: _audit_facts(r, parts)
    )


def split_dataset(whole: Dataset, split_column: str | None) -> list[Dataset]:
    """One dataset per split, named ``dataset:split``.

    Args:
        whole: all images.
        split_column: name of the manifest column, for the error message.

    Raises:
        UsageError: there are fewer than two splits.
    """
    declared = whole.rows["split"].to_pylist()
    folders = [_folder_split(path) for path in whole.rows["path"].to_pylist()]
    rows: dict[str, list[int]] = defaultdict(list)
    for row, (by_manifest, by_folder) in enumerate(zip(declared, folders, strict=True)):
        split = by_manifest or by_folder
        if split:
            rows[split].append(row)
    if len(rows) < 2:
        where = f"column {split_column!r}" if split_column else "top folders named train, val, valid or test"
        raise UsageError(
            f"{whole.name} has no two splits to compare ({where}).",
            "Name the splits: top folders, or a manifest with --split-column.",
        )
    return [_part(whole, f"{whole.name}:{split}", numbers) for split, numbers in sorted(rows.items())]


def _part(whole: Dataset, name: str, rows: list[int]) -> Dataset:
    table = whole.rows.take(pa.array(rows, pa.int64()))
    ids = set(table["image_id"].to_pylist())
    refs: Mapping[str, ImageRef] = {i: ref for i, ref in whole.refs.items() if i in ids}
    return Dataset(name, table, refs, {i: s for i, s in whole.subjects.items() if i in ids}, whole.key_id)


def _folder_split(path: str) -> str | None:
    top, _, rest = path.partition("/")
    return SPLIT_FOLDERS.get(top.lower()) if rest else None


def _with_split_column(spec: str, column: str | None) -> str:
    return spec if column in (None, "split") else f"{spec}{'&' if '?' in spec else '?'}split-column={column}"


def _audit_facts(pairs: pa.Table, parts: list[Dataset]) -> dict[str, Any]:
    """What only an audit can say: shared declared subjects, and one person under two names."""
    declared = [{s for s in part.rows["subject"].to_pylist() if s} for part in parts]
    shared = {s for one, other in combinations(declared, 2) for s in one & other}
    named = zip(*(pairs[c].to_pylist() for c in ("subject_a", "subject_b", "decision")), strict=True)
    contradictions = sum(bool(a and b and a != b and decision == "leak") for a, b, decision in named)
    return {"shared_subjects": len(shared), "contradictions": contradictions}

"""Leakage inside one dataset, between its splits, by the same path as ``compare``.

Every split is a source of its own, so that nothing (not even the slices of one DICOM series that
were copied into two splits) is joined across the line that is being examined.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa

from leakscan.engines.local import LocalEngine
from leakscan.errors import SourceError, UsageError
from leakscan.fingerprint.pipeline import Dataset, Timings
from leakscan.run.compare import (
    Result,
    RunOptions,
    decide_and_report,
    load_datasets,
    open_all,
)
from leakscan.run.models import load_models
from leakscan.run.places import check_output, dataset_names
from leakscan.sources.manifest import MANIFEST_SUFFIXES, column_values
from leakscan.types import Progress, Silent

SPLIT_FOLDERS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
"""Top folders that are splits, whatever their case."""

_LISTED = 100  # pairs listed in the summary; all of them are in pairs.parquet


def audit(
    source: str | Path,
    *,
    split_column: str = "split",
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
        split_column: manifest column that names the split.
        output: run folder to write.
        overwrite: whether ``output`` may exist.
        options: as for :func:`leakscan.compare`.
        progress: is told how far the run is.

    Raises:
        UsageError: the dataset has fewer than two splits.
        LeakscanError: as for :func:`leakscan.compare`.
    """
    options, progress = replace(options or RunOptions(), same_ids=True), progress or Silent()
    splits, outside = split_sources(Path(source), split_column, options.exclude)
    run_dir = check_output(Path(output), overwrite) if output is not None else None
    began, timings, engine = time.monotonic(), Timings(), LocalEngine(options.workers)
    name = dataset_names([str(source)])[0]
    opened = open_all([*splits.values()], [f"{name}:{split}" for split in splits], options)
    models = load_models(options.encoder, options.calibration)
    parts = load_datasets(opened, models.encoders, options, engine, progress, timings)
    return decide_and_report(
        parts,
        models,
        options,
        engine,
        progress,
        timings,
        began,
        run_dir,
        lambda pairs: {**_outside(outside, options.hide_paths), **_audit_facts(pairs, parts)},
        nearest_of_all=True,
    )


def split_sources(
    source: Path, split_column: str, exclude: Sequence[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """The splits of a dataset as sources of their own.

    Args:
        source: a directory or manifest.
        split_column: manifest column that names the split.
        exclude: globs of paths that do not count; a split of a manifest that has no others is none.

    Returns:
        Split -> source, and what stands outside every split.

    Raises:
        SourceError: there is no such source.
        UsageError: it has fewer than two splits.
    """
    if source.suffix.lower() in MANIFEST_SUFFIXES and source.is_file():
        values = column_values(source, split_column, exclude)
        splits = {
            value: f"{source}?{quote_plus(split_column)}={quote_plus(value)}"
            for value in sorted(set(values))
            if value
        }
        outside = [f"{values.count('')} rows without a {split_column}"] if "" in values else []
        where = f"column {split_column!r}"
    elif source.is_dir():
        entries = sorted(p for p in source.iterdir() if not p.name.startswith("."))
        inside = [p for p in entries if p.is_dir() and p.name.lower() in SPLIT_FOLDERS]
        splits = {p.name: str(p) for p in inside}
        outside = [p.name for p in entries if p not in inside]
        where = "top folders named train, val, valid or test"
    else:
        raise SourceError(
            f"{source} is neither a folder nor a manifest.", "leakscan audit FOLDER or films.csv"
        )
    if len(splits) < 2:
        raise UsageError(
            f"{source} has no two splits to compare ({where}).",
            "Name the splits by top folders, or by a manifest's column with --split-column.",
        )
    return splits, outside


def _outside(entries: Sequence[str], hidden: bool) -> dict[str, Any]:
    """What no split holds: how much, and (unless paths are hidden) the first names."""
    return {"n_outside_splits": len(entries), "outside_splits": [] if hidden else list(entries[:20])}


def _audit_facts(pairs: pa.Table, parts: Sequence[Dataset]) -> dict[str, Any]:
    """What only an audit can say: shared declared subjects, and one person under two names."""
    declared = [{s for s in part.rows["subject"].to_pylist() if s} for part in parts]
    shared: dict[str, int] = {}
    for one, other in combinations(range(len(parts)), 2):
        if common := len(declared[one] & declared[other]):
            shared[f"{parts[one].name} × {parts[other].name}"] = common
    everywhere = sorted({s for one, other in combinations(declared, 2) for s in one & other})
    # One person under two declared subjects: a label error, or a false pair.
    contradictions = [
        {
            "a": f"{p['dataset_a']}/{p['path_a'] or p['image_a']}",
            "b": f"{p['dataset_b']}/{p['path_b'] or p['image_b']}",
            "relation": p["relation"],
        }
        for p in pairs.to_pylist()
        if p["decision"] == "leak" and p["subject_a"] and p["subject_b"] and p["subject_a"] != p["subject_b"]
    ]
    return {
        "shared_subjects": len(everywhere),
        "shared_subjects_by_pair": shared,
        "contradictions": len(contradictions),
        "contradicting_pairs": contradictions[:_LISTED],
    }

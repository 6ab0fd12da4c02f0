"""Leakage inside one dataset, between its splits, by the same path as ``compare``.

Every split is a source of its own, so that nothing (not even the slices of one DICOM series that
were copied into two splits) is joined across the line that is being examined.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leakscan.errors import SourceError, UsageError
from leakscan.run.audit_facts import AuditFacts
from leakscan.run.compare import (
    Result,
    check_files,
    decide_and_report,
    free_folder,
    load_datasets,
    open_all,
)
from leakscan.run.context import RunContext
from leakscan.run.places import dataset_names
from leakscan.settings import Settings
from leakscan.sources.manifest import column_values
from leakscan.sources.spec import SourceSpec
from leakscan.types import Progress

SPLIT_FOLDERS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
"""Top folders that are splits, whatever their case."""


def audit(
    source: str | Path,
    *,
    split_column: str = "split",
    output: str | Path | None = None,
    overwrite: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Result:
    """Finds subjects that stand in more than one split of a dataset.

    Identifiers mean the same everywhere in one dataset, so declared subjects in two splits count
    as proof, and different declared subjects that look like one person are counted apart.

    Args:
        source: A directory with top folders named like splits, or a manifest.
        split_column: The manifest column that names the split.
        output: The run folder to write, or ``None``.
        overwrite: Whether ``output`` may exist.
        settings: The choices, as :func:`leakscan.compare` takes them.
        progress: Receives how far the run is.

    Raises:
        UsageError: The dataset has fewer than two splits.
        LeakscanError: Anything that :func:`leakscan.compare` raises.

    Example::

        result = leakscan.audit("films.csv", split_column="fold")
        print(result.summary["audit"]["shared_subjects"])
    """
    settings = (settings or Settings()).with_choices({"same_ids": True})
    spec = SourceSpec.parse(source)
    splits, outside = _split_sources(spec, split_column, settings.reading.exclude)
    folder = free_folder(output, overwrite)
    check_files(settings)
    name = dataset_names([spec])[0]
    opened = open_all([*splits.values()], [f"{name}:{split}" for split in splits], settings)
    context = RunContext.open(settings, progress)
    facts = AuditFacts(outside, settings.privacy.hide_paths)
    return decide_and_report(load_datasets(opened, context), context, folder, facts)


def _split_sources(
    source: SourceSpec, split_column: str, exclude: Sequence[str] = ()
) -> tuple[dict[str, SourceSpec], list[str]]:
    """The splits of a dataset as sources of their own.

    Args:
        source: A directory or manifest.
        split_column: The manifest column that names the split.
        exclude: Patterns of paths that do not count; a split of a manifest with no other rows is none.

    Returns:
        The source of every split by its name, and what stands outside every split.

    Raises:
        SourceError: There is no such source.
        UsageError: It has fewer than two splits.
    """
    if source.form == "manifest" and not source.filters:
        values = column_values(source.path, split_column, exclude)
        splits = {value: source.with_filter(split_column, value) for value in sorted(set(values)) if value}
        outside = [f"{values.count('')} rows without a {split_column}"] if "" in values else []
        where = f"column {split_column!r}"
    elif source.path.is_dir():
        entries = sorted(p for p in source.path.iterdir() if not p.name.startswith("."))
        inside = [p for p in entries if p.is_dir() and p.name.lower() in SPLIT_FOLDERS]
        splits = {p.name: SourceSpec.parse(p) for p in inside}
        outside = [p.name for p in entries if p not in inside]
        where = "top folders named train, val, valid or test"
    else:
        raise SourceError(
            "{path} is neither a folder nor a manifest.",
            "Name a folder, or a manifest (.csv, .parquet).",
            code="audit_source",
            path=source.raw,
        )
    if len(splits) < 2:
        raise UsageError(
            f"{{path}} has no two splits to compare ({where}).",
            "Name the splits by top folders, or by a manifest's column with split_column.",
            code="no_splits",
            path=source.raw,
        )
    return splits, outside

"""Leakage inside one dataset, between its splits, by the same path as ``compare``.

Every split is a source of its own, so that nothing (not even the slices of one DICOM series that
were copied into two splits) is joined across the line that is being examined.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from leakscan.counted import counted
from leakscan.errors import SourceError, UsageError
from leakscan.run.audit_facts import AuditFacts
from leakscan.run.context import RunContext
from leakscan.run.given_files import check_files, free_folder
from leakscan.run.opened import load_datasets, open_all
from leakscan.run.places import dataset_names
from leakscan.run.reported import decide_and_report
from leakscan.run.result import Result
from leakscan.settings import Settings
from leakscan.sources.exclusion import Exclusion
from leakscan.sources.formats import has_image_suffix
from leakscan.sources.manifest import column_values, same_value
from leakscan.sources.no_image import ARCHIVE_SUFFIXES
from leakscan.sources.spec import SourceSpec
from leakscan.sources.split_names import alike
from leakscan.types import Progress

SPLIT_FOLDERS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
"""Top folders, and archives less their suffix, that are splits, whatever their case."""


def audit(
    source: str | os.PathLike[str],
    *,
    split_column: str = "split",
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Result:
    """Finds subjects that stand in more than one split of a dataset.

    Identifiers mean the same everywhere in one dataset, so declared subjects in two splits count
    as proof, and different declared subjects that look like one person are counted apart.

    Args:
        source: A directory with top folders or archives named like splits, or a manifest.
        split_column: The manifest column that names the split.
        output: The run folder to write, or ``None``.
        overwrite: Whether ``output`` may exist.
        settings: The choices, as :func:`leakscan.compare` takes them.
        progress: Receives how far the run is.
        choices: Single settings by name, over ``settings``.

    Raises:
        UsageError: The dataset has fewer than two splits.
        LeakscanError: Anything that :func:`leakscan.compare` raises.

    Example::

        result = leakscan.audit("films.csv", split_column="fold")
        print(result.summary["audit"]["shared_subjects"])
    """
    own = ("split_column", "output", "overwrite", "settings", "progress")
    settings = Settings.given(settings, {**choices, "same_ids": True}, also=own)
    spec = SourceSpec.parse(source)
    left_out = Exclusion(settings.reading.exclude)
    splits, outside, notices = _split_sources(spec, split_column, left_out, settings.reading.columns)
    folder = free_folder(output, overwrite)
    check_files(settings)
    name = dataset_names([spec])[0]
    opened = open_all([*splits.values()], [f"{name}:{split}" for split in splits], settings)
    context = RunContext.open(settings, progress)
    context.notices.extend(notices)
    context.patterns_met.update(left_out.met)
    facts = AuditFacts(outside, settings.privacy.hide_paths, spec.resolved, split_column)
    return decide_and_report(load_datasets(opened, context), context, folder, facts)


def _split_sources(
    source: SourceSpec, split_column: str, left_out: Exclusion, columns: Mapping[str, str]
) -> tuple[dict[str, SourceSpec], list[str], list[str]]:
    """The splits of a dataset as sources of their own.

    Args:
        source: A directory or manifest.
        split_column: The manifest column that names the split.
        left_out: The paths that do not count; a split of a manifest with no other rows is none.
        columns: What the manifest calls its columns.

    Returns:
        The source of every split by its name, what stands outside every split, and what to tell the user.

    Raises:
        SourceError: There is no such source.
        UsageError: It has fewer than two splits.
    """
    notices: list[str] = []
    if source.form == "manifest" and not source.filters:
        values = column_values(source.path, split_column, left_out, columns)
        spellings: dict[str, list[str]] = {}
        for value in sorted(set(values)):
            spellings.setdefault(same_value(value), []).append(value)
        empty = sum(not same_value(value) for value in values)
        outside = [f"{counted(empty, 'row')} without a {split_column}"] if empty else []
        notices += [f"{rows}: their images stand in no split and were not compared." for rows in outside]
        notices += [
            f"The split {known!r} is spelt in {len(several)} ways ({', '.join(several)}); they are one split."
            for known, several in spellings.items()
            if known and len(several) > 1
        ]
        splits = {
            min(several, key=lambda v: (v != known, v)): source.with_filter(split_column, several[0])
            for known, several in spellings.items()
            if known
        }
        where = f"column {split_column!r}"
    elif source.path.is_dir():
        entries = sorted(p for p in source.path.iterdir() if not p.name.startswith("."))
        inside = [p for p in entries if _split_name(p).strip().lower() in SPLIT_FOLDERS]
        # Splits may be folders of links into one pool beside them.
        whole = source.path.resolve()
        names = Counter(map(_split_name, inside))
        called = {p: name if names[name := _split_name(p)] == 1 else p.name for p in inside}
        splits = {called[p]: replace(SourceSpec.parse(p), boundary=whole) for p in inside}
        outside = [p.name for p in entries if p not in inside]
        if images := _images_among(p for p in entries if p not in inside):
            notices.append(
                f"{counted(images, 'file')} outside every split may be images; they were not compared, "
                "unless a split links to them."
            )
        where = "top folders or archives named train, val, valid or test"
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
            "Name the splits by top folders or archives, or by a manifest's column with split_column.",
            code="no_splits",
            path=source.raw,
        )
    notices += [
        f"The splits {one!r} and {two!r} may be two names of one split; they are compared as two."
        for one, two in alike(splits)
    ]
    return splits, outside, notices


def _split_name(path: Path) -> str:
    """The name of a folder, or that of an archive without its suffix; empty for other files."""
    if path.is_dir():
        return path.name
    suffix = next((s for s in ARCHIVE_SUFFIXES if path.name.lower().endswith(s)), "")
    return path.name[: -len(suffix)] if suffix else ""


def _images_among(paths: Iterable[Path]) -> int:
    """How many files are called like images, in folders and below them."""
    count = 0
    for path in paths:
        files = [path.name] if path.is_file() else [n for _, _, names in os.walk(path) for n in names]
        count += sum(map(has_image_suffix, files))
    return count

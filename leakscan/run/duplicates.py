"""Copies, altered copies and repeats of one person inside one source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from leakscan.counted import counted
from leakscan.decide.inside import decide_inside
from leakscan.errors import ImageError, UsageError
from leakscan.fingerprint.pipeline import Dataset
from leakscan.review.duplicate_groups import (
    GroupRules,
    check_rule,
    counts,
    duplicate_groups,
    folder_labels,
    unfit_groups,
)
from leakscan.review.lists import write_list
from leakscan.run.context import RunContext
from leakscan.run.given_files import check_files, free_folder
from leakscan.run.opened import load_datasets, open_all
from leakscan.run.places import dataset_names
from leakscan.run.reported import left_out_of, reported
from leakscan.run.result import Result
from leakscan.settings import ReadingSettings, Settings
from leakscan.sources.formats import decode
from leakscan.sources.manifest import values_by_path
from leakscan.sources.spec import SourceSpec
from leakscan.types import ImageRef, Progress

FOLDER_LABELS = "folder"
"""The word for "the folder that an image lies in is its label"."""


@dataclass(frozen=True, kw_only=True)
class DuplicateChoices:
    """What to make of duplicates.

    Attributes:
        keep: Which image of a group to keep; see ``leakscan.review.duplicate_groups.KEEP_RULES``.
        labels: A column of the manifest that holds labels, or ``folder``; ``None`` for none.
        across_folders: Whether groups that lie in one folder are left out.
    """

    keep: str = "first"
    labels: str | None = None
    across_folders: bool = False


@dataclass(frozen=True)
class Duplicates:
    """What was found inside one source.

    Attributes:
        result: The tables and the summary; ``summary["duplicates"]`` counts the groups.
        groups: One row per image of a group, the image to keep first.
        files: The lists that were written.
    """

    result: Result
    groups: pa.Table
    files: list[Path]


def duplicates(
    source: str | os.PathLike[str],
    *,
    choices: DuplicateChoices | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Finds copies, altered copies and repeats of one person inside one source.

    The work grows with the number of images, as that of :func:`leakscan.compare` does.

    Args:
        source: A directory, manifest, or fingerprint store.
        choices: What to make of groups.
        output: The run folder to write, with ``duplicates.csv`` and ``.parquet``; ``None`` writes nothing.
        overwrite: Whether ``output`` may exist.
        settings: The choices, as :func:`leakscan.compare` takes them.
        progress: Receives how far the run is.

    Raises:
        UsageError: The source has no such column of labels, or a rule cannot be followed.
        LeakscanError: Anything that :func:`leakscan.compare` raises.

    Example::

        found = duplicates("films.csv", choices=DuplicateChoices(keep="largest", labels="diagnosis"))
        found.groups.to_pandas().query("conflict")
    """
    settings, choices = Settings.given(settings, {}), choices or DuplicateChoices()
    folder = free_folder(output, overwrite)
    check_files(settings)
    spec = SourceSpec.parse(source)
    labels = _column(spec, choices.labels, settings.reading)
    opened = open_all([spec], dataset_names([spec], settings.privacy.hide_paths), settings)
    context = RunContext.open(settings, progress)
    (dataset,), left_out = left_out_of(load_datasets(opened, context), context)
    rows = dataset.rows.select(["image_id", "path", "shape", "format"]).to_pylist()
    check_rule(rows, choices.keep)
    rules = GroupRules(
        keep=choices.keep,
        labels=folder_labels(rows) if choices.labels == FOLDER_LABELS else labels,
        across_folders=choices.across_folders,
        sharpness=_Sharpness(dataset, settings.reading) if choices.keep == "sharpest" else None,
    )
    comparison = decide_inside(dataset, context)
    result = reported([dataset], [comparison], context, left_out, folder)
    hidden = settings.privacy.hide_paths
    images = [{**row, "dataset": dataset.name} for row in rows]
    groups = duplicate_groups(images, result.pairs.to_pylist(), rules)
    warnings = result.summary["warnings"]
    if unfit := unfit_groups(groups, choices.keep):
        pattern = "the pattern" if hidden else repr(choices.keep)
        why = f"In {counted(unfit, 'group')} no path fits {pattern}, so the first by path is kept."
        warnings = [*warnings, why]
    if hidden:
        at = groups.column_names.index("path")
        groups = groups.set_column(at, groups.schema.field("path"), pa.nulls(len(groups), pa.string()))
    summary = {**result.summary, "duplicates": counts(groups), "warnings": warnings}
    files = write_list(groups, folder.path / "duplicates") if folder is not None else []
    return Duplicates(replace(result, summary=summary), groups, files)


def _column(spec: SourceSpec, column: str | None, reading: ReadingSettings) -> Mapping[str, str]:
    """The labels of a manifest by path."""
    if column is None or column == FOLDER_LABELS:
        return {}
    if spec.form != "manifest":
        raise UsageError(
            f"{{path}} is no manifest, so it has no column {column!r}.",
            f"Name a manifest, or {FOLDER_LABELS} for the folder that an image lies in.",
            path=spec.raw,
        )
    return values_by_path(spec.path, column, reading.columns)


class _Sharpness:
    """How sharp an image is: the variance of its Laplacian at one brightness and contrast."""

    def __init__(self, dataset: Dataset, options: ReadingSettings) -> None:
        self._refs, self._options = dataset.refs, options
        if not self._refs:
            raise UsageError("The images of a store are not at hand, so the sharpest cannot be told.")
        self._known = lru_cache(maxsize=None)(self._measured)

    def __call__(self, image_id: str) -> float:
        return self._known(image_id)

    def _measured(self, image_id: str) -> float:
        ref: ImageRef | None = self._refs.get(image_id)
        if ref is None:
            return 0.0
        try:
            values = decode(ref, self._options).values
        except ImageError:
            return 0.0
        if values.ndim == 3:
            values = values[:, :, values.shape[2] // 2]
        spread = float(values.std()) or 1.0
        laplacian = cv2.Laplacian((values - values.mean()) / spread, cv2.CV_32F)
        return float(np.var(laplacian))


def as_data(found: Duplicates) -> dict[str, Any]:
    """What was found, for a front end: the counts and the files.

    Example::

        as_data(duplicates("films.csv"))["groups"]
    """
    return {**found.result.summary["duplicates"], "files": [str(path) for path in found.files]}

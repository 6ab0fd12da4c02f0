"""The four tables of a run, and what of them may identify people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from leakscan import tables
from leakscan.decide.comparison import Comparison
from leakscan.decide.found import FOUND
from leakscan.decide.groups import Link, link_subjects
from leakscan.decide.order import most_probable_first
from leakscan.fingerprint.pipeline import Dataset
from leakscan.report.evidence_words import with_evidence
from leakscan.settings import PrivacySettings
from leakscan.sources.nameless import ANOTHER


@dataclass(frozen=True)
class RunTables:
    """The tables of a run, and what each comparison came to.

    Attributes:
        images: One row per image of every dataset (``tables.IMAGES``).
        fingerprints: One row per image (``tables.FINGERPRINTS``).
        pairs: The leaks and the pairs for review (``tables.PAIRS``).
        subjects: The images that leaks link (``tables.SUBJECTS``).
        comparisons: What every two datasets came to.
    """

    images: pa.Table
    fingerprints: pa.Table
    pairs: pa.Table
    subjects: pa.Table
    comparisons: tuple[Comparison, ...]

    @classmethod
    def of(
        cls, datasets: Sequence[Dataset], comparisons: Sequence[Comparison], privacy: PrivacySettings
    ) -> RunTables:
        """Joins what was read and decided, and leaves out what the user wants hidden.

        Args:
            datasets: The datasets of the run.
            comparisons: What every two of them came to.
            privacy: Whether subjects are shown in clear and paths at all.
        """
        rows = pa.concat_tables(
            [d.rows.add_column(0, "dataset", pa.array([d.name] * len(d.rows), pa.string())) for d in datasets]
        )
        images = rows.select(tables.IMAGES.names).cast(tables.IMAGES)
        pairs = pa.concat_tables([FOUND.empty_table(), *(c.pairs for c in comparisons)])
        pairs = with_evidence(most_probable_first(pairs))
        found = cls(
            _with_errors(images, rows, privacy.hide_paths),
            rows.select(tables.FINGERPRINTS.names).cast(tables.FINGERPRINTS),
            pairs,
            tables.from_rows(_subjects(rows, pairs), tables.SUBJECTS),
            tuple(comparisons),
        )
        if privacy.dates == "no":  # a store of somebody else may hold some
            found = replace(found, images=_with(found.images, "acquired", [None] * len(images)))
        if privacy.show_subjects:
            clear = {(d.name, image): s for d in datasets for image, s in d.subjects.items()}
            found = found._with_subjects(clear)
        return found._without_paths() if privacy.hide_paths else found

    def _with_subjects(self, clear: Mapping[tuple[str, str], str]) -> RunTables:
        """Replaces keyed hashes of subjects by what the sources declare, by dataset and image id."""

        def shown(table: pa.Table, dataset: str, image: str, subject: str) -> pa.Table:
            keys = zip(
                table[dataset].to_pylist(), table[image].to_pylist(), table[subject].to_pylist(), strict=True
            )
            return _with(table, subject, [clear.get((d, i), hashed) for d, i, hashed in keys])

        pairs = shown(self.pairs, "dataset_a", "image_a", "subject_a")
        return replace(
            self,
            images=shown(self.images, "dataset", "image_id", "subject"),
            pairs=shown(pairs, "dataset_b", "image_b", "subject_b"),
            subjects=shown(self.subjects, "dataset", "image_id", "subject"),
        )

    def _without_paths(self) -> RunTables:
        """Empties every column that may hold a path; notes may name other files of the source."""

        def hidden(table: pa.Table, *columns: str) -> pa.Table:
            for column in columns:
                table = _with(table, column, [None] * len(table))
            return table

        return replace(
            self,
            images=hidden(self.images, "path", "notes"),
            pairs=hidden(self.pairs, "path_a", "path_b"),
        )


def row_errors(rows: pa.Table, hide_paths: bool = False) -> list[str | None]:
    """The errors of a store's rows as sentences, with the paths that they name.

    Args:
        rows: A table of the schema ``tables.STORE``.
        hide_paths: Whether the sentences name no path.

    Example:
        >>> short = {"image_id": "9f", "error": "{path} is cut short.", "error_path": "series/2.dcm"}
        >>> row_errors(tables.from_rows([short, {"image_id": "a3"}], tables.STORE))
        ['series/2.dcm is cut short.', None]
    """
    pairs = zip(rows["error"].to_pylist(), rows["error_path"].to_pylist(), strict=True)
    return [
        error if error is None or path is None else error.replace("{path}", ANOTHER if hide_paths else path)
        for error, path in pairs
    ]


def _with_errors(images: pa.Table, rows: pa.Table, hide_paths: bool) -> pa.Table:
    """The images with the paths that their errors name; most name none, and there may be a million."""
    names = pc.fill_null(pc.is_valid(rows["error_path"]), False)
    if not pc.any(names, min_count=0).as_py():
        return images
    told = pa.array(row_errors(rows.select(["error", "error_path"]).filter(names), hide_paths), pa.string())
    error = pc.replace_with_mask(images["error"].combine_chunks(), names.combine_chunks(), told)
    at = images.column_names.index("error")
    return images.set_column(at, images.schema.field(at), error)


def _with(table: pa.Table, column: str, values: Sequence[Any]) -> pa.Table:
    at = table.column_names.index(column)
    return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))


def _subjects(rows: pa.Table, pairs: pa.Table) -> list[dict[str, Any]]:
    """Rows of ``subjects.parquet``: the images that leaks link to one another."""
    named = rows.filter(pc.is_valid(rows["subject"]))
    columns = (named[c].to_pylist() for c in ("dataset", "image_id", "subject"))
    declared = {(d, image): subject for d, image, subject in zip(*columns, strict=True) if subject}
    leaks = pairs.filter(pc.equal(pairs["decision"], "leak"))
    ends = ("dataset_a", "image_a", "dataset_b", "image_b", "relation", "score")
    links = [
        # A pair that no fingerprint compared is the weakest.
        Link((dataset_a, a), (dataset_b, b), relation, -math.inf if score is None else score)
        for dataset_a, a, dataset_b, b, relation, score in zip(
            *(leaks[name].to_pylist() for name in ends), strict=True
        )
    ]
    return link_subjects(links, declared)

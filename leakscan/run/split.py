"""Leak-free splits of a finished run, or of one source that is searched for duplicates first."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from leakscan.errors import LeakscanError, UsageError
from leakscan.report.run_folder import RunFolder
from leakscan.review.judged_run import JudgedRun
from leakscan.review.lists import write_list
from leakscan.review.people import Owners
from leakscan.review.ratios import odd_total, parse_ratios
from leakscan.review.splits import SplitChoices, Splits, split_people
from leakscan.run.duplicates import duplicates
from leakscan.settings import Settings
from leakscan.sources.manifest import values_by_path
from leakscan.sources.spec import SourceSpec
from leakscan.types import Progress

_FORMS = ("manifest", "folder")
"""Sources whose images lie below a folder, so that a manifest can name them."""


@dataclass(frozen=True, kw_only=True)
class SplitWishes:
    """What a user asks of a split.

    Attributes:
        ratios: Shares such as ``80/10/10`` or ``train=70/test=30``.
        stratify: A column of the manifest whose values every split should have in equal shares; ``folder``
            for the folder that an image lies in.
        manifest: The manifest with that column, where the source is a run folder.
        seed: The seed of the random starts.
        keep_test: Whether to mend the split that there is by moving as few images as possible.
        hashed: Whether paths are left out, so that the split can be published.
        with_review: Whether pairs for review keep images together as well.
    """

    ratios: str = "80/10/10"
    stratify: str | None = None
    manifest: Path | None = None
    seed: int = 0
    keep_test: bool = False
    hashed: bool = False
    with_review: bool = False


def split(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    wishes: SplitWishes | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> tuple[Splits, list[Path]]:
    """Splits images so that no person stands in two splits, and writes the list.

    Together stay the images of a declared subject, of a study, and those that leaks link.

    Args:
        source: A run folder, or a folder or manifest, which is searched for duplicates first.
        output: The stem of the files to write, ``.csv`` and ``.parquet``. The CSV is a manifest.
        wishes: What is asked.
        settings: The choices for a source that is searched.
        progress: Receives how far the work is.

    Returns:
        The split, and the files.

    Raises:
        UsageError: The ratios are not understood, a column is not there, or there are too few people.
        LeakscanError: Anything that :func:`leakscan.compare` raises.

    Example::

        found, files = split("films.csv", "split", wishes=SplitWishes(stratify="diagnosis"))
        print(found.reached["test"]["share_of_images"], "asked:", found.reached["test"]["asked"])
    """
    wishes, settings = wishes or SplitWishes(), Settings.given(settings, {})
    is_run = RunFolder(Path(source)).is_complete
    if is_run:
        found = split_run(Path(source), wishes)
        found.notes.extend(_not_looked_inside(Path(source)))
    else:
        parse_ratios(wishes.ratios)  # a wrong one is said before the search
        manifest = wishes.manifest or SourceSpec.parse(source).path
        labels = _Labels({"": manifest}, wishes.stratify, settings.reading.columns)
        result = duplicates(source, settings=settings, progress=progress).result
        found = _split(result.images.to_pylist(), result.pairs.to_pylist(), True, wishes, labels)
    found.notes.extend(filter(None, [odd_total(wishes.ratios)]))
    if wishes.hashed:
        return found, write_list(found.table.drop_columns(["path", "dataset"]), Path(output))
    places = _sources(RunFolder(Path(source)).read_summary()) if is_run else {}
    return found, write_list(_as_seen_from(Path(output).parent, found.table, places), Path(output))


def _not_looked_inside(run: Path) -> list[str]:
    """What a split of a run cannot know: a run never compares images of one dataset with each other."""
    images = JudgedRun.open(run).images.values()
    unnamed = sorted({row["dataset"] for row in images if row["status"] == "ok" and not row["subject"]})
    if not unnamed:
        return []
    return [
        f"Images of {', '.join(unnamed)} name no person, and a run compares only different datasets: two of "
        "them that show one person may stand in two splits. An audit of the split finds them."
    ]


def _sources(summary: Mapping[str, Any]) -> dict[str, SourceSpec]:
    """The datasets of a run and where they were; without those that are gone, and stores."""
    found = {}
    for name, place in (summary.get("sources") or {}).items():
        try:
            spec = SourceSpec.parse(place) if place else None
        except LeakscanError:
            continue
        if spec is not None and spec.form in _FORMS:
            found[name] = spec
    return found


def belongs_in(source: str | os.PathLike[str], folder: Path) -> Path | None:
    """Where the list of a split is a manifest: in the folder that all of its images lie below.

    Args:
        source: What was split.
        folder: Where the list is written.

    Returns:
        The folder of the one dataset; of several datasets ``folder``, where all lie below it; else ``None``.

    Example:
        >>> Path("films").mkdir()
        >>> belongs_in("films", Path(".")).name
        'films'
    """
    if RunFolder(Path(source)).is_complete:
        summary = RunFolder(Path(source)).read_summary()
        places, names = _sources(summary), {told["name"] for told in summary["datasets"]}
    else:
        spec = SourceSpec.parse(source)
        places, names = ({"": spec} if spec.form in _FORMS else {}), {""}
    roots = [_root(spec) for spec in places.values()]
    if not roots or set(places) != names:
        return None
    if len(roots) == 1:
        return roots[0]
    return folder if all(_lies_below(root, folder) for root in roots) else None


def _as_seen_from(folder: Path, table: pa.Table, places: Mapping[str, SourceSpec]) -> pa.Table:
    """The images of several datasets as one manifest in a folder that all of them lie below.

    The paths of one dataset, or of datasets that lie elsewhere, stay relative to their own folders.
    """
    datasets = table["dataset"].to_pylist()
    roots = {name: _root(places[name]) for name in set(datasets) if name in places}
    if len(set(datasets)) < 2 or not all(n in roots and _lies_below(roots[n], folder) for n in set(datasets)):
        return table
    here = folder.absolute()
    paths = [
        None if path is None else (roots[name].absolute().relative_to(here) / path).as_posix()
        for name, path in zip(datasets, table["path"].to_pylist(), strict=True)
    ]
    at = table.column_names.index("path")
    return table.set_column(at, table.schema.field("path"), pa.array(paths, pa.string()))


def _root(spec: SourceSpec) -> Path:
    """The folder that the paths of a source are relative to."""
    return spec.path if spec.form == "folder" else spec.path.parent


def _lies_below(root: Path, folder: Path) -> bool:
    return root.absolute().is_relative_to(folder.absolute())


def split_run(run: Path, wishes: SplitWishes) -> Splits:
    """Splits the images of a run folder so that no person stands in two splits. Nothing is written.

    Args:
        run: The run folder.
        wishes: What is asked.

    Raises:
        UsageError: The ratios are not understood, a column is not there, or there are too few people.
        StoreError: It is no run folder.

    Example::

        split_run(Path("run"), SplitWishes(ratios="70/30")).table.to_pandas()
    """
    judged = JudgedRun.open(run)
    manifests = (
        {"": wishes.manifest}
        if wishes.manifest is not None
        else {name: spec.path for name, spec in _sources(judged.summary).items() if spec.form == "manifest"}
    )
    labels = _Labels(manifests, wishes.stratify)
    same_ids = bool(judged.summary.get("identity", {}).get("same_ids", False))
    return _split(list(judged.images.values()), judged.pairs, same_ids, wishes, labels)


def _split(
    images: Sequence[dict[str, Any]],
    pairs: Sequence[dict[str, Any]],
    same_ids: bool,
    wishes: SplitWishes,
    labels: _Labels,
) -> Splits:
    shares = parse_ratios(wishes.ratios)
    decisions = ("leak", "review") if wishes.with_review else ("leak",)
    links = [
        ((p["dataset_a"], p["image_a"]), (p["dataset_b"], p["image_b"]))
        for p in pairs
        if p["decision"] in decisions or p.get("verdict") == "wanted"  # accepted, and one person all the same
    ]
    people = Owners.of(images, links, same_ids=same_ids)
    keys = {(row["dataset"], row["image_id"]): row for row in people.images}
    before = {key: name for key, row in keys.items() if (name := _split_of(row, shares))}
    if wishes.keep_test and not before:
        raise UsageError("There is no split to keep: no image stands in a split of these names.")
    return split_people(
        people,
        SplitChoices(
            shares=shares,
            labels={key: label for key, row in keys.items() if (label := labels(row))},
            seed=wishes.seed,
            before=before,
            keep_test=wishes.keep_test,
        ),
    )


class _Labels:
    """What tells the label of a row of ``images.parquet``.

    Args:
        manifests: The manifest of each dataset, by its name; under an empty name that of all.
        column: The column, or ``folder``.
        columns: What the manifests call their columns, where they call them otherwise.

    Raises:
        UsageError: No manifest has the column.
        SourceError: The only one has not, or it cannot be read.
    """

    def __init__(
        self,
        manifests: Mapping[str, Path | None],
        column: str | None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = column == "folder"
        self._known: dict[str, Mapping[str, str]] = {}
        if column is None or self._folder:
            return
        files = {name: path for name, path in manifests.items() if path is not None and path.is_file()}
        for name, path in files.items():
            try:
                self._known[name] = values_by_path(path, column, columns)
            except LeakscanError:
                if len(files) == 1:
                    raise
        if not self._known:
            raise UsageError(
                f"There is no manifest with a column {column!r}.",
                "Name a manifest, or stratify by folder.",
                code="no_label_manifest",
            )

    def __call__(self, row: Mapping[str, Any]) -> str:
        path = row["path"] or ""
        if self._folder:
            return Path(path).parent.name
        known = self._known.get("", self._known.get(row["dataset"], {}))
        return known.get(path, "")


def _split_of(row: Mapping[str, Any], shares: Mapping[str, float]) -> str | None:
    """The split that an image stands in: its column, the dataset of an audit, or its top folder."""
    parts = [row["split"], str(row["dataset"]).rpartition(":")[2], (row["path"] or "").partition("/")[0]]
    return next((part for part in parts if part in shares), None)

"""Leak-free splits of a finished run, or of one source that is searched for duplicates first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leakscan.errors import UsageError
from leakscan.report.run_folder import RunFolder
from leakscan.review.judged_run import JudgedRun
from leakscan.review.lists import write_list
from leakscan.review.people import Owners
from leakscan.review.splits import SplitChoices, Splits, parse_ratios, split_people
from leakscan.run.duplicates import duplicates
from leakscan.settings import Settings
from leakscan.sources.manifest import values_by_path
from leakscan.sources.spec import SourceSpec
from leakscan.types import Progress


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
    source: str | Path,
    output: str | Path,
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
    if RunFolder(Path(source)).is_complete:
        found = split_run(Path(source), wishes)
    else:
        parse_ratios(wishes.ratios)  # a wrong one is said before the search
        manifest = wishes.manifest or SourceSpec.parse(source).path
        labels = _Labels(manifest, wishes.stratify, settings.reading.columns)
        result = duplicates(source, settings=settings, progress=progress).result
        found = _split(result.images.to_pylist(), result.pairs.to_pylist(), True, wishes, labels)
    table = found.table.drop_columns(["path", "dataset"]) if wishes.hashed else found.table
    return found, write_list(table, Path(output))


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
    labels = _Labels(wishes.manifest, wishes.stratify)
    judged = JudgedRun.open(run)
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
        if p["decision"] in decisions
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
    """What tells the label of a row of ``images.parquet``."""

    def __init__(
        self, manifest: Path | None, column: str | None, columns: Mapping[str, str] | None = None
    ) -> None:
        self._folder = column == "folder"
        self._known: Mapping[str, str] = {}
        if column is None or self._folder:
            return
        if manifest is None or not manifest.is_file():
            raise UsageError(
                f"There is no manifest with a column {column!r}.",
                "Name a manifest, or stratify by folder.",
                code="no_label_manifest",
            )
        self._known = values_by_path(manifest, column, columns)

    def __call__(self, row: Mapping[str, Any]) -> str:
        path = row["path"] or ""
        if self._folder:
            return Path(path).parent.name
        return self._known.get(path, "")


def _split_of(row: Mapping[str, Any], shares: Mapping[str, float]) -> str | None:
    """The split that an image stands in: its column, the dataset of an audit, or its top folder."""
    parts = [row["split"], str(row["dataset"]).rpartition(":")[2], (row["path"] or "").partition("/")[0]]
    return next((part for part in parts if part in shares), None)

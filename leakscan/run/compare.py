"""The main job, stage by stage: sources to datasets, datasets to pairs, pairs to an answer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leakscan.decide.comparison import Comparison
from leakscan.decide.pairs import decide_pairs
from leakscan.errors import OutputError, UsageError
from leakscan.fingerprint.pipeline import STORES, Dataset, dataset_from_store, fingerprint_source
from leakscan.fingerprint.store import Store, StoreInfo
from leakscan.report.answer import answer
from leakscan.report.html import render_html
from leakscan.report.html_pictures import Thumbnails
from leakscan.report.notebook import FirstPictures
from leakscan.report.run_folder import RunFolder
from leakscan.report.run_tables import RunTables
from leakscan.report.summary import summarise
from leakscan.review.judging import judge
from leakscan.review.verdicts import Verdict, VerdictFile
from leakscan.run.against import EarlierRun
from leakscan.run.audit_facts import AuditFacts
from leakscan.run.baseline import held_against
from leakscan.run.context import RunContext
from leakscan.run.left_out import ListedImages, Omitted, leave_out
from leakscan.run.like import made_with
from leakscan.run.places import cache_name, check_apart, dataset_names
from leakscan.run.project_keys import brought_under, check_cohorts, check_joinable
from leakscan.run.result import Result
from leakscan.settings import UNMASKED, Settings
from leakscan.sources.exclusion import Exclusion
from leakscan.sources.open import open_source
from leakscan.sources.spec import SourceSpec
from leakscan.sources.subject_rules import parse_subject_rule
from leakscan.types import ImageSource, Progress
from leakscan.writable import check_writable


def compare(
    *sources: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
    **choices: Any,
) -> Result:
    """Finds the images in each source that show a subject who is already in another.

    Args:
        sources: Two or more directories, manifests, or fingerprint stores; with the setting ``against`` one
            is enough, which is compared with the datasets of an earlier run.
        output: The run folder to write, or ``None`` to write nothing but the cache.
        overwrite: Whether ``output`` may exist.
        settings: The choices; the defaults suit most runs.
        progress: Receives how far the run is.
        choices: Single settings by name, over ``settings``, such as ``fail_on="review"``.

    Raises:
        LeakscanError: One of the kinds in :mod:`leakscan.errors`; what was computed stays in the cache.

    Example::

        result = leakscan.compare("hospital_a", "hospital_b", same_ids=True)
        print(result.exit_code, result.pairs.num_rows)
    """
    from leakscan.run.estimate import announced  # which knows this module

    settings = Settings.given(settings, choices, also=("output", "overwrite", "settings", "progress"))
    before = settings.deciding.against
    if len(sources) == 1 and not isinstance(sources[0], str | os.PathLike):
        SourceSpec.parse(sources[0])  # a list of paths, say: it tells how they are given
    if len(sources) < (2 if before is None else 1):
        raise UsageError(
            "A comparison needs two sources.",
            "For leaks inside one dataset, call leakscan.audit.",
            code="one_source",
        )
    folder = free_folder(output, overwrite)
    check_files(settings)
    specs = [SourceSpec.parse(source) for source in sources]
    names = dataset_names(specs, settings.privacy.hide_paths)
    earlier = None if before is None else EarlierRun.read(before)
    if earlier is not None:
        names, specs = earlier.name_all(tuple(names)), [*earlier.specs, *specs]
        dataset_names(specs, settings.privacy.hide_paths)  # refuses what the run has already
    check_apart(specs, settings.reading.exclude)
    opened = open_all(specs, names, settings)
    context = RunContext.open(settings, progress)
    if earlier is not None:
        context.compared_before.update(earlier.names)
        context.notices.append(_told_before(earlier, settings))
    return decide_and_report(load_datasets(announced(opened, context), context), context, folder)


def _told_before(earlier: EarlierRun, settings: Settings) -> str:
    where = "an earlier run" if settings.privacy.hide_paths else str(earlier.run)
    one, *more = earlier.names
    what = f"{', '.join([one, *more[:-1]])} and {more[-1]} were" if more else f"{one} was"
    return f"{what} compared with each other in {where}, and not again here."


def free_folder(output: str | os.PathLike[str] | None, overwrite: bool) -> RunFolder | None:
    """The run folder that may be written, ``None`` where nothing is to be written.

    Raises:
        OutputError: It may not be written.

    Example:
        >>> free_folder("run", overwrite=False).path.as_posix()
        'run'
        >>> free_folder(None, overwrite=False) is None
        True
    """
    if output is None:
        return None
    folder = RunFolder(Path(output))
    folder.check_free(overwrite)
    return folder


def decide_and_report(
    datasets: Sequence[Dataset],
    context: RunContext,
    folder: RunFolder | None,
    splits: AuditFacts | None = None,
) -> Result:
    """Compares every two datasets once and writes the run folder.

    Args:
        datasets: The datasets, in the order of the columns A and B.
        context: The run.
        folder: Where to write, or ``None``.
        splits: What an audit adds to the summary; the datasets are then the splits of one dataset.

    Example::

        context = RunContext.open(settings)
        result = decide_and_report(load_datasets(opened, context), context, free_folder("run", False))
    """
    datasets, left_out = left_out_of(datasets, context)
    comparisons = decide_pairs(datasets, context, one_dataset=splits is not None)
    return reported(datasets, comparisons, context, left_out, folder, splits)


def left_out_of(datasets: Sequence[Dataset], context: RunContext) -> tuple[list[Dataset], Omitted]:
    """Datasets without what the lists of the settings name, and what that came to.

    Raises:
        UsageError: A list fits none of the datasets.

    Example::

        datasets, left_out = left_out_of(load_datasets(opened, context), context)
    """
    patterns = Exclusion(context.settings.reading.exclude)
    datasets, found = leave_out(datasets, known_lists(context.settings), patterns)
    context.patterns_met.update(patterns.met)
    return datasets, replace(found, warnings=(*found.warnings, *idle_patterns(context)))


def idle_patterns(context: RunContext) -> list[str]:
    """The patterns to leave out that left nothing out of any source, in sentences.

    Where paths are hidden, a pattern is named by its place, because it may hold a name.

    Example::

        idle_patterns(context)  # ["The pattern 'mask/' of what to leave out left nothing out."]
    """
    hidden = context.settings.privacy.hide_paths
    given = [pattern for pattern in context.settings.reading.exclude if pattern.strip()]
    return [
        f"The pattern {f'number {i}' if hidden else repr(pattern)} of what to leave out left nothing out."
        for i, pattern in enumerate(given, 1)
        if pattern not in context.patterns_met
    ]


def reported(
    datasets: Sequence[Dataset],
    comparisons: Sequence[Comparison],
    context: RunContext,
    left_out: Omitted,
    folder: RunFolder | None,
    splits: AuditFacts | None = None,
) -> Result:
    """Makes tables, summary and page of what was decided, after the verdicts, and writes them.

    Args:
        datasets: The datasets of the run.
        comparisons: What was decided.
        context: The run.
        left_out: What lists left out.
        folder: Where to write, or ``None``.
        splits: What an audit adds to the summary.

    Example::

        result = reported(datasets, decide_pairs(datasets, context), context, left_out, folder)
    """
    settings = context.settings
    verdicts = known_verdicts(settings)
    judged = judge(comparisons, datasets, verdicts) if verdicts is not None else None
    found = RunTables.of(datasets, judged.comparisons if judged else comparisons, settings.privacy)
    summary = summarise(found, context)
    summary["identity"] = {
        "key_ids": {d.name: d.key_id for d in datasets},
        "project_key_ids": {d.name: d.project_key_id for d in datasets},
        "subjects_in_clear": settings.privacy.show_subjects,
        "same_ids": settings.deciding.same_ids,
    }
    summary["left_out"] = left_out.images
    if judged is not None:
        summary["verdicts"] = judged.facts
    summary["answer"] = answer(found, summary)
    if settings.deciding.baseline is not None:
        summary |= held_against(summary, found.pairs, datasets, settings.deciding.baseline)
    if splits is not None:
        summary["audit"] = splits.of(found.pairs, datasets)
    summary["warnings"] += [*context.notices, *left_out.warnings, *_memory_trouble(context)]
    summary |= _whereabouts(context)
    summary["made_with"] = made_with(settings)
    if folder is not None and not settings.privacy.mask:
        summary["warnings"].append(UNMASKED)
    thumbnails = Thumbnails(datasets, settings.reading, context.engine, settings.privacy.mask)
    if folder is not None:
        context.progress.start("Writing the report", None)
        folder.write(found, summary, render_html(found, summary, thumbnails))
    context.progress.finish()
    if settings.limits.profile is not None and context.timeline is not None:
        context.timeline.write(settings.limits.profile)
    return Result(
        images=found.images,
        fingerprints=found.fingerprints,
        pairs=found.pairs,
        subjects=found.subjects,
        summary=summary,
        exit_code=summary["exit_code"],
        folder=None if folder is None else folder.path,
        pictures=None if settings.privacy.hide_paths else FirstPictures.of(found.pairs, thumbnails),
    )


def _whereabouts(context: RunContext) -> dict[str, Any]:
    """Where the images are and how they were read, so that a review finds them again.

    A path that is no Unicode cannot stand in JSON; a review then has to ask for it.
    """
    reading, hidden = context.settings.reading, context.settings.privacy.hide_paths
    left_out = {"exclude", "exclude_list"} | ({"subjects"} if hidden else set())
    return {
        "sources": {name: None if hidden else _unicode(place) for name, place in context.sources.items()},
        "reading": {
            **reading.model_dump(exclude=left_out),
            "exclude": [] if hidden else [pattern for pattern in reading.exclude if _unicode(pattern)],
        },
    }


def _unicode(text: str) -> str | None:
    """The text, ``None`` where it holds bytes of a name that are no Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text


def check_files(settings: Settings) -> None:
    """Reads the files that people made for this run, so that a wrong one is said before hours of work.

    Raises:
        UsageError: A file is not there, or is not what it should be.
        StoreError: The file of verdicts is damaged.

    Example:
        >>> check_files(Settings.of(exclude_list=("drop.csv",)))
        Traceback (most recent call last):
        leakscan.errors.UsageError: The list drop.csv cannot be read: no such file or directory.
    """
    known_verdicts(settings)
    known_lists(settings)
    if settings.limits.profile is not None:
        check_writable(settings.limits.profile)
    if settings.deciding.baseline is not None:
        RunFolder.open(settings.deciding.baseline)


def known_lists(settings: Settings) -> list[ListedImages]:
    """The lists of images to leave out that the settings name.

    Raises:
        UsageError: One cannot be read, or names no images.

    Example:
        >>> known_lists(Settings())
        []
    """
    return [ListedImages.read(path) for path in settings.reading.exclude_list]


def known_verdicts(settings: Settings) -> list[Verdict] | None:
    """The verdicts that the settings name, ``None`` where they name none.

    Raises:
        UsageError: There is no such file.
        StoreError: It is damaged, or no file of verdicts.

    Example:
        >>> known_verdicts(Settings()) is None
        True
    """
    path = settings.deciding.verdicts
    return None if path is None else VerdictFile.open(path).read()


def _memory_trouble(context: RunContext) -> list[str]:
    """What to say where the memory of pairs cannot be kept; the answer of the run stands all the same."""
    try:
        context.memory.save()
    except OutputError as e:
        shown = e.without_path() if context.settings.privacy.hide_paths else e
        return [f"{shown.message} The next run will check these pairs again."]
    return []


@dataclass(frozen=True)
class Opened:
    """A source that is there, or a store that stands in for one.

    Attributes:
        spec: What the user typed.
        name: The name of the dataset.
        images: The images to be fingerprinted, or the store that holds their fingerprints.
    """

    spec: SourceSpec
    name: str
    images: ImageSource | Store


def open_all(specs: Sequence[SourceSpec], names: Sequence[str], settings: Settings) -> list[Opened]:
    """Opens every source before work on the first begins: hours may lie between them.

    Args:
        specs: What the user typed.
        names: The names of the datasets.
        settings: What the user chose.

    Raises:
        SourceError: A source is not there.
        StoreError: A store is damaged.
        UsageError: The rule for subjects in paths is not understood.

    Example:
        >>> Path("ward").mkdir()
        >>> Path("ward/film.png").touch()
        >>> (ward,) = open_all([SourceSpec.parse("ward")], ["Ward 3"], Settings())
        >>> ward.name, ward.spec.form
        ('Ward 3', 'folder')
    """
    reading = settings.reading
    rule = parse_subject_rule(reading.subjects) if reading.subjects else None

    def images(spec: SourceSpec, name: str) -> ImageSource | Store:
        if spec.form == "store":
            return Store.open(spec.path)
        return open_source(spec, reading, reading.exclude, rule, name, reading.columns)

    return [Opened(spec, name, images(spec, name)) for spec, name in zip(specs, names, strict=True)]


def load_datasets(opened: Sequence[Opened], context: RunContext) -> list[Dataset]:
    """Fingerprints sources through their cached stores; stores of others are read first, as they may not fit.

    Raises:
        StoreError: A store is empty, damaged, or made with another encoder.
        LeakscanError: Anything that :func:`compare` raises.

    Example::

        context = RunContext.open(settings)
        for dataset in load_datasets(open_all(specs, dataset_names(specs), settings), context):
            print(dataset.name, dataset.rows.num_rows)
    """
    check_joinable(opened, context.project_key)
    context.sources.update((one.name, one.spec.resolved) for one in opened)
    if context.settings.reading.columns and not any(one.spec.form == "manifest" for one in opened):
        context.notices.append("The setting columns names columns of a manifest, and no source is one.")
    known = {
        i: dataset_from_store(one.images, one.name, context.models.encoders)
        for i, one in enumerate(opened)
        if isinstance(one.images, Store)
    }
    stores = context.settings.limits.cache / STORES
    for i, one in enumerate(opened):
        if not isinstance(one.images, Store):
            key = context.key.key_id
            place = stores / cache_name(one.spec, key)
            store = Store.create(place, StoreInfo(one.name, key), keep=one.spec.holds)
            known[i] = fingerprint_source(one.images, store, context)
    datasets = [brought_under(known[i], context.project_key) for i in range(len(opened))]
    check_cohorts(datasets, context.models.calibrations, context.project_key)
    return datasets

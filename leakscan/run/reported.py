"""From datasets to a report: they are compared, and tables, summary and page are made of what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from leakscan.decide.comparison import Comparison
from leakscan.decide.pairs import decide_pairs
from leakscan.errors import OutputError
from leakscan.fingerprint.pipeline import Dataset
from leakscan.report.answer import answer
from leakscan.report.html import render_html
from leakscan.report.html_pictures import Thumbnails
from leakscan.report.notebook import FirstPictures
from leakscan.report.run_folder import RunFolder
from leakscan.report.run_tables import RunTables
from leakscan.report.summary import summarise
from leakscan.review.judging import judge
from leakscan.run.audit_facts import AuditFacts
from leakscan.run.baseline import held_against
from leakscan.run.context import RunContext
from leakscan.run.given_files import known_lists, known_verdicts
from leakscan.run.left_out import Omitted, leave_out
from leakscan.run.like import made_with
from leakscan.run.result import Result
from leakscan.settings import UNMASKED
from leakscan.sources.exclusion import Exclusion


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
        summary |= held_against(summary, found, datasets, settings.deciding)
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


def _memory_trouble(context: RunContext) -> list[str]:
    """What to say where the memory of pairs cannot be kept; the answer of the run stands all the same."""
    try:
        context.memory.save()
    except OutputError as e:
        shown = e.without_path() if context.settings.privacy.hide_paths else e
        return [f"{shown.message} The next run will check these pairs again."]
    return []

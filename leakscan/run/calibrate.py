"""Fits the error rates of an encoder on a user's own images with declared subjects."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leakscan.counted import counted
from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import is_calibration, write_calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.decide.calibration.fit_detail import MatchPairs
from leakscan.decide.calibration.tail import LEAST_SUBJECTS
from leakscan.decide.columns import Columns
from leakscan.decide.persons.detail_matches import DetailMatching
from leakscan.errors import ModelError, OutputError, UsageError
from leakscan.fingerprint.pipeline import Dataset
from leakscan.match.pictures import distinct_pictures
from leakscan.report.calibration_plots import calibration_plots, require_matplotlib
from leakscan.report.left_out import left_out_facts, left_out_words
from leakscan.report.run_tables import row_errors
from leakscan.run.context import RunContext
from leakscan.run.given_files import known_verdicts
from leakscan.run.opened import load_datasets, open_all
from leakscan.run.places import dataset_names
from leakscan.run.reported import left_out_of
from leakscan.run.verdict_labels import Labelled, labelled_by
from leakscan.settings import Settings
from leakscan.sources.spec import SourceSpec
from leakscan.types import Progress
from leakscan.writable import check_writable

LEVELS = (1e-2, 1e-3, 1e-4, 1e-5)
"""False match rates at which the calibration in use is held against the user's images."""


def calibrate(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    settings: Settings | None = None,
    plots: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes a calibration of an encoder on images whose subjects are known.

    Args:
        source: A directory, manifest, or store whose images have declared subjects, or several of them.
        output: The file to write.
        settings: The choices; ``encoder`` chooses between several. The pairs in the file ``verdicts`` are
            labels beside the declared subjects (:mod:`leakscan.run.verdict_labels`).
        plots: A folder for pictures of the fit, or ``None``.
        progress: Receives how far the work is.

    Returns:
        What was found: counts (of ``verdicts`` too, or ``None``), and at several levels the false match rate
        that the encoder's own calibration states beside the one counted here.

    Raises:
        OutputError: ``output`` exists and is no calibration, or cannot be written.
        UsageError: Too few people are known, by declarations and verdicts.
        ModelError: No encoder with a calibration serves these images.
        LeakscanError: Anything that :func:`leakscan.compare` raises.

    Example::

        told = calibrate("films.csv", "ours.safetensors")
        for level in told["levels"]:
            print(level["stated_fmr"], "stated,", level["counted_fmr"], "counted")
        leakscan.compare("a", "b", settings=Settings.of(calibration="ours.safetensors"))
    """
    settings = Settings.given(settings, {"calibration": None, "project_key": None})
    plots = None if plots is None else Path(plots)
    _check_places(Path(output), plots)
    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    specs = [SourceSpec.parse(one) for one in sources]
    verdicts = known_verdicts(settings)
    if len(specs) != 1 and verdicts is None:
        raise UsageError(
            "Without verdicts nothing tells who is one person across several sources.",
            "Name one source, or a file of verdicts on pairs of these.",
            code="several_without_verdicts",
        )
    opened = open_all(specs, dataset_names(specs), settings)
    context = RunContext.open(settings, progress)
    datasets, left_out = left_out_of(load_datasets(opened, context), context)
    labels = None if verdicts is None else labelled_by(datasets, verdicts)
    dataset = datasets[0] if labels is None else labels.dataset
    columns = Columns(dataset, distinct_pictures(dataset.rows))
    encoder, at = _labelled(columns, sources[0], context)
    if labels is not None:
        _check_enough(columns, at, labels)
    context.progress.start("Fitting the impostor tail", None)
    before = context.models.calibrations[encoder]
    fitted = _fitted(columns, at, before, context)
    write_calibration(fitted, Path(output))
    if plots is not None:
        context.progress.start("Drawing", None)
        calibration_plots(fitted, plots)
    context.progress.finish()
    return {
        "encoder": encoder,
        "images": len(at),
        "subjects": fitted.tail.n_subjects,
        "impostor_pairs": fitted.tail.n_pairs,
        "genuine_pairs": len(fitted.genuine.score),
        "smallest_p_value": fitted.tail.floor,
        "second_look": fitted.matches_details,
        "levels": _held_against(before, fitted),
        "verdicts": None if labels is None else {**labels.counts, "people_by_verdicts": labels.by_verdicts},
        "warnings": [
            *_not_read(datasets, settings.privacy.hide_paths),
            *context.notices,
            *left_out.warnings,
            *(labels.warnings if labels else ()),
        ],
        "file": str(output),
    }


def _not_read(datasets: Sequence[Dataset], hide_paths: bool) -> list[str]:
    """A sentence for every dataset of which images were not read, and so do not count here."""
    told = []
    for dataset in datasets:
        if words := left_out_words({"name": dataset.name, **left_out_facts(dataset.rows)}):
            bad = pa.array(["unreadable", "unsupported"])
            unread = dataset.rows.filter(pc.is_in(dataset.rows["status"], bad))
            first = unread.slice(0, 1)
            name = "" if hide_paths else f" ({first['path'][0].as_py()})"
            told.append(f"{words} Of the first{name}: {row_errors(first, hide_paths)[0]}")
    return told


def _check_enough(columns: Columns, at: npt.NDArray[np.int64], labels: Labelled) -> None:
    """Refuses, with a number, where verdicts and declarations tell too few people apart."""
    people = len({columns.side.subjects[i] for i in at.tolist()})
    if people < LEAST_SUBJECTS:
        used = labels.counts["same"] + labels.counts["different"]
        raise UsageError(
            f"{counted(used, 'verdict')} and what is declared tell {counted(people, 'person', 'people')} "
            f"with usable images apart, and a calibration needs {LEAST_SUBJECTS}: at least "
            f"{math.ceil((LEAST_SUBJECTS - people) / 2)} more verdicts, on people who have none yet.",
            "Review more pairs, or declare subjects.",
            code="too_few_verdicts",
        )


def _check_places(output: Path, plots: Path | None) -> None:
    """Refuses, before hours of work, places that cannot be written."""
    if output.exists() and not is_calibration(output):
        raise OutputError(
            "{path} exists and is no calibration; it stays as it is.",
            "Name another file.",
            code="calibration_taken",
            path=output,
        )
    check_writable(output)
    if plots is not None:
        check_writable(plots)
        require_matplotlib()


def _labelled(
    columns: Columns, source: str | os.PathLike[str], context: RunContext
) -> tuple[str, npt.NDArray[np.int64]]:
    """The encoder that serves most pictures with a declared subject, and which pictures those are."""
    side = columns.side
    labelled = np.array([subject is not None for subject in side.subjects])
    if not labelled.any():
        raise UsageError(
            "{path} declares no subjects, so nothing tells impostors from genuine pairs.",
            "Name a manifest with subject_id, or how paths name subjects with the setting subjects; an "
            "identifier that stands on most images names nobody.",
            code="no_subjects",
            path=source,
        )
    made = Counter(side.encoder[labelled & (side.encoder != "")].tolist())
    encoder = next((e for e, _ in made.most_common() if e in context.models.calibrations), None)
    if encoder is None:
        raise ModelError(
            "No encoder with a calibration to start from serves the images of {path}.",
            "leakscan.fingerprint.encoders.registry.cards() lists the encoders.",
            code="no_encoder",
            path=source,
        )
    return encoder, np.flatnonzero(labelled & (side.encoder == encoder))


def _fitted(
    columns: Columns, at: npt.NDArray[np.int64], before: Calibration, context: RunContext
) -> Calibration:
    """A calibration of the pictures ``at``, with the detail match of the encoder where pixels are at hand."""
    side, names, encoder = columns.side, columns.side.subjects, before.encoder
    # In the order of the images: that of keyed hashes would be another one with every key.
    first = {name: number for number, name in enumerate(dict.fromkeys(names[i] for i in at.tolist()))}
    subjects = np.array([f"{first[names[i]]:09d}" for i in at.tolist()])
    match, matcher = None, context.models.matchers.get(encoder)
    matching = None if matcher is None else DetailMatching(matcher, encoder, context)
    if matching is not None and matching.can_match(columns):
        match = _matches(columns, at, matching)
    fitted = fit_calibration(
        encoder,
        columns.dataset.name,
        Cohort(before.cohort, before.top),
        LabelledPrints(side.prints(encoder, at), subjects, match),
    )
    if matching is not None and matching.unread:
        context.notices.append(
            f"{counted(matching.unread, 'film')} could be read for a fingerprint and then no more: "
            "details are matched without."
        )
    if matcher is None or not fitted.matches_details:
        return fitted
    return replace(fitted, detail_digest=matcher.digest)


def _matches(columns: Columns, at: npt.NDArray[np.int64], matching: DetailMatching) -> MatchPairs:
    """What matches pairs of the pictures ``at``, each remembered as soon as it is found."""

    def match(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return matching.of(columns, columns, at[pairs[:, 0]], at[pairs[:, 1]], share=None)

    return match


def _held_against(stated: Calibration, counted: Calibration) -> list[dict[str, Any]]:
    """What one calibration states, beside what the images of another show.

    Args:
        stated: The calibration in use.
        counted: The calibration that was fitted on the images.
    """
    levels = []
    for fmr in LEVELS:
        score = stated.tail.score_at(fmr)
        rate = float(counted.tail.p_value(np.array([score]))[0])
        missed = counted.genuine.missed(score)[0]
        levels.append(
            {
                "stated_fmr": fmr,
                "score": round(score, 4),
                "counted_fmr": rate,
                "false_matches": round(rate * counted.tail.n_pairs),
                "missed_share": None if math.isnan(missed) else round(missed, 4),
            }
        )
    return levels

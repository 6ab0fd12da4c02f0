"""Fits the error rates of an encoder on a user's own images with declared subjects."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.file import is_calibration, write_calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.decide.columns import Columns
from leakscan.decide.persons.detail_matches import detail_match_of
from leakscan.engines.local import LocalEngine
from leakscan.errors import ModelError, OutputError, UsageError
from leakscan.fingerprint.pipeline import Timings
from leakscan.match.pictures import distinct_pictures
from leakscan.report.calibration_plots import calibration_plots, require_matplotlib
from leakscan.run.compare import RunOptions, load_datasets, open_all
from leakscan.run.models import load_models
from leakscan.run.places import dataset_names
from leakscan.types import Progress, Silent
from leakscan.writable import check_writable

LEVELS = (1e-2, 1e-3, 1e-4, 1e-5)
"""False match rates at which the calibration in use is held against the user's images."""


def calibrate(
    source: str | Path,
    output: str | Path,
    *,
    options: RunOptions | None = None,
    plots: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes a calibration of an encoder on one source.

    Args:
        source: directory, manifest, or store whose images have declared subjects.
        output: file to write.
        options: as for :func:`leakscan.compare`; ``encoder`` chooses between several.
        plots: folder for pictures of the fit, or ``None``.
        progress: is told how far it is.

    Returns:
        What was found: counts, and at several levels the false match rate that the encoder's own
        calibration states beside the one counted here.

    Raises:
        OutputError: ``output`` exists and is no calibration, or cannot be written.
        UsageError: too few subjects are declared.
        ModelError: no encoder with a cohort serves these images.
        LeakscanError: as for :func:`leakscan.compare`.
    """
    options, progress = options or RunOptions(), progress or Silent()
    if Path(output).exists() and not is_calibration(Path(output)):
        raise OutputError(
            f"{output} exists and is no calibration; it stays as it is.", "Name another file with -o."
        )
    check_writable(Path(output))
    if plots is not None:
        check_writable(plots)
        require_matplotlib()
    (name,) = dataset_names([str(source)])
    opened = open_all([str(source)], [name], options)
    models = load_models(options.encoder, None)
    known = models.calibrations
    engine = LocalEngine(options.workers)
    (dataset,) = load_datasets(opened, models.encoders, options, engine, progress, Timings())
    side = distinct_pictures(dataset.rows)
    columns = Columns(dataset, side)
    names = side.subjects
    labelled = np.array([subject is not None for subject in names])
    if not labelled.any():
        raise UsageError(
            f"{source} declares no subjects, so nothing tells impostors from genuine pairs.",
            "Name a manifest with subject_id, or how paths name subjects with --subjects; an identifier that "
            "stands on most images names nobody.",
        )
    made = Counter(side.encoder[labelled & (side.encoder != "")].tolist())
    encoder = next((e for e, _ in made.most_common() if e in known), None)
    if encoder is None:
        raise ModelError(
            f"No encoder with a calibration to start from serves the images of {source}.",
            "leakscan models list",
        )
    progress.start("Fitting the impostor tail", None)
    at = np.flatnonzero(labelled & (side.encoder == encoder))
    subjects = np.array([str(names[i]) for i in at.tolist()])
    before = known[encoder]
    look, matcher = None, models.matchers.get(encoder)
    pixels = [columns.pixels(picture) for picture in at.tolist()]
    if matcher is not None and any(where is not None for where in pixels):
        look = detail_match_of(pixels, matcher, engine, options.decode, progress)
    fitted = fit_calibration(
        encoder,
        name,
        Cohort(before.cohort, before.top),
        LabelledPrints(side.prints(encoder, at), subjects, look),
    )
    if fitted.matches_details and matcher is not None:
        fitted = replace(fitted, detail_digest=matcher.digest)
    write_calibration(fitted, Path(output))
    if plots is not None:
        progress.start("Drawing", None)
        calibration_plots(fitted, plots)
    progress.finish()
    return {
        "encoder": encoder,
        "images": len(at),
        "subjects": fitted.tail.n_subjects,
        "impostor_pairs": fitted.tail.n_pairs,
        "genuine_pairs": len(fitted.genuine.score),
        "smallest_p_value": fitted.tail.floor,
        "second_look": fitted.matches_details,
        "levels": held_against(before, fitted),
        "file": str(output),
    }


def held_against(stated: Calibration, counted: Calibration) -> list[dict[str, Any]]:
    """What one calibration states, beside what the images of another show.

    Args:
        stated: the calibration in use.
        counted: fitted on the images.
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

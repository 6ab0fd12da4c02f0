"""Writes a run folder: the four tables, ``summary.json``, ``report.html``."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leakscan import tables
from leakscan.errors import OutputError
from leakscan.report.html import render_html
from leakscan.report.summary import Outcome
from leakscan.types import DecodeOptions, ImageRef

_LAST = "summary.json"


def write_run(
    outcome: Outcome,
    summary: Mapping[str, Any],
    folder: Path,
    refs: Mapping[str, Mapping[str, ImageRef]],
    decode: DecodeOptions,
) -> None:
    """Writes everything beside the folder and then moves it in, file by file.

    A run that fails leaves the folder as it was. ``summary.json`` goes first and comes back last,
    so a folder that has it is complete; files that are not a run's stay.

    Args:
        outcome: of the run.
        summary: as :func:`leakscan.report.summary.summarise` makes it.
        folder: to write; made where there is none.
        refs: dataset -> image id -> where its pixels are, for the pictures in the page.
        decode: for reading them.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    part = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        tables.write(outcome.images, part / "images.parquet")
        tables.write(outcome.fingerprints, part / "fingerprints.parquet")
        tables.write(outcome.pairs, part / "pairs.parquet")
        tables.write(outcome.subjects, part / "subjects.parquet")
        write_text(part / "report.html", render_html(outcome, summary, refs, decode))
        write_text(part / _LAST, json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
        folder.mkdir(exist_ok=True)
        (folder / _LAST).unlink(missing_ok=True)
        for path in sorted(part.iterdir(), key=lambda p: p.name == _LAST):
            path.replace(folder / path.name)
    except OSError as e:
        raise OutputError(f"The run folder {folder} cannot be written: {e.strerror or e}.") from e
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as e:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise OutputError(
            f"Cannot write {path}: {e.strerror or e}.", "Free some space or choose another folder."
        ) from e

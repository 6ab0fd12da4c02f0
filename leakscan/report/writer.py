"""Writes a run folder: the four tables, ``summary.json``, ``report.html``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leakscan import tables
from leakscan.errors import OutputError
from leakscan.report.html import render_html
from leakscan.report.summary import Outcome
from leakscan.types import DecodeOptions, ImageRef


def write_run(
    outcome: Outcome,
    summary: Mapping[str, Any],
    folder: Path,
    refs: Mapping[str, Mapping[str, ImageRef]],
    decode: DecodeOptions,
) -> None:
    """Writes everything; ``summary.json`` comes last, so a folder that has it is complete.

    Args:
        outcome: of the run.
        summary: as :func:`leakscan.report.summary.summarise` makes it.
        folder: exists.
        refs: dataset -> image id -> where its pixels are, for the pictures in the page.
        decode: for reading them.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    tables.write(outcome.images, folder / "images.parquet")
    tables.write(outcome.fingerprints, folder / "fingerprints.parquet")
    tables.write(outcome.pairs, folder / "pairs.parquet")
    tables.write(outcome.subjects, folder / "subjects.parquet")
    write_text(folder / "report.html", render_html(outcome, summary, refs, decode))
    write_text(folder / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")


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
        part.unlink(missing_ok=True)
        raise OutputError(
            f"Cannot write {path}: {e.strerror or e}.", "Free some space or choose another folder."
        ) from e

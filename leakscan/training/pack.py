"""Packs the films of a manifest into one uint8 array, so that training never decodes."""

from __future__ import annotations

import csv
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from leakscan.fingerprint.preprocess.radiograph import canonical_radiograph


@dataclass(frozen=True)
class Pack:
    """Films ready for training.

    Attributes:
        films: ``(n, side, side)`` uint8, canonical radiographs.
        subjects: ``(n,)`` str; an empty id has been replaced by one of its own.
        widths: ``(n,)`` int, the width in pixels at which the film was found (0 if unknown).
    """

    films: npt.NDArray[np.uint8]
    subjects: npt.NDArray[np.str_]
    widths: npt.NDArray[np.int64]


def _canonical_uint8(path: Path, side: int) -> npt.NDArray[np.uint8]:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    return np.round(canonical_radiograph(pixels, side) * 255).astype(np.uint8)


def pack_manifest(manifest: Path, splits: set[str], side: int, workers: int = 2) -> Pack:
    """Reads the films of some splits of a manifest (columns ``path, subject_id, split``).

    Args:
        manifest: CSV; its paths are relative to its folder.
        splits: the values of ``split`` to take.
        side: side of the packed films in pixels.
        workers: decoding processes.
    """
    with manifest.open(newline="") as f:
        rows = [row for row in csv.DictReader(f) if row["split"] in splits]
    paths = [manifest.parent / row["path"] for row in rows]
    with ProcessPoolExecutor(workers) as pool:
        films = list(pool.map(partial(_canonical_uint8, side=side), paths, chunksize=64))
    subjects = [row["subject_id"] or f"film:{row['path']}" for row in rows]
    widths = [int(row.get("source_width_px") or 0) for row in rows]
    return Pack(np.stack(films), np.array(subjects), np.array(widths, np.int64))


def join_packs(packs: list[Pack]) -> Pack:
    """Concatenates packs of the same side."""
    return Pack(
        np.concatenate([p.films for p in packs]),
        np.concatenate([p.subjects for p in packs]),
        np.concatenate([p.widths for p in packs]),
    )

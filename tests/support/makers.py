"""Small things that many tests make: pictures, folders of them, rows of a store, unit vectors."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

DATA = Path(os.environ.get("LEAKSCAN_DATA", Path(__file__).parents[3] / "shared" / "data"))
"""The real images, for tests marked ``real``."""

Picture = npt.NDArray[np.uint8]

NO_ENCODER = ("--kind", "other_2d")
"""Options under which pictures need no encoder: hash and same-image relations only."""


class NetworkRefused(AssertionError):
    """Something tried to reach out; no error handling of the program should swallow it."""


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """Standard error as one line, which must not be a traceback."""
        assert "Traceback" not in self.err
        return re.sub(r"\s+", " ", self.err).strip()


Leakscan = Callable[..., Ran]


def scene(seed: int, side: int = 48) -> Picture:
    """A smooth picture like no other: ``(side, side)`` uint8, its seed decides everything."""
    coarse = np.random.default_rng([77, seed]).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def save(path: Path, pixels: npt.NDArray[Any], **how: Any) -> Path:
    """Writes a picture in the format its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)
    return path


def fill(folder: Path, seeds: Sequence[int], suffix: str = ".png", **how: Any) -> Path:
    """A folder of scenes named after their seeds."""
    for seed in seeds:
        save(folder / f"{seed}{suffix}", scene(seed), **how)
    return folder


def rows_of(run: Path, table: str) -> list[dict[str, Any]]:
    """The rows of one table of a run folder."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(run / f"{table}.parquet").to_pylist()
    return rows


_tables = itertools.count()


def store_rows(images: Sequence[Mapping[str, Any]], encoder: str = "made-up@1") -> Any:
    """A table of the store's schema from a few columns; the rest is filled in plausibly.

    Args:
        images: each with any of the store's columns; ``fingerprint`` alone implies the encoder.
        encoder: of those that have a fingerprint.
    """
    from leakscan import tables

    filled = []
    table = next(_tables)
    for i, image in enumerate(images):
        row = {
            "image_id": f"id{i}",
            "path": f"{i}.png",
            "kind": "chest_radiograph",
            "status": "ok",
            "file_hash": f"file-{table}-{i}",
            "pixel_hash": f"px1:{table}-{i}",
            "phash": [int(n) for n in np.random.default_rng([table, i]).integers(0, 2**63, 8)],
            "encoder": encoder if image.get("fingerprint") is not None else None,
            **image,
        }
        if row.get("fingerprint") is not None:
            row["fingerprint"] = np.asarray(row["fingerprint"], np.float16)
        filled.append(row)
    return tables.from_rows(filled, tables.STORE)


def unit_vectors(seed: int, n: int, dim: int = 128) -> npt.NDArray[np.float32]:
    """``(n, dim)`` float32 on the unit sphere."""
    drawn = np.random.default_rng(seed).normal(size=(n, dim))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)

"""What every test stands on: no network, a quiet machine, tiny pictures, and the command line in-process."""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy and torch: every worker has one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("leakscan", deadline=None)  # no test asserts a time
settings.load_profile("leakscan")

Picture = npt.NDArray[np.uint8]

NO_ENCODER = ("--kind", "other_2d")
"""Options under which pictures need no encoder: hash and same-image relations only."""


class NetworkRefused(AssertionError):
    """Something tried to reach out; no error handling of the program should swallow it."""


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Lets nothing out of the process but to local (AF_UNIX) sockets, for the whole test run."""
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}

    def guarded(name: str) -> Callable[..., Any]:
        @functools.wraps(real[name])
        def call(self: socket.socket, *arguments: Any) -> Any:
            if self.family != socket.AF_UNIX:
                raise NetworkRefused(f"A test reached for the network: {name}{arguments}.")
            return real[name](self, *arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(socket.socket, name, guarded(name))
        yield


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's settings nor the models they added reach a test."""
    monkeypatch.delenv("LEAKSCAN_CACHE", raising=False)
    monkeypatch.setenv("LEAKSCAN_MODELS", str(tmp_path_factory.getbasetemp() / "no-models"))
    monkeypatch.setenv("COLUMNS", "200")


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


@pytest.fixture(scope="session")
def loaded_once() -> Callable[..., Any]:
    """Loads every encoder once a test run: its golden check takes longer than most tests."""
    from leakscan.fingerprint.encoders.load import load_encoder

    known: dict[tuple[str, Path], Any] = {}

    def load(card: Any, folder: Path) -> Any:
        key = card.encoder, folder
        if key not in known:
            known[key] = load_encoder(card, folder)
        return known[key]

    return load


@pytest.fixture
def as_volumes_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up volumes fit no average brain, so every one would be encoded in four positions."""
    monkeypatch.setattr("leakscan.fingerprint.encoders.brain_net._FLIPS", ())


@pytest.fixture
def leakscan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    loaded_once: Callable[..., Any],
) -> Leakscan:
    """Runs a command as the console script would, in ``tmp_path``, without worker processes."""
    from leakscan.cli.app import run
    from leakscan.engines.allocator import keep_freed_memory

    keep_freed_memory()
    monkeypatch.chdir(tmp_path)
    # By name, because `leakscan.compare` is the function of the public API.
    monkeypatch.setattr(importlib.import_module("leakscan.jobs.models"), "load_encoder", loaded_once)

    def call(command: str, *arguments: object) -> Ran:
        given = [command, *map(str, arguments)]
        if command in ("compare", "audit", "fingerprint") and "--workers" not in given:
            given += ["--workers", "0"]
        capsys.readouterr()
        code = run(given)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


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


@pytest.fixture(scope="session")
def films() -> list[Picture]:
    """Six drawn chest films of six subjects, 208 px high."""
    from leakscan.evaluation.drawing import draw_film

    return [np.asarray(draw_film(np.random.default_rng([3, i]), height=208), np.uint8) for i in range(6)]


@pytest.fixture
def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    """A holds scenes 0 to 3, B holds 3 to 6 compressed otherwise: scene 3 leaks as ``same_pixels``."""
    a = fill(tmp_path / "A", range(4), compress_level=1)
    return a, fill(tmp_path / "B", range(3, 7), compress_level=9)


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

"""How long a million candidate pairs take from the search to ``pairs.parquet``, and how much memory.

Fingerprints and hashes are made up and there are no pictures, so that copy checks and detail matches are
left out. Two cases are measured, each in a process of its own: strangers, of whom hardly a pair is written,
and near copies, where every candidate becomes a row with its sentences.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import stats

from leakscan import tables
from leakscan.decide.calibration.calibration import Calibration
from leakscan.decide.calibration.fit import Cohort, LabelledPrints, fit_calibration
from leakscan.decide.pairs import decide_pairs
from leakscan.fingerprint.encoders.card import Card, ImpostorScores
from leakscan.fingerprint.pipeline import Dataset
from leakscan.report.evidence_words import with_evidence
from leakscan.settings import Settings
from leakscan.types import Engine, Progress, Silent

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

Case = Literal["strangers", "copies"]
CASES: tuple[Case, ...] = ("strangers", "copies")
BAR_SECONDS, BAR_MB = 20.0, 1000.0
"""What a million candidate pairs may take."""

_ENCODER = "made-up@1"
_DIM = 128
_STRANGERS = 20_000  # pictures of each side
_COPIES = 100  # pictures of each side that are near copies of one another
_NOISE = 0.1  # of a copy; its similarity to others stays above that of a likely copy
_TAIL_SUBJECTS = 300

Prints = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class PairsFigures:
    """What one case came to.

    Attributes:
        case: ``strangers`` or ``copies``.
        candidates: Pairs of pictures that the search found.
        rows: Rows of ``pairs.parquet``.
        seconds: The wall time from the search to the file.
        match_seconds: The part of the search.
        cpu_seconds: The time that processors worked on it, all threads together.
        peak_mb: The most memory of the process in MB (10^6 bytes).
        start_mb: The part of that which was in use before the search: libraries and made-up data.
    """

    case: Case
    candidates: int
    rows: int
    seconds: float
    match_seconds: float
    cpu_seconds: float
    peak_mb: float
    start_mb: float


def pairs_bench(folder: Path, pairs: int = 1_000_000) -> list[dict[str, Any]]:
    """Measures every case.

    Args:
        folder: Where ``pairs.parquet`` of every case is written.
        pairs: About how many candidate pairs there are.

    Returns:
        The attributes of :class:`PairsFigures` by name, for every case.

    Example:
        ``pairs_bench(Path("/tmp/pairs"), pairs=10_000)``
    """
    found = []
    for case in CASES:
        # A fresh process: its highest memory is that of this case alone.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found.append(asdict(pool.submit(measure_pairs, case, pairs, folder).result()))
    return found


def measure_pairs(case: Case, pairs: int, folder: Path) -> PairsFigures:
    """Passes the candidates of one case from the search to a file, in this process.

    Args:
        case: ``strangers`` or ``copies``.
        pairs: About how many candidate pairs there are.
        folder: Where ``pairs.parquet`` is written, in a folder named after the case.

    Example::

        figures = measure_pairs("copies", 10_000, Path("bench"))
        print(figures.rows, figures.seconds, figures.peak_mb)
    """
    path = folder / case / "pairs.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    if case == "strangers":
        a, b = (_directions(seed, _STRANGERS) for seed in (1, 2))
        share = min(0.5, pairs / _STRANGERS**2)
        loosest = float(stats.norm.isf(share)) / math.sqrt(_DIM)
    else:
        centres = np.repeat(_directions(1, max(1, pairs // _COPIES**2)), _COPIES, axis=0)
        a, b = (_unit(centres + _NOISE * _directions(seed, len(centres))) for seed in (2, 3))
        loosest = 0.9
    context = cast("RunContext", BareContext.of(loosest, pairs))
    datasets = _dataset("A", a, 4), _dataset("B", b, 5)
    start = peak_bytes()
    began, worked = time.monotonic(), time.process_time()
    (found,) = decide_pairs(datasets, context)
    tables.write(with_evidence(found.pairs), path)
    return PairsFigures(
        case=case,
        candidates=found.candidates,
        rows=len(found.pairs),
        seconds=round(time.monotonic() - began, 2),
        match_seconds=round(found.match_seconds, 2),
        cpu_seconds=round(time.process_time() - worked, 2),
        peak_mb=round(peak_bytes() / 1e6),
        start_mb=round(start / 1e6),
    )


def peak_bytes() -> int:
    """The most memory that this process held so far, in bytes.

    Example:
        >>> peak_bytes() > 1_000_000
        True
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _unit(vectors: npt.NDArray[np.float64] | Prints) -> Prints:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _directions(seed: int, n: int) -> Prints:
    """``(n, 128)`` random unit vectors."""
    return _unit(np.random.default_rng(seed).normal(size=(n, _DIM)))


def _dataset(name: str, prints: Prints, seed: int) -> Dataset:
    """Pictures with these fingerprints, and hashes that no others have."""
    n = len(prints)
    hashes = np.random.default_rng(seed).integers(0, 1 << 63, (n, tables.ORIENTATIONS), dtype=np.uint64)
    columns = {
        "image_id": pa.array([f"{name}{i}" for i in range(n)]),
        "path": pa.array([f"{name}/{i}.png" for i in range(n)]),
        "kind": pa.repeat("chest_radiograph", n),
        "status": pa.repeat("ok", n),
        "file_hash": pa.array([f"{name}-file-{i}" for i in range(n)]),
        "pixel_hash": pa.array([f"{name}-pixels-{i}" for i in range(n)]),
        "encoder": pa.repeat(_ENCODER, n),
        "fingerprint": pa.FixedSizeListArray.from_arrays(pa.array(prints.astype(np.float16).ravel()), _DIM),
        "phash": pa.FixedSizeListArray.from_arrays(pa.array(hashes.ravel()), tables.ORIENTATIONS),
    }
    rows = pa.table(
        [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(n, f.type) for f in tables.STORE],
        schema=tables.STORE,
    )
    return Dataset(name, rows, {}, {}, "made up")


def _calibration() -> Calibration:
    """Fitted on strangers, with a cohort."""
    prints = np.concatenate([_directions(6, _TAIL_SUBJECTS), _directions(6, _TAIL_SUBJECTS)])
    names = np.array([f"s{i}" for i in range(_TAIL_SUBJECTS)] * 2)
    cohort = Cohort(_directions(7, 300).astype(np.float16), 200)
    return fit_calibration(_ENCODER, "random directions", cohort, LabelledPrints(prints, names))


class Forgetful:
    """A memory of pairs that nobody has seen before."""

    def copy_checks(self, pairs: list[tuple[str, str]]) -> Mapping[tuple[str, str], Any]:
        """Nothing that is known of pairs."""
        return {}


@dataclass(frozen=True)
class BareModels:
    """Cards and calibrations without networks: what deciding needs where there are no pictures.

    Attributes:
        cards: The cards by encoder.
        calibrations: The calibrations by encoder.
        matchers: No detail matchers.
        folds: No encoders of brains.
    """

    cards: Mapping[str, Card]
    calibrations: Mapping[str, Calibration]
    matchers: Mapping[str, Any] = field(default_factory=dict)
    folds: Mapping[str, Any] = field(default_factory=dict)


class Unlimited:
    """A time budget that never ends."""

    left = math.inf

    def start(self) -> None:
        """Starts no clock."""


@dataclass(frozen=True, kw_only=True)
class BareContext:
    """What deciding needs of a run without pictures.

    Attributes:
        settings: The choices.
        models: Cards and calibrations.
        engine: Nothing runs a function over items.
        memory: Nothing has been seen before.
        progress: Nobody hears how far it is.
        budget: All the time there is.
        compared_before: No datasets were compared before.

    Example::

        decide_pairs(datasets, cast("RunContext", BareContext(settings=Settings(), models=models)))
    """

    settings: Settings
    models: BareModels
    engine: Engine | None = None
    memory: Forgetful = field(default_factory=Forgetful)
    progress: Progress = field(default_factory=Silent)
    budget: Unlimited = field(default_factory=Unlimited)
    compared_before: frozenset[str] = frozenset()

    @classmethod
    def of(cls, loosest: float, pairs: int) -> BareContext:
        impostors = ImpostorScores(
            source="made up",
            n_images=9,
            n_subjects=9,
            n_pairs=10**9,
            fmr=(1.0, 1e-3),
            score=(0.0, loosest),
        )
        card = Card(
            name="made-up",
            kind="chest_radiograph",
            architecture="none",
            dim=_DIM,
            preprocessing="radiograph-1",
            side=_DIM,
            weights="weights.safetensors",
            digest="1",
            gate_threshold=0.0,
            golden=(),
            impostors=impostors,
        )
        settings = Settings.of(max_pairs=max(1, 2 * pairs))
        return cls(settings=settings, models=BareModels({_ENCODER: card}, {_ENCODER: _calibration()}))

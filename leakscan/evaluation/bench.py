"""The benchmark behind ``leakscan bench planted``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from leakscan.errors import OutputError, UsageError
from leakscan.evaluation.baselines import phash_pairs
from leakscan.evaluation.measured_run import MeasuredRun, run_compare
from leakscan.evaluation.planted_score import PlantedScore, score_planted
from leakscan.settings import DecodeOptions
from leakscan.sources.open import open_source
from leakscan.synthetic.planted import plant
from leakscan.types import ImageRef, Progress, Silent


def planted_bench(
    source: str,
    work: Path,
    copies: int,
    seed: int,
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Plants leaks into films and scores what ``compare`` and a pHash baseline find.

    Args:
        source: A folder or manifest of films; of a declared subject only the first film is used.
        work: An empty folder to work in.
        copies: The number of altered films per kind.
        seed: The seed of the planting.
        exclude: Patterns of films to leave out (real duplicates would count as false pairs).
        progress: Receives what is being done.

    Returns:
        ``leakscan`` and ``phash``: scores; ``run``: seconds, memory and timings.

    Raises:
        LeakscanError: There are too few films, or the run failed.

    Example::

        found = planted_bench("films.csv", fresh_folder(Path("bench")), copies=20, seed=0)
        print(found["leakscan"]["overall"]["recall"], found["phash"]["overall"]["recall"])
    """
    progress = progress or Silent()
    progress.start("Planting copies", None)
    films = [Path(ref.files[0]) for ref in one_per_subject(source, exclude)]
    truth = plant(films, work / "planted", copies, seed)
    progress.start("Comparing", None)
    run = run_compare([truth.a, truth.b], work / "run", work / "cache")
    found = pq.read_table(work / "run" / "pairs.parquet", columns=["path_a", "path_b", "relation"])
    rows = zip(*(found[c].to_pylist() for c in found.column_names), strict=True)
    pairs = [(a, b, relation) for a, b, relation in rows if relation != "same_subject"]
    progress.start("Comparing by pHash", None)
    began = time.monotonic()
    baseline = phash_pairs(truth.a, truth.b)
    phash_seconds = time.monotonic() - began
    progress.finish()
    return {
        "films": len(films),
        "planted": len(truth.copies),
        "leakscan": _score_dict(score_planted(truth, pairs)),
        "phash": {**_score_dict(score_planted(truth, baseline.pairs)), "seconds": round(phash_seconds, 1)},
        "run": run_figures(run),
    }


def one_per_subject(source: str, exclude: Sequence[str] = ()) -> Iterator[ImageRef]:
    r"""Readable images of a source, the first of every declared subject.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> for name, width in (("P7-1.png", 8), ("P7-2.png", 9), ("P8-1.png", 10)):
        ...     Image.new("L", (width, 8)).save(name)
        >>> _ = Path("films.csv").write_text("path,subject_id\nP7-1.png,P7\nP7-2.png,P7\nP8-1.png,P8\n")
        >>> [ref.path for ref in one_per_subject("films.csv")]
        ['P7-1.png', 'P8-1.png']
    """
    seen: set[str] = set()
    for ref in open_source(source, DecodeOptions(), exclude).scan(Silent()):
        subject = ref.tags.subject
        if ref.status == "ok" and subject not in seen:
            seen |= {subject} - {""}
            yield ref


def run_figures(run: MeasuredRun) -> dict[str, Any]:
    """What a benchmark says of one run.

    Example::

        run_figures(run_compare([a, b], work / "run", work / "cache"))["seconds"]
    """
    return {
        "seconds": round(run.seconds, 1),
        "peak_mb": round(run.peak_mb),
        "cpu_seconds": round(run.cpu_seconds, 1),
        "timings": run.summary["timings"],
        "verified_pairs": sum(c["verified"] for c in run.summary["comparisons"]),
        "exit_code": run.summary["exit_code"],
    }


def _score_dict(result: PlantedScore) -> dict[str, Any]:
    def recall(group: Any) -> dict[str, Any]:
        return {
            "planted": group.found.total,
            "found": group.found.hits,
            "recall": round(group.found.rate, 4),
            "interval_95": [round(x, 4) for x in group.found.interval],
            "as_expected": group.as_expected.hits,
        }

    return {
        "overall": recall(result.overall),
        "by_alteration": {g.name: recall(g) for g in result.by_alteration},
        "by_relation": {g.name: recall(g) for g in result.by_relation},
        "false_pairs": len(result.false_pairs),
        "false": [list(pair) for pair in result.false_pairs[:20]],
    }


def fresh_folder(work: Path) -> Path:
    """An empty work folder.

    Raises:
        UsageError: It exists and has something in it that no benchmark made.
        OutputError: It cannot be written.

    Example:
        >>> work = fresh_folder(Path("bench"))
        >>> _ = (work / "results.json").write_text("{}")
        >>> [path.name for path in fresh_folder(work).iterdir()]  # a benchmark made it, so it may be emptied
        ['.leakscan-bench']
    """
    marker = work / ".leakscan-bench"
    try:
        if work.exists() and any(work.iterdir()):
            if not marker.exists():
                raise UsageError(f"{work} is not empty.", "Name a new folder.", code="bench_folder")
            shutil.rmtree(work)
        work.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as e:
        raise OutputError(
            f"{work} cannot be written: {e.strerror or e}.", "Name another folder.", code="bench_folder"
        ) from e
    return work

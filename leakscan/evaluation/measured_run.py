"""Runs ``leakscan compare`` in a process of its own and measures it from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from leakscan.errors import LeakscanError

_SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class MeasuredRun:
    """One run of the main job.

    Attributes:
        seconds: The wall time of the whole process, start-up included.
        peak_mb: The most memory that the process and its workers held together, in MB (10^6 bytes).
            Shared pages count once on Linux; elsewhere, pages of its own are counted.
        summary: Its ``summary.json``.
    """

    seconds: float
    peak_mb: float
    summary: dict[str, Any]


def run_compare(
    sources: Sequence[Path], run_dir: Path, cache: Path, workers: int | None = None
) -> MeasuredRun:
    """Compares sources in a fresh process.

    Args:
        sources: Two datasets or more.
        run_dir: The folder to write; it is overwritten.
        cache: The folder of stores; a run with a warm one reads nothing again.
        workers: The number of worker processes; ``None`` for one per core.

    Raises:
        LeakscanError: The run failed.

    Example::

        first, second = (run_compare([Path("A"), Path("B")], Path("run"), Path("cache")) for _ in range(2))
        print(first.seconds, second.seconds)  # the second finds all fingerprints in the cache
    """
    command = [sys.executable, "-m", "leakscan", "compare", *map(str, sources), "-o", str(run_dir)]
    command += ["--overwrite", "--quiet", "--cache", str(cache)]
    command += ["--workers", str(workers)] if workers is not None else []
    began = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, _tree_bytes(process.pid))
            time.sleep(_SAMPLE_SECONDS)
        seconds = time.monotonic() - began
        errors = process.stderr.read() if process.stderr else ""
    if process.returncode not in (0, 1, 3) or not (run_dir / "summary.json").is_file():
        raise LeakscanError(f"The measured run failed with exit code {process.returncode}: {errors.strip()}")
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    return MeasuredRun(seconds, peak / 1e6, summary)


def _tree_bytes(root: int) -> int:
    """The memory of a process and all below it."""
    try:
        parent = psutil.Process(root)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.Error:  # it ended in between
        return 0
    return sum(map(_own_bytes, processes))


def _own_bytes(process: psutil.Process) -> int:
    """Proportional set size where the system knows it (Linux), else what is the process's alone."""
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", memory.uss))

"""Runs ``leakscan compare`` in a process of its own and measures it from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
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
        cpu_seconds: What the processors worked for it and its workers, to a fifth of a second.
        summary: Its ``summary.json``.
    """

    seconds: float
    peak_mb: float
    cpu_seconds: float
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
    done = measure_process(command)
    if done.code not in (0, 1, 3) or not (run_dir / "summary.json").is_file():
        raise LeakscanError(f"The measured run failed with exit code {done.code}: {done.errors.strip()}")
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    return MeasuredRun(done.seconds, done.peak_mb, done.cpu_seconds, summary)


@dataclass(frozen=True)
class MeasuredProcess:
    """A process that ended.

    Attributes:
        seconds: The wall time, start-up included.
        peak_mb: The most memory that it and its children held together, in MB.
        cpu_seconds: What the processors worked for it and its children.
        code: Its exit code.
        errors: What it wrote to standard error.
    """

    seconds: float
    peak_mb: float
    cpu_seconds: float
    code: int
    errors: str


def measure_process(command: Sequence[str]) -> MeasuredProcess:
    """Runs a program to its end and measures it from outside.

    Args:
        command: The program and its arguments.

    Example:
        >>> measure_process([sys.executable, "-c", "import sys; sys.exit(3)"]).code
        3
    """
    began = time.monotonic()
    peak, spent = 0, 0.0
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors) as process:
            while process.poll() is None:
                peak = max(peak, _tree_bytes(process.pid))
                spent = max(spent, _tree_seconds(process.pid))
                time.sleep(_SAMPLE_SECONDS)
            seconds = time.monotonic() - began
        errors.seek(0)
        said = errors.read()
    return MeasuredProcess(seconds, peak / 1e6, spent, process.returncode, said)


def _tree_bytes(root: int) -> int:
    """The memory of a process and all below it."""
    try:
        parent = psutil.Process(root)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.Error:  # it ended in between
        return 0
    return sum(map(_own_bytes, processes))


def _tree_seconds(root: int) -> float:
    """What the processors worked for a process and all below it, those that ended included."""
    try:
        parent = psutil.Process(root)
        processes = [parent, *parent.children(recursive=True)]
        return sum(map(_own_seconds, processes))
    except psutil.Error:  # it ended in between
        return 0.0


def _own_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return float(times.user + times.system + ended)


def _own_bytes(process: psutil.Process) -> int:
    """Proportional set size where the system knows it (Linux), else what is the process's alone."""
    try:
        memory = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(memory, "pss", memory.uss))

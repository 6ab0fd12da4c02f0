"""Runs ``leakscan compare`` in a process of its own and measures it from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leakscan.errors import LeakscanError

_SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class MeasuredRun:
    """One run of the main job.

    Attributes:
        seconds: wall time of the whole process, start-up included.
        peak_mb: most memory of the process and its workers together, in MB (10^6 bytes); shared
            pages count once (Linux; elsewhere 0).
        summary: its ``summary.json``.
    """

    seconds: float
    peak_mb: float
    summary: dict[str, Any]


def run_compare(
    sources: Sequence[Path], run_dir: Path, cache: Path, workers: int | None = None
) -> MeasuredRun:
    """Compares sources in a fresh process.

    Args:
        sources: two or more.
        run_dir: to write; overwritten.
        cache: folder of stores; a run with a warm one reads nothing again.
        workers: processes; ``None`` for one per core.

    Raises:
        LeakscanError: the run failed.
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
    """Proportional set size of a process and all below it."""
    total = 0
    queue = [root]
    while queue:
        pid = queue.pop()
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
            for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - plain names wanted
                queue += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        except (OSError, ValueError):
            continue
    return total

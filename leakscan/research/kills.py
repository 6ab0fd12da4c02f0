"""Kills leakscan at random moments and checks that the next run comes to the same tables.

``python -m leakscan.research.kills --count 200`` stops ``compare``, ``fingerprint``, ``duplicates``,
``review``, ``calibrate``, ``train`` and the writing of verdicts by SIGKILL, SIGTERM and SIGINT, each at a
moment drawn between its start and its usual end. A job is killed up to four times before it may end. Then its
tables are held against those of an undisturbed run, row by row, and every file under a final name must be
whole. What a kill costs is the processor time of all attempts, less that of an undisturbed run, a kill. Jobs
are forks of a process that has loaded the program, so this is work done twice, and what a command does before
it works (models, scans), but no imports.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from safetensors import safe_open

from leakscan.cli.output import Output
from leakscan.errors import LeakscanError
from leakscan.research.command import run_command
from leakscan.research.forked_jobs import ended, load_program, started
from leakscan.research.killed_jobs import FILMS, JOBS, PEOPLE, Job, draw_inputs
from leakscan.research.same_tables import compare_tables

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_MOST_IN_A_ROW = 4


@dataclass
class Tally:
    """What was done and what went wrong.

    Attributes:
        kills: How often each job was killed, by its name and the signal.
        attempts: How many times a job was brought to its end after kills.
        faults: What was not as it should be, in sentences.
        repeated: Seconds of processor that an attempt took beyond an undisturbed run, a kill, by job.
    """

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: int = 0
    faults: list[str] = field(default_factory=list)
    repeated: dict[str, list[float]] = field(default_factory=dict)


def kill_often(
    jobs: Sequence[Job],
    count: int,
    seed: int,
    folder: Path,
    tell: Callable[[Tally], bool] = lambda tally: True,
) -> Tally:
    """Kills jobs until there were so many kills, and holds what they make against undisturbed runs.

    Args:
        jobs: The jobs, which take turns.
        count: How many kills.
        seed: The seed of inputs, moments and signals.
        folder: An empty folder to work in.
        tell: Receives the tally after every attempt, and says whether there is time for another one.

    Example::

        print(kill_often(JOBS[:1], 5, 0, Path("kills")).faults)
    """
    with_list = any(job.name in ("calibrate", "train") for job in jobs)
    draw_inputs(folder, seed, PEOPLE if with_list else FILMS)
    load_program()
    tally, random = Tally(), np.random.default_rng(seed)
    expected, seconds, work = {}, {}, {}
    for job in jobs:
        place = folder / job.name.replace(" ", "-")
        place.mkdir()
        with contextlib.chdir(place):
            if job.before is not None:
                ended(started(job.before))
            _begin_anew(job)
            began, before = time.monotonic(), _processor()
            code = ended(started(job.work))
            seconds[job.name], work[job.name] = time.monotonic() - began, _processor() - before
            if code not in job.ends_well:
                raise LeakscanError(f"Undisturbed, {job.name} ends with {code}.")
            expected[job.name] = dict(job.tables())
            if job.name == "compare with workers":
                tally.faults += differences(job, expected["compare"], expected[job.name])
    while tally.kills.total() < count:
        job = jobs[tally.attempts % len(jobs)]
        killed, before = tally.kills.total(), _processor()
        with contextlib.chdir(folder / job.name.replace(" ", "-")):
            _one_attempt(job, seconds[job.name], random, tally)
            if killed := tally.kills.total() - killed:
                more = (_processor() - before - work[job.name]) / killed
                tally.repeated.setdefault(job.name, []).append(more)
            try:
                tally.faults += differences(job, expected[job.name], job.tables())
            except (LeakscanError, OSError, pa.ArrowException) as error:
                tally.faults.append(f"{job.name}: {error}")
        if not tell(tally):
            break
    return tally


def _begin_anew(job: Job) -> None:
    for name in job.made:
        path = Path(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _processor() -> float:
    """Seconds of processor of all jobs so far, and of their workers that came to an end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _one_attempt(job: Job, seconds: float, random: np.random.Generator, tally: Tally) -> None:
    """Starts a job from nothing, kills it a few times, and lets it end."""
    _begin_anew(job)
    for _ in range(int(random.integers(1, _MOST_IN_A_ROW + 1))):
        how = SIGNALS[random.integers(len(SIGNALS))]
        child = started(job.work)
        deadline = time.monotonic() + float(random.uniform(0.02, seconds))
        while time.monotonic() < deadline and child.is_alive():
            time.sleep(0.005)
        if not child.is_alive():
            break
        os.kill(child.pid or 0, how)
        code = ended(child)
        tally.kills[job.name, how.name] += 1
        if how is not signal.SIGKILL and code not in (130, *job.ends_well):
            tally.faults.append(f"{job.name} ends with {code} at {how.name}.")
        tally.faults += [f"{job.name}: {fault}" for fault in half_files(Path())]
    code = ended(started(job.work))
    tally.attempts += 1
    if code not in job.ends_well:
        tally.faults.append(f"{job.name} ends with {code} after it was killed.")


def half_files(folder: Path) -> list[str]:
    """What is wrong with files under final names, in sentences; those that end in .part are allowed to be.

    Args:
        folder: Where to search, and in all folders below.

    Example:
        >>> _ = Path("pairs.parquet").write_bytes(b"PAR1")
        >>> [sentence.split(":")[0] for sentence in half_files(Path())]
        ['pairs.parquet is not whole']
    """
    out = []
    for path in sorted(folder.rglob("*")):
        if any(part.endswith(".part") for part in path.parts) or not path.is_file():
            continue
        try:
            if path.suffix == ".parquet":
                pq.read_table(path)
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".safetensors":
                with safe_open(path, "np"):
                    pass
        except Exception as error:  # whatever its reader says
            out.append(f"{path} is not whole: {error}")
    return out


def differences(job: Job, before: Mapping[str, pa.Table], after: Mapping[str, pa.Table]) -> list[str]:
    """How the tables of a job differ from those of an undisturbed one, in sentences.

    Example::

        differences(job, expected, job.tables())
    """
    if set(before) != set(after):
        return [f"{job.name} made the tables {sorted(after)}, not {sorted(before)}."]
    return [
        f"{job.name}, {name}: {line}"
        for name in before
        for line in _told(compare_tables(before[name], after[name]))
    ]


def _told(found: object) -> list[str]:
    if getattr(found, "equal", False):
        return []
    return [*getattr(found, "problems", ()), *map(str, getattr(found, "differences", ())[:3])]


def kills(
    count: Annotated[int, typer.Option("--count", help="How many kills.", min=1)] = 200,
    seed: Annotated[int, typer.Option("--seed", help="Seed of inputs, moments and signals.")] = 0,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Name of a job to kill; repeatable. Default: all.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", help="Begin no attempt after so long.", min=0)] = 60,
) -> None:
    """Kill jobs at random moments and compare what they make with undisturbed runs.

    Example: python -m leakscan.research.kills --count 200
    """
    out = Output()
    chosen = [job for job in JOBS if not only or job.name in only]
    began = time.monotonic()

    def tell(tally: Tally) -> bool:
        if tally.attempts % 10 == 0:
            out.say(f"  {tally.kills.total()} kills so far, {len(tally.faults)} faults")
        return time.monotonic() - began < 60 * minutes

    with tempfile.TemporaryDirectory() as folder:
        tally = kill_often(chosen, count, seed, Path(folder), tell)
    for job in chosen:
        by_signal = {how.name: tally.kills[job.name, how.name] for how in SIGNALS}
        more = tally.repeated.get(job.name, [0.0])
        out.say(
            f"{job.name}: " + ", ".join(f"{n} {name}" for name, n in by_signal.items()) + "; "
            f"a kill costs {np.mean(more):.1f} s of processor, at most {max(more):.1f}"
        )
    out.say(f"{tally.kills.total()} kills, {tally.attempts} runs brought to their end.")
    for fault in tally.faults:
        out.say(f"  {fault}")
    out.say("No fault." if not tally.faults else f"{len(tally.faults)} faults.")
    if tally.faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(kills)

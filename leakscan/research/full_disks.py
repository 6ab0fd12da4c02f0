"""Runs out of room at random places and checks that nothing is lost and that a sentence says so.

``python -m leakscan.research.full_disks --count 60`` runs the jobs of ``kills``, and ``exclude``,
``split`` and ``map``, on a disk that is too small: a small tmpfs where one can be mounted (as root,
on Linux), else under a limit of the size of a file. Each must end with exit code 2 and a sentence, or come to
its end without the room; leave no half file under a final name; and come to the tables of an undisturbed run
once there is room.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from leakscan.cli.output import Output
from leakscan.errors import LeakscanError
from leakscan.research.command import run_command
from leakscan.research.forked_jobs import ended, started
from leakscan.research.killed_jobs import (
    COMPARED,
    FILMS,
    JOBS,
    PEOPLE,
    Job,
    cli_job,
    draw_inputs,
)
from leakscan.research.kills import differences, half_files

_ROOM = 512 << 20
_FAILED = 2


@dataclass
class Told:
    """What was done and what went wrong.

    Attributes:
        ends: How often each job ended how, by its name and ``refused`` or ``finished``.
        faults: What was not as it should be, in sentences.
    """

    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def _list(name: str, *words: str) -> Job:
    """A command that makes a list of a run, as CSV and Parquet."""

    def tables() -> Mapping[str, pa.Table]:
        return {"list": pq.read_table(f"{name}-list.parquet")}

    work = cli_job(name, "run", *words, "-o", f"{name}-list")
    return Job(
        name=name,
        work=work,
        made=(f"{name}-list.csv", f"{name}-list.parquet"),
        tables=tables,
        before=COMPARED,
    )


LISTS: tuple[Job, ...] = (_list("exclude", "--from", "B"), _list("split"), _list("map"))
"""Commands that work on a run."""


def fill_disks(
    jobs: Sequence[Job], count: int, seed: int, folder: Path, tell: Callable[[str], None] = lambda _: None
) -> Told:
    """Runs jobs on disks that are too small, as often as asked, and again with room.

    Args:
        jobs: The jobs, which take turns.
        count: How many times a disk is too small.
        seed: The seed of inputs and of sizes.
        folder: An empty folder to work in.
        tell: Receives each fault as it is found.

    Example::

        print(fill_disks(JOBS[:1], 5, 0, Path("full")).faults)
    """
    draw_inputs(folder, seed, PEOPLE if any(job.name in ("calibrate", "train") for job in jobs) else FILMS)
    told, random = Told(), np.random.default_rng(seed)
    expected: dict[str, dict[str, pa.Table]] = {}
    used: dict[str, int] = {}
    for number in range(count):
        job = jobs[number % len(jobs)]
        place = folder / f"{number}-{job.name.replace(' ', '-')}"
        place.mkdir()
        with _small_disk(place) as resize, contextlib.chdir(place):
            if job.before is not None:
                ended(started(job.before))
            before = _used(place)
            if job.name not in expected:
                ended(started(job.work))
                expected[job.name] = dict(job.tables())
                used[job.name] = max(_used(place) - before, 4096)
                _begin_anew(job)
            share = float(random.uniform(0.0, 1.0))
            room = int(used[job.name] * share)
            resize(before + room)
            fault = _full(job, room, told)
            resize(_ROOM)
            faults = [fault] if fault else []
            faults += half_files(Path())
            code = ended(started(job.work))
            if code not in job.ends_well:
                faults.append(f"ends with {code} once there is room")
            try:
                faults += differences(job, expected[job.name], job.tables())
            except (LeakscanError, OSError, pa.ArrowException) as error:
                faults.append(str(error))
        shutil.rmtree(place, ignore_errors=True)
        for words in faults:
            told.faults.append(f"{job.name} with {room:,} bytes ({share:.3f}): {words}")
            tell(told.faults[-1])
    return told


def _full(job: Job, room: int, told: Told) -> str:
    """Runs a job without the room, and says what was wrong with its end."""
    said = Path(f"../{os.getpid()}.err")

    def work() -> int:
        sys.stderr = said.open("w", buffering=1)
        os.dup2(sys.stderr.fileno(), 2)
        if not os.path.ismount(Path.cwd()):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        return job.work()

    code = ended(started(work))
    words = said.read_text(errors="replace")
    told.ends[job.name, "finished" if code in job.ends_well else "refused"] += 1
    if code in job.ends_well and code != _FAILED:
        return ""
    if code != _FAILED:
        return f"ends with {code}: {words[-300:]}"
    if "Traceback" in words:
        return f"ends in a traceback: {words[-400:]}"
    is_said = any(text in words for text in ("No space left", "File too large", "no space", "disk"))
    return "" if is_said else f"does not say that the disk is full: {words[-300:]}"


def _begin_anew(job: Job) -> None:
    for name in job.made:
        path = Path(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _used(folder: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Callable[[int], None]]:
    """A file system of its own under a folder, if one can be mounted, and what changes its size."""

    def mount(*words: str) -> bool:
        return not subprocess.run(["mount", *words, str(folder)], check=False, capture_output=True).returncode

    is_root = os.geteuid() == 0 and shutil.which("mount") is not None
    is_mounted = is_root and mount("-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs")

    def resize(size: int) -> None:
        if is_mounted:
            mount("-o", f"remount,size={max(size, 4096)}")

    try:
        yield resize
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def full_disks(
    count: Annotated[int, typer.Option("--count", help="How many disks are too small.", min=1)] = 60,
    seed: Annotated[int, typer.Option("--seed", help="Seed of inputs and of sizes.")] = 0,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Name of a job; repeatable. Default: all.")
    ] = None,
) -> None:
    """Run jobs on disks that are too small, and compare what they make with room with undisturbed runs.

    Example: python -m leakscan.research.full_disks --count 60
    """
    out = Output()
    chosen = [job for job in (*JOBS, *LISTS) if not only or job.name in only]
    with tempfile.TemporaryDirectory() as folder:
        told = fill_disks(chosen, count, seed, Path(folder), out.say)
    for job in chosen:
        out.say(
            f"{job.name}: {told.ends[job.name, 'refused']} refused in a sentence, "
            f"{told.ends[job.name, 'finished']} came to their end without the room"
        )
    out.say("No fault." if not told.faults else f"{len(told.faults)} faults.")
    if told.faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(full_disks)

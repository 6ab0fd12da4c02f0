"""Kills leakscan at random moments and checks that the next run comes to the same tables.

``python -m leakscan.research.kills --count 200`` stops ``compare``, ``fingerprint``, ``duplicates``,
``calibrate``, ``train`` and the writing of verdicts by SIGKILL, SIGTERM and SIGINT, each at a moment drawn
between its start and its usual end. A job is killed up to four times before it may end. Then its tables are
held against those of an undisturbed run, row by row, and every file under a final name must be whole.

Every job is a forked child of this process, which has loaded the program but has run nothing, so that
hundreds of kills take minutes.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from safetensors import safe_open

from leakscan.cli.output import Output
from leakscan.errors import LeakscanError
from leakscan.research.command import run_command
from leakscan.research.same_tables import compare_tables
from leakscan.review.verdicts import Verdict, VerdictFile
from leakscan.synthetic.films import draw_film

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_MOST_IN_A_ROW = 4
_VERDICTS = 40
_FILMS = 16  # of A
_PEOPLE = 60  # of the list; a calibration needs as many
_LEFT_ASIDE = ("prepared_with", "signature")
"""Columns of a store that hold the times of files."""


@dataclass(frozen=True)
class Job:
    """Something that is killed.

    Attributes:
        name: What it is called.
        work: Does it, in the current folder; it returns the exit code.
        made: Folders and files of its own, which a new attempt begins without.
        tables: Finds its tables, by name.
        ends_well: The exit codes of an undisturbed run.
    """

    name: str
    work: Callable[[], int]
    made: tuple[str, ...]
    tables: Callable[[], Mapping[str, pa.Table]]
    ends_well: tuple[int, ...] = (0,)


@dataclass
class Tally:
    """What was done and what went wrong.

    Attributes:
        kills: How often each job was killed, by its name and the signal.
        attempts: How many times a job was brought to its end after kills.
        faults: What was not as it should be, in sentences.
    """

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: int = 0
    faults: list[str] = field(default_factory=list)


def draw_inputs(folder: Path, seed: int, people: int = _PEOPLE) -> None:
    """Two folders of small films with shared people, and a list of films of declared people with its folder.

    Args:
        folder: Where to draw them.
        seed: The seed of all draws.
        people: How many people the list declares.

    Example::

        draw_inputs(Path("inputs"), seed=0)  # inputs/A, inputs/B, inputs/C, inputs/films.csv
    """
    for name in ("A", "B", "C"):
        (folder / name).mkdir(parents=True)
    lines = ["path,subject_id,split"]
    for number in range(people):
        film = draw_film(np.random.default_rng([seed, number]), height=96)
        small, other = cv2.resize(film, (72, 72)), cv2.resize(film[2:, 3:], (64, 64))
        if number < _FILMS:
            cv2.imwrite(str(folder / "A" / f"{number:02d}.png"), small)
            cv2.imwrite(str(folder / "B" / f"other{number:02d}.png"), 255 - other if number % 2 else other)
            if number % 3 == 0:
                cv2.imwrite(str(folder / "B" / f"{number:02d}.png"), np.ascontiguousarray(small[:, ::-1]))
        split = ("train", "train", "val", "calibration")[number % 4]
        for visit, picture in enumerate((small, other)[: 2 if number < _FILMS else 1]):
            cv2.imwrite(str(folder / "C" / f"{number}-{visit}.png"), picture)
            lines.append(f"C/{number}-{visit}.png,p{number},{split}")
    (folder / "films.csv").write_text("\n".join(lines) + "\n")
    (folder / "identity.key").write_bytes(bytes(range(32)))
    (folder / "A" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")


def _command(*words: str) -> Callable[[], int]:
    def work() -> int:
        from leakscan.cli.app import run

        return run([*words])

    return work


def _tables_in(folder: str) -> Callable[[], Mapping[str, pa.Table]]:
    return lambda: {path.name: pq.read_table(path) for path in sorted(Path(folder).glob("*.parquet"))}


def _store() -> Mapping[str, pa.Table]:
    from leakscan.fingerprint.store import Store

    rows = Store.open(Path("a.fps")).load().drop_columns(list(_LEFT_ASIDE))
    return {"store": rows.sort_by("image_id")}


def _calibration() -> Mapping[str, pa.Table]:
    with safe_open("own.safetensors", "np") as file:
        return {name: pa.table({"n": np.ravel(file.get_tensor(name))}) for name in sorted(file.keys())}


def _weights() -> Mapping[str, pa.Table]:
    with safe_open("trained/last.safetensors", "np") as file:
        return {name: pa.table({"n": np.ravel(file.get_tensor(name))}) for name in sorted(file.keys())}


def _give_verdicts() -> int:
    """Gives verdicts one by one and notes each on paper once it is said to be on disk."""
    file, paper = VerdictFile(Path("verdicts.parquet")), Path("paper")
    known = {v.id for v in file.read()} if file.path.exists() else set()
    with paper.open("a") as noted:
        for number in range(_VERDICTS):
            name = f"{number:032d}"
            if name not in known:
                pictures = (f"a{number}",), (f"b{number}",)
                file.append([_verdict(name, *pictures)])
            noted.write(f"{name}\n")
            noted.flush()
            os.fsync(noted.fileno())
    return 0


def _verdict(name: str, a: tuple[str, ...], b: tuple[str, ...]) -> Verdict:
    return Verdict(by="ann", verdict="same", scope="pair", pictures_a=a, pictures_b=b, id=name)


def _verdicts() -> Mapping[str, pa.Table]:
    said = VerdictFile(Path("verdicts.parquet")).read()
    noted = Path("paper").read_text().split()
    if lost := set(noted) - {verdict.id for verdict in said}:
        raise LeakscanError(f"Verdicts that were said to be on disk are lost: {sorted(lost)}.")
    return {"verdicts": pa.table({"id": sorted(verdict.id for verdict in said)})}


_KEY = ("--key", "../identity.key")  # a key of its own would name people otherwise in every attempt
_PICTURES = (*_KEY, "--kind", "other_2d", "--workers")
_TINY = ("--backbone", "resnet18", "--side", "32", "--pairs", "3", "--threads", "1", "--device", "cpu")

JOBS: tuple[Job, ...] = (
    Job(
        "compare",
        _command("compare", "../A", "../B", "-o", "run", "--overwrite", *_PICTURES, "0", "--max-unread", "1"),
        ("run", ".leakscan"),
        _tables_in("run"),
        (1,),
    ),
    Job(
        "compare with workers",
        _command("compare", "../A", "../B", "-o", "run", "--overwrite", *_PICTURES, "2", "--max-unread", "1"),
        ("run", ".leakscan"),
        _tables_in("run"),
        (1,),
    ),
    Job(
        "fingerprint",
        _command("fingerprint", "../A", "-o", "a.fps", *_PICTURES, "0"),
        ("a.fps", ".leakscan"),
        _store,
    ),
    Job(
        "duplicates",
        _command("duplicates", "../B", "-o", "twice", "--overwrite", *_PICTURES, "0"),
        ("twice", ".leakscan"),
        _tables_in("twice"),
        (0, 1, 3),
    ),
    Job("verdicts", _give_verdicts, ("verdicts.parquet", "verdicts.parquet.lock", "paper"), _verdicts),
    Job(
        "calibrate",
        _command("calibrate", "../films.csv", "-o", "own.safetensors", "--kind", "chest_radiograph", *_KEY),
        ("own.safetensors", ".leakscan"),
        _calibration,
    ),
    Job(
        "train",
        _command("train", "../films.csv", "-o", "trained", "--steps", "6", "--workers", "0", *_TINY),
        ("trained", ".leakscan"),
        _weights,
    ),
)


def kill_often(jobs: Sequence[Job], count: int, seed: int, folder: Path) -> Tally:
    """Kills jobs until there were so many kills, and holds what they make against undisturbed runs.

    Args:
        jobs: The jobs, which take turns.
        count: How many kills.
        seed: The seed of inputs, moments and signals.
        folder: An empty folder to work in.

    Example::

        print(kill_often(JOBS[:1], 5, 0, Path("kills")).faults)
    """
    with_list = any(job.name in ("calibrate", "train") for job in jobs)
    draw_inputs(folder, seed, _PEOPLE if with_list else _FILMS)
    tally, random = Tally(), np.random.default_rng(seed)
    expected, seconds = {}, {}
    for job in jobs:
        place = folder / job.name.replace(" ", "-")
        place.mkdir()
        with contextlib.chdir(place):
            began = time.monotonic()
            code = _ended(_started(job), None)
            seconds[job.name] = time.monotonic() - began
            if code not in job.ends_well:
                raise LeakscanError(f"Undisturbed, {job.name} ends with {code}.")
            expected[job.name] = dict(job.tables())
            if job.name == "compare with workers":
                tally.faults += _differences(job, expected["compare"], expected[job.name])
    while tally.kills.total() < count:
        job = jobs[tally.attempts % len(jobs)]
        with contextlib.chdir(folder / job.name.replace(" ", "-")):
            _one_attempt(job, seconds[job.name], random, tally)
            try:
                tally.faults += _differences(job, expected[job.name], job.tables())
            except (LeakscanError, OSError, pa.ArrowException) as error:
                tally.faults.append(f"{job.name}: {error}")
    return tally


def _one_attempt(job: Job, seconds: float, random: np.random.Generator, tally: Tally) -> None:
    """Starts a job from nothing, kills it a few times, and lets it end."""
    for name in job.made:
        path = Path(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for _ in range(int(random.integers(1, _MOST_IN_A_ROW + 1))):
        how = SIGNALS[random.integers(len(SIGNALS))]
        child = _started(job)
        deadline = time.monotonic() + float(random.uniform(0.02, seconds))
        while time.monotonic() < deadline and child.is_alive():
            time.sleep(0.005)
        if not child.is_alive():
            break
        os.kill(child.pid or 0, how)
        code = _ended(child, how)
        tally.kills[job.name, how.name] += 1
        if how is not signal.SIGKILL and code not in (130, *job.ends_well):
            tally.faults.append(f"{job.name} ends with {code} at {how.name}.")
        tally.faults += [f"{job.name}: {fault}" for fault in half_files(Path())]
    code = _ended(_started(job), None)
    tally.attempts += 1
    if code not in job.ends_well:
        tally.faults.append(f"{job.name} ends with {code} after it was killed.")


def _started(job: Job) -> multiprocessing.process.BaseProcess:
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    child = fork.Process(target=_child, args=(job.work, ready))
    child.start()
    ready.wait(30)  # before that it is no job yet, and a signal meets what Python does at a start
    return child


def _child(work: Callable[[], int], ready: Event) -> None:
    """The life of one job: as a console script would run it."""
    from leakscan.cli.app import stop_at_sigterm

    os.environ["LEAKSCAN_CACHE"] = ".leakscan"  # one of its own, which every attempt begins without
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    stop_at_sigterm()
    try:
        ready.set()
        code = work()
    except KeyboardInterrupt:
        code = 130
    os._exit(code)


def _ended(child: multiprocessing.process.BaseProcess, how: signal.Signals | None) -> int | None:
    child.join(300)
    if child.is_alive():
        child.kill()
        child.join()
        return None
    return child.exitcode


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


def _differences(job: Job, before: Mapping[str, pa.Table], after: Mapping[str, pa.Table]) -> list[str]:
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
) -> None:
    """Kill jobs at random moments and compare what they make with undisturbed runs.

    Example: python -m leakscan.research.kills --count 200
    """
    out = Output()
    chosen = [job for job in JOBS if not only or job.name in only]
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_often(chosen, count, seed, Path(folder))
    for job in chosen:
        by_signal = {how.name: tally.kills[job.name, how.name] for how in SIGNALS}
        out.say(f"{job.name}: " + ", ".join(f"{n} {name}" for name, n in by_signal.items()))
    out.say(f"{tally.kills.total()} kills, {tally.attempts} runs brought to their end: ")
    for fault in tally.faults:
        out.say(f"  {fault}")
    out.say("No fault." if not tally.faults else f"{len(tally.faults)} faults.")
    if tally.faults:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_command(kills)

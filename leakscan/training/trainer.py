"""The one training loop: steps, checkpoints, metrics, and Ctrl-C at a moment that suits the run.

A :class:`Trainer` drives a :class:`Lesson`, which says what one step is. A run folder gets

- ``checkpoint.pt``: everything that a resumed run needs, tensors and plain numbers only;
- ``metrics.parquet``: one row per validation;
- ``curves.png``: the same as a picture;

and what weights the lesson keeps. Every file is written whole or not at all.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch

from leakscan import tables
from leakscan.errors import LeakscanError, StoreError
from leakscan.training.training_folder import whole
from leakscan.types import Progress, Silent

METRICS = "metrics.parquet"
CHECKPOINT = "checkpoint.pt"
CURVES = "curves.png"
_SAVE_SECONDS = 4.0  # a kill repeats no more work than this, and the step that it met
_SAVE_SHARE = 0.05  # of the time at most, where saving is slow

Row = dict[str, Any]


class Stopped(LeakscanError):
    """The user stopped a training run, and it can go on from where it is."""

    exit_code = 130  # as shells report Ctrl-C


@dataclass(frozen=True, kw_only=True)
class Course:
    """How long something is taught, and how its run is reported.

    Attributes:
        stage: The name of the progress stage, such as ``train``.
        steps: All steps of the run.
        items: How many films, views or anchors a step teaches from; progress is counted in them.
        validate_every: Steps between validations. Each saves a checkpoint, as do some seconds of steps.
        metrics: The schema of ``metrics.parquet``. It has ``step``, ``loss`` (the mean since the row before)
            and what the lesson's validation finds.
        curves: Gives the figures of a row that are drawn, by the words of the legend.
        remedy: What to try when the loss is no longer finite.
    """

    stage: str
    steps: int
    items: int
    validate_every: int
    metrics: pa.Schema
    curves: Callable[[Row], Mapping[str, float | None]]
    remedy: str


@dataclass(frozen=True)
class Watch:
    """What a step tells its trainer while it runs.

    Attributes:
        done: Takes the number of items that are finished.
        check: Leaves the step by an exception if the user has asked to stop. A step may call it while it has
            changed nothing yet.
    """

    done: Callable[[int], None] = lambda items: None
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Stretch:
    """The steps since the last validation.

    Attributes:
        step: Steps done in all.
        loss: The mean loss of the stretch.
        seconds: Seconds a step took, on average in this sitting, validations aside.
        rows: The rows of the validations before.
    """

    step: int
    loss: float
    seconds: float
    rows: Sequence[Row]


@dataclass(frozen=True)
class Findings:
    """What a validation found.

    Attributes:
        figures: The columns of ``metrics.parquet`` beside ``step`` and ``loss``.
        words: A few words for the progress bar, or nothing.
    """

    figures: Row
    words: str = ""


class Lesson(Protocol):
    """What is taught: a network, and what one step of teaching it is.

    A step is a function of its number and of the lesson's state alone, so that a run that was stopped ends
    with the weights of one that was not.
    """

    @property
    def course(self) -> Course:
        """How long it is taught."""

    def prepare(self, progress: Progress) -> None:
        """Does what a fresh run needs before its first step; a run that goes on does not call it."""

    def step(self, number: int, watch: Watch) -> float:
        """Makes the step of a number, counted from 0, and returns its loss.

        A step whose loss is not finite changes nothing and returns that loss.
        """

    def validate(self, stretch: Stretch, folder: Path, progress: Progress) -> Findings:
        """Measures what was learned, and saves into ``folder`` the weights worth keeping."""

    def state(self) -> dict[str, Any]:
        """Everything that steps change, as tensors and plain numbers."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of :meth:`state`."""


class Trainer:
    """Teaches a lesson to its end, from the last checkpoint of a run folder if there is one.

    Args:
        lesson: What is taught.
        folder: The run folder, which exists.
        progress: Receives the items done, the loss and the last validation.
        report: Receives each row of metrics once it is saved.

    Example::

        Trainer(lesson, folder).run()
    """

    def __init__(
        self,
        lesson: Lesson,
        folder: Path,
        progress: Progress | None = None,
        report: Callable[[Row], None] = lambda row: None,
    ) -> None:
        self._lesson, self._course = lesson, lesson.course
        self._folder = folder
        self._progress = progress or Silent()
        self._report = report
        self._step = 0
        self._losses: list[float] = []
        self._rows: list[Row] = []
        self._saved_at, self._to_save = time.monotonic(), 0.0

    def run(self) -> None:
        """Teaches until the last step; a finished run is left as it is.

        Raises:
            Stopped: The user pressed Ctrl-C. A checkpoint was saved.
            StoreError: The checkpoint is damaged.
            LeakscanError: The loss is no longer finite.
        """
        saved = _load_checkpoint(self._folder)
        if saved is None:
            self._lesson.prepare(self._progress)
        else:
            self._lesson.restore(saved)
            self._step, self._losses = int(saved["step"]), list(saved.get("losses", ()))
            self._rows = read_rows(self._folder, self._course.metrics, self._step)
        with _deferred_interrupt() as asked:
            try:
                self._teach(asked)
            except _Interrupt:
                self._save()
                raise Stopped(
                    f"Stopped after step {self._step:,} of {self._course.steps:,}; the checkpoint is saved.",
                    "The same command goes on from there.",
                ) from None

    def _teach(self, asked: _Asked) -> None:
        """Steps and validations until the last step; leaves by :class:`_Interrupt` between steps."""
        course, progress = self._course, self._progress
        watch = Watch(progress.advance, asked.check)
        since, spent, first, words = time.monotonic(), 0.0, self._step, ""
        self._saved_at = since
        while self._step < course.steps:
            if self._step == first or self._step % course.validate_every == 0:
                progress.start(course.stage, (course.steps - self._step) * course.items)
            asked.check()
            loss = self._lesson.step(self._step, watch)
            if not math.isfinite(loss):
                raise LeakscanError(
                    f"The loss of step {self._step + 1:,} is not a finite number.", course.remedy
                )
            self._losses.append(loss)
            self._step += 1
            progress.note(f"step {self._step:,} of {course.steps:,}, loss {loss:.3f}{words}")
            if self._step % course.validate_every and self._step != course.steps:
                if time.monotonic() - self._saved_at >= max(_SAVE_SECONDS, self._to_save / _SAVE_SHARE):
                    self._save()
                continue
            spent += time.monotonic() - since
            found = self._validate(spent / (self._step - first))
            words = f", {found.words}" if found.words else ""
            since = time.monotonic()
        progress.finish()

    def _validate(self, seconds: float) -> Findings:
        stretch = Stretch(self._step, float(np.mean(self._losses)), seconds, tuple(self._rows))
        found = self._lesson.validate(stretch, self._folder, self._progress)
        row = {"step": stretch.step, "loss": stretch.loss, **found.figures}
        self._rows.append(row)
        self._losses = []
        _write_rows(self._folder, self._course, self._rows)
        self._save()
        self._report(row)
        return found

    def _save(self) -> None:
        began = time.monotonic()
        state = {**self._lesson.state(), "step": self._step, "losses": self._losses}
        whole(self._folder / CHECKPOINT, lambda part: torch.save(state, part))
        self._saved_at = time.monotonic()
        self._to_save = self._saved_at - began


def _load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint of a run, or ``None`` before the first.

    Raises:
        StoreError: It is damaged.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:  # torch raises half a dozen kinds for a damaged file
        raise StoreError(
            f"The checkpoint {path} cannot be read: {e}.", "Delete it to start the run anew."
        ) from e
    return state


def read_rows(folder: Path, metrics: pa.Schema, up_to: int) -> list[Row]:
    """The rows of ``metrics.parquet`` up to a step.

    Args:
        folder: The run folder.
        metrics: The schema of the rows.
        up_to: The last step to read. A stopped run makes the rows of later steps again.

    Example:
        >>> metrics = tables.table_schema("lesson", [("step", pa.int64()), ("loss", pa.float64())])
        >>> rows = [{"step": 100, "loss": 0.9}, {"step": 200, "loss": 0.4}]
        >>> tables.write(tables.from_rows(rows, metrics), Path("metrics.parquet"))
        >>> read_rows(Path(), metrics, up_to=100)
        [{'step': 100, 'loss': 0.9}]
    """
    path = folder / METRICS
    if not path.is_file():
        return []
    rows: list[Row] = tables.read(path, metrics).to_pylist()
    return [row for row in rows if row["step"] <= up_to]


def _write_rows(folder: Path, course: Course, rows: Sequence[Row]) -> None:
    """Writes ``metrics.parquet`` and ``curves.png``.

    Raises:
        OutputError: A file cannot be written.
    """
    tables.write(tables.from_rows(rows, course.metrics), folder / METRICS)
    whole(folder / CURVES, lambda part: _draw(rows, course, part))


def _draw(rows: Sequence[Row], course: Course, path: Path) -> None:
    from matplotlib.figure import Figure

    steps = [row["step"] for row in rows]
    drawn = [course.curves(row) for row in rows]
    names = list(dict.fromkeys(name for one in drawn for name, value in one.items() if value is not None))
    figure = Figure(figsize=(10, 4) if names else (5, 4), layout="constrained")
    left = figure.add_subplot(1, 1 + bool(names), 1)
    left.plot(steps, [row["loss"] for row in rows], color="tab:gray", marker=".")
    left.set(xlabel="step", ylabel="loss (mean since the last validation)", title="Training")
    if names:
        right = figure.add_subplot(1, 2, 2)
        for name in names:
            values = [one.get(name) for one in drawn]
            right.plot(steps, [math.nan if v is None else v for v in values], label=name, marker=".")
        for row in [r for r in rows if r.get("best")][-1:]:
            right.axvline(row["step"], color="black", linestyle=":", label=f"best: step {row['step']}")
        right.set(xlabel="step", ylim=(0, 1.02), title="Validation")
        right.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=100)


class _Interrupt(Exception):
    """A step was left before it changed anything."""


class _Asked:
    """Whether the user has asked to stop; the first Ctrl-C sets it."""

    yes = False

    def check(self) -> None:
        if self.yes:
            raise _Interrupt


@contextlib.contextmanager
def _deferred_interrupt() -> Iterator[_Asked]:
    """The first Ctrl-C only sets a flag; a second one stops at once, as ever.

    Outside the main thread, where Python cannot take signals, Ctrl-C stays what it was.
    """
    asked = _Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked.yes:
            raise KeyboardInterrupt
        asked.yes = True

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)

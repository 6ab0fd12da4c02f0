"""The trainer, with a lesson of one number: steps, checkpoints, rows, Ctrl-C and damage."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from leakscan import tables
from leakscan.errors import LeakscanError, StoreError
from leakscan.training import trainer
from leakscan.training.trainer import Course, Findings, Row, Stopped, Stretch, Trainer, Watch, read_rows
from leakscan.types import Progress, Silent

METRICS = tables.table_schema(
    "toy_metrics", [("step", pa.int64()), ("loss", pa.float64()), ("val_total", pa.float64())]
)


class Sum:
    """Adds up the numbers of the steps; the loss is the number. A trainer's lesson."""

    def __init__(self, steps: int = 7, bad: int | None = None) -> None:
        self.total, self.prepared = 0.0, 0
        self.made, self.before = list[int](), list[list[int]]()
        self._steps, self._bad = steps, bad

    @property
    def course(self) -> Course:
        return Course(
            stage="add",
            steps=self._steps,
            items=2,
            validate_every=3,
            metrics=METRICS,
            curves=lambda row: {"total": row["val_total"]},
            remedy="Add smaller numbers.",
        )

    def prepare(self, progress: Progress) -> None:
        self.prepared += 1

    def step(self, number: int, watch: Watch) -> float:
        watch.check()
        if number == self._bad:
            return math.inf
        self.made.append(number)
        self.total += number
        watch.done(2)
        return float(number)

    def validate(self, stretch: Stretch, folder: Path, progress: Progress) -> Findings:
        assert stretch.seconds >= 0
        self.before.append([row["step"] for row in stretch.rows])
        return Findings({"val_total": self.total}, f"total {self.total:g}")

    def state(self) -> dict[str, Any]:
        return {"total": torch.tensor(self.total)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.total = float(state["total"])


class Presses(Silent):
    """The user presses Ctrl-C when a step is noted; keeps what was said."""

    def __init__(self, *at: int) -> None:
        self.at, self.stages, self.notes, self.done = at, list[tuple[str, int | None]](), list[str](), 0

    def start(self, stage: str, total: int | None) -> None:
        self.stages.append((stage, total))

    def advance(self, n: int = 1) -> None:
        self.done += n

    def note(self, text: str) -> None:
        self.notes.append(text)
        for step in self.at:
            if text.startswith(f"step {step} "):
                os.kill(os.getpid(), signal.SIGINT)


def test_a_row_is_kept_for_every_validation_and_the_last_step(tmp_path: Path) -> None:
    lesson, seen, progress = Sum(), list[Row](), Presses()
    Trainer(lesson, tmp_path, progress, seen.append).run()
    assert read_rows(tmp_path, METRICS, 7) == seen
    assert [(r["step"], r["loss"], r["val_total"]) for r in seen] == [(3, 1, 3), (6, 4, 15), (7, 6, 21)]
    assert lesson.prepared == 1
    assert lesson.before == [[], [3], [3, 6]]
    assert progress.stages == [("add", 14), ("add", 8), ("add", 2)]
    assert progress.done == 14
    assert progress.notes[3] == "step 4 of 7, loss 3.000, total 3"
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_stopped_run_goes_on_at_its_step_with_the_losses_it_had(tmp_path: Path, at: int) -> None:
    whole, first = Sum(), Sum()
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    Trainer(whole, tmp_path / "whole").run()
    with pytest.raises(Stopped, match=f"after step {at} of 7; the checkpoint is saved") as stopped:
        Trainer(first, tmp_path / "stopped", Presses(at)).run()
    assert stopped.value.exit_code == 130
    rest = Sum()
    Trainer(rest, tmp_path / "stopped").run()
    assert first.made + rest.made == whole.made
    assert rest.prepared == 0
    assert rest.total == whole.total
    one, other = (read_rows(tmp_path / name, METRICS, 7) for name in ("whole", "stopped"))
    assert one == other


def test_a_second_ctrl_c_stops_at_once_and_signals_are_as_before(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Trainer(Sum(), tmp_path, Presses(2, 2)).run()
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "checkpoint.pt").exists()


def test_a_loss_that_is_no_number_ends_the_run_with_the_remedy(tmp_path: Path) -> None:
    lesson = Sum(bad=4)
    with pytest.raises(LeakscanError, match="loss of step 5 is not a finite number") as ended:
        Trainer(lesson, tmp_path).run()
    assert ended.value.hint == "Add smaller numbers."
    again = Sum()
    Trainer(again, tmp_path).run()
    assert again.made == [3, 4, 5, 6]


def test_a_finished_run_is_left_alone_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    Trainer(Sum(steps=4), tmp_path).run()
    saved = (tmp_path / "checkpoint.pt").read_bytes()
    Trainer(Sum(steps=4), tmp_path).run()
    assert (tmp_path / "checkpoint.pt").read_bytes() == saved
    longer = Sum(steps=6)
    Trainer(longer, tmp_path).run()
    assert longer.made == [4, 5]


def test_rows_beyond_the_checkpoint_are_made_again(tmp_path: Path) -> None:
    """A kill between the two files leaves a row that no checkpoint knows."""
    Trainer(Sum(steps=3), tmp_path).run()
    checkpoint = (tmp_path / "checkpoint.pt").read_bytes()
    Trainer(Sum(steps=6), tmp_path).run()
    (tmp_path / "checkpoint.pt").write_bytes(checkpoint)
    Trainer(Sum(steps=6), tmp_path).run()
    assert [row["step"] for row in read_rows(tmp_path, METRICS, 6)] == [3, 6]


class Killed(BaseException):
    """As sudden as SIGKILL: nothing saves anything on its way."""


def test_a_kill_between_validations_repeats_seconds_not_all_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Kills(Presses):
        def note(self, text: str) -> None:
            if text.startswith("step 3 "):
                raise Killed

    monkeypatch.setattr(trainer, "_SAVE_SECONDS", 0.0)
    monkeypatch.setattr(trainer, "_SAVE_SHARE", 1e9)
    with pytest.raises(Killed):
        Trainer(Sum(), tmp_path, Kills()).run()
    rest = Sum()
    Trainer(rest, tmp_path).run()
    assert rest.made == [2, 3, 4, 5, 6]
    assert [(r["step"], r["loss"]) for r in read_rows(tmp_path, METRICS, 7)] == [(3, 1), (6, 4), (7, 6)]


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"no tensors")
    with pytest.raises(StoreError, match=r"checkpoint\.pt cannot be read"):
        Trainer(Sum(), tmp_path).run()


def test_it_runs_outside_the_main_thread_too(tmp_path: Path) -> None:
    lesson = Sum()
    thread = threading.Thread(target=Trainer(lesson, tmp_path).run)
    thread.start()
    thread.join()
    assert lesson.total == 21

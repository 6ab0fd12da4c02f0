"""A run says where its time went: a timeline for Perfetto, and the share of each processor."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from leakscan.errors import OutputError
from leakscan.run.compare import compare
from leakscan.settings import Settings
from support.makers import Leakscan, fill


def test_a_timeline_shows_every_stage_and_every_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("A"), list(range(30)))
    fill(Path("B"), [3])
    result = compare("A", "B", settings=Settings.of(workers=2, profile=Path("run.trace.json")))
    events = json.loads(Path("run.trace.json").read_text())["traceEvents"]
    names = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert "main" in names
    assert {name.rpartition(" (")[0] for name in names - {"main"}} == {"worker 1", "worker 2"}
    done = [event for event in events if event["ph"] == "X"]
    assert {"Reading A", "Reading B"} <= {event["name"] for event in done}
    assert {event["tid"] for event in done if event["name"] == "Reading A"} == {0, 1, 2}
    assert all(event["ts"] >= 0 and event["dur"] >= 0 for event in done)
    busy = result.summary["timings"]["busy"]
    assert 0 < busy["main"] < 20
    assert len(busy["workers"]) == 2
    assert all(0 < share <= 1 for share in busy["workers"])


class Named(BaseModel, extra="forbid", strict=True):
    """A metadata event of the Trace Event Format (Google's document of that name)."""

    name: Literal["thread_name", "process_name"]
    ph: Literal["M"]
    pid: int
    tid: int
    args: dict[Literal["name"], str]


class Done(BaseModel, extra="forbid", strict=True):
    """A complete event: it began, and took so many microseconds."""

    name: str = Field(min_length=1)
    ph: Literal["X"]
    pid: int
    tid: int
    ts: int = Field(ge=0)
    dur: int = Field(ge=0)


class Trace(BaseModel, extra="forbid", strict=True):
    """The file."""

    traceEvents: list[Annotated[Named | Done, Field(discriminator="ph")]]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_timeline_keeps_to_the_trace_event_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Perfetto drops events of one thread that overlap and do not lie in each other."""
    monkeypatch.chdir(tmp_path)
    fill(Path("A"), list(range(30)))
    fill(Path("B"), [3])
    compare("A", "B", settings=Settings.of(workers=workers, profile=Path("run.trace.json")))
    trace = Trace.model_validate_json(Path("run.trace.json").read_text())
    lanes = defaultdict(list)
    for event in trace.traceEvents:
        if isinstance(event, Done):
            lanes[event.pid, event.tid].append((event.ts, -event.dur))
    for events in lanes.values():
        open_until: list[int] = []
        for begins, minus in sorted(events):
            while open_until and open_until[-1] <= begins:
                open_until.pop()
            assert not open_until or begins - minus <= open_until[-1]
            open_until.append(begins - minus)


def test_a_timeline_that_cannot_be_written_is_said_before_the_run(leakscan: Leakscan, tmp_path: Path) -> None:
    fill(tmp_path / "A", [1])
    fill(tmp_path / "B", [1])
    (tmp_path / "taken").write_text("")
    ran = leakscan("compare", "A", "B", "--profile", "taken/run.json")
    assert ran.code == 2
    assert "taken" in ran.err
    assert issubclass(OutputError, Exception)

"""What was found about pairs is there for the next run, whatever happens to this one."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import leakscan
from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.errors import OutputError
from leakscan.run import memory as module
from leakscan.run.memory import PairMemory
from leakscan.run.models import Models
from leakscan.settings import Settings
from support.drawn_subjects import film
from support.makers import save

TURNED = CopyCheck(True, 0.97, 120, "rot90+crop", 0.8)
PLAIN = CopyCheck(False, -0.25, 3, "", 0.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "pairs.sqlite3"


def kept_by_another_run(path: Path) -> None:
    memory = PairMemory(path)
    memory.keep_copy_checks([("x", "a", TURNED), ("a", "b", NOT_ALIGNED)])
    memory.keep_detail_matches("net", [("x", "a", -1.25)])


# What is remembered


@pytest.mark.parametrize("in_a_file", [True, False])
def test_a_copy_check_is_known_both_ways_round(path: Path, in_a_file: bool) -> None:
    memory = PairMemory(path if in_a_file else None)
    memory.keep_copy_checks([("x", "a", TURNED)])
    again = PairMemory(path) if in_a_file else memory
    asked = [("x", "a"), ("a", "x"), ("a", "y"), ("x", "x")]
    assert again.copy_checks(asked) == {("x", "a"): TURNED, ("a", "x"): TURNED.swapped()}


def test_pictures_that_could_not_be_aligned_are_remembered_too(path: Path) -> None:
    kept_by_another_run(path)
    found = PairMemory(path).copy_checks([("b", "a")])["b", "a"]
    assert not found.same_image
    assert math.isnan(found.correlation)


@settings(max_examples=30)
@given(
    check=st.builds(
        CopyCheck,
        st.booleans(),
        st.floats(-1, 1),
        st.integers(0, 600),
        st.sampled_from(["", "rot90", "hflip+invert+crop"]),
        st.floats(0, 1),
    ),
    match=st.floats(width=32, allow_nan=False),
    names=st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.just("b")),
)
def test_every_finding_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, check: CopyCheck, match: float, names: tuple[str, str]
) -> None:
    path = tmp_path_factory.mktemp("cache") / "pairs.sqlite3"
    memory = PairMemory(path)
    memory.keep_copy_checks([(*names, check)])
    memory.keep_detail_matches("net", [(*names, match)])
    again = PairMemory(path)
    assert again.copy_checks([names]) == {names: check}
    assert again.detail_matches("net", [names]) == {names: match}


def test_a_detail_match_belongs_to_its_matcher(path: Path) -> None:
    kept_by_another_run(path)
    again = PairMemory(path)
    assert again.detail_matches("net", [("a", "x"), ("x", "a")]) == {("a", "x"): -1.25, ("x", "a"): -1.25}
    assert again.detail_matches("other net", [("a", "x")]) == {}


def test_the_last_finding_counts(path: Path) -> None:
    memory = PairMemory(path)
    for check in (TURNED, PLAIN):
        memory.keep_copy_checks([("a", "b", check)])
    assert PairMemory(path).copy_checks([("a", "b")]) == {("a", "b"): PLAIN}


def test_another_version_sees_nothing_and_harms_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_by_another_run(path)
    with monkeypatch.context() as patch:
        patch.setattr(module, "COPY_CHECK_VERSION", "copy-check-next")
        patch.setattr(module, "DETAIL_MATCH_VERSION", "detail-next")
        memory = PairMemory(path)
        assert not memory.copy_checks([("a", "x")])
        assert not memory.detail_matches("net", [("a", "x")])
        memory.keep_copy_checks([("a", "x", PLAIN)])
        assert memory.copy_checks([("a", "x")]) == {("a", "x"): PLAIN}
    assert PairMemory(path).copy_checks([("x", "a")]) == {("x", "a"): TURNED}


def test_many_pairs_are_answered_in_one_call(path: Path) -> None:
    """More than SQLite takes in one question."""
    pairs = [(f"{i:05}", f"{i + 1:05}") for i in range(40_000)]
    PairMemory(path).keep_copy_checks((a, b, CopyCheck(False, 0.5, int(a), "", 0.0)) for a, b in pairs[::2])
    found = PairMemory(path).copy_checks(pairs)
    assert [found[pair].inliers for pair in pairs[::2]] == list(range(0, 40_000, 2))
    assert len(found) == 20_000


# Where it is kept


def test_nothing_is_made_before_there_is_something_to_keep(path: Path) -> None:
    memory = PairMemory(path)
    memory.copy_checks([("a", "b")])
    memory.keep_copy_checks([])
    memory.save()
    assert not path.parent.exists()
    kept_by_another_run(path)
    assert path.parent.stat().st_mode & 0o077 == 0
    assert sorted(p.name for p in path.parent.iterdir()) == [".gitignore", "pairs.sqlite3"]


@pytest.mark.parametrize("name", ["a b#?%.sqlite3", "été.sqlite3", os.fsdecode(b"\xff.sqlite3")])
def test_its_path_may_hold_any_sign(tmp_path: Path, name: str) -> None:
    kept_by_another_run(tmp_path / name)
    assert PairMemory(tmp_path / name).copy_checks([("x", "a")])
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
@pytest.mark.parametrize("how", ["cut", "overwritten"])
def test_a_damaged_file_is_forgotten_and_made_again(path: Path, share: float, how: str) -> None:
    memory = PairMemory(path)
    pairs = [(f"a{i}", f"b{i}") for i in range(2000)]
    memory.keep_copy_checks([(*pair, PLAIN) for pair in pairs])
    whole = path.read_bytes()
    at = int(share * len(whole))
    path.write_bytes(whole[:at] + (b"" if how == "cut" else b"\xa5" * (len(whole) - at)))
    again = PairMemory(path)
    assert set(again.copy_checks(pairs).values()) <= {PLAIN}
    again.keep_copy_checks([(*pair, TURNED) for pair in pairs])
    again.save()
    assert set(PairMemory(path).copy_checks(pairs).values()) == {TURNED}


@pytest.mark.parametrize("other", [b"PAR1 not a database", b"", b"\0" * 5000])
def test_a_file_of_another_kind_is_no_obstacle(path: Path, other: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(other)
    kept_by_another_run(path)
    assert PairMemory(path).copy_checks([("x", "a")]) == {("x", "a"): TURNED}


# Who else is there


def test_two_runs_may_write_at_once(path: Path) -> None:
    def run(name: str) -> None:
        memory = PairMemory(path)
        for i in range(25):
            memory.keep_copy_checks([(name, str(i), PLAIN)])
            assert memory.copy_checks([(name, str(i))])

    runs = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    asked = [(name, str(i)) for name in "ab" for i in range(25)]
    assert len(PairMemory(path).copy_checks(asked)) == 50


def test_where_files_cannot_be_locked_findings_live_in_the_process(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_by_another_run(path)
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")  # for ever, as a file system without locks has it
    memory = PairMemory(path)
    assert memory.copy_checks([("x", "a")]) == {}
    memory.keep_copy_checks([("x", "a", PLAIN)])
    assert memory.copy_checks([("x", "a")]) == {("x", "a"): PLAIN}
    memory.save()
    other.close()
    assert PairMemory(path).copy_checks([("x", "a")]) == {("x", "a"): TURNED}


# What cannot be written


def fill_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the file grow no further, as on a full disk."""
    real = module._connected

    def connected(path: Path, mode: str) -> sqlite3.Connection:
        file = real(path, mode)
        file.execute("PRAGMA max_page_count = 1")
        return file

    monkeypatch.setattr(module, "_connected", connected)


def test_a_full_disk_stops_no_run_but_is_said_at_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_by_another_run(path)
    memory = PairMemory(path)
    many = [(f"a{i}", "b", TURNED) for i in range(500)]
    with monkeypatch.context() as patch:
        fill_up(path, patch)
        memory.keep_copy_checks(many)
        assert memory.copy_checks([("b", "a7")]) == {("b", "a7"): TURNED.swapped()}
        assert memory.copy_checks([("x", "a")]) == {("x", "a"): TURNED}
        with pytest.raises(OutputError, match="full") as caught:
            memory.save()
        assert str(path) in caught.value.message
        assert str(path) not in caught.value.without_path().message
    assert not PairMemory(path).copy_checks([("a7", "b")])
    memory.keep_copy_checks([("a new one", "b", TURNED)])  # there is room again
    memory.save()
    assert len(PairMemory(path).copy_checks([(a, b) for a, b, _ in many])) == 500


def test_a_cache_that_cannot_be_made_is_said_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    memory = PairMemory(tmp_path / "cache" / "pairs.sqlite3")
    memory.keep_detail_matches("net", [("a", "b", 2.0)])
    assert memory.detail_matches("net", [("b", "a")]) == {("b", "a"): 2.0}
    with pytest.raises(OutputError):
        memory.save()


def test_a_read_only_memory_is_read_and_said_to_be_unwritable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_by_another_run(path)
    real = module._connected
    monkeypatch.setattr(module, "_connected", lambda path, _: real(path, "ro"))
    memory = PairMemory(path)
    assert memory.copy_checks([("x", "a")]) == {("x", "a"): TURNED}
    memory.keep_copy_checks([("c", "d", PLAIN)])
    assert memory.copy_checks([("c", "d")]) == {("c", "d"): PLAIN}
    with pytest.raises(OutputError, match="readonly"):
        memory.save()


# A run that is stopped in the middle of its copy checks

HELPER = """
import time

def call(function, log, stage, item):
    if stage == "_check" and function.__name__ != stage:
        # Neither keypoints nor a glance tell the two apart, and keypoints do not lay one on the other.
        return None if function.__name__ == "_check_as_voted" else True
    time.sleep(0.02)
    found = function(item)
    if found is not True:  # a vote or a glance that cannot tell has found nothing yet
        with open(log, "a") as file:
            file.write(".")
    return found
"""
SLOW = """
import functools, sys
import slowly
import leakscan.run.context as context
from leakscan.decide.copies import copy_check
from leakscan.engines.timed import TimedEngine
from leakscan.run.models import Models

real = TimedEngine.map

def slow(self, function, items, chunk=8):
    if getattr(function, "__module__", "") == copy_check.__name__:
        function = functools.partial(slowly.call, function, {log!r}, {stage!r})
    return real(self, function, items, chunk)

TimedEngine.map = slow
context.load_models = lambda *_: Models({{}}, {{}}, {{}})  # they take seconds, and no film here needs them
copy_check._KEEP_SECONDS = {keep_seconds}
copy_check._CHUNK = {{2: 4, 3: 1}}
copy_check._VOTES = 4
from leakscan.cli.app import main
sys.argv = ["leakscan", "compare", "A", "B", "--kind", "other_2d", "--workers", "1"]
main()
"""
BLOCKS = 5 * 4
"""Pairs that one worker may have checked without the run having seen it: what is in flight, and a block."""

A_SECOND = 50
"""Pairs that one worker checks in the second after which findings are written, at 20 ms each."""


@pytest.fixture(scope="module")
def films_of_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of 16 small drawn films, no two of one subject."""
    folder = tmp_path_factory.mktemp("films")
    for i in range(32):
        save(folder / "AB"[i % 2] / f"{i}.png", film(1000 + i, side=160).astype(np.uint8))
    return folder


class Checking:
    """``leakscan compare`` in a process of its own, whose worker takes its time over every copy check.

    Args:
        folder: Where it runs.
        films: The folders to compare.
        stage: What tells the pairs apart: the vote of their keypoints, or only the check in full.
        keep_seconds: After how long findings are written.
    """

    def __init__(self, folder: Path, films: Path, stage: str, keep_seconds: float = 1.0) -> None:
        self.log = folder / "log"
        self.log.write_text("")
        (folder / "slowly.py").write_text(HELPER)
        for name in "AB":
            (folder / name).symlink_to(films / name)
        code = SLOW.format(log=str(self.log), stage=stage, keep_seconds=keep_seconds)
        path = os.pathsep.join([str(folder), str(Path(leakscan.__file__).parents[1])])
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )

    def checked(self) -> int:
        """Pairs that a worker has finished."""
        return self.log.stat().st_size

    def stop_after(self, checks: int, how: signal.Signals) -> int:
        """Stops the run once a worker has finished so many pairs. Returns its exit code."""
        deadline = time.monotonic() + 120
        while self.checked() < checks:
            assert self.process.poll() is None, f"ended too early: {self.process.communicate()}"
            assert time.monotonic() < deadline, "too slow"
            time.sleep(0.01)
        self.process.send_signal(how)
        self.process.communicate(timeout=60)
        return self.process.returncode


class Totals:
    """Notes how much every stage has to do."""

    def __init__(self) -> None:
        self.of: dict[str, Any] = {}

    def start(self, stage: str, total: int | None) -> None:
        self.of[stage] = total

    def advance(self, n: int = 1) -> None: ...

    def note(self, text: str) -> None: ...

    def tell(self, text: str) -> None: ...

    def finish(self) -> None: ...


def kept(cache: Path) -> int:
    """Copy checks that the memory of a cache holds."""
    if not (cache / "pairs.sqlite3").exists():
        return 0
    with closing(sqlite3.connect(cache / "pairs.sqlite3")) as file:
        return int(file.execute("SELECT count(*) FROM copy_checks").fetchone()[0])


def go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The same comparison again, to its end. Returns how many pairs it had to check."""
    monkeypatch.setattr("leakscan.run.context.load_models", lambda *_: Models({}, {}, {}))
    choices = Settings.of(kind="other_2d", workers=0, cache=folder / ".leakscan")
    totals = Totals()
    leakscan.compare(folder / "A", folder / "B", settings=choices, progress=totals)
    return int(totals.of["Checking for copies"])


@pytest.mark.parametrize("stage", [pytest.param("_vote", marks=pytest.mark.slow), "_check"])
def test_kill_9_in_the_middle_of_copy_checks_loses_a_second_of_them(
    tmp_path: Path, films_of_many: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Checking(tmp_path, films_of_many, stage)
    assert run.stop_after(110, signal.SIGKILL) == -signal.SIGKILL
    before = kept(tmp_path / ".leakscan")
    assert before >= 110 - BLOCKS - A_SECOND
    again = go_on(tmp_path, monkeypatch)
    assert 0 < again == kept(tmp_path / ".leakscan") - before


def test_ctrl_c_in_the_middle_of_copy_checks_keeps_all_that_was_found(
    tmp_path: Path, films_of_many: Path
) -> None:
    run = Checking(tmp_path, films_of_many, "_vote", keep_seconds=1000.0)  # only the interrupt writes
    assert run.stop_after(60, signal.SIGINT) == 130
    assert kept(tmp_path / ".leakscan") >= 60 - BLOCKS

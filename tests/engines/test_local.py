"""The local engine keeps order, bounds what is in flight, and lets errors out."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leakscan.engines import start_engine
from leakscan.engines.careful import Careful
from leakscan.engines.local import NEEDED_BY_WORKERS, LocalEngine
from leakscan.engines.threads import cores
from leakscan.errors import ImageError, LeakscanError
from leakscan.settings import DecodeOptions, Settings
from leakscan.types import Silent
from support.made_up_run import made_up_run
from support.makers import fill


def square(n: int) -> int:
    return n * n


def whose(_: int) -> int:
    return os.getpid()


def fails(n: int) -> int:
    if n == 30:
        raise ImageError("unreadable", "It is broken.")
    return n


def dies(n: int) -> int:
    if n == 30:
        os._exit(1)
    return n


def threads(_: int) -> int:
    import cv2

    return int(cv2.getNumThreads())


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    assert list(LocalEngine(workers).map(square, range(100), chunk=3)) == [n * n for n in range(100)]


def test_no_items_are_no_results() -> None:
    assert list(LocalEngine(2).map(square, [])) == []


def test_a_few_items_start_no_process() -> None:
    assert set(LocalEngine(2).map(whose, range(5))) == {os.getpid()}
    assert set(LocalEngine(0).map(whose, range(100))) == {os.getpid()}


def test_a_few_items_are_shared_out_once_there_are_processes() -> None:
    engine = LocalEngine(2)
    list(engine.map(whose, range(40)))
    assert os.getpid() not in set(engine.map(whose, range(5), chunk=16))


def test_many_items_are_worked_elsewhere() -> None:
    assert os.getpid() not in set(LocalEngine(1).map(whose, range(40)))


@pytest.mark.parametrize("workers", [0, 1])
def test_only_a_bounded_number_of_items_is_taken_ahead(workers: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for i in range(10_000):
            taken += 1
            yield i

    results = LocalEngine(workers).map(square, items(), chunk=4)
    assert [next(results) for _ in range(30)] == [n * n for n in range(30)]
    assert taken <= 200
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_exception_comes_out_with_its_type_and_words(workers: int) -> None:
    with pytest.raises(ImageError) as caught:
        list(LocalEngine(workers).map(fails, range(60)))
    assert (caught.value.status, caught.value.message) == ("unreadable", "It is broken.")


def test_a_worker_that_dies_is_an_error_in_words() -> None:
    with pytest.raises(LeakscanError, match="killed") as caught:
        list(LocalEngine(1).map(dies, range(60)))
    assert caught.value.code == "worker_killed"


def dies_by_signal(n: int) -> int:
    if n in (3, 30, 31, 59):
        os.kill(os.getpid(), signal.SIGSEGV)
    return n


def dies_once(path: Path) -> str:
    if path.name == "30" and not path.exists():
        path.touch()
        os._exit(9)
    return path.name


def stays(n: int) -> int:
    if n == 7:
        time.sleep(600)
    return n


def works_on(n: int) -> int:
    """Stays with one item in code that Python cannot interrupt, as a decoder of another language would."""
    if n == 7:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        while True:
            pass
    return n


def waits(n: int) -> int:
    """Takes three times as long by the clock as its limit, and hardly any processor time."""
    if n == 7:
        time.sleep(0.9)
    return n


def named(n: int, why: str) -> Any:
    return n, why


@pytest.mark.parametrize("workers", [1, 2])
def test_an_item_that_kills_its_worker_twice_costs_that_item_only(workers: int) -> None:
    found = list(LocalEngine(workers).map(Careful(dies_by_signal, named), range(60)))
    assert found == [(n, "died") if n in (3, 30, 31, 59) else n for n in range(60)]


def test_an_item_whose_worker_is_killed_once_loses_nothing(tmp_path: Path) -> None:
    paths = [tmp_path / str(n) for n in range(60)]
    assert list(LocalEngine(2).map(dies_once, paths)) == [path.name for path in paths]


@pytest.mark.parametrize("workers", [None, 1])
def test_a_few_risky_items_are_worked_elsewhere(workers: int | None) -> None:
    found = list(LocalEngine(workers).map(Careful(dies_by_signal, named), range(5)))
    assert found == [0, 1, 2, (3, "died"), 4]


def test_a_short_script_without_its_guard_works_on_a_few_items_itself(tmp_path: Path) -> None:
    """Many items need workers, and workers need the guard; for a few a script must not be turned away."""
    script = """
from leakscan.engines.careful import Careful
from leakscan.engines.local import LocalEngine
print(list(LocalEngine(%s).map(Careful(abs, None), [-1, 2])))
"""
    for workers, said in (("", "[1, 2]"), ("1", "__main__")):
        (tmp_path / "run_it.py").write_text(script % workers)
        ran = subprocess.run(
            [sys.executable, "run_it.py"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert said in ran.stdout + ran.stderr


def test_an_item_that_does_not_come_to_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakscan.engines.pool._GRACE_SECONDS", 0.2)
    monkeypatch.setattr("leakscan.engines.pool._LOOK_SECONDS", 0.1)
    for endless, seconds in ((stays, 0.1), (works_on, 0.5)):
        found = list(LocalEngine(2).map(Careful(endless, named, seconds=seconds), range(40)))
        assert found == [(n, "took_too_long") if n == 7 else n for n in range(40)]


def test_an_item_that_waits_for_a_processor_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leakscan.engines.pool._GRACE_SECONDS", 0.0)
    monkeypatch.setattr("leakscan.engines.pool._LOOK_SECONDS", 0.1)
    found = list(LocalEngine(2).map(Careful(waits, named, seconds=0.3), range(40)))
    assert found == list(range(40))


def test_what_was_stopped_early_does_not_reach_the_next_work() -> None:
    engine = LocalEngine(2)
    first = engine.map(square, range(1000))
    assert [next(first) for _ in range(3)] == [0, 1, 4]
    first.close()  # type: ignore[attr-defined]
    assert list(engine.map(whose, range(40), chunk=1))
    assert list(engine.map(square, range(100))) == [n * n for n in range(100)]


def large(n: int) -> bytes:
    return bytes(3_000_000 + n)


def test_large_items_and_results_block_nobody() -> None:
    items = [bytes(2_000_000)] * 30
    assert list(LocalEngine(2).map(len, items, chunk=2)) == [2_000_000] * 30
    assert [len(found) for found in LocalEngine(2).map(large, range(30), chunk=2)][-1] == 3_000_029


def test_without_what_only_linux_has_workers_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKSCAN_PORTABLE", "1")
    assert list(LocalEngine(1).map(square, range(40))) == [n * n for n in range(40)]


def test_workers_do_not_fight_over_the_cores() -> None:
    assert set(LocalEngine(1).map(threads, range(30))) == {1}


def test_it_uses_the_cores_it_may() -> None:
    assert LocalEngine().workers == cores() >= 1


class Spy(LocalEngine):
    """Works in this process and remembers what a worker would have been sent."""

    def __init__(self) -> None:
        super().__init__(0)
        self.sent: list[bytes] = []

    def map(self, function: Any, items: Iterable[Any], chunk: int = 8) -> Iterator[Any]:
        self.sent.append(pickle.dumps(function))
        return super().map(function, items, chunk)


class _Matcher:
    """Finds nothing."""

    digest, side, for_workers = "none", 32, None

    def describe(self, canonical: Any) -> Any:
        return canonical

    def compare(self, a: Any, b: Any) -> Any:
        return np.zeros(len(a))


def test_what_workers_are_sent_loads_no_torch(tmp_path: Path) -> None:
    """Every worker would spend seconds and hundreds of megabytes on it, once for every source."""
    from leakscan.decide.copies.copy_check import PixelPair, check_copies
    from leakscan.decide.persons.film_details import FilmDetails, FilmPair
    from leakscan.fingerprint.pipeline import fingerprint_source
    from leakscan.sources.open import open_source

    spy = Spy()
    context = made_up_run(Settings.of(cache=tmp_path / "cache"), engine=spy)
    source = open_source(str(fill(tmp_path / "A", [1, 2])), DecodeOptions())
    fingerprint_source(source, None, context)
    refs = [ref for ref in source.scan(Silent()) if ref.status == "ok"]
    pair = PixelPair(key_a="1", key_b="2", a=refs[0], b=refs[1], ndim=2)
    check_copies([pair], context)
    films = FilmPair(("1", "2"), (refs[0], refs[1]))
    FilmDetails(_Matcher(), spy, DecodeOptions())([films], 60, Silent())
    # Preparing; votes of keypoints; features of pictures for three steps, and what each makes of pairs;
    # details of films.
    assert len(spy.sent) == 1 + 1 + 6 + 1
    for sent in spy.sent:
        assert not _loads_torch("import pickle; pickle.load(sys.stdin.buffer)", sent)


@pytest.mark.parametrize("module", NEEDED_BY_WORKERS)
def test_what_workers_start_with_is_there_and_loads_no_torch(module: str) -> None:
    """The fork server says nothing of a module that it does not find."""
    assert not _loads_torch(f"import {module}")


def _loads_torch(code: str, given: bytes = b"") -> bool:
    """Whether a new process that runs some code has loaded torch."""
    program = f"import sys; {code}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], input=given, timeout=60, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.strip() == b"True"


def test_one_place_builds_the_engine() -> None:
    engine = start_engine(workers=3)
    assert isinstance(engine, LocalEngine)
    assert engine.workers == 3

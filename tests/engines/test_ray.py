"""A Ray cluster makes what one machine makes; a killed worker costs its block only."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from leakscan.engines import start_engine
from leakscan.errors import ImageError, LeakscanError
from leakscan.match.index.approximate import ApproximateIndex
from leakscan.match.index.exact import ExactIndex
from support.makers import NO_ENCODER, Leakscan, fill, rows_of

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install leakscan[ray]")

from leakscan.engines.ray import RayEngine  # noqa: E402


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of three workers on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    tests = str(Path(__file__).parents[1])
    ray.init(
        num_cpus=3,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=100_000_000,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([str(Path(tests).parent), tests])}},
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def squared(number: int) -> int:
    return number * number


def killed_once(marker: Path, number: int) -> int:
    """Kills its worker at one number, the first time."""
    if number == 37 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with (marker.parent / "seen.txt").open("a") as seen:
        seen.write(f"{number}\n")
    return number


def refused(number: int) -> int:
    raise ImageError("unreadable", f"Number {number} is cut short.")


def test_results_come_in_the_order_of_the_items(cluster: str) -> None:
    assert list(RayEngine().map(squared, range(100), chunk=8)) == [n * n for n in range(100)]


def test_a_killed_worker_loses_its_block_only(cluster: str, tmp_path: Path) -> None:
    engine = RayEngine()
    assert engine.workers == 3
    assert list(engine.map(partial(killed_once, tmp_path / "marker"), range(100), chunk=10)) == list(
        range(100)
    )
    assert (tmp_path / "marker").exists()  # a worker was killed
    seen = [int(line) for line in (tmp_path / "seen.txt").read_text().split()]
    again = {n for n in seen if seen.count(n) > 1}
    assert again <= set(range(30, 40))  # the block of the killed worker, and no other


def test_an_exception_of_the_function_comes_out(cluster: str) -> None:
    with pytest.raises(ImageError, match="Number 0 is cut short"):
        list(RayEngine().map(refused, range(30)))


def test_fingerprints_are_searched_for_on_the_cluster_as_here(cluster: str) -> None:
    prints = np.random.default_rng(2).normal(size=(3000, 16))
    prints = (prints / np.linalg.norm(prints, axis=1, keepdims=True)).astype(np.float16)
    for kind in (ExactIndex, ApproximateIndex):
        here, there = kind(prints[:1500]), kind(prints[:1500], RayEngine())
        wanted, found = (index.range_search(prints[1500:], 0.7, 2000) for index in (here, there))
        assert len(wanted.query) > 100
        for column in ("query", "found", "score"):
            assert np.array_equal(getattr(found, column), getattr(wanted, column))
        near = [index.nearest(prints[1500:], 3) for index in (here, there)]
        assert np.array_equal(near[0].found, near[1].found)


@pytest.mark.slow
def test_a_run_on_the_cluster_finds_what_a_local_run_finds(
    cluster: str, leakscan: Leakscan, tmp_path: Path
) -> None:
    fill(tmp_path / "A", range(30))
    fill(tmp_path / "B", range(27, 50))
    for number, engine in enumerate((["--workers", "0"], ["--engine", "ray"])):
        ran = leakscan("compare", "A", "B", "-o", f"run{number}", f"--cache={number}", *engine, *NO_ENCODER)
        assert ran.code == 1, ran.err
    for table in ("images", "pairs", "subjects"):
        local, cluster_rows = (rows_of(tmp_path / f"run{number}", table) for number in range(2))
        assert local == cluster_rows and local


def test_a_cluster_that_is_not_there_is_said_at_once(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ray.is_initialized():
        ray.shutdown()

    def nobody(address: tuple[str, int], timeout: float) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    # Tests may not reach out, so the knock itself is what a closed port makes of it.
    monkeypatch.setattr(socket, "create_connection", nobody)
    fill(tmp_path / "A", range(2))
    fill(tmp_path / "B", range(2))
    for address in ("127.0.0.1:6380", "nowhere", "ray://127.0.0.1:0"):
        ran = leakscan("compare", "A", "B", "--engine", "ray", "--address", address, *NO_ENCODER)
        assert ran.code == 2 and f"no Ray cluster at {address}" in ran.error and "--address" in ran.error


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LeakscanError, match="not installed") as raised:
        start_engine(kind="ray")
    assert "leakscan[ray]" in raised.value.hint

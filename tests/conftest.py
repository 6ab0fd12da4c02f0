"""What every test stands on: no network, a quiet machine, tiny pictures, and the command line in-process."""

from __future__ import annotations

import functools
import importlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy and torch: every worker has one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from support.browser import chromium  # noqa: F401 - a fixture for all
from support.makers import Leakscan, NetworkRefused, Picture, Ran, fill

settings.register_profile("leakscan", deadline=None)  # no test asserts a time
settings.load_profile("leakscan")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Lets nothing out of the process but to local (AF_UNIX) sockets, for the whole test run."""
    real = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}

    def guarded(name: str) -> Callable[..., Any]:
        @functools.wraps(real[name])
        def call(self: socket.socket, *arguments: Any) -> Any:
            if self.family != socket.AF_UNIX:
                raise NetworkRefused(f"A test reached for the network: {name}{arguments}.")
            return real[name](self, *arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in real:
            patch.setattr(socket.socket, name, guarded(name))
        yield


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's settings and cache nor the models they added reach a test."""
    monkeypatch.setenv("LEAKSCAN_CACHE", ".leakscan")  # in the folder of the test
    monkeypatch.setenv("LEAKSCAN_MODELS", str(tmp_path_factory.getbasetemp() / "no-models"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="session")
def loaded_once() -> Callable[..., Any]:
    """Loads every encoder once a test run: its golden check takes longer than most tests."""
    from leakscan.fingerprint.encoders.load import load_encoder

    known: dict[tuple[str, Path], Any] = {}

    def load(card: Any, folder: Path) -> Any:
        key = card.encoder, folder
        if key not in known:
            known[key] = load_encoder(card, folder)
        return known[key]

    return load


@pytest.fixture
def as_volumes_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up volumes fit no average brain, so every one would be encoded in four positions."""
    monkeypatch.setattr("leakscan.fingerprint.encoders.brain.brain_net._FLIPS", ())
    monkeypatch.setattr("leakscan.fingerprint.encoders.brain.graph_brain._FLIPS", ())


@pytest.fixture
def leakscan(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    loaded_once: Callable[..., Any],
) -> Leakscan:
    """Runs a command as the console script would, in ``tmp_path``, without worker processes."""
    from leakscan.cli.app import run
    from leakscan.engines.allocator import keep_freed_memory

    keep_freed_memory()
    monkeypatch.chdir(tmp_path)
    # By name, because `leakscan.compare` is the function of the public API.
    monkeypatch.setattr(importlib.import_module("leakscan.run.models"), "load_encoder", loaded_once)

    def call(command: str, *arguments: object) -> Ran:
        given = [command, *map(str, arguments)]
        reads = ("compare", "audit", "fingerprint", "duplicates", "calibrate")
        if command in reads and "--workers" not in given:
            given += ["--workers", "0"]
        capsys.readouterr()
        code = run(given)
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture(scope="session")
def films() -> list[Picture]:
    """Six drawn chest films of six subjects, 208 px high."""
    from leakscan.synthetic.films import draw_film

    return [np.asarray(draw_film(np.random.default_rng([3, i]), height=208), np.uint8) for i in range(6)]


@pytest.fixture
def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    """A holds scenes 0 to 3, B holds 3 to 6 compressed otherwise: scene 3 leaks as ``same_pixels``."""
    a = fill(tmp_path / "A", range(4), compress_level=1)
    return a, fill(tmp_path / "B", range(3, 7), compress_level=9)

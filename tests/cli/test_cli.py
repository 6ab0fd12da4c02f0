"""The command line as scripts and people meet it: documents, exit codes, and being stopped at any moment."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

import leakscan
from leakscan.fingerprint import prepare
from leakscan.fingerprint.store import Store
from support.makers import NO_ENCODER, Leakscan, fill, rows_of

HELPER = """
import time
import zipfile

def call(function, seconds, item):
    time.sleep(seconds)
    return function(item)
"""
SLOW = """
import functools, sys
import slowly
import leakscan.fingerprint.pipeline as pipeline
import leakscan.run.context as context
from leakscan.engines.local import LocalEngine

real = LocalEngine.map

def slow(self, function, items, chunk=8):
    for result in real(self, functools.partial(slowly.call, function, {seconds}), items, chunk):
        with open({log!r}, "a") as log:
            log.write(".")
        yield result

LocalEngine.map = slow
context.load_encoders = lambda *_: {{}}  # they take seconds, and no picture here needs them
pipeline._FLUSH_ROWS = {flush}
from leakscan.cli.app import main
sys.argv = ["leakscan", *{arguments!r}]
main()
"""


class Slow:
    """``leakscan`` as a process of its own whose workers take their time over every image."""

    def __init__(self, folder: Path, *arguments: str, seconds: float = 0.02, flush: int = 1024) -> None:
        self.log = folder / "log"
        self.log.write_text("")
        (folder / "slowly.py").write_text(HELPER)
        code = SLOW.format(seconds=seconds, log=str(self.log), arguments=list(arguments), flush=flush)
        path = os.pathsep.join([str(folder), str(Path(leakscan.__file__).parents[1])])
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )

    def done(self) -> int:
        return self.log.stat().st_size

    def wait_for(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert self.process.poll() is None, f"ended before {what}: {self.process.communicate()}"
            assert time.monotonic() < deadline, f"no {what} in a minute"
            time.sleep(0.01)

    def descendants(self) -> list[int]:
        """Its processes, children before grandchildren."""
        found = [self.process.pid]
        for pid in found:
            listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            found.extend(int(child) for child in listed.split())
        return found[1:]

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """160 small pictures, for runs that load no encoder."""
    monkeypatch.setattr("leakscan.run.context.load_encoders", lambda _: {})
    return fill(tmp_path / "A", range(160))


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def images_in(store: Path) -> int:
    return len({name for part in Store.open(store).parts() for name in part["image_id"].to_pylist()})


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")


# Being stopped


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_says_so_in_a_sentence_and_the_next_run_goes_on(
    leakscan: Leakscan, tmp_path: Path, many: Path, how: signal.Signals
) -> None:
    slow = Slow(tmp_path, "fingerprint", "A", "-o", "a.fps", "--workers", "1", *NO_ENCODER)
    slow.wait_for(lambda: slow.done() >= 100, "100 images")
    slow.process.send_signal(how)
    code, _, err = slow.end()
    assert code == 130
    assert "Stopped." in err
    assert "Traceback" not in err
    stored = images_in(tmp_path / "a.fps")
    assert stored >= 64
    again = leakscan("fingerprint", "A", "-o", "a.fps", "--json", *NO_ENCODER)
    assert again.code == 0
    assert again.json["images"] == 160
    assert again.json["images_read"] == 160 - stored


@linux
def test_kill_9_loses_no_image_that_was_stored_and_leaves_no_process(
    leakscan: Leakscan, tmp_path: Path, many: Path
) -> None:
    arguments = ("fingerprint", "A", "-o", "a.fps", "--workers", "1", *NO_ENCODER)
    slow = Slow(tmp_path, *arguments, flush=64)
    shards = tmp_path / "a.fps" / "shards"
    slow.wait_for(lambda: list(shards.glob("*.parquet")), "shard")
    workers = slow.descendants()
    slow.process.kill()
    slow.process.wait(60)
    deadline = time.monotonic() + 5
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in workers if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    stored = images_in(tmp_path / "a.fps")  # a shard may hold fewer than 64, where a second went by before
    again = leakscan("fingerprint", "A", "-o", "a.fps", "--json", *NO_ENCODER)
    assert again.json["images"] == 160
    assert 0 < again.json["images_read"] == 160 - stored < 160
    assert workers
    assert not left, "worker processes outlive their parent"


@linux
def test_a_worker_that_is_killed_once_loses_nothing_and_the_run_goes_on(
    leakscan: Leakscan, tmp_path: Path, many: Path
) -> None:
    slow = Slow(tmp_path, "fingerprint", "A", "-o", "a.fps", "--workers", "1", *NO_ENCODER)
    slow.wait_for(lambda: slow.done() >= 100, "100 images")
    os.kill(slow.descendants()[-1], signal.SIGKILL)
    code, _, err = slow.end()
    assert code == 0, err
    assert "Traceback" not in err
    again = leakscan("fingerprint", "A", "-o", "a.fps", "--json", *NO_ENCODER)
    assert again.json["images"] == 160
    assert again.json["images_read"] == 0


def interrupted_after(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = prepare.decode, []

    def decode(ref: Any, options: Any) -> Any:
        seen.append(ref.path)
        if len(seen) > n:
            raise KeyboardInterrupt
        return real(ref, options)

    monkeypatch.setattr(prepare, "decode", decode)


def test_even_a_few_images_are_not_read_again_after_ctrl_c(
    leakscan: Leakscan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty large volumes may be an hour's work."""
    fill(tmp_path / "A", range(40))
    with monkeypatch.context() as patch:
        interrupted_after(30, patch)
        assert leakscan("fingerprint", "A", "-o", "a.fps", *NO_ENCODER).code == 130
    again = leakscan("fingerprint", "A", "-o", "a.fps", "--json", *NO_ENCODER)
    assert again.json["images"] == 40
    assert again.json["images_read"] == 10


def test_the_same_command_goes_on_after_ctrl_c(
    leakscan: Leakscan, two_folders: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says "run it again to go on"; the run folder must not be in the way."""
    with monkeypatch.context() as patch:
        interrupted_after(5, patch)
        stopped = leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    assert stopped.code == 130
    assert "run it again" in stopped.error
    assert leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER).code == 1


def test_ctrl_c_with_json_is_a_document_with_the_code_of_the_process(
    leakscan: Leakscan, two_folders: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted_after(2, monkeypatch)
    ran = leakscan("compare", "A", "B", "--json", *NO_ENCODER)
    assert ran.code == 130
    assert ran.json["exit_code"] == 130


# Documents


@pytest.mark.parametrize("workers", ["0", "2"])
def test_json_is_one_document_and_nothing_else(
    leakscan: Leakscan, two_folders: object, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run of half a minute, as on a busy machine, says on standard error how far it is.
    monkeypatch.setattr("leakscan.cli.line_progress.EVERY_SECONDS", 3600.0)
    ran = leakscan("compare", "A", "B", "--json", "-o", "run", "--workers", workers)
    assert ran.json["exit_code"] == ran.code
    assert {"datasets", "comparisons", "decisions", "timings", "encoders", "reasons", "report"} <= set(
        ran.json
    )
    assert ran.err == ""
    assert json.loads(Path("run/summary.json").read_text())["decisions"] == ran.json["decisions"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("fingerprint", "A", "-o", "a.fps"),
        ("exclude", "run", "--from", "A"),
        ("models", "list"),
        ("compare", "A", "gone"),
        ("audit", "A"),
    ],
)
def test_every_command_speaks_json(
    leakscan: Leakscan, two_folders: object, arguments: tuple[str, ...]
) -> None:
    leakscan("compare", "A", "B", "-o", "run", *NO_ENCODER)
    ran = leakscan(*arguments, "--json")
    assert ran.json is not None
    assert ran.code in (0, 2)
    if ran.code:
        assert ran.json["exit_code"] == 2
        assert ran.json["error"] in ran.error


def test_wrong_usage_with_json_is_a_document_too(leakscan: Leakscan) -> None:
    ran = leakscan("compare", "--json")
    assert ran.code == 2
    assert ran.json["exit_code"] == 2


def test_quiet_says_nothing_and_the_exit_code_tells(leakscan: Leakscan, two_folders: object) -> None:
    ran = leakscan("compare", "A", "B", "-q", *NO_ENCODER)
    assert (ran.code, ran.out, ran.err) == (1, "", "")
    wrong = leakscan("compare", "A", "gone", "-q")
    assert wrong.out == ""
    assert "gone" in wrong.error


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--kind", "knee"),
        ("--fail-on", "anything"),
        ("--frames", "some"),
        ("--subjects", "guess"),
        ("--subjects", "regex:("),
        ("--encoder", "nobody"),
        ("--max-unread", "2"),
        ("--max-pairs", "0"),
        ("--max-pairs", "many"),
        ("--workers", "-1"),
    ],
)
def test_a_wrong_value_is_named_before_anything_is_read(
    leakscan: Leakscan, two_folders: object, option: str, value: str
) -> None:
    ran = leakscan("compare", "A", "B", option, value)
    assert ran.code == 2
    assert option in ran.error or value in ran.error
    assert not Path(".leakscan").exists()


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [
        ("same_file", 3),
        ("same_pixels", 1),
        ("same_image", 1),
        ("same_subject", 1),
        ("review", 1),
        ("none", 0),
    ],
)
def test_fail_on_decides_what_fails(leakscan: Leakscan, two_folders: object, fail_on: str, code: int) -> None:
    assert leakscan("compare", "A", "B", "--fail-on", fail_on, *NO_ENCODER).code == code


def test_help_and_version_load_no_torch() -> None:
    code = "import sys; from leakscan.cli.app import run; run(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    for argument in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-c", code, argument], check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert "leakscan" in done.stdout or leakscan.__version__ in done.stdout


def test_a_terminal_without_unicode_gets_no_traceback(
    leakscan: Leakscan, tmp_path: Path, two_folders: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose locale is POSIX, or on an old Windows console."""
    fill(tmp_path / "胸部", [3])
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert leakscan("compare", "胸部", "B", *NO_ENCODER).code == 1
    assert leakscan("compare", "胸部", "B", "--json", *NO_ENCODER).code == 1
    assert leakscan("compare", "脳", "B").code == 2


def test_a_reader_that_stops_reading_is_not_taken_for_a_leak(tmp_path: Path) -> None:
    """``leakscan compare A B | head -1`` under ``pipefail``."""
    fill(tmp_path / "A", [1, 2])
    fill(tmp_path / "B", [5, 6])
    code = (
        "import runpy, sys\n"
        "import leakscan.run.context as context\n"
        "from leakscan.run.models import Models\n"
        "context.load_models = lambda *_: Models({}, {}, {})  # no picture here needs them\n"
        "runpy.run_module('leakscan', run_name='__main__', alter_sys=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "compare", "A", "B", "--workers", "0", *NO_ENCODER],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) != 1
    assert "Traceback" not in err


# The Python door


def test_the_functions_of_the_package_stay_functions() -> None:
    """Importing a module binds it to its package by name; the README's calls must survive that."""
    import leakscan as api

    assert api.Settings().deciding.same_ids is False
    for name in ("compare", "audit"):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(f"leakscan.{name}")
        assert callable(getattr(api, name)), f"leakscan.{name} is {getattr(api, name)}"


def test_the_python_api_returns_the_tables_it_writes(
    tmp_path: Path, two_folders: tuple[Path, Path], leakscan: Leakscan
) -> None:
    import leakscan as api

    a, b = two_folders
    settings = api.Settings.of(cache=tmp_path / "cache", kind="other_2d", workers=0)
    result = api.compare(a, b, output=tmp_path / "run", settings=settings)
    assert result.exit_code == 1
    for name in ("images", "fingerprints", "pairs", "subjects"):
        assert getattr(result, name).num_rows == len(rows_of(tmp_path / "run", name))
    with pytest.raises(api.LeakscanError, match="gone"):
        api.compare(a, tmp_path / "gone", settings=settings)


def test_the_python_api_runs_twice_in_one_process_with_workers(tmp_path: Path, leakscan: Leakscan) -> None:
    """Workers are forked from a process in which OpenCV, torch and FAISS have had their threads."""
    import leakscan as api

    fill(tmp_path / "A", range(30))
    fill(tmp_path / "B", range(30, 60))
    for i in range(2):
        cache = tmp_path / f"cache{i}"
        settings = api.Settings.of(cache=cache, kind="other_2d", workers=2, check_seconds=0.5)
        result = api.compare(tmp_path / "A", tmp_path / "B", settings=settings)
        assert result.images.num_rows == 60


# The wheel


@pytest.mark.slow
def test_a_wheel_unpacked_elsewhere_finds_its_encoder(tmp_path: Path) -> None:
    """Built from this checkout, run outside it, with nothing but the wheel on the path."""
    root = Path(leakscan.__file__).resolve().parents[1]
    if not (root / "pyproject.toml").is_file():
        pytest.skip("this leakscan is no checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE", "leakscan", "models"):
        source, target = root / name, tmp_path / "checkout" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist")]
    built = subprocess.run(
        [*build, str(tmp_path / "checkout")], check=False, capture_output=True, text=True, timeout=120
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert wheel.stat().st_size < 90e6
    with zipfile.ZipFile(wheel) as z:
        z.extractall(tmp_path / "site")
    shipped = {p.name for p in (tmp_path / "site/leakscan/_models").iterdir()}
    assert shipped == {"brain-folds", "cxr-lite0"}
    shutil.rmtree(tmp_path / "checkout")
    fill(tmp_path / "away" / "A", [1, 2])
    fill(tmp_path / "away" / "B", [2, 3], compress_level=1)
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('the network')\n"
        "socket.socket.connect = refuse\n"
        "import leakscan\n"
        "assert leakscan.__file__.startswith(sys.argv[1]), leakscan.__file__\n"
        "from leakscan.fingerprint.encoders.registry import card_for\n"
        "assert str(card_for('chest_radiograph')[1]).startswith(sys.argv[1])\n"
        "from leakscan.cli.app import run\n"
        "sys.exit(run(['compare', 'A', 'B', '--json', '--workers', '0', '-o', 'run']))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "site")],
        check=False,
        cwd=tmp_path / "away",
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["encoders"]
    assert (tmp_path / "away" / "run" / "report.html").exists()

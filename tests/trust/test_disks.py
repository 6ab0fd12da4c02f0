"""Full disks, read-only caches, files that change while they are read: the run goes on and says so."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import leakscan as package
from leakscan.fingerprint import prepare
from support.makers import NO_ENCODER, Leakscan, fill, rows_of, save, scene

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
import leakscan.run.context as context
context.load_encoders = lambda *_: {{}}
from leakscan.run.models import Models
context.load_models = lambda *_: Models({{}}, {{}}, {{}})
from leakscan.cli.app import main
sys.argv = ["leakscan", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize("size", [0, 3_000])
def test_a_disk_that_is_full_at_any_write_is_said_and_leaves_no_half_file(
    two_folders: object, tmp_path: Path, leakscan: Leakscan, size: int
) -> None:
    from leakscan.research.kills import half_files

    command = ("compare", "A", "B", "-o", "run", "--workers", "0", *NO_ENCODER)
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED.format(size=size), *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])},
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    assert ran.returncode == 2 or (ran.returncode == 1 and (tmp_path / "run" / "summary.json").exists())
    assert ran.returncode == 1 or "File too large" in ran.stderr, ran.stderr
    assert half_files(tmp_path) == []
    assert leakscan(*command, "--overwrite").code == 1  # with room, the same command comes to its end


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache_is_said_at_once(two_folders: object, tmp_path: Path, leakscan: Leakscan) -> None:
    (tmp_path / ".leakscan").mkdir(mode=0o500)
    ran = leakscan("compare", "A", "B", *NO_ENCODER)
    assert ran.code == 2 and "--cache" in ran.error


def now_and_then(monkeypatch: pytest.MonkeyPatch, error: Any, every: int) -> None:
    """Makes every so many reads fail, as those of a network share do."""
    real, calls = prepare.file_hash, [0]

    def failing(files: Any) -> str:
        calls[0] += 1
        if calls[0] % every == 0:
            raise error(files)
        return real(files)

    monkeypatch.setattr(prepare, "file_hash", failing)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EIO, "Input/output error"),
        (errno.ESTALE, "Stale file handle"),
        (errno.EACCES, "Permission denied"),
        (errno.ENOENT, "No such file or directory"),
        (errno.ETIMEDOUT, "Connection timed out"),
        (errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_a_share_that_fails_now_and_then_costs_rows_and_the_next_run_reads_them(
    tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    fill(tmp_path / "A", range(9))
    fill(tmp_path / "B", range(20, 22))
    with monkeypatch.context() as patch:
        now_and_then(patch, lambda files: OSError(number, os.strerror(number), files[0]), 4)
        ran = leakscan("compare", "A", "B", "-o", "run", "--max-unread", "0.1", *NO_ENCODER)
    assert ran.code == 3 and "not read" in ran.out
    rows = [row for row in rows_of(tmp_path / "run", "images") if row["status"] != "ok"]
    assert len(rows) == 2 and all(words in row["error"] for row in rows)
    again = leakscan("compare", "A", "B", "-o", "run", "--overwrite", *NO_ENCODER)
    assert {row["status"] for row in rows_of(tmp_path / "run", "images")} == {"ok"}, again.err


def test_files_that_vanish_grow_or_are_cut_while_they_are_read_are_rows(
    tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "A", range(6))
    save(tmp_path / "B" / "x.png", scene(99))
    real = prepare.file_hash

    def meanwhile(files: Any) -> str:
        path = Path(files[0])
        found = real(files)
        if path.name == "1.png":
            path.unlink()
        elif path.name == "2.png":
            path.write_bytes(path.read_bytes() + bytes(1000))
        elif path.name == "3.png":
            path.write_bytes(path.read_bytes()[:60])
        elif path.name == "4.png":
            path.unlink()
            path.mkdir()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "file_hash", meanwhile)
        ran = leakscan("compare", "A", "B", "-o", "run", "--max-unread", "1", *NO_ENCODER)
    assert "Traceback" not in ran.err and ran.code in (0, 3)
    rows = {row["path"]: row for row in rows_of(tmp_path / "run", "images")}
    assert len(rows) == 7
    assert [rows[f"{n}.png"]["status"] for n in (1, 3, 4)] == ["unreadable"] * 3
    assert [rows[f"{n}.png"]["status"] for n in (0, 2, 5)] == ["ok"] * 3
    again = leakscan("compare", "A", "B", "-o", "run", "--overwrite", "--max-unread", "1", *NO_ENCODER)
    assert again.code in (0, 3)
    assert {row["path"] for row in rows_of(tmp_path / "run", "images")} >= {"0.png", "2.png", "3.png"}


def test_a_clock_that_is_set_back_loses_and_repeats_nothing(
    two_folders: object, tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = leakscan("fingerprint", "A", "-o", "a.fps", "--json", *NO_ENCODER).json
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3e8)
    again = leakscan("fingerprint", "A", "-o", "a.fps", "--json", *NO_ENCODER).json
    assert (first["images_read"], again["images_read"]) == (4, 0)
    save(tmp_path / "A" / "new.png", scene(50))
    os.utime(tmp_path / "A" / "new.png", (1, 1))
    assert leakscan("fingerprint", "A", "-o", "a.fps", "--json", *NO_ENCODER).json["images_read"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("same_source", [True, False])
def test_two_runs_on_one_cache_at_once_find_what_one_finds(
    two_folders: object, tmp_path: Path, leakscan: Leakscan, same_source: bool
) -> None:
    fill(tmp_path / "C", range(2, 6), compress_level=5)
    pairs = [("A", "B"), ("A", "B") if same_source else ("C", "B")]
    env = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
    code = LIMITED.format(size=1 << 30)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, "compare", *pair, "-o", f"run{n}", "--workers", "0", *NO_ENCODER],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=env,
        )
        for n, pair in enumerate(pairs)
    ]
    told = [run.communicate(timeout=120)[1] for run in running]
    assert [run.returncode for run in running] == [1, 1], told
    for n, pair in enumerate(pairs):
        leakscan("compare", *pair, "-o", f"alone{n}", "--cache", f"own{n}", *NO_ENCODER)
        ours, alone = (
            [(p["path_a"], p["path_b"], p["relation"]) for p in rows_of(tmp_path / run, "pairs")]
            for run in (f"run{n}", f"alone{n}")
        )
        assert ours == alone


def test_a_folder_of_devices_pipes_and_sockets_is_walked_past(tmp_path: Path, leakscan: Leakscan) -> None:
    import socket

    fill(tmp_path / "A", range(3))
    save(tmp_path / "B" / "x.png", scene(0))
    os.mkfifo(tmp_path / "A" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "A" / "socket.dcm"))
        (tmp_path / "A" / "zero.png").symlink_to("/dev/zero")
        (tmp_path / "A" / "random.dcm").symlink_to("/dev/urandom")
        (tmp_path / "A" / "loop.png").symlink_to("loop.png")
        ran = leakscan("compare", "A", "B", "-o", "run", "--max-unread", "1", *NO_ENCODER)
    assert ran.code == 1, ran.err
    rows = {row["path"]: row["status"] for row in rows_of(tmp_path / "run", "images")}
    assert {name for name, status in rows.items() if status == "ok"} == {"0.png", "1.png", "2.png", "x.png"}
    assert {"pipe.png", "socket.dcm", "zero.png", "random.dcm", "loop.png"} <= set(rows)


def test_a_remote_share_that_fails_in_mid_run_costs_rows_and_the_next_run_reads_them(
    tmp_path: Path, leakscan: Leakscan, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    fill(tmp_path / "A", range(6))
    fill(tmp_path / "B", range(20, 22))
    for path in (tmp_path / "A").iterdir():
        MemoryFileSystem().pipe(f"/failing/ward/{path.name}", path.read_bytes())
    real = prepare.file_hash

    def failing(files: Any) -> str:
        MemoryFileSystem._open = broken if "3.png" in files[0] else whole
        return real(files)

    def broken(*_: Any, **__: Any) -> Any:
        raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    whole = MemoryFileSystem._open
    given = ("compare", "memory://failing/ward", "B", "-o", "run", "--workers", "0", *NO_ENCODER)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "_open", whole)
        patch.setattr(prepare, "file_hash", failing)
        ran = leakscan(*given)
    assert ran.code == 3, ran.err
    (row,) = (row for row in rows_of(tmp_path / "run", "images") if row["status"] != "ok")
    assert row["path"] == "3.png" and "Connection timed out" in row["error"]
    again = leakscan(*given, "--overwrite")
    assert {row["status"] for row in rows_of(tmp_path / "run", "images")} == {"ok"}, again.err

"""A decoder that crashes, hangs or is stopped costs its file, and the answer says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import leakscan
from leakscan.engines.careful import Careful
from leakscan.engines.portable import is_portable
from leakscan.fingerprint import prepare
from leakscan.fingerprint.prepare import Recipe
from leakscan.settings import DecodeOptions
from leakscan.types import ImageRef
from support.makers import NO_ENCODER, fill, rows_of

RUN = """
import os, signal, sys, time
import leakscan.run.context as context
from leakscan.fingerprint import prepare
context.load_encoders = lambda *_: {}  # no picture here needs one

real = prepare.decode

def decode(ref, options):
    if ref.path == "3.png":
        os.kill(os.getpid(), signal.SIGSEGV)
    if ref.path == "7.png":
        while True:
            pass
    return real(ref, options)

prepare.decode = decode
from leakscan.cli.app import main
if __name__ == "__main__":
    sys.argv = ["leakscan", *sys.argv[1:]]
    main()
"""


def test_a_decoder_that_crashes_or_hangs_costs_its_file_and_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "A", range(12))
    fill(tmp_path / "B", range(20, 22))
    (tmp_path / "run_it.py").write_text(RUN)
    options = ("--workers", "2", "--max-seconds", "2", "--max-unread", "0.5", "-o", "run")
    ran = subprocess.run(
        [sys.executable, "run_it.py", "compare", "A", "B", *options, *NO_ENCODER],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        # Workers run what the script has changed only where each is a new process.
        env={**os.environ, "PYTHONPATH": str(Path(leakscan.__file__).parents[1]), "LEAKSCAN_PORTABLE": "1"},
    )
    assert ran.returncode == 3, ran.stderr  # nothing is vouched for: no encoder compared any subjects
    rows = {row["path"]: row for row in rows_of(tmp_path / "run", "images") if row["dataset"] == "A"}
    assert rows["3.png"]["error"].startswith("Its decoder crashed")
    assert rows["7.png"]["error"].startswith("It takes longer to read than the limit of 2 seconds of a")
    assert {row["status"] for path, row in rows.items() if path in ("3.png", "7.png")} == {"unreadable"}
    assert sum(row["status"] == "ok" for row in rows.values()) == 10
    assert rows["3.png"]["left_out"] == "file whose decoder crashed"
    assert rows["7.png"]["left_out"] == "file over the time limit"
    assert "2 files not read. First: 3.png: Its decoder crashed" in ran.stdout


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux") or is_portable(), reason="only Linux holds a process to it"
)
def test_a_small_file_that_takes_much_memory_is_named_with_the_limit(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    from leakscan.engines import start_engine
    from leakscan.types import Kind

    wide = np.zeros((9_000, 9_000), np.uint8)
    wide[::300] = 9  # 81 megapixels in some kilobytes
    Image.fromarray(wide).save(tmp_path / "wide.png")
    fill(tmp_path, [1])
    items: list[tuple[ImageRef, Kind]] = [
        (ImageRef(image_id=n, path=n, format="png", files=(str(tmp_path / n),)), "other_2d")
        for n in ("1.png", "wide.png", "1.png")
    ]
    for megabytes, status in ((150, "unreadable"), (1_000, "ok")):
        recipe = Recipe(options=DecodeOptions(max_file_mb=megabytes), sides={})
        work = Careful(partial(prepare.prepare, recipe=recipe), partial(prepare.given_up, seconds=9.0))
        found = list(start_engine(1).map(work, items))
        assert [one.status for one in found] == ["ok", status, "ok"]
        if status == "unreadable":
            assert found[1].error.startswith("It takes more memory to read than the limit of ")
            assert (found[1].left_out, found[1].passing) == ("file over the memory limit", False)


def test_in_the_calling_process_a_file_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fill(tmp_path, [1]) / "1.png"
    ref = ImageRef(image_id="1", path="1.png", format="png", files=(str(path),))

    def swallows(*_: object) -> None:
        try:
            time.sleep(30)
        except Exception:
            time.sleep(30)

    monkeypatch.setattr(prepare, "decode", swallows)
    before = signal.getsignal(signal.SIGALRM)
    found = prepare.prepare((ref, "other_2d"), Recipe(options=DecodeOptions(max_seconds=0.2), sides={}))
    assert (found.status, found.left_out, found.passing) == ("unreadable", "file over the time limit", True)
    assert signal.getsignal(signal.SIGALRM) is before


def test_the_limit_leaves_an_alarm_of_the_caller_in_force() -> None:
    from leakscan.engines.careful import time_limit

    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    left = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with time_limit(20):
            pass
        deadline = time.monotonic() + 5
        while not rung and time.monotonic() < deadline:
            time.sleep(0.01)
        assert rung
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)
        signal.signal(signal.SIGALRM, before)

"""Standard streams that are closed or take nothing: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import leakscan

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full and a POSIX shell")


def shell(words: str) -> subprocess.CompletedProcess[str]:
    """Runs leakscan in a shell, as a service or a cron job may."""
    return subprocess.run(
        ["sh", "-c", f'exec "$0" -m leakscan {words}', sys.executable],
        env={**os.environ, "PYTHONPATH": str(Path(leakscan.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_exit_code(closed: str) -> None:
    ran = shell(f"exclude no-such-run --from A {closed}")
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert ("no-such-run" in ran.stderr) == ("2>&-" not in closed)


def test_an_answer_that_cannot_be_written_is_an_error_in_words() -> None:
    for words in ("models list", "models list --json"):
        ran = shell(f"{words} > /dev/full")
        assert ran.returncode == 2
        assert "cannot be written to standard output: No space left" in ran.stderr
        assert "Traceback" not in ran.stderr


def test_errors_that_nobody_can_read_keep_their_exit_code() -> None:
    assert shell("exclude no-such-run --from A 2> /dev/full").returncode == 2

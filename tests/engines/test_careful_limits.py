"""A limit counts what its inside costs, not what else the machine does, and still bounds what only waits."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from leakscan.engines.careful import TookTooLong, by_the_clock, time_limit

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer here")


def test_a_time_limit_beyond_the_machines_clock_stops_nothing() -> None:
    with time_limit(1e300):
        left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert left > 1e8
    assert signal.getitimer(signal.ITIMER_REAL)[0] < 1e8


def test_time_in_which_others_work_does_not_count() -> None:
    with time_limit(0.2):
        time.sleep(0.7)


def test_work_counts() -> None:
    began = time.monotonic()
    with pytest.raises(TookTooLong), time_limit(0.2):
        while time.monotonic() < began + 30:
            pass


def test_work_of_programs_that_were_started_counts() -> None:
    busy = "import time\nwhile time.process_time() < 0.4: pass"
    with pytest.raises(TookTooLong), time_limit(0.3):
        for _ in range(20):
            subprocess.run([sys.executable, "-S", "-c", busy], check=True)
            time.sleep(0.05)
    assert by_the_clock(0.3) == pytest.approx(3.0)


def test_what_waits_for_ever_is_stopped() -> None:
    began = time.monotonic()
    with pytest.raises(TookTooLong), time_limit(0.1):
        time.sleep(60)
    assert time.monotonic() - began < 30

"""Limits that are larger than a machine can count are no limits, and no errors."""

from __future__ import annotations

import signal

import pytest

from leakscan.engines.careful import time_limit


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer here")
def test_a_time_limit_beyond_the_machines_clock_stops_nothing() -> None:
    with time_limit(1e300):
        left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert left > 1e8
    assert signal.getitimer(signal.ITIMER_REAL)[0] < 1e8

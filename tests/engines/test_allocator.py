"""Memory that a network frees is there for its next layer."""

from __future__ import annotations

import subprocess
import sys

import pytest

from leakscan.engines.portable import is_portable

_PROGRAM = """
import resource, sys
import numpy as np
from leakscan.engines.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
np.ones(100_000_000, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(100_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _pages_cleared(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, how], check=True, capture_output=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or is_portable(), reason="the GNU C library is Linux's"
)
def test_large_blocks_are_used_again_instead_of_asked_for_anew() -> None:
    assert _pages_cleared("keep") * 20 < _pages_cleared("leave")

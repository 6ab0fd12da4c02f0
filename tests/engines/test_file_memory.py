"""What one item may take in a worker, whatever items before it took."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from leakscan.engines.careful import Careful
from leakscan.engines.file_memory import data_bytes, memory_limit
from leakscan.engines.local import LocalEngine
from leakscan.engines.portable import is_portable

LIMIT, PIECE = 600_000_000, 50_000_000


def _takes_all(_: int) -> int:
    """The bytes that this worker comes to hold while an item takes all that it gets."""
    with memory_limit(LIMIT):
        taken = []
        try:
            while len(taken) < 100:
                taken.append(np.empty(PIECE, np.uint8))
        except MemoryError:
            pass
        return data_bytes() or 0


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or is_portable(), reason="only Linux holds a process to it"
)
def test_what_a_worker_keeps_of_one_item_is_no_room_for_the_next_to_grow_into() -> None:
    work: Careful[int, int] = Careful(_takes_all, lambda _, __: 0)
    held = list(LocalEngine(1).map(work, range(8)))
    assert max(held) - held[0] <= 100_000_000 + 2 * PIECE, "a little once"
    assert min(held) > LIMIT


def _most_resident(_: int) -> int:
    """The most memory that this worker has held after an item takes and touches all that it gets."""
    import resource

    with memory_limit(LIMIT):
        taken = []
        try:
            while len(taken) < 1000:
                taken.append(np.ones(PIECE // 10, np.uint8))
        except MemoryError:
            pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or is_portable(), reason="only Linux holds a process to it"
)
def test_what_a_worker_holds_for_itself_counts() -> None:
    work: Careful[int, int] = Careful(_most_resident, lambda _, __: 0)
    assert max(LocalEngine(1).map(work, range(4))) <= LIMIT + 150_000_000

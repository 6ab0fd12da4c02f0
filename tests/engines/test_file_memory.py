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
    grown = max(held) - held[0]
    assert grown <= 400_000_000 + 8 * 32_000_000 + 2 * PIECE, "what it may grow by once, and little an item"
    assert min(held) > LIMIT

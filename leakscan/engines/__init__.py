"""What runs a function over many items. All engines are built here."""

from __future__ import annotations

from leakscan.engines.local import LocalEngine
from leakscan.types import Engine


def start_engine(workers: int | None = None) -> Engine:
    """The engine for a run on this machine.

    Args:
        workers: The number of worker processes; ``None`` for one per core, 0 to work in this process.

    Example:
        >>> list(start_engine(workers=0).map(abs, [-1, 2]))
        [1, 2]
    """
    return LocalEngine(workers)

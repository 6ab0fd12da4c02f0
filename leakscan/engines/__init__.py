"""What runs a function over many items. All engines are built here."""

from __future__ import annotations

from typing import Literal

from leakscan.types import Engine


def start_engine(
    workers: int | None = None, kind: Literal["local", "ray"] = "local", address: str | None = None
) -> Engine:
    """The engine of a run: worker processes of this machine, or a Ray cluster.

    Args:
        workers: The number of workers; ``None`` for one per core, 0 to work in this process.
        kind: Which of the two.
        address: Where the Ray cluster is; ``None`` for that of the environment, or one on this machine.

    Raises:
        LeakscanError: Ray is asked for and not installed, or its cluster is not there.

    Example:
        >>> list(start_engine(workers=0).map(abs, [-1, 2]))
        [1, 2]
    """
    if kind == "ray":
        from leakscan.engines.ray import RayEngine

        return RayEngine(address, workers)
    from leakscan.engines.local import LocalEngine

    return LocalEngine(workers)

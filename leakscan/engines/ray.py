"""Runs a stage on a Ray cluster."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from leakscan.engines.careful import Careful
from leakscan.errors import LeakscanError

T = TypeVar("T")
R = TypeVar("R")

_RETRIES = 4  # of a block whose worker was killed
_IN_FLIGHT = 3  # blocks for every processor
_CONNECT_SECONDS = 5.0


class RayEngine:
    """An :class:`leakscan.types.Engine` over the workers of a Ray cluster.

    Results come in the order of the items and are those of any other engine. A worker that is killed loses
    the block of items that it had, which another one does again. The files of the items must be readable on
    every machine of the cluster, under the same paths, and leakscan must be installed there.

    Args:
        address: Where the cluster is, as ``host:port``, ``ray://host:port`` or ``auto``. ``None`` takes that
            of the variable ``RAY_ADDRESS``, and starts a cluster on this machine where there is none.
        workers: The number of blocks that are worked on at once; ``None`` for one per processor of the
            cluster.

    Raises:
        LeakscanError: Ray is not installed, or there is no cluster at this address.

    Example::

        engine = RayEngine("head-node:6379")
        list(engine.map(abs, [-1, 2]))
    """

    is_cluster = True

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self._ray = _load_ray()
        self._connect(address, workers)
        available = int(self._ray.cluster_resources().get("CPU", 1))
        self.workers = max(1, available if workers is None else workers)

    def map(self, function: Callable[[T], R], items: Iterable[T], chunk: int = 8) -> Iterator[R]:
        """Yields what the function makes of every item.

        Args:
            function: The function. It can be pickled, and its exceptions come out here.
            items: The items. They can be pickled, and are taken as they are needed.
            chunk: How many items a worker gets at a time.

        Raises:
            LeakscanError: A block was lost more than four times, or the cluster went away.
        """
        ray = self._ray
        run = ray.remote(max_retries=_RETRIES, num_cpus=1)(_run)
        shared = ray.put(function)
        pending: deque[tuple[Any, list[T]]] = deque()
        iterator = iter(items)
        try:
            while block := list(islice(iterator, chunk)):
                pending.append((run.remote(shared, block), block))
                if len(pending) >= _IN_FLIGHT * self.workers:
                    yield from self._found(*pending.popleft(), run, shared, function)
            while pending:
                yield from self._found(*pending.popleft(), run, shared, function)
        except ray.exceptions.RayTaskError as e:
            raise (e.cause if isinstance(e.cause, BaseException) else e) from None
        except ray.exceptions.RayError as e:
            raise LeakscanError(
                "A part of the work was lost on the Ray cluster again and again, most likely for want of "
                "memory; what was finished is kept.",
                "Run it again on workers with more memory; it goes on where it stopped.",
                code="worker_killed_on_ray",
            ) from e
        finally:
            for block_ref, _ in pending:
                ray.cancel(block_ref, force=False)

    def _found(
        self, block_ref: Any, block: list[T], run: Any, shared: Any, function: Callable[[T], R]
    ) -> list[R]:
        """The results of a block; of one that was lost again and again, item by item."""
        ray = self._ray
        try:
            found: list[R] = ray.get(block_ref)
            return found
        except ray.exceptions.RayTaskError:
            raise
        except ray.exceptions.RayError:
            if not isinstance(function, Careful):
                raise
        alone = [(item, run.options(max_retries=1).remote(shared, [item])) for item in block]
        results: list[R] = []
        for item, ref in alone:
            try:
                results += ray.get(ref)
            except ray.exceptions.RayTaskError:
                raise
            except ray.exceptions.RayError:
                results.append(function.lost(item, "died"))
        return results

    def _connect(self, address: str | None, workers: int | None) -> None:
        """Joins the cluster, or starts one on this machine."""
        ray = self._ray
        if ray.is_initialized():
            return
        if address is not None and address != "auto":
            _check_there(address)
        own = address is None and not os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if own else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
        except Exception as e:  # Ray raises many kinds where a cluster cannot be joined
            raise _no_cluster(address or os.environ.get("RAY_ADDRESS", "this machine")) from e


def _load_ray() -> Any:
    """The ``ray`` module, which is asked not to report its use to its makers."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.exceptions
    except ImportError as e:
        raise LeakscanError(
            "The engine ray needs Ray, which is not installed.",
            'Install it: pip install "leakscan[ray]".',
            code="ray_missing",
        ) from e
    return ray


def _check_there(address: str) -> None:
    """Knocks at a cluster first: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise _no_cluster(address)
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as e:
        raise _no_cluster(address) from e


def _no_cluster(address: str) -> LeakscanError:
    return LeakscanError(
        f"There is no Ray cluster at {address}.",
        "Give the address of its head node, such as head-node:6379, or start one.",
        code="no_cluster",
    )


def _run(function: Callable[[T], R], block: list[T]) -> list[R]:
    """What a worker does with a block."""
    import cv2
    from threadpoolctl import threadpool_limits

    cv2.setNumThreads(1)
    with threadpool_limits(1):
        return list(map(function, block))

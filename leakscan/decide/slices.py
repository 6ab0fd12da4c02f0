"""Pictures of one dataset that are slices of volumes of the other."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.copies import CopyCheck
from leakscan.decide.copies.slices import Cut, SliceTask, check_slices, nearest_cuts
from leakscan.decide.table import PairTable
from leakscan.types import ImageRef

if TYPE_CHECKING:
    from leakscan.run.context import RunContext

_VOLUMES_EACH = 6
"""Volumes of which a picture is checked as a slice, the nearest first: one scan may lie in many forms."""
_SEARCHED_SHARE = 0.6
"""The part of the time left that the search may take; the rest is for the checks of what it finds."""

Ints = npt.NDArray[np.int64]
Item = TypeVar("Item")


@dataclass(frozen=True)
class SlicesSought:
    """How far the search for slices of volumes went between two datasets.

    Attributes:
        pictures: Pictures without a fingerprint on the one side, where the other has volumes.
        volumes: Those volumes.
        compared: Those of them whose slices were compared with the pictures.
    """

    pictures: int = 0
    volumes: int = 0
    compared: int = 0


def compare_slices(
    pair: DatasetPair, table: PairTable, context: RunContext
) -> tuple[PairTable, SlicesSought]:
    """Looks for pictures of either dataset among the slices of the other's volumes.

    Only pictures without a fingerprint are sought: a chest film is no slice. Both must be at hand as images,
    pictures at least as previews.

    Args:
        pair: The two datasets.
        table: Their pairs, checked for copies.
        context: What the run holds; its engine, settings, budget and progress are used.

    Returns:
        The table with a checked row more for every picture that was compared with a slice, and how far the
        search went.

    Example:
        ``table, sought = compare_slices(pair, table, RunContext.open(Settings()))``
    """
    rows: list[tuple[int, int, CopyCheck]] = []
    pictures = volumes = compared = 0
    for flat, deep, first in ((pair.a, pair.b, True), (pair.b, pair.a, False)):
        asking = np.flatnonzero((flat.side.ndim == 2) & (flat.side.encoder == ""))
        asked = np.flatnonzero(deep.side.ndim == 3)
        if not len(asking) or not len(asked):
            continue
        pictures, volumes = pictures + len(asking), volumes + len(asked)
        if not context.settings.search.slices:
            continue
        search = _Search(flat, deep, asking, asked, context)
        rows += [(i, j, check) if first else (j, i, check.swapped()) for i, j, check in search.found()]
        compared += search.compared
    if rows:
        a, b = (np.array(side, np.int64) for side in zip(*((i, j) for i, j, _ in rows), strict=True))
        before = len(table)
        table = table.extended(a, b)
        table.keep_checks(np.arange(before, len(table)), [check for _, _, check in rows])
    return table, SlicesSought(pictures, volumes, compared)


class _Search:
    """The search for pictures of one dataset among the slices of another's volumes.

    Args:
        flat: The dataset with the pictures.
        deep: The dataset with the volumes.
        asking: ``(n,)`` the pictures.
        asked: ``(m,)`` the volumes.
        context: What the run holds.
    """

    def __init__(self, flat: Columns, deep: Columns, asking: Ints, asked: Ints, context: RunContext) -> None:
        self._flat, self._context = flat, context
        self._pixels = {i: pixels for i in asking.tolist() if (pixels := flat.pixels(i)) is not None}
        self._volumes = {j: ref for j in asked.tolist() if isinstance(ref := deep.pixels(j), ImageRef)}
        self.compared = 0

    def found(self) -> Iterator[tuple[int, int, CopyCheck]]:
        """Picture, volume and finding, for every picture that was compared with a slice of a volume."""
        if not self._pixels or not self._volumes:
            return
        tasks = self._tasks()
        check = partial(check_slices, options=self._context.settings.reading)
        in_time = self._in_time([task for *_, task in tasks], 1.0)
        left = len(tasks)
        for (volume, numbers, _), checks in zip(
            tasks, self._context.engine.map(check, in_time, 1), strict=False
        ):
            left -= 1
            yield from (
                (picture, volume, found)
                for picture, found in zip(numbers, checks, strict=True)
                if found is not None and found.same_image
            )
        self.compared -= left

    def _tasks(self) -> list[tuple[int, list[int], SliceTask]]:
        """What to check: every picture against the slice that it resembles most, of its nearest volumes."""
        pictures = list(self._pixels)
        hashes = self._flat.side.phash[np.array(pictures, np.int64)]
        near: dict[int, list[tuple[int, Cut]]] = defaultdict(list)
        for volume, cuts in self._searched(hashes):
            for number, cut in cuts:
                near[pictures[number]].append((volume, cut))
        wanted: dict[int, list[tuple[int, Cut]]] = defaultdict(list)
        for picture, candidates in near.items():
            for volume, cut in sorted(candidates, key=lambda one: one[1].bits)[:_VOLUMES_EACH]:
                wanted[volume].append((picture, cut))
        tasks = []
        for volume, own in wanted.items():
            numbers = [picture for picture, _ in own]
            pixels = tuple(self._pixels[picture] for picture in numbers)
            tasks.append(
                (volume, numbers, SliceTask(self._volumes[volume], pixels, tuple(c for _, c in own)))
            )
        return tasks

    def _searched(self, hashes: npt.NDArray[np.uint64]) -> Iterator[tuple[int, list[tuple[int, Cut]]]]:
        context = self._context
        context.progress.start("Comparing pictures with slices", len(self._volumes))
        search = partial(nearest_cuts, pictures=hashes, options=context.settings.reading)
        in_time = self._in_time(list(self._volumes.values()), _SEARCHED_SHARE)
        hits = context.engine.map(search, in_time, 1)
        for volume, cuts in zip(self._volumes, hits, strict=False):
            self.compared += 1
            context.progress.advance()
            yield volume, cuts

    def _in_time(self, items: Sequence[Item], share: float) -> Iterator[Item]:
        """Items one after the other, until a share of the time that is left now is up."""
        deadline = time.monotonic() + share * self._context.budget.left
        for item in items:
            if time.monotonic() > deadline:
                return
            yield item

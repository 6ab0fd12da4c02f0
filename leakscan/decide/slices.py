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
from blake3 import blake3

from leakscan.decide.columns import Columns, DatasetPair
from leakscan.decide.copies import CopyCheck
from leakscan.decide.copies.describing import nothing
from leakscan.decide.copies.slices import (
    SLICE_SEARCH_VERSION,
    Cut,
    Hits,
    SliceTask,
    by_picture,
    check_slices,
    nearest_cuts,
    no_checks,
)
from leakscan.decide.table import PairTable
from leakscan.engines.careful import Careful
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
        self._flat, self._deep, self._context = flat, deep, context
        self._pixels = {i: pixels for i in asking.tolist() if (pixels := flat.pixels(i)) is not None}
        self._volumes = {j: ref for j in asked.tolist() if isinstance(ref := deep.pixels(j), ImageRef)}
        self.compared = 0

    def found(self) -> Iterator[tuple[int, int, CopyCheck]]:
        """Picture, volume and finding, for every picture that is a slice of a volume.

        What an earlier run found of a picture and a volume is taken from the memory of pairs.
        """
        if not self._pixels or not self._volumes:
            return
        tasks = []
        for volume, near in self._near().items():
            known = self._context.memory.copy_checks([self._pair(picture, volume) for picture in near])
            seen = {picture: known.get(self._pair(picture, volume)) for picture in near}
            yield from ((p, volume, check) for p, check in seen.items() if check and check.same_image)
            if fresh := {picture: cuts for picture, cuts in near.items() if seen[picture] is None}:
                tasks.append((volume, list(fresh), self._task(volume, fresh)))
        check = Careful(partial(check_slices, options=self._context.settings.reading), no_checks)
        in_time = self._in_time([task for *_, task in tasks], 1.0)
        left = len(tasks)
        for (volume, numbers, _), checks in zip(
            tasks, self._context.engine.map(check, in_time, 1), strict=False
        ):
            left -= 1
            self._context.memory.keep_copy_checks(
                (*self._pair(picture, volume), check)
                for picture, check in zip(numbers, checks, strict=True)
                if check is not None
            )
            yield from (
                (picture, volume, found)
                for picture, found in zip(numbers, checks, strict=True)
                if found is not None and found.same_image
            )
        self.compared -= left

    def _near(self) -> dict[int, dict[int, tuple[Cut, ...]]]:
        """What to check: by volume, pictures with the slices that they resemble, of their nearest volumes."""
        pictures = list(self._pixels)
        hashes = self._flat.side.phash[np.array(pictures, np.int64)]
        near: dict[int, list[tuple[int, tuple[Cut, ...]]]] = defaultdict(list)
        for volume, hits in self._searched(hashes):
            for number, cuts in by_picture(hits).items():
                near[pictures[number]].append((volume, cuts))
        wanted: dict[int, dict[int, tuple[Cut, ...]]] = defaultdict(dict)
        for picture, candidates in near.items():
            nearest = sorted(candidates, key=lambda one: min(cut.bits for cut in one[1]))
            for volume, cuts in nearest[:_VOLUMES_EACH]:
                wanted[volume][picture] = cuts
        return wanted

    def _task(self, volume: int, near: dict[int, tuple[Cut, ...]]) -> SliceTask:
        pixels = tuple(self._pixels[picture] for picture in near)
        return SliceTask(self._volumes[volume], pixels, tuple(near.values()))

    def _searched(self, hashes: npt.NDArray[np.uint64]) -> Iterator[tuple[int, Hits]]:
        context, memory = self._context, self._context.memory
        context.progress.start("Comparing pictures with slices", len(self._volumes))
        sought = blake3(np.ascontiguousarray(hashes).tobytes()).hexdigest()
        known = memory.slice_searches([(self._name(volume), sought) for volume in self._volumes])
        unseen = []
        for volume in self._volumes:
            if (hits := known.get((self._name(volume), sought))) is None:
                unseen.append(volume)
            else:
                yield self._counted(volume, hits)
        search = Careful(partial(nearest_cuts, pictures=hashes, options=context.settings.reading), nothing)
        in_time = self._in_time([self._volumes[volume] for volume in unseen], _SEARCHED_SHARE)
        for volume, cuts in zip(unseen, context.engine.map(search, in_time, 1), strict=False):
            if cuts is not None:
                memory.keep_slice_searches([(self._name(volume), sought, cuts)])
            yield self._counted(volume, cuts or [])

    def _counted(self, volume: int, hits: Hits) -> tuple[int, Hits]:
        self.compared += 1
        self._context.progress.advance()
        return volume, hits

    def _name(self, volume: int) -> str:
        """What the memory calls a volume: its voxels, and its file, whose scale decides what is shown."""
        return f"{self._deep.picture_keys[volume]}|{self._volumes[volume].signature}"

    def _pair(self, picture: int, volume: int) -> tuple[str, str]:
        """What the memory calls a picture that is sought in a volume; no other pair has such names."""
        own = self._flat.picture_keys[picture]
        return f"{SLICE_SEARCH_VERSION}|{own}", f"{SLICE_SEARCH_VERSION}|{self._name(volume)}"

    def _in_time(self, items: Sequence[Item], share: float) -> Iterator[Item]:
        """Items one after the other, until a share of the time that is left now is up."""
        deadline = time.monotonic() + share * self._context.budget.left
        for item in items:
            if time.monotonic() > deadline:
                return
            yield item

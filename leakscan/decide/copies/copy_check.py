"""Checks many pairs for copies: best first, in workers, within a time budget, and remembers as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from leakscan.decide.copies import NOT_ALIGNED, CopyCheck
from leakscan.decide.copies.describing import Pixels, at_a_glance, described, in_full, nothing, plainly
from leakscan.decide.copies.keypoint_vote import vote
from leakscan.decide.copies.picture_check import check_as_voted, check_pictures
from leakscan.decide.copies.picture_features import PictureFeatures, worth_a_check
from leakscan.engines.careful import Careful
from leakscan.types import DecodedImage, ImageRef

if TYPE_CHECKING:
    from leakscan.decide.copies.volume_features import VolumeFeatures
    from leakscan.run.context import RunContext

    Features = PictureFeatures | VolumeFeatures
    FeaturePair = tuple[Features | None, Features | None]

R = TypeVar("R")

_WINDOW = {2: 128, 3: 8}
"""Pairs a worker that are checked together, by dimension: their features are in memory at once. All images
of a window are described before the first finding is kept: some 4 s, which is what a kill may lose."""

_VOTED = 4096
"""Pairs whose keypoints vote before those that are left are checked: seconds of work."""

_CHUNK = {2: 16, 3: 1}
"""Pairs that a worker gets at a time: a fraction of a second's work, which is what a kill may lose."""

NEAR_BITS = 10
"""The most bits of 64 in which the hashes of a whole picture and of its stretched copy differ."""

_VOTES = 64
"""Votes that a worker gets at a time: some 50 ms."""

_DESCRIBED = 8
"""Images that a worker describes at a time at most."""

_FEATURES_KEPT = 600_000_000
"""Bytes of features kept from window to window: 60 kB each at a glance, 200 kB in full, 1 to 6 MB of a
volume."""

_KEEP_SECONDS = 1.0  # after which findings are written


@dataclass(frozen=True, kw_only=True)
class PixelPair:
    """Two images whose pixels are to be compared.

    Attributes:
        key_a: The name of the first image within this run.
        key_b: The name of the second image within this run.
        picture_a: The name of what is seen of the first image, equal in all runs: findings are remembered
            under it. Empty where nothing is to be remembered.
        picture_b: The same for the second image.
        a: The pixels of the first image; ``None`` where they are not at hand.
        b: The pixels of the second image.
        keypoints_a: The keypoints of the first image as a store keeps them; ``None`` where it has none.
        keypoints_b: Those of the second image.
        ndim: The number of dimensions of both: 2 or 3.
        stretched: Whether the one may be the other stretched: then keypoints, which do not survive that, say
            nothing against it.
    """

    key_a: str
    key_b: str
    picture_a: str = ""
    picture_b: str = ""
    a: Pixels | None
    b: Pixels | None
    keypoints_a: bytes | None = None
    keypoints_b: bytes | None = None
    ndim: int
    stretched: bool = False

    @property
    def pictures(self) -> tuple[str, str]:
        """What findings are remembered under."""
        return self.picture_a, self.picture_b

    @property
    def at_hand(self) -> bool:
        """Whether the pixels of both can be read."""
        return self.a is not None and self.b is not None

    @property
    def can_vote(self) -> bool:
        """Whether the keypoints of both are known."""
        return self.keypoints_a is not None and self.keypoints_b is not None and not self.stretched


def check_copies(pairs: Sequence[PixelPair], context: RunContext) -> list[CopyCheck | None]:
    """Checks pairs in the given order until the time is up. What an earlier run checked is not checked again.

    Pairs are taken a window at a time, and every image of a window is described once. Of pictures the
    keypoints that were kept vote first, for which nothing is read, and lay the two on each other where they
    agree. Where they are too few to tell, the pictures are compared at a glance. Only what may be a copy
    after that is described in full and checked. Findings are in the memory of
    the run about a second after they are made, and at once where the work is interrupted.

    Args:
        pairs: The pairs to check, best first.
        context: What the run holds; its engine, settings, memory, budget and progress are used.

    Returns:
        One entry per pair: ``None`` for a pair that was not reached, or whose pixels cannot be read and whose
        keypoints do not tell them apart.

    Example:
        >>> pair = PixelPair(key_a="A/1", key_b="B/7", a=ref_a, b=ref_b, ndim=2)  # doctest: +SKIP
        >>> check_copies([pair], RunContext.open(Settings()))  # doctest: +SKIP
        [CopyCheck(same_image=True, correlation=0.98, inliers=210, transform='hflip', overlap=1.0)]
    """
    context.budget.start()
    known = context.memory.copy_checks([pair.pictures for pair in pairs if all(pair.pictures)])
    found = [known.get(pair.pictures) for pair in pairs]
    waiting = [i for i, pair in enumerate(pairs) if found[i] is None and (pair.at_hand or pair.can_vote)]
    if waiting:
        fresh = _Checks([pairs[i] for i in waiting], context).run()
        for i, check in zip(waiting, fresh, strict=True):
            found[i] = check
    return found


@dataclass
class _KeptFeatures:
    """Features of the images of the windows so far, as far as there is room for them.

    Attributes:
        plain: Pictures without keypoints.
        glances: Pictures at a glance.
        full: Images in full.
    """

    plain: dict[str, Features | None] = field(default_factory=dict)
    glances: dict[str, Features | None] = field(default_factory=dict)
    full: dict[str, Features | None] = field(default_factory=dict)


class _Checks:
    """The checks of pairs whose pixels are at hand.

    Args:
        pairs: The pairs to check, best first.
        context: What the run holds.
    """

    def __init__(self, pairs: Sequence[PixelPair], context: RunContext) -> None:
        self._pairs, self._context = pairs, context
        self._deadline = time.monotonic() + context.budget.left
        self._found: list[CopyCheck | None] = [None] * len(pairs)
        self._unkept: list[tuple[str, str, CopyCheck]] = []
        self._kept_at = time.monotonic()

    def run(self) -> list[CopyCheck | None]:
        """Checks until the time is up; also keeps what was found before an interrupt."""
        self._context.progress.start("Checking for copies", len(self._pairs))
        try:
            for ndim in _WINDOW:
                self._check_all(ndim)
        finally:
            self._keep()
        return self._found

    def _check_all(self, ndim: int) -> None:
        """Checks all pairs of one dimension, a window at a time."""
        order = [i for i, pair in enumerate(self._pairs) if pair.ndim == ndim]
        kept = _KeptFeatures()
        for start in range(0, len(order), _VOTED):
            if time.monotonic() > self._deadline:
                return
            window = order[start : start + _VOTED]
            sure, unsure = self._voted_for(window) if ndim == 2 else ([], window)
            left = sorted([*sure, *unsure])
            self._context.progress.advance(len(window) - len(left))
            length = _WINDOW[ndim] * max(1, self._context.engine.workers)
            for at in range(0, len(left), length):
                if time.monotonic() > self._deadline:
                    return
                self._check_window(left[at : at + length], set(sure), kept)

    def _check_window(self, window: Sequence[int], sure: Collection[int], kept: _KeptFeatures) -> None:
        """Checks the pairs of a window, of which ``sure`` are those that were voted for."""
        left = list(window)
        if self._pairs[window[0]].ndim == 2:
            voted, unsure = [i for i in left if i in sure], [i for i in left if i not in sure]
            kept.plain = self._described(voted, kept.plain, plainly)
            kept.glances = self._described(unsure, kept.glances, at_a_glance)
            left = sorted([*self._untold(voted, kept.plain), *self._worth_a_check(unsure, kept.glances)])
        kept.full = self._described(left, kept.full, in_full)
        for i, check in self._each(_check, left, kept.full):
            if check is not None:
                self._take(i, check)
        # Describing the next window may take a while.
        self._keep()
        self._context.progress.advance(len(window))

    def _voted_for(self, window: Sequence[int]) -> tuple[list[int], list[int]]:
        """Pairs whose keypoints agree, and those whose keypoints say nothing; all have pixels at hand."""
        voting = [i for i in window if self._pairs[i].can_vote]
        kept = (
            (self._pairs[i].keypoints_a or b"", self._pairs[i].keypoints_b or b"")
            for i in voting
            if time.monotonic() <= self._deadline
        )
        said: dict[int, bool | None] = {}
        for i, alike in zip(voting, self._context.engine.map(_vote, kept, _VOTES), strict=False):
            said[i] = alike
            if alike is False:
                self._take(i, NOT_ALIGNED)
        self._keep()
        left = [i for i in window if said.get(i) is not False and self._pairs[i].at_hand]
        return [i for i in left if said.get(i)], [i for i in left if not said.get(i)]

    def _untold(self, window: Sequence[int], plain: Mapping[str, Features | None]) -> list[int]:
        """The pairs of a window that their kept keypoints lay on each other without telling what they are."""
        chunk = _CHUNK[2]
        pairs = (
            (plain[pair.key_a], plain[pair.key_b], pair.keypoints_a or b"", pair.keypoints_b or b"")
            for pair in (self._pairs[i] for i in window)
            if time.monotonic() <= self._deadline
        )
        told = set()
        for i, check in zip(window, self._context.engine.map(_check_as_voted, pairs, chunk), strict=False):
            if check is not None:
                told.add(i)
                self._take(i, check)
        self._keep()
        return [i for i in window if i not in told]

    def _worth_a_check(self, window: Sequence[int], glances: Mapping[str, Features | None]) -> list[int]:
        """The pairs of a window that a glance does not tell apart."""
        worth = []
        for i, alike in self._each(_alike_at_a_glance, window, glances):
            if alike or (alike is not None and self._pairs[i].stretched):
                worth.append(i)
            elif alike is not None:
                self._take(i, NOT_ALIGNED)
        self._keep()
        return worth

    def _each(
        self,
        function: Callable[[FeaturePair], R],
        window: Sequence[int],
        features: Mapping[str, Features | None],
    ) -> Iterator[tuple[int, R]]:
        """A function of the features of every pair of a window, as far as the time reaches."""

        def pairs() -> Iterator[FeaturePair]:
            for i in window:
                if time.monotonic() > self._deadline:
                    return
                yield features[self._pairs[i].key_a], features[self._pairs[i].key_b]

        chunk = _CHUNK[self._pairs[window[0]].ndim] if window else 1
        return zip(window, self._context.engine.map(function, pairs(), chunk), strict=False)

    def _described(
        self,
        window: Sequence[int],
        known: Mapping[str, Features | None],
        describer: Callable[[DecodedImage], Features],
    ) -> dict[str, Features | None]:
        """Features of every image of a window, and of as many of the windows before as there is room for."""
        pairs = [self._pairs[i] for i in window]
        needed = {key: pixels for pair in pairs for key, pixels in _images(pair)}
        # Frames of one file in their order: pairs go from file to file, and each time it would be read anew.
        missing = dict(sorted(((k, p) for k, p in needed.items() if k not in known), key=_place))
        describe = partial(described, describer=describer, options=self._context.settings.reading)
        # A few that take long are shared out one by one.
        chunk = min(_DESCRIBED, 1 + len(missing) // (4 * max(1, self._context.engine.workers)))
        fresh = self._context.engine.map(Careful(describe, nothing), missing.values(), chunk)
        return _renewed(known, needed, dict(zip(missing, fresh, strict=True)))

    def _take(self, i: int, check: CopyCheck) -> None:
        """Notes a finding, and writes it down before long."""
        self._found[i] = check
        pictures = self._pairs[i].pictures
        if all(pictures):
            self._unkept.append((*pictures, check))
        if time.monotonic() > self._kept_at + _KEEP_SECONDS:
            self._keep()

    def _keep(self) -> None:
        unkept, self._unkept = self._unkept, []
        self._context.memory.keep_copy_checks(unkept)
        self._kept_at = time.monotonic()


def _renewed(
    known: Mapping[str, Features | None], needed: Iterable[str], fresh: Mapping[str, Features | None]
) -> dict[str, Features | None]:
    """The features that are needed now, and those of before while there is room.

    What is needed now goes to the end; the front, unused for longest, makes room.
    """
    current = {key: fresh[key] if key in fresh else known[key] for key in needed}
    room = _FEATURES_KEPT - sum(map(_bytes_of, current.values()))
    kept: list[str] = []
    for key in reversed([key for key in known if key not in current]):
        room -= _bytes_of(known[key])
        if room < 0:
            break
        kept.append(key)
    return {**{key: known[key] for key in reversed(kept)}, **current}


def _bytes_of(features: Features | None) -> int:
    parts = () if features is None else vars(features).values()
    return sum(part.nbytes for part in parts if isinstance(part, np.ndarray))


def _place(image: tuple[str, Pixels | None]) -> tuple[Sequence[str], int]:
    """Where an image lies: its files, and which of their frames it is."""
    pixels = image[1]
    return (pixels.files, pixels.frame) if isinstance(pixels, ImageRef) else ((), 0)


def _images(pair: PixelPair) -> tuple[tuple[str, Pixels | None], tuple[str, Pixels | None]]:
    return (pair.key_a, pair.a), (pair.key_b, pair.b)


def _vote(pair: tuple[bytes, bytes]) -> bool | None:
    return vote(*pair)


def _check_as_voted(pair: tuple[Features | None, Features | None, bytes, bytes]) -> CopyCheck | None:
    a, b, kept_a, kept_b = pair
    if isinstance(a, PictureFeatures) and isinstance(b, PictureFeatures):
        return check_as_voted(a, b, (kept_a, kept_b))
    return None


def _alike_at_a_glance(pair: FeaturePair) -> bool | None:
    a, b = pair
    if isinstance(a, PictureFeatures) and isinstance(b, PictureFeatures):
        return worth_a_check(a, b)
    return None


def _check(pair: FeaturePair) -> CopyCheck | None:
    a, b = pair
    if isinstance(a, PictureFeatures) and isinstance(b, PictureFeatures):
        return check_pictures(a, b)
    if a is None or b is None or isinstance(a, PictureFeatures) or isinstance(b, PictureFeatures):
        return None
    from leakscan.decide.copies.volume_check import check_volumes  # films do not wait for it

    return check_volumes(a, b)

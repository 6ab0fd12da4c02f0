"""Runs the verifiers over candidate pairs: best first, in workers, within a time budget."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice

import cv2
import numpy as np

from leakscan.decide.verify import Verification
from leakscan.decide.verify.radiograph import PictureFeatures, describe, verify_pictures
from leakscan.decide.verify.volume import VolumeFeatures, describe_volume, verify_volumes
from leakscan.errors import ImageError
from leakscan.sources.formats import decode
from leakscan.types import DecodedImage, DecodeOptions, Engine, ImageRef, Progress

Pixels = ImageRef | bytes
"""Where the pixels of an image come from: its files, or the preview of a store."""

_WINDOW = 512  # pairs taken best first at a time; inside a window they are grouped by image
_CHUNK = 16


@dataclass(frozen=True)
class Task:
    """One pair to look at.

    Attributes:
        key_a: names the image within this run, for caching.
        key_b: likewise.
        a: pixels.
        b: pixels.
        ndim: 2 or 3.
    """

    key_a: str
    key_b: str
    a: Pixels
    b: Pixels
    ndim: int


def verify_tasks(
    tasks: Sequence[Task], engine: Engine, options: DecodeOptions, seconds: float, progress: Progress
) -> list[Verification | None]:
    """Verifies pairs in the given order until the time is up.

    Args:
        tasks: best first.
        engine: runs them.
        options: for decoding.
        seconds: of wall time; the rest stay unverified.
        progress: is told.

    Returns:
        One entry per task: ``None`` for a pair that was not reached or whose files have become
        unreadable.
    """
    progress.start("Verifying pairs", len(tasks))
    deadline = time.monotonic() + seconds
    out: list[Verification | None] = [None] * len(tasks)
    order = list(_in_windows(tasks))
    results = engine.map(partial(_verify, options=options), (tasks[i] for i in _until(order, deadline)), _CHUNK)
    for i, verification in zip(order, results, strict=False):
        out[i] = verification
        progress.advance()
    return out


def _in_windows(tasks: Sequence[Task]) -> Iterator[int]:
    """Task numbers, windows best first, each sorted so that an image is decoded once in a row."""
    numbers = iter(range(len(tasks)))
    while window := list(islice(numbers, _WINDOW)):
        yield from sorted(window, key=lambda i: (tasks[i].key_a, tasks[i].key_b))


def _until(order: Sequence[int], deadline: float) -> Iterator[int]:
    for i in order:
        if time.monotonic() > deadline:
            return
        yield i


def _verify(task: Task, options: DecodeOptions) -> Verification | None:
    try:
        if task.ndim == 2:
            a = _picture(task.key_a, _Handle(task.a), options)
            b = _picture(task.key_b, _Handle(task.b), options)
            return verify_pictures(a, b)
        return verify_volumes(
            _volume(task.key_a, _Handle(task.a), options), _volume(task.key_b, _Handle(task.b), options)
        )
    except (ImageError, OSError):
        return None


class _Handle:
    """Wraps pixels so that the caches below go by the image's key alone."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Handle)


@lru_cache(maxsize=64)
def _picture(key: str, handle: _Handle, options: DecodeOptions) -> PictureFeatures:
    return describe(_load(handle.pixels, options).values)


@lru_cache(maxsize=16)
def _volume(key: str, handle: _Handle, options: DecodeOptions) -> VolumeFeatures:
    image = _load(handle.pixels, options)
    return describe_volume(image.values, image.spacing_mm)


def _load(pixels: Pixels, options: DecodeOptions) -> DecodedImage:
    if isinstance(pixels, ImageRef):
        return decode(pixels, options)
    grey = cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_UNCHANGED)
    return DecodedImage(grey, grey.astype(np.float32))
